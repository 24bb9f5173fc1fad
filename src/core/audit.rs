//! What is put on record.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::api::{Intent, PreviewedCall, Provenance};

/// One line of the audit log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditRecord {
    pub time: Timestamp,
    pub event: AuditEvent,
    pub namespace: String,
    pub plan: String,
    pub plan_uid: String,
    pub environment: String,
    pub action: String,
    pub target: String,
    pub requested_by: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_hash: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan_hash: Option<String>,
    /// Who approved, as the approvals say.
    #[serde(rename = "approved_by", default, skip_serializing_if = "Vec::is_empty")]
    pub approved_by: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<i64>,
    /// Where to look for what became of the call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub intent: Option<Intent>,
    /// The call itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call: Option<PreviewedCall>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upid: Option<String>,
    pub message: String,
    /// What of it came by git, and who signed for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub from_git: Vec<FromGit>,
}

/// A plan or an approval that a syncer brought.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct FromGit {
    pub object: String,
    #[serde(flatten)]
    pub provenance: Provenance,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum AuditEvent {
    /// A plan was judged.
    Planned,
    /// It was judged again right before dispatch, and otherwise than before.
    Rejudged,
    /// An approved plan lacks an approval again.
    ApprovalGone,
    /// A plan was refused.
    Denied,
    /// An approval was found not to count.
    ApprovalRefused,
    /// The call is about to be sent.
    Intent,
    /// What came back.
    Sent,
    /// The HA manager has taken the request.
    HandedOver,
    /// How it ended.
    Ended,
}
