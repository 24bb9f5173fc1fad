//! Signatures over files of evidence, in the form that `ssh-keygen -Y` makes and checks.

use rsa::{
    BigUint, RsaPrivateKey,
    pkcs1v15::SigningKey,
    sha2::Sha512,
    signature::{SignatureEncoding, Signer},
};
use ssh_key::{
    Algorithm, HashAlg, LineEnding, PrivateKey, PublicKey, Signature, SshSig, private::RsaKeypair,
    public::KeyData,
};

/// A signature that was made for anything else is none of evidence.
const NAMESPACE: &str = "proxmox-agent-audit";

/// Signs with an OpenSSH private key.
pub fn seal(bytes: &[u8], private_key: &str) -> Result<String, String> {
    let key = PrivateKey::from_openssh(private_key)
        .map_err(|error| format!("it is no OpenSSH private key that can be used: {error}"))?;
    if key.is_encrypted() {
        return Err("it is locked with a passphrase: give a key without one".to_owned());
    }
    let signed = match key.key_data().rsa() {
        Some(rsa) => seal_with_rsa(bytes, rsa),
        None => SshSig::sign(&key, NAMESPACE, HashAlg::Sha512, bytes),
    };
    signed.and_then(|signature| signature.to_pem(LineEnding::LF)).map_err(|error| error.to_string())
}

/// The library would build the key from one prime twice.
fn seal_with_rsa(bytes: &[u8], RsaKeypair { public, private }: &RsaKeypair) -> ssh_key::Result<SshSig> {
    let signed = SshSig::signed_data(NAMESPACE, HashAlg::Sha512, bytes)?;
    let primes = vec![BigUint::try_from(&private.p)?, BigUint::try_from(&private.q)?];
    let (n, e, d) = ((&public.n).try_into()?, (&public.e).try_into()?, (&private.d).try_into()?);
    let key = RsaPrivateKey::from_components(n, e, d, primes).map_err(|_| ssh_key::Error::Crypto)?;
    let signature = SigningKey::<Sha512>::new(key).try_sign(&signed).map_err(|_| ssh_key::Error::Crypto)?;
    let hash = Some(HashAlg::Sha512);
    let signature = Signature::new(Algorithm::Rsa { hash }, signature.to_vec())?;
    SshSig::new(KeyData::Rsa(public.clone()), NAMESPACE, HashAlg::Sha512, signature)
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
