//! Whether an approval counts, and whether there are enough.
//!
//! Each approval is a `Candidate`, held against a `Bench`: the plan as it is judged now, and the `Proof`, which is what a
//! name is worth in this home. `admit` judges one candidate: it is `Counted`, or there is a `Refusal`. `tally` judges all of
//! a plan together: its `Backing` stays with the plan and is held against the `Demand`. `verdict` is what each is told
//! about itself, and `requester` says whether it is known who asked.

mod admit;
#[cfg(test)]
mod proof_tests;
mod requester;
mod tally;
#[cfg(test)]
mod tests;
mod verdict;

use admit::EXPIRED;
pub use admit::{DEFAULT_LIFETIME, LONGEST_LIFETIME, admit};
pub use requester::requester_not_proven;
use tally::{APPROVED_ALREADY, ENOUGH_OTHERS};
pub use tally::{Backing, Tally, still_there, tally};
pub(super) use verdict::NOT_SENT_AGAIN;
pub use verdict::{Verdict, verdict};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::api::{Decision, GrantedApproval, ProxmoxActionApproval, Tier};

use super::{judge::Judged, provenance::Traced};

/// What stands behind the name in an approval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    /// Since this moment the API server's admission policies force the name to be the writer's own.
    Admission { since: Timestamp },
    /// They are not in force, so nobody knows whose name it is.
    NotInForce(String),
    /// The API server let its writer create it, and the owner does without admission policies.
    ApiServer,
    /// Its writer could write to the directory.
    DirectoryAccess,
}

impl Proof {
    /// In plain words, for the status.
    pub fn described(&self) -> &'static str {
        match self {
            Self::Admission { .. } => {
                "an approval is the approver's own: admission policies force approved_by to be whoever creates it, with the right to"
            }
            Self::NotInForce(_) => {
                "an approval is worth nothing as long as the admission policies are not in force: nothing is sent"
            }
            Self::ApiServer => {
                "an approval is worth the right to create approvals on the API server: role bindings decide who has it"
            }
            Self::DirectoryAccess => {
                "an approval is worth write access to this directory: whoever can write here can approve in any name"
            }
        }
    }

    /// Production wants more than write access to a directory.
    pub fn is_enough_for(&self, tier: Tier) -> bool {
        *self != Self::DirectoryAccess || tier != Tier::Production
    }
}

/// What an approval is held against.
#[derive(Clone, Copy, Debug)]
pub struct Bench<'a> {
    pub plan: &'a ObjectMeta,
    pub requested_by: &'a str,
    pub environment: &'a str,
    pub tier: Tier,
    pub judged: &'a Judged,
    /// What there is to decide, if it is not whether to send the plan at all.
    pub question: Option<Question>,
    pub proof: &'a Proof,
    pub now: Timestamp,
}

/// Whether to make another attempt after this one, whose outcome is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question {
    pub attempt: i64,
    /// Who decided before that knew less than is known now.
    pub since: Timestamp,
}

/// An approval to be judged, with what is known of its provenance if it came by git.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    pub approval: ProxmoxActionApproval,
    pub traced: Option<Traced>,
}

/// Why an approval does not count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// One word for programs.
    pub reason: &'static str,
    /// A sentence for people, beginning with the field.
    pub message: String,
}

impl Refusal {
    /// Nothing is wrong with it, but it adds nothing to others.
    pub fn adds_nothing(&self) -> bool {
        [APPROVED_ALREADY, ENOUGH_OTHERS].contains(&self.reason)
    }

    pub fn has_ended(&self) -> bool {
        self.reason == EXPIRED
    }
}

fn refuse(reason: &'static str, message: impl Into<String>) -> Refusal {
    Refusal { reason, message: message.into() }
}

/// An approval that counts, until then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counted {
    pub decision: Decision,
    pub granted: GrantedApproval,
    pub until: Timestamp,
    /// What of it does not count, in words.
    pub note: Option<String>,
}
