use jiff::Timestamp;

use crate::{
    api::{
        Answer, Doubt, EarlierAttempt, GrantedApproval, Intent, Phase, ProxmoxActionPlanSpec, ReadResult,
        Says, TaskReport,
    },
    catalog,
    core::{approval::Backing, ha::HaGoal, judge::Judged, task::Upid},
};

use super::event::{Blocked, IntentDraft};

/// What of a plan's spec decides over its life. It never changes.
#[derive(Clone, Debug, PartialEq)]
pub struct Order {
    pub dry_run: bool,
    pub reads: bool,
    pub not_before: Option<Timestamp>,
    pub not_after: Option<Timestamp>,
    /// What the HA manager is asked for, should the guest be in its care.
    pub ha_goal: Option<HaGoal>,
}

impl Order {
    pub fn of(spec: &ProxmoxActionPlanSpec) -> Self {
        Self {
            dry_run: spec.dry_run,
            reads: catalog::find(&spec.action).is_some_and(catalog::Action::is_read),
            not_before: spec.not_before.as_ref().map(|time| time.0),
            not_after: spec.not_after.as_ref().map(|time| time.0),
            ha_goal: HaGoal::of(spec),
        }
    }

    /// Something is to be changed, not only read or shown.
    pub(super) fn sends(&self) -> bool {
        !self.reads && !self.dry_run
    }

    pub(super) fn is_over(&self, now: Timestamp) -> bool {
        self.not_after.is_some_and(|end| now >= end)
    }

    pub(super) fn is_early(&self, now: Timestamp) -> bool {
        self.not_before.is_some_and(|begin| now < begin)
    }
}

/// What a plan can be.
#[derive(Clone, Debug, PartialEq)]
pub enum State {
    /// Not judged; something it needs may be missing.
    Pending {
        blocked: Option<Blocked>,
    },
    /// Judged; approvals are missing.
    AwaitingApproval {
        judged: Judged,
        backing: Backing,
        /// What took it back, if it was already approved once.
        setback: Option<Setback>,
    },
    /// Nothing is missing but the right moment, or something that it needs again.
    Approved {
        judged: Judged,
        backing: Backing,
        blocked: Option<Blocked>,
    },
    /// Approved, and judged by the target as it was a moment ago: it has to be dispatched at once. On record it is Approved,
    /// or what the attempt before has come to.
    Confirmed {
        judged: Judged,
        backing: Backing,
        draft: IntentDraft,
        /// What it goes back to when anything stands in the way of another attempt.
        before: Option<Box<State>>,
    },
    /// The intent is on record; the call may be on its way.
    Dispatching(Sending),
    /// Its call was certainly not carried out, for this reason: another one may be sent. On record it is Dispatching.
    NotDone(Sending, String),
    /// Proxmox works on it.
    Running(Sending, Upid),
    /// The task has handed the request to the HA manager, which works on it now.
    HaWorking(Sending, Upid, TaskReport),
    Ended(Box<Ended>),
}

/// Why a plan that was approved waits for approvals again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setback {
    pub reason: String,
    pub message: String,
}

/// A plan that was dispatched.
#[derive(Clone, Debug, PartialEq)]
pub struct Sending {
    pub judged: Judged,
    pub backing: Backing,
    pub intent: Intent,
    /// What came back of it, if that does not tell how it ended.
    pub answer: Option<Answer>,
    /// What keeps its outcome from being read.
    pub blocked: Option<Blocked>,
    /// The attempts before this one.
    pub earlier: Vec<EarlierAttempt>,
}

impl Sending {
    /// Proxmox has said that it let go of the call: nothing of it is still on its way.
    pub(super) fn is_answered(&self) -> bool {
        self.answer.as_ref().is_some_and(|answer| answer.says != Says::Nothing)
    }

    pub(super) fn says(&self, says: Says) -> bool {
        self.answer.as_ref().is_some_and(|answer| answer.says == says)
    }
}

/// A plan that has ended, with all that is known of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Ended {
    pub outcome: Outcome,
    pub reason: String,
    pub message: String,
    pub judged: Option<Judged>,
    pub backing: Backing,
    pub intent: Option<Intent>,
    pub upid: Option<Upid>,
    pub task: Option<TaskReport>,
    /// If its outcome is unknown. Reason and message may then tell what has become of the question.
    pub doubt: Option<Doubt>,
    /// The attempts before the last one.
    pub earlier: Vec<EarlierAttempt>,
    pub result: Option<ReadResult>,
}

/// How a plan can end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Succeeded,
    Failed,
    Denied,
    Expired,
    Cancelled,
    Indeterminate,
}

impl Outcome {
    pub(super) fn phase(self) -> Phase {
        match self {
            Self::Succeeded => Phase::Succeeded,
            Self::Failed => Phase::Failed,
            Self::Denied => Phase::Denied,
            Self::Expired => Phase::Expired,
            Self::Cancelled => Phase::Cancelled,
            Self::Indeterminate => Phase::Indeterminate,
        }
    }
}

impl State {
    pub fn phase(&self) -> Phase {
        match self {
            Self::Pending { .. } => Phase::Pending,
            Self::AwaitingApproval { .. } => Phase::AwaitingApproval,
            Self::Approved { .. } | Self::Confirmed { before: None, .. } => Phase::Approved,
            Self::Confirmed { before: Some(before), .. } => before.phase(),
            Self::Dispatching(_) | Self::NotDone(..) => Phase::Dispatching,
            Self::Running(..) | Self::HaWorking(..) => Phase::Running,
            Self::Ended(ended) => ended.outcome.phase(),
        }
    }

    pub fn judged(&self) -> Option<&Judged> {
        match self {
            Self::Pending { .. } => None,
            Self::AwaitingApproval { judged, .. }
            | Self::Approved { judged, .. }
            | Self::Confirmed { judged, .. } => Some(judged),
            Self::Ended(ended) => ended.judged.as_ref(),
            _ => self.sending().map(|sending| &sending.judged),
        }
    }

    /// What was made of its approvals.
    pub fn backing(&self) -> Option<&Backing> {
        match self {
            Self::Pending { .. } => None,
            Self::AwaitingApproval { backing, .. }
            | Self::Approved { backing, .. }
            | Self::Confirmed { backing, .. } => Some(backing),
            Self::Ended(ended) => Some(&ended.backing),
            _ => self.sending().map(|sending| &sending.backing),
        }
    }

    pub fn granted(&self) -> &[GrantedApproval] {
        self.backing().map_or(&[], |backing| &backing.granted)
    }

    /// Of the last attempt that is on record.
    pub fn intent(&self) -> Option<&Intent> {
        match self {
            Self::Confirmed { before, .. } => before.as_ref()?.intent(),
            Self::Ended(ended) => ended.intent.as_ref(),
            _ => self.sending().map(|sending| &sending.intent),
        }
    }

    /// The attempts before that one.
    pub fn earlier(&self) -> &[EarlierAttempt] {
        match self {
            Self::Confirmed { before: Some(before), .. } => before.earlier(),
            Self::Ended(ended) => &ended.earlier,
            _ => self.sending().map_or(&[], |sending| &sending.earlier),
        }
    }

    fn sending(&self) -> Option<&Sending> {
        match self {
            Self::Dispatching(sending)
            | Self::NotDone(sending, _)
            | Self::Running(sending, _)
            | Self::HaWorking(sending, ..) => Some(sending),
            _ => None,
        }
    }

    /// What came back of the call, while that is all that is known.
    pub(super) fn answer(&self) -> Option<&Answer> {
        self.sending()?.answer.as_ref()
    }

    pub fn upid(&self) -> Option<&Upid> {
        match self {
            Self::Running(_, upid) | Self::HaWorking(_, upid, _) => Some(upid),
            Self::Ended(ended) => ended.upid.as_ref(),
            _ => None,
        }
    }

    /// How its task has ended.
    pub fn task(&self) -> Option<&TaskReport> {
        match self {
            Self::HaWorking(.., task) => Some(task),
            Self::Ended(ended) => ended.task.as_ref(),
            _ => None,
        }
    }

    /// What stands in the way.
    pub(super) fn blocked(&self) -> Option<&Blocked> {
        match self {
            Self::Pending { blocked } | Self::Approved { blocked, .. } => blocked.as_ref(),
            Self::AwaitingApproval { .. } | Self::Confirmed { .. } | Self::Ended(_) => None,
            _ => self.sending()?.blocked.as_ref(),
        }
    }

    /// Notes what stands in the way, where a state can. What was answered must not be forgotten over it.
    pub(super) fn set_blocked(&mut self, why: Blocked) {
        match self {
            Self::Pending { blocked } | Self::Approved { blocked, .. } => *blocked = Some(why),
            Self::Dispatching(sending) if sending.is_answered() => {}
            Self::Dispatching(sending)
            | Self::NotDone(sending, _)
            | Self::Running(sending, _)
            | Self::HaWorking(sending, ..) => {
                sending.blocked = Some(why);
            }
            Self::AwaitingApproval { .. } | Self::Confirmed { .. } | Self::Ended(_) => {}
        }
    }

    /// Nothing has been announced yet.
    pub(super) fn is_before_dispatch(&self) -> bool {
        matches!(
            self,
            Self::Pending { .. }
                | Self::AwaitingApproval { .. }
                | Self::Approved { .. }
                | Self::Confirmed { before: None, .. }
        )
    }

    /// Keeps all that is known.
    pub(super) fn end(self, outcome: Outcome, reason: &str, message: impl Into<String>) -> Ended {
        Ended {
            outcome,
            reason: reason.to_owned(),
            message: message.into(),
            judged: self.judged().cloned(),
            backing: self.backing().cloned().unwrap_or_default(),
            intent: self.intent().cloned(),
            upid: self.upid().cloned(),
            task: self.task().cloned(),
            doubt: None,
            earlier: self.earlier().to_vec(),
            result: None,
        }
    }
}
