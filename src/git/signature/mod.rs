//! Who signed a commit: SSH and OpenPGP signatures, held against the environment's list.

mod openpgp;
mod parts;
mod ssh;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::{api::Signer, core::provenance::Signature};

/// Larger than any signature.
const LARGEST: usize = 64 * 1024;

/// The allowed signers, their keys read.
#[derive(Debug, Default)]
pub(super) struct Signers {
    ssh: Vec<(ssh::Key, String)>,
    openpgp: Vec<(openpgp::Key, String)>,
    /// Keys as they are listed, by each fingerprint that a signature may bear.
    listed: BTreeMap<String, String>,
}

impl Signers {
    /// A key that can't be read is a mistake of the list's owner: better told than left out.
    pub(super) fn of(signers: &[Signer]) -> Result<Self, String> {
        let mut all = Self::default();
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

    pub(super) fn add(&mut self, key: &str, name: &str) -> Result<(), String> {
        let fingerprints = if key.trim_start().starts_with("-----BEGIN PGP") {
            let read = openpgp::read(key)?;
            let fingerprints = openpgp::fingerprints(&read);
            self.openpgp.push((read, name.to_owned()));
            fingerprints
        } else {
            let read = ssh::read(key)?;
            let fingerprint = ssh::fingerprint(&read);
            self.ssh.push((read, name.to_owned()));
            vec![fingerprint]
        };
        self.listed.extend(fingerprints.into_iter().map(|fingerprint| (fingerprint, key.to_owned())));
        Ok(())
    }

    /// The key with this fingerprint, as it is listed.
    pub(super) fn public_key(&self, fingerprint: &str) -> Option<&str> {
        self.listed.get(fingerprint).map(String::as_str)
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

    /// Of a commit as git keeps it. `now` may be long ago, if that is when it was looked at.
    pub(super) fn signature(&self, commit: &[u8], now: Timestamp) -> Signature {
        let Some((signature, signed)) = parts::parts(commit) else { return Signature::Missing };
        if signature.len() > LARGEST {
            return Signature::Invalid { why: "it is too large to be one".to_owned() };
        }
        let Ok(text) = std::str::from_utf8(&signature) else {
            return Signature::Invalid { why: "it is no text".to_owned() };
        };
        match text.lines().next().unwrap_or_default() {
            "-----BEGIN SSH SIGNATURE-----" => ssh::verify(text, &signed, &self.ssh),
            "-----BEGIN PGP SIGNATURE-----" => openpgp::verify(text, &signed, &self.openpgp, now),
            _ => Signature::Invalid { why: "only SSH and OpenPGP signatures are understood".to_owned() },
        }
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
