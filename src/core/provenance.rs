//! Who stands behind an object that came by git.

use crate::api::{GitTrust, Provenance};

use super::approval::Refusal;

/// An object whose origin is looked for in a repository.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    pub kind: String,
    pub namespace: String,
    pub name: String,
    /// As it was applied.
    pub spec: serde_json::Value,
    /// The commit that brought it, if that was found before: it has to be there still.
    pub recorded_commit: Option<String>,
}

/// What the repository says about an object, as it is now.
#[derive(Clone, Debug, PartialEq)]
pub enum Sighting {
    /// No file of the branch holds an object of that name.
    NoFile,
    /// More than one does.
    Ambiguous { files: Vec<String> },
    /// The file says something else than was applied.
    Differs { file: String },
    /// It was brought before the oldest commit that was fetched.
    TooOld { file: String },
    /// The commit that is on record is not in the branch's history any more.
    Rewritten { file: String },
    /// This commit brought the file as it is.
    Brought { file: String, commit: String, author: String, signature: Signature },
}

/// The signature of a commit, held against the allowed signers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signature {
    Missing,
    /// It is none that can be read, or it does not fit the commit.
    Invalid {
        why: String,
    },
    /// It fits, but nobody on the list has that key.
    Unknown {
        key: String,
    },
    Of {
        signer: String,
        key: String,
    },
}

/// An origin, and what is wrong with it if something is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Traced {
    pub provenance: Provenance,
    /// The groups that the list of signers gives to whoever signed.
    pub groups: Vec<String>,
    pub refusal: Option<Refusal>,
}

/// Holds what a repository says against the name that the object gives.
pub fn trace(trust: &GitTrust, sighting: &Sighting, field: &str, name: &str) -> Traced {
    let _ = (sighting, field, name);
    Traced {
        provenance: Provenance { repository: trust.repository.clone(), ..Provenance::default() },
        groups: vec![],
        refusal: None,
    }
}
