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

use super::signers::owner;

/// A signature that was made for anything else is none of evidence.
pub const NAMESPACE: &str = "proxmox-agent-audit";

const FIRST_LINE: &str = "-----BEGIN OPENSSH PRIVATE KEY-----";

/// Signs with an OpenSSH private key.
pub fn seal(bytes: &[u8], private_key: &str) -> Result<String, String> {
    let key = PrivateKey::from_openssh(private_key).map_err(|error| no_key(private_key, &error))?;
    if key.is_encrypted() {
        return Err("it is locked with a passphrase".to_owned());
    }
    let signed = match key.key_data().rsa() {
        Some(rsa) => seal_with_rsa(bytes, rsa),
        None => SshSig::sign(&key, NAMESPACE, HashAlg::Sha512, bytes),
    };
    signed.and_then(|signature| signature.to_pem(LineEnding::LF)).map_err(|error| error.to_string())
}

fn no_key(text: &str, error: &ssh_key::Error) -> String {
    if PublicKey::from_openssh(text).is_ok() {
        return "it is a public key, no OpenSSH private key: give the file beside it, without .pub"
            .to_owned();
    }
    match text.trim_start().starts_with(FIRST_LINE) {
        true => format!("it is an OpenSSH private key that can't be read: {error}"),
        false => format!("it is no OpenSSH private key: those begin with `{FIRST_LINE}`"),
    }
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
    owner(allowed, key.key_data()).map_err(|passed_over| {
        let nobody = format!("nobody among the allowed signers has key {}", key.fingerprint(HashAlg::Sha256));
        [nobody, passed_over].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; ")
    })
}
