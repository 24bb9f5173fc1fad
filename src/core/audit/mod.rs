//! What is put on record, and how each line of the record vouches for the one before.

mod anchors;
mod approvals;
mod chain;
mod origins;
#[cfg(test)]
mod tests;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::api::{Decision, Intent, Phase, Preview, PreviewedCall, Provenance, ProxmoxActionPlanSpec};

use super::{provenance::Traced, signed::Evidence};

pub use anchors::{BETWEEN_ANCHORS, anchored, seen_of_others};
pub use approvals::ApprovalOnRecord;
pub use chain::{Head, LARGEST_LINE, NotALine, Stamp, TooLarge, check_of, is_hash_of, stamp_of};
pub use origins::{Origin, of_approval, of_plan, origins, without_origin};

/// One thing that happened. What does not apply to it is left out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditRecord {
    pub time: Timestamp,
    pub event: AuditEvent,
    pub actor: Actor,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub environment: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub plan: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub plan_uid: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub action: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub target: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub requested_by: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_hash: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan_hash: Option<String>,
    /// What the approvals said that it rests on, or the one that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<Decision>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approvals: Vec<ApprovalOnRecord>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<i64>,
    /// Where to look for what became of the call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intent: Option<Intent>,
    /// The call itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<PreviewedCall>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upid: Option<String>,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Phase>,
    /// How its task ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<TaskOnRecord>,
    pub message: String,
    /// What was asked for, to the letter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<ProxmoxActionPlanSpec>,
    /// What its approvers were shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preview: Option<Preview>,
    /// What of it came by git, and who signed for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub from_git: Vec<FromGit>,
    /// What could not be taken for a request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<RefusedObject>,
    /// Where the chains of other replicas stood when this one took over.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<Head>,
    /// What stands before this line and is no line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub torn: Option<Torn>,
    /// Who keeps this chain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keeper: Option<Keeper>,
}

impl AuditRecord {
    /// With nothing but what every record has.
    pub fn new(time: Timestamp, event: AuditEvent, actor: Actor, message: impl Into<String>) -> Self {
        Self {
            time,
            event,
            actor,
            namespace: String::new(),
            environment: String::new(),
            plan: String::new(),
            plan_uid: String::new(),
            action: String::new(),
            target: String::new(),
            requested_by: String::new(),
            request_hash: None,
            plan_hash: None,
            decision: None,
            approvals: vec![],
            attempt: None,
            intent: None,
            call: None,
            upid: None,
            outcome: None,
            task: None,
            message: message.into(),
            request: None,
            preview: None,
            from_git: vec![],
            refused: None,
            links: vec![],
            torn: None,
            keeper: None,
        }
    }

    /// It tells what became of a call that was announced: the last thing that may find no room.
    pub fn is_of_a_call_that_may_have_left(&self) -> bool {
        use AuditEvent::{Ended, Gone, HandedOver, Sent};
        let tells_of_it = matches!(self.event, Sent | HandedOver | Ended | Gone);
        tells_of_it && self.intent.is_some()
    }
}

/// Whose doing it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    pub role: Role,
    /// As this person or token is called; the operator's token is only known where it has sent something.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
}

impl Actor {
    pub fn requester(name: &str) -> Self {
        Self { role: Role::Requester, name: name.to_owned() }
    }

    pub fn approver(name: &str) -> Self {
        Self { role: Role::Approver, name: name.to_owned() }
    }

    pub fn operator(token: &str) -> Self {
        Self { role: Role::Operator, name: token.to_owned() }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Role {
    Requester,
    Approver,
    Operator,
    /// Whoever wrote it; nobody can tell from what can't be read.
    Unknown,
}

/// A plan or an approval that a syncer brought.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct FromGit {
    pub object: String,
    #[serde(flatten)]
    pub provenance: Provenance,
    #[serde(flatten)]
    pub evidence: Evidence,
}

impl FromGit {
    /// With what proves it, or without.
    pub fn of(object: String, traced: &Traced, is_proven: bool) -> Self {
        let evidence = if is_proven { traced.evidence.clone() } else { Evidence::default() };
        Self { object, provenance: traced.provenance.clone(), evidence }
    }

    pub fn named(object: String, provenance: Provenance) -> Self {
        Self { object, provenance, evidence: Evidence::default() }
    }
}

/// The end of a task, and what it wrote meanwhile.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskOnRecord {
    pub exit_status: String,
    /// Its last lines.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub log: Vec<String>,
    /// So many lines came before these.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub lines_before: usize,
    /// Why there is no log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_missing: Option<String>,
}

fn is_zero(number: &usize) -> bool {
    *number == 0
}

/// Something that was offered and not accepted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RefusedObject {
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub kind: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// The file that it stands in, if it does in one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub file: String,
}

/// Bytes that a crash left behind. They stay where they are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Torn {
    pub bytes: u64,
    pub sha256: String,
}

/// The program that began a chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keeper {
    pub replica: String,
    pub version: String,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum AuditEvent {
    /// A chain begins.
    Began,
    /// A crash has left half a line before this one.
    Torn,
    /// This replica has taken the lead from another one.
    TookOver,
    /// Something was offered that is no object of ours, or not one that can be accepted.
    Refused,
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
    /// A plan was deleted before it ended.
    Gone,
}
