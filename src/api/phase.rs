use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How far a plan has come. It only ever moves forward.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Not judged yet.
    #[default]
    Pending,
    /// Judged; approvals are missing.
    AwaitingApproval,
    /// Nothing is missing but the right moment.
    Approved,
    /// The intent is on record; the call may be on its way.
    Dispatching,
    /// Proxmox has accepted the call and works on it.
    Running,
    /// Done as asked.
    Succeeded,
    /// Proxmox refused, or its task ended in an error.
    Failed,
    /// The request is invalid, or policy or an approver said no.
    Denied,
    /// `notAfter` passed before it could run.
    Expired,
    /// What was approved no longer stands: the approval was revoked or the target has changed.
    Cancelled,
    /// The call was announced and its outcome can't be known: a person decides.
    Indeterminate,
}

impl Phase {
    /// Every phase, in the order of a plan's life.
    pub const ALL: [Self; 11] = [
        Self::Pending,
        Self::AwaitingApproval,
        Self::Approved,
        Self::Dispatching,
        Self::Running,
        Self::Succeeded,
        Self::Failed,
        Self::Denied,
        Self::Expired,
        Self::Cancelled,
        Self::Indeterminate,
    ];

    /// Nothing follows of itself. From `Indeterminate`, another attempt can, if somebody decides so.
    pub fn is_terminal(self) -> bool {
        matches!(
            self,
            Self::Succeeded
                | Self::Failed
                | Self::Denied
                | Self::Expired
                | Self::Cancelled
                | Self::Indeterminate
        )
    }

    /// A call has been sent or may have been: from here on only its outcome counts.
    pub fn is_in_flight(self) -> bool {
        matches!(self, Self::Dispatching | Self::Running)
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}
