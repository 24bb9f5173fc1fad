//! OpenPGP signatures, as git makes them with gpg. A key counts while it is neither revoked nor expired, when the
//! signature was made and now; a subkey as long as its owner's primary key says that it signs, and it says so too.

use jiff::Timestamp;
use pgp::{
    composed::{Deserializable, DetachedSignature, SignedPublicKey, SignedPublicSubKey},
    crypto::hash::HashAlgorithm,
    packet::{self, SignatureType},
    types::{KeyDetails, Tag},
};

use crate::core::provenance::Signature;

use super::of_whom;

pub(super) type Key = SignedPublicKey;

pub(super) fn read(armoured: &str) -> Result<Key, String> {
    // Indented by whoever wrote it into YAML.
    let lines: Vec<&str> = armoured.lines().map(str::trim).collect();
    let (key, _) =
        SignedPublicKey::from_string(lines.join("\n").trim()).map_err(|error| error.to_string())?;
    Ok(key)
}

pub(super) fn fingerprint(key: &Key) -> String {
    key.primary_key.fingerprint().to_string().to_uppercase()
}

/// Of the key and its subkeys.
pub(super) fn fingerprints(key: &Key) -> Vec<String> {
    let of_subkeys = key.public_subkeys.iter().map(of_subkey);
    [fingerprint(key)].into_iter().chain(of_subkeys).collect()
}

fn of_subkey(subkey: &SignedPublicSubKey) -> String {
    subkey.key.fingerprint().to_string().to_uppercase()
}

pub(super) fn verify(armoured: &str, signed: &[u8], keys: &[(Key, String)], now: Timestamp) -> Signature {
    let signature = match DetachedSignature::from_string(armoured) {
        Ok((detached, _)) => detached.signature,
        Err(error) => return Signature::Invalid { why: format!("it can't be read: {error}") },
    };
    if let Err(why) = is_of_a_kind_that_counts(&signature, now) {
        return Signature::Invalid { why };
    }
    let mut holders = vec![];
    let mut fingerprint = issuer(&signature);
    let mut refused = None;
    for (key, name) in keys {
        match signed_by(key, &signature, signed, now) {
            Signed::By(by) => {
                fingerprint = by;
                holders.push(name.clone());
            }
            Signed::InVain(why) => refused = Some(why),
            Signed::ByAnother => {}
        }
    }
    match refused {
        // Whatever else is listed: this key is known not to count.
        Some(why) => Signature::Invalid { why },
        None => of_whom(holders.into_iter(), fingerprint),
    }
}

enum Signed {
    By(String),
    /// By this key, but it does not count.
    InVain(String),
    ByAnother,
}

fn is_of_a_kind_that_counts(signature: &packet::Signature, now: Timestamp) -> Result<(), String> {
    if !matches!(signature.typ(), Some(SignatureType::Binary | SignatureType::Text)) {
        return Err("it was not made for a document".to_owned());
    }
    let strong = [
        HashAlgorithm::Sha256,
        HashAlgorithm::Sha384,
        HashAlgorithm::Sha512,
        HashAlgorithm::Sha3_256,
        HashAlgorithm::Sha3_512,
    ];
    if !signature.hash_alg().is_some_and(|hash| strong.contains(&hash)) {
        return Err("it rests on a hash that can be forged".to_owned());
    }
    let made = signature.created().ok_or("it does not say when it was made")?;
    let lasts = signature.signature_expiration_time().map_or(0, |lasts| u64::from(lasts.as_secs()));
    if lasts > 0 && u64::from(made.as_secs()) + lasts <= seconds(now) {
        return Err("it has expired".to_owned());
    }
    Ok(())
}

fn signed_by(key: &Key, signature: &packet::Signature, signed: &[u8], now: Timestamp) -> Signed {
    let made = signature.created().map_or(0, |made| u64::from(made.as_secs()));
    let moments = [made, seconds(now)];
    let Some((used, problem)) = key_that_fits(key, signature, signed, moments) else {
        return if names_one_of(key, signature) {
            Signed::InVain("it does not fit the commit".to_owned())
        } else {
            Signed::ByAnother
        };
    };
    match problem {
        None => Signed::By(used),
        Some(problem) => Signed::InVain(format!("its key {used} {problem}")),
    }
}

/// The key or subkey that made the signature, and what is wrong with it.
fn key_that_fits(
    key: &Key,
    signature: &packet::Signature,
    signed: &[u8],
    moments: [u64; 2],
) -> Option<(String, Option<&'static str>)> {
    let primary = &key.primary_key;
    if signature.verify(primary, signed).is_ok() {
        let problem = problem_of_primary(key, moments).or_else(|| {
            let signs = newest_self_signature(key).is_some_and(|newest| newest.key_flags().sign());
            (!signs).then_some("is not one to sign with")
        });
        return Some((fingerprint(key), problem));
    }
    let subkey = key.public_subkeys.iter().find(|subkey| signature.verify(&subkey.key, signed).is_ok())?;
    let problem = problem_of_primary(key, moments).or_else(|| problem_of_subkey(key, subkey, moments));
    Some((of_subkey(subkey), problem))
}

fn problem_of_primary(key: &Key, moments: [u64; 2]) -> Option<&'static str> {
    let primary = &key.primary_key;
    if key.details.revocation_signatures.iter().any(|revocation| revocation.verify_key(primary).is_ok()) {
        return Some("was revoked");
    }
    let Some(newest) = newest_self_signature(key) else { return Some("says nothing about itself") };
    outside(primary.created_at().as_secs(), newest, moments)
}

/// What the key last said about itself.
fn newest_self_signature(key: &Key) -> Option<&packet::Signature> {
    let primary = &key.primary_key;
    let direct = key.details.direct_signatures.iter().filter(|said| said.verify_key(primary).is_ok());
    let of_users = key.details.users.iter().flat_map(|user| {
        let own = move |said: &&packet::Signature| {
            said.typ() != Some(SignatureType::CertRevocation)
                && said.verify_certification(primary, Tag::UserId, &user.id).is_ok()
        };
        user.signatures.iter().filter(own)
    });
    direct.chain(of_users).max_by_key(|said| said.created())
}

fn problem_of_subkey(key: &Key, subkey: &SignedPublicSubKey, moments: [u64; 2]) -> Option<&'static str> {
    let primary = &key.primary_key;
    let said = |typ| {
        let of_type = subkey.signatures.iter().filter(move |said| said.typ() == Some(typ));
        of_type.filter(|said| said.verify_subkey_binding(primary, &subkey.key).is_ok())
    };
    if said(SignatureType::SubkeyRevocation).next().is_some() {
        return Some("was revoked");
    }
    let Some(newest) = said(SignatureType::SubkeyBinding).max_by_key(|said| said.created()) else {
        return Some("is not bound to its owner's");
    };
    let agrees = |back: &packet::Signature| back.verify_primary_key_binding(&subkey.key, primary).is_ok();
    if !newest.key_flags().sign() || !newest.embedded_signature().is_some_and(agrees) {
        return Some("is not one to sign with");
    }
    outside(subkey.key.created_at().as_secs(), newest, moments)
}

/// Whether one of the moments lies outside of a key's life.
fn outside(born: u32, said: &packet::Signature, moments: [u64; 2]) -> Option<&'static str> {
    let lasts = said.key_expiration_time().map_or(0, |lasts| u64::from(lasts.as_secs()));
    let end = if lasts == 0 { u64::MAX } else { u64::from(born) + lasts };
    if moments.iter().any(|moment| *moment >= end) {
        return Some("has expired");
    }
    moments.iter().any(|moment| *moment < u64::from(born)).then_some("did not exist yet")
}

/// Whether the signature says that this key made it.
fn names_one_of(key: &Key, signature: &packet::Signature) -> bool {
    let names = |one: &dyn KeyDetails| {
        signature.issuer_fingerprint().contains(&&one.fingerprint())
            || signature.issuer_key_id().contains(&&one.legacy_key_id())
    };
    names(&key.primary_key) || key.public_subkeys.iter().any(|subkey| names(&subkey.key))
}

fn issuer(signature: &packet::Signature) -> String {
    let fingerprint = signature.issuer_fingerprint().first().map(ToString::to_string);
    let id = || signature.issuer_key_id().first().map(ToString::to_string);
    fingerprint.or_else(id).unwrap_or_else(|| "of nobody".to_owned()).to_uppercase()
}

fn seconds(now: Timestamp) -> u64 {
    u64::try_from(now.as_second()).unwrap_or(0)
}
