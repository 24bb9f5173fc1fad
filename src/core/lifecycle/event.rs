use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::{
    api::{GrantedApproval, Intent, ReadResult},
    core::{
        approval::Tally,
        audit::AuditEvent,
        ha::HaGuest,
        judge::{Denial, Judged},
        places::{NODE_BUSY, STORAGE_BUSY},
        policy::{FROZEN, HOURLY_LIMIT_REACHED},
        request::Violation,
        task::{Sent, TaskState, Upid},
        traces::Traces,
    },
};

/// A call that has not left by then is not sent: its approvals and its place in the task list would be out of date. What it
/// was judged by must not be older either when it is announced.
pub const AT_ONCE: SignedDuration = SignedDuration::from_secs(5);

/// Its task may still end, and nothing has to be done for that.
pub(super) const TASK_TAKES_LONG: &str = "TaskTakesLong";

/// What can happen to a plan.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Somebody or something made the plan worth a look: it was created, an approval came, a timer fired, the process started.
    Woken,
    /// The plan is being deleted.
    Deleted,
    /// The request is not one.
    Invalid(Vec<Violation>),
    /// Something it needs is missing or can't be reached.
    Blocked(Blocked),
    /// The plan is being deleted, and what is needed to follow its task is gone.
    Abandoned(Blocked),
    /// It can't be carried out as things are.
    Denied(Denial),
    Judged(Judged),
    /// A reading action has read.
    Read(ReadResult),
    /// All its approvals, read live.
    Approvals(Tally),
    /// Judged again, right before dispatch.
    Rechecked {
        judged: Judged,
        draft: Box<IntentDraft>,
    },
    /// The call was sent once.
    Sent(Sent),
    /// Its task was looked at.
    Task(TaskState),
    /// Its guest was looked at, which the HA manager works on. `None`: it is not listed any more.
    HaSeen(Option<HaGuest>),
    /// Tasks of its target that began around the time of its intent, and what other plans make of them.
    TasksFound {
        found: Vec<Upid>,
        rivals: Rivals,
        /// What its node's clock told before the list was read.
        node_time: Timestamp,
    },
    /// No task was found; this is what the target itself tells.
    Traces(Traces),
}

/// What keeps a plan from being judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocked {
    pub reason: String,
    pub message: String,
}

impl Blocked {
    /// Nobody has to do anything about it: it is a matter of time.
    pub(super) fn passes_by_itself(&self) -> bool {
        [NODE_BUSY, STORAGE_BUSY, FROZEN, HOURLY_LIMIT_REACHED, TASK_TAKES_LONG]
            .contains(&self.reason.as_str())
    }
}

/// What other plans for the same target, and earlier attempts of the same plan, are known to have done.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rivals {
    /// Tasks that are theirs.
    pub tasks: Vec<Upid>,
    /// What they have announced and never heard of again.
    pub unanswered: Vec<Intent>,
}

impl Rivals {
    /// What an attempt has done or may have done.
    pub fn add(&mut self, intent: &Intent, upid: Option<&str>) {
        match upid.and_then(|upid| upid.parse().ok()) {
            Some(upid) => self.tasks.push(upid),
            None => self.unanswered.push(intent.clone()),
        }
    }
}

/// What can be asked of the world. Carried out in order; the first that fails ends the list.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Judge the request against live state. Answered by `Invalid`, `Blocked`, `Denied` or `Judged`.
    Judge,
    /// Answered by `Read` or `Blocked`.
    Read,
    /// Answered by `Approvals`.
    GatherApprovals,
    /// Judge again and draft an intent. Answered by `Rechecked`, `Denied` or `Blocked`.
    Recheck,
    /// Put it on the record that outlives everything, and wait until it is there.
    Audit(AuditEvent, String),
    /// The same, of an approval that the plan rested on and does not any more.
    AuditGone(GrantedApproval, String),
    /// Write the state into the status, if it differs from what stands there and nobody else has written since it was read.
    WriteStatus,
    Tell(Telling),
    /// Send the call, exactly once, and not after this moment. Answered by `Sent`.
    Send {
        until: Timestamp,
    },
    /// Answered by `Task`, `Blocked` or `Abandoned`.
    LookAtTask,
    /// Answered by `HaSeen`, `Blocked` or `Abandoned`.
    LookAtHa,
    /// Read the node's clock, then its task list. Answered by `TasksFound`, `Blocked` or `Abandoned`.
    SearchTasks,
    /// See by the target itself whether the call was carried out. Answered by `Traces`, `Blocked` or `Abandoned`.
    LookForTraces,
    /// Keep the plan readable, even if it is deleted.
    Hold,
    /// The plan may be deleted.
    Release,
    WakeAt(Timestamp),
    /// Look again after about so long: many may wait for the same thing, and not all are to come back at once.
    WakeAfter(SignedDuration),
}

/// Something that people should hear of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Telling {
    pub warning: bool,
    pub reason: String,
    pub message: String,
}

/// What is known about a dispatch before it is decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IntentDraft {
    pub nonce: String,
    pub node: String,
    pub storages: Vec<String>,
    pub task_id: String,
    pub task_types: Vec<String>,
    pub sender: String,
    pub node_time: Timestamp,
    /// When that was read: the call leaves later, and may take so much longer to settle.
    pub drafted_at: Timestamp,
    /// What was judged by is true of this moment, and may have changed since.
    pub judged_at: Timestamp,
    /// Of the configuration that the call names.
    pub digest: Option<String>,
    /// How long an answer may take, and then some.
    pub settle: SignedDuration,
}

impl IntentDraft {
    /// The target, a policy or a freeze may be another one by now.
    pub(super) fn has_grown_old(&self, now: Timestamp) -> bool {
        now.duration_since(self.judged_at) > AT_ONCE
    }

    pub(super) fn begin(self, attempt: i64, now: Timestamp) -> Intent {
        let settle = self.settle + now.duration_since(self.drafted_at).max(SignedDuration::ZERO);
        Intent {
            attempt,
            nonce: self.nonce,
            node: self.node,
            storages: self.storages,
            task_id: self.task_id,
            task_types: self.task_types,
            sender: self.sender,
            node_time: Time(self.node_time),
            at: Time(now),
            settles_at: Time(now.saturating_add(settle).unwrap_or(Timestamp::MAX)),
            digest: self.digest,
        }
    }
}
