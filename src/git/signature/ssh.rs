//! SSH signatures, as `git config gpg.format ssh` makes them.

use ssh_key::{HashAlg, PublicKey, SshSig, public::KeyData};

use crate::core::provenance::Signature;

use super::of_whom;

/// What git signs for: a signature that was made for anything else is none of a commit.
const NAMESPACE: &str = "git";

pub(super) type Key = KeyData;

pub(super) fn read(line: &str) -> Result<Key, String> {
    let key = PublicKey::from_openssh(line.trim()).map_err(|error| {
        format!("{error}; it has to be a line as in ~/.ssh/id_ed25519.pub, or an armoured OpenPGP key")
    })?;
    Ok(key.key_data().clone())
}

pub(super) fn fingerprint(key: &Key) -> String {
    key.fingerprint(HashAlg::Sha256).to_string()
}

pub(super) fn verify(armoured: &str, signed: &[u8], keys: &[(Key, String)]) -> Signature {
    let signature = match SshSig::from_pem(armoured) {
        Ok(signature) => signature,
        Err(error) => return Signature::Invalid { why: format!("it can't be read: {error}") },
    };
    let key = PublicKey::from(signature.public_key().clone());
    if let Err(error) = key.verify(NAMESPACE, signed, &signature) {
        return Signature::Invalid { why: format!("it does not fit the commit: {error}") };
    }
    let holders = keys.iter().filter(|(known, _)| known == key.key_data()).map(|(_, name)| name.clone());
    of_whom(holders, fingerprint(key.key_data()))
}
