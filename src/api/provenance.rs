use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Who brought an object, if not the person who speaks in it.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// A syncer, out of the environment's repository: the signature of a commit says who speaks.
    Git,
}

/// Where an object that came by git was found, and who signed for it.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
pub struct Provenance {
    #[schemars(length(max = 512))]
    pub repository: String,
    /// The file, from the root of the repository.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 512))]
    pub file: String,
    /// The commit that brought the file as it is.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 64))]
    pub commit: String,
    /// As the commit names its author, which proves nothing.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 512))]
    pub author: String,
    /// Whom the allowed signers know by the key that signed the commit.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 253))]
    pub signer: String,
    /// The fingerprint of that key.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 128))]
    pub key: String,
    /// `Verified`, or one word for why not.
    #[schemars(length(max = 64))]
    pub verdict: String,
}
