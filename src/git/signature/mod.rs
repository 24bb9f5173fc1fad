//! Who signed a commit: SSH and OpenPGP signatures, held against the environment's list.

mod openpgp;
mod ssh;

use std::collections::BTreeSet;

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
        for signer in signers {
            for (index, key) in signer.keys.iter().enumerate() {
                let unusable =
                    |why| format!("spec.git.signers: keys[{index}] of {} can't be used: {why}", signer.name);
                if key.trim_start().starts_with("-----BEGIN PGP") {
                    all.openpgp.push((openpgp::read(key).map_err(unusable)?, signer.name.clone()));
                } else {
                    all.ssh.push((ssh::read(key).map_err(unusable)?, signer.name.clone()));
                }
            }
        }
        Ok(all)
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
