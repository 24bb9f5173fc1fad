//! The two hashes: what is asked for, and what an approval binds to.

use std::{fmt, marker::PhantomData, str::FromStr};

use serde::Serialize;
use sha2::{Digest, Sha256};
use thiserror::Error;

/// A SHA-256 over canonical JSON, written `sha256:<64 hex>`; `Of` keeps the two kinds apart.
pub struct Hash<Of> {
    bytes: [u8; 32],
    of: PhantomData<fn() -> Of>,
}

/// Marks the hash of a request.
#[derive(Debug)]
pub enum OfRequest {}
/// Marks the hash of a plan.
#[derive(Debug)]
pub enum OfPlan {}

/// What is asked for: the same request has the same hash on any machine, in any key order.
pub type RequestHash = Hash<OfRequest>;
/// What an approval binds to: the request, its target as it was met, and the policy.
pub type PlanHash = Hash<OfPlan>;

/// A text that is no hash.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("`{0}` is not a hash: it should look like sha256: and 64 hexadecimal digits")]
pub struct NotAHash(String);

/// A value that has no canonical JSON form, such as one with a number that JSON can't express.
#[derive(Debug, Error)]
#[error("failed to write the canonical JSON of {what}: {why}")]
pub struct NotCanonical {
    what: &'static str,
    why: String,
}

impl<Of> Hash<Of> {
    /// Hashes the RFC 8785 canonical JSON of a value.
    pub fn of(what: &'static str, value: &impl Serialize) -> Result<Self, NotCanonical> {
        let canonical = serde_json_canonicalizer::to_vec(value)
            .map_err(|error| NotCanonical { what, why: error.to_string() })?;
        Ok(Self { bytes: Sha256::digest(canonical).into(), of: PhantomData })
    }

    /// The first digits, for names that people read.
    pub fn short(&self) -> String {
        hex(&self.bytes[..6])
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl<Of> fmt::Display for Hash<Of> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", hex(&self.bytes))
    }
}

impl<Of> fmt::Debug for Hash<Of> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<Of> Clone for Hash<Of> {
    fn clone(&self) -> Self {
        Self { bytes: self.bytes, of: PhantomData }
    }
}

impl<Of> PartialEq for Hash<Of> {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl<Of> Eq for Hash<Of> {}

impl<Of> FromStr for Hash<Of> {
    type Err = NotAHash;

    fn from_str(text: &str) -> Result<Self, NotAHash> {
        let refuse = || NotAHash(text.chars().take(80).collect());
        let digits = text.strip_prefix("sha256:").ok_or_else(refuse)?;
        let lower = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
        if digits.len() != 64 || !digits.chars().all(lower) {
            return Err(refuse());
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.as_bytes().chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| refuse())?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| refuse())?;
        }
        Ok(Self { bytes, of: PhantomData })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn the_order_of_keys_does_not_matter() {
        let hash = |text: &str| {
            RequestHash::of("a test", &serde_json::from_str::<serde_json::Value>(text).unwrap()).unwrap()
        };
        assert_eq!(hash(r#"{"a":1,"b":{"x":true,"y":"é"}}"#), hash(r#"{"b":{"y":"é","x":true},"a":1}"#));
    }

    #[test]
    fn a_hash_is_the_same_on_every_machine() {
        // Computed apart, with `printf '{"a":1}' | sha256sum`.
        let hash = RequestHash::of("a test", &json!({"a": 1})).unwrap();
        assert_eq!(
            hash.to_string(),
            "sha256:015abd7f5cc57a2dd94b7590f04ad8084273905ee33ec5cebeae62276a97f862"
        );
    }

    proptest! {
        #[test]
        fn a_hash_reads_back_as_it_was_written(text in ".*") {
            let hash = PlanHash::of("a test", &text).unwrap();
            prop_assert_eq!(hash.to_string().parse::<PlanHash>().unwrap(), hash);
        }

        #[test]
        fn other_spellings_are_refused(text in "(sha256:)?[0-9a-fA-F]{0,70}") {
            let valid = text.len() == 71 && text.starts_with("sha256:") && text == text.to_lowercase();
            prop_assert_eq!(text.parse::<PlanHash>().is_ok(), valid);
        }
    }
}
