//! A file as somebody has signed for it: enough to check the signature when the repository is gone.

use k8s_openapi::ByteString;
use serde::{Deserialize, Serialize};

/// In bytes. Who keeps thousands of files in one folder signs for more than is worth keeping with each plan.
pub const LARGEST_PROOF: usize = 256 * 1024;

/// A signed commit, and what leads from it to the file that it brought.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SignedFile {
    /// The commit as git keeps it: the signature is in it, and all that it is over.
    pub commit: ByteString,
    /// The folders as git keeps them, from the root down to the one that the file lies in.
    pub trees: Vec<ByteString>,
    /// What stands in the file.
    pub blob: ByteString,
    /// The key that signed, as the environment listed it.
    pub public_key: String,
}

impl SignedFile {
    /// In bytes, before any is spelled as text.
    pub fn size(&self) -> usize {
        let trees: usize = self.trees.iter().map(|tree| tree.0.len()).sum();
        self.commit.0.len() + trees + self.blob.0.len() + self.public_key.len()
    }
}

/// What is kept of a signature by a known key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Evidence {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<Box<SignedFile>>,
    /// Why there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof_missing: Option<String>,
}

impl Evidence {
    pub fn of(proof: SignedFile) -> Self {
        Self { proof: Some(Box::new(proof)), proof_missing: None }
    }

    pub fn missing(why: impl Into<String>) -> Self {
        Self { proof: None, proof_missing: Some(why.into()) }
    }
}
