//! Who signed a commit: SSH and OpenPGP signatures, held against the environment's list.

mod openpgp;
mod ssh;

use std::collections::{BTreeMap, BTreeSet};

use git2::{ErrorCode, Oid, Repository};
use jiff::Timestamp;

use crate::{api::Signer, core::provenance::Signature};

/// Larger than any signature.
const LARGEST: usize = 64 * 1024;

/// The allowed signers, their keys read.
#[derive(Debug)]
pub(super) struct Signers {
    ssh: Vec<(ssh::Key, String)>,
    openpgp: Vec<(openpgp::Key, String)>,
}

impl Signers {
    /// A key that can't be read is a mistake of the list's owner: better told than left out.
    pub(super) fn of(signers: &[Signer]) -> Result<Self, String> {
        let mut all = Self { ssh: vec![], openpgp: vec![] };
        let mut unreadable = vec![];
        for signer in signers {
            for (index, key) in signer.keys.iter().enumerate() {
                if let Err(why) = all.add(key, &signer.name) {
                    let name = &signer.name;
                    unreadable
                        .push(format!("spec.git.signers: keys[{index}] of {name} can't be used: {why}"));
                }
            }
        }
        if unreadable.is_empty() { Ok(all) } else { Err(unreadable.join("; ")) }
    }

    fn add(&mut self, key: &str, name: &str) -> Result<(), String> {
        if key.trim_start().starts_with("-----BEGIN PGP") {
            self.openpgp.push((openpgp::read(key)?, name.to_owned()));
        } else {
            self.ssh.push((ssh::read(key)?, name.to_owned()));
        }
        Ok(())
    }

    /// Keys that are given to more than one person, each with its holders: what they sign counts for nobody.
    pub(super) fn shared(&self) -> Vec<(String, Vec<String>)> {
        let ssh = self.ssh.iter().map(|(key, name)| (ssh::fingerprint(key), name));
        let openpgp = self.openpgp.iter().map(|(key, name)| (openpgp::fingerprint(key), name));
        let mut holders: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (key, name) in ssh.chain(openpgp) {
            holders.entry(key).or_default().insert(name.clone());
        }
        let several = holders.into_iter().filter(|(_, names)| names.len() > 1);
        several.map(|(key, names)| (key, names.into_iter().collect())).collect()
    }

    pub(super) fn signature(
        &self,
        repository: &Repository,
        commit: Oid,
        now: Timestamp,
    ) -> Result<Signature, git2::Error> {
        let (signature, signed) = match repository.extract_signature(&commit, None) {
            Ok(parts) => parts,
            Err(error) if error.code() == ErrorCode::NotFound => return Ok(Signature::Missing),
            Err(error) => return Err(error),
        };
        if signature.len() > LARGEST {
            return Ok(Signature::Invalid { why: "it is too large to be one".to_owned() });
        }
        let Ok(text) = std::str::from_utf8(&signature) else {
            return Ok(Signature::Invalid { why: "it is no text".to_owned() });
        };
        Ok(match text.lines().next().unwrap_or_default() {
            "-----BEGIN SSH SIGNATURE-----" => ssh::verify(text, &signed, &self.ssh),
            "-----BEGIN PGP SIGNATURE-----" => openpgp::verify(text, &signed, &self.openpgp, now),
            _ => Signature::Invalid { why: "only SSH and OpenPGP signatures are understood".to_owned() },
        })
    }
}

/// Whose key it is that made a good signature.
fn of_whom(holders: impl Iterator<Item = String>, key: String) -> Signature {
    let mut holders: Vec<String> = holders.collect::<BTreeSet<_>>().into_iter().collect();
    match holders.len() {
        0 => Signature::Unknown { key },
        1 => Signature::Of { signer: holders.remove(0), key },
        _ => Signature::OfSeveral { signers: holders, key },
    }
}
