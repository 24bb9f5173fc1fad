//! One attempt to carry a plan out: what was announced, how its task ended, what is in doubt.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{GrantedApproval, bounds};

/// What was about to be sent, on record before it was sent.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Intent {
    #[schemars(range(min = 1, max = 1000))]
    pub attempt: i64,
    /// Tells this intent from any other writer's.
    #[schemars(length(max = 64))]
    pub nonce: String,
    #[schemars(length(max = 253))]
    pub node: String,
    /// Storages that it works with: no more than so many plans do so at once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "bounds::names")]
    pub storages: Vec<String>,
    /// The `id` that the task will carry.
    #[schemars(length(max = 253))]
    pub task_id: String,
    /// The types that the task may have.
    #[schemars(schema_with = "bounds::names")]
    pub task_types: Vec<String>,
    /// The token that sends, as a task shows it: `user@realm!token`.
    #[schemars(length(max = 253))]
    pub sender: String,
    /// The node's own clock before sending.
    pub node_time: Time,
    /// The operator's clock before sending.
    pub at: Time,
    /// Not before this moment can an unanswered call be judged from the task list.
    pub settles_at: Time,
    /// The digest of the configuration that the call names: Proxmox refuses it if that has changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub digest: Option<String>,
}

/// What came back of a call that was sent, where that alone does not tell how it ended.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    pub says: Says,
    /// In words.
    #[schemars(length(max = 1024))]
    pub message: String,
}

/// What an answer claims.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Says {
    /// It is done. No task was named, and there may be one.
    Done,
    /// It was begun and stopped with an error.
    Error,
    /// Nothing that could be relied on, or no answer came.
    Nothing,
}

/// What is known of an attempt whose outcome is not, and what a person can do about it.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Doubt {
    /// Why its outcome is unknown: one word for programs.
    #[schemars(length(max = 128))]
    pub reason: String,
    /// Since when: only who decides after that has seen what is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// What is known, one sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "bounds::lines")]
    pub known: Vec<String>,
    /// Where more can be seen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub look: Vec<Hint>,
    /// What to type when it is clear what has happened.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub next: Vec<Hint>,
    /// The approvals that the attempt was sent on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub approvals: Vec<GrantedApproval>,
}

/// One thing that a person can do.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
pub struct Hint {
    #[schemars(length(max = 512))]
    pub what: String,
    /// Exactly what to type, if it is a command.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 1024))]
    pub command: String,
}

/// An attempt after which another one was made.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct EarlierAttempt {
    pub intent: Intent,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub upid: Option<String>,
    /// Why another one was made: one word for programs.
    #[schemars(length(max = 128))]
    pub reason: String,
    /// The same in a sentence.
    #[schemars(length(max = 1024))]
    pub message: String,
    /// When that was known.
    pub since: Time,
    /// The approvals that it was sent on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub approvals: Vec<GrantedApproval>,
}

/// How the Proxmox task ended.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct TaskReport {
    #[schemars(length(max = 4096))]
    pub exit_status: String,
    pub ended_at: Time,
}
