//! Signatures over files of evidence, in the form that `ssh-keygen -Y` makes and checks.

use ssh_key::{HashAlg, LineEnding, PrivateKey, PublicKey, SshSig};

/// A signature that was made for anything else is none of evidence.
const NAMESPACE: &str = "proxmox-agent-audit";

/// Signs with an OpenSSH private key.
pub fn seal(bytes: &[u8], private_key: &str) -> Result<String, String> {
    let key = PrivateKey::from_openssh(private_key)
        .map_err(|error| format!("it is no OpenSSH private key that can be used: {error}"))?;
    if key.is_encrypted() {
        return Err("it is locked with a passphrase: give a key without one".to_owned());
    }
    if key.algorithm().is_rsa() {
        // The library builds RSA keys for signing from wrong parts.
        let instead =
            "RSA keys only verify here: give an ed25519 or ecdsa key, or replace the signature by that of";
        return Err(format!("{instead} `ssh-keygen -Y sign -n {NAMESPACE}`"));
    }
    let signed = SshSig::sign(&key, NAMESPACE, HashAlg::Sha512, bytes);
    signed.and_then(|signature| signature.to_pem(LineEnding::LF)).map_err(|error| error.to_string())
}

/// Who has signed, by a list as `ssh-keygen -Y verify` takes it.
pub fn signer(bytes: &[u8], armoured: &str, allowed: &str) -> Result<String, String> {
    let signature =
        SshSig::from_pem(armoured).map_err(|error| format!("the signature can't be read: {error}"))?;
    let key = PublicKey::from(signature.public_key().clone());
    key.verify(NAMESPACE, bytes, &signature)
        .map_err(|error| format!("the signature does not fit the file: {error}"))?;
    let known = allowed.lines().filter_map(allowed_by).find(|(_, of)| of.key_data() == key.key_data());
    known.map(|(name, _)| name).ok_or_else(|| {
        format!("nobody among the allowed signers has key {}", key.fingerprint(HashAlg::Sha256))
    })
}

/// The name and the key on a line of allowed signers. A line that sets conditions of time, or speaks of an authority, is
/// passed over: it can't be held to them here.
fn allowed_by(line: &str) -> Option<(String, PublicKey)> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    let (name, rest) = line.split_once(char::is_whitespace)?;
    let (options, key) = match PublicKey::from_openssh(rest.trim()) {
        Ok(key) => ("", key),
        Err(_) => {
            let (options, key) = rest.trim().split_once(char::is_whitespace)?;
            (options, PublicKey::from_openssh(key.trim()).ok()?)
        }
    };
    let namespaces = options.strip_prefix("namespaces=\"").and_then(|text| text.strip_suffix('"'));
    let is_for_us = match namespaces {
        Some(listed) => listed.split(',').any(|namespace| namespace == NAMESPACE),
        None => options.is_empty(),
    };
    is_for_us.then(|| (name.to_owned(), key))
}
