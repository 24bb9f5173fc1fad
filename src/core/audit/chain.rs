//! The arithmetic of a chain: what a line looks like, and what it says about the line before.
//!
//! ```text
//! {"sequence":7,"chain":"…","previous":"sha256:…", … the record … ,"check":"sha256:…"}
//! ```
//! `previous` is the hash of the whole line before. `check` is the hash of the bytes before it in its own line: the last
//! line of a chain has nobody after it to vouch for it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize, de::IgnoredAny};
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::{AuditEvent, AuditRecord, Torn};

/// No record that this program makes comes near it.
pub const LARGEST_LINE: usize = 8 * 1024 * 1024;
/// What the first line of a chain has for the line before.
const ORIGIN: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";
const CHECK: &str = r#","check":"sha256:"#;
const END: &str = r#""}"#;
const HEX: usize = 64;

/// A line of a chain: whoever knows its hash can tell whether any line up to it was changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    pub chain: String,
    pub sequence: u64,
    pub hash: String,
}

/// What a line says about its place.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Stamp {
    pub sequence: u64,
    pub chain: String,
    pub previous: String,
    pub time: Timestamp,
    pub event: AuditEvent,
    #[serde(default)]
    pub links: Vec<Head>,
    #[serde(default)]
    pub torn: Option<Torn>,
    /// Of the whole line.
    #[serde(skip)]
    pub hash: String,
}

/// Why some bytes are no line of any chain.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum NotALine {
    #[error("it does not end with a check of its own bytes")]
    Unchecked,
    #[error("it was changed or only partly written: its bytes do not fit its own check")]
    Changed,
    #[error("it is longer than any line")]
    TooLong,
    #[error("it is no record: {0}")]
    NoRecord(String),
}

/// A record that no line can hold.
#[derive(Debug, Error)]
#[error("a record of {0} bytes is too large to be kept")]
pub struct TooLarge(usize);

#[derive(Serialize)]
struct Written<'a> {
    sequence: u64,
    chain: &'a str,
    previous: &'a str,
    #[serde(flatten)]
    record: &'a AuditRecord,
}

impl Head {
    /// Of a chain that has no line yet.
    pub fn before_the_first(chain: String) -> Self {
        Self { chain, sequence: 0, hash: ORIGIN.to_owned() }
    }

    /// The line that puts a record after this one, with its newline, and the head that it makes.
    pub fn append(&self, record: &AuditRecord) -> Result<(Vec<u8>, Self), TooLarge> {
        let sequence = self.sequence + 1;
        let written = Written { sequence, chain: &self.chain, previous: &self.hash, record };
        let mut line = serde_json::to_vec(&written).unwrap_or_default();
        if line.is_empty() || line.len() > LARGEST_LINE {
            return Err(TooLarge(line.len()));
        }
        line.pop();
        let mut hasher = Sha256::new_with_prefix(&line);
        let end = format!("{CHECK}{}{END}", hex(&hasher.clone().finalize()));
        hasher.update(&end);
        line.extend_from_slice(end.as_bytes());
        line.push(b'\n');
        Ok((line, Self { chain: self.chain.clone(), sequence, hash: spelled(&hasher.finalize()) }))
    }

    /// What keeps a line from being the one after this, if anything does.
    pub fn is_not_followed_by(&self, stamp: &Stamp) -> Option<String> {
        if stamp.chain != self.chain {
            return Some(format!("it belongs to chain {}, not to {}", stamp.chain, self.chain));
        }
        if stamp.sequence != self.sequence + 1 {
            return Some(format!("its sequence is {} where {} is due", stamp.sequence, self.sequence + 1));
        }
        (stamp.previous != self.hash)
            .then(|| "the line before it is not the one that it was written after".to_owned())
    }
}

impl Stamp {
    pub fn head(&self) -> Head {
        Head { chain: self.chain.clone(), sequence: self.sequence, hash: self.hash.clone() }
    }
}

/// Reads a line, without its newline, and checks it against itself.
pub fn stamp_of(line: &[u8]) -> Result<Stamp, NotALine> {
    let (body, check) = check_of(line).ok_or(NotALine::Unchecked)?;
    let mut hasher = Sha256::new_with_prefix(body);
    if hex(&hasher.clone().finalize()).as_bytes() != check {
        return Err(NotALine::Changed);
    }
    hasher.update(&line[body.len()..]);
    let stamp: Stamp = serde_json::from_slice(line).map_err(|error| NotALine::NoRecord(error.to_string()))?;
    Ok(Stamp { hash: spelled(&hasher.finalize()), ..stamp })
}

/// Whether it could become a line if more were written after it.
pub fn is_begun(part: &[u8]) -> bool {
    let read = serde_json::from_slice::<IgnoredAny>(part);
    part.starts_with(b"{") && read.is_err_and(|error| error.is_eof())
}

/// What a line's check is about, and its digits.
pub fn check_of(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let rest = line.strip_suffix(END.as_bytes())?;
    let (rest, digits) = rest.split_at_checked(rest.len().checked_sub(HEX)?)?;
    Some((rest.strip_suffix(CHECK.as_bytes())?, digits))
}

/// Whether this is how the hash of these bytes is written.
pub fn is_hash_of(written: &str, bytes: &[u8]) -> bool {
    written == spelled(&Sha256::digest(bytes))
}

pub(super) fn spelled(digest: &[u8]) -> String {
    format!("sha256:{}", hex(digest))
}

fn hex(digest: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble)]);
    digest.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}
