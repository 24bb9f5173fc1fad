//! What an approval is told about itself.

use jiff::Timestamp;

use crate::api::{ApprovalVerdict, Decision, GrantedApproval, Phase, PlanStatus, ProxmoxActionApproval};

use super::{
    Bench, Candidate, Counted, Refusal,
    admit::{admit, expiry},
    refuse,
    tally::judge_all,
};

/// Of a plan whose outcome is unknown, and for which no other attempt is made although people decided so.
pub(in crate::core) const NOT_SENT_AGAIN: &str = "NotSentAgain";

/// A status holds so much of an answer.
const MOST_CHARACTERS: usize = 4096;

/// The answer to an approval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// `None` as long as it can't be said.
    pub verdict: Option<ApprovalVerdict>,
    /// One word for programs.
    pub reason: String,
    /// A sentence for people.
    pub message: String,
    /// Until when it counts.
    pub until: Option<Timestamp>,
}

impl Verdict {
    /// There is no answer yet.
    pub fn open(reason: &str, message: &str) -> Self {
        Self { verdict: None, reason: reason.to_owned(), message: message.to_owned(), until: None }
    }

    fn counted(until: Option<Timestamp>, note: Option<&str>) -> Self {
        let until_when = until.map_or_else(String::new, |until| format!("counts until {until}"));
        let message = note.map_or(until_when.clone(), |note| format!("{until_when}; {note}"));
        Self {
            verdict: Some(ApprovalVerdict::Counted),
            reason: "Counted".to_owned(),
            message: message.chars().take(MOST_CHARACTERS).collect(),
            until,
        }
    }

    /// The plan can no longer be decided on.
    pub fn too_late(phase: Phase) -> Self {
        Self::refused(&refuse("TooLate", format!("the plan was already {phase} when this came")))
    }

    fn refused(refusal: &Refusal) -> Self {
        Self {
            verdict: Some(ApprovalVerdict::Refused),
            reason: refusal.reason.to_owned(),
            message: refusal.message.chars().take(MOST_CHARACTERS).collect(),
            until: None,
        }
    }
}

/// Whether an approval counts among all those of its plan. The answer to one that counted stays the same when its plan
/// moves on.
pub fn verdict(
    candidate: &Candidate,
    all: &[Candidate],
    plan_status: Option<&PlanStatus>,
    bench: Bench<'_>,
) -> Verdict {
    let approval = &candidate.approval;
    let phase = plan_status.map(|status| status.phase).unwrap_or_default();
    let over = (phase.is_in_flight() || phase.is_terminal()) && phase != Phase::Indeterminate;
    if let Some(granted) = plan_status.and_then(|status| was_rested_on(approval, status, over)) {
        let note = super::admit::unproven_groups(&approval.spec, &granted.groups);
        return Verdict { until: None, ..Verdict::counted(expiry(approval), note.as_deref()) };
    }
    match admit(candidate, bench) {
        Err(refusal) => Verdict::refused(&refusal),
        Ok(no) if no.decision == Decision::Deny && (!over || phase == Phase::Denied) => Verdict {
            until: Some(no.until).filter(|_| !over),
            ..Verdict::counted(Some(no.until), no.note.as_deref())
        },
        Ok(_) if over => Verdict::too_late(phase),
        Ok(_) => match plan_status.filter(|status| status.reason == NOT_SENT_AGAIN) {
            Some(status) => Verdict::open(NOT_SENT_AGAIN, &status.message),
            None => among(candidate, all, bench),
        },
    }
}

/// By which an attempt was sent: this one, if it is `over` with deciding about it, or an earlier one.
fn was_rested_on<'a>(
    approval: &ProxmoxActionApproval,
    status: &'a PlanStatus,
    over: bool,
) -> Option<&'a GrantedApproval> {
    let now = status.approvals.iter().filter(|_| over).flat_map(|progress| &progress.granted);
    let in_doubt = status.doubt.iter().flat_map(|doubt| &doubt.approvals);
    let earlier = status.earlier.iter().flat_map(|attempt| &attempt.approvals);
    let uid = approval.metadata.uid.as_ref();
    now.chain(in_doubt).chain(earlier).find(|granted| Some(&granted.uid) == uid)
}

fn among(candidate: &Candidate, all: &[Candidate], bench: Bench<'_>) -> Verdict {
    let uid = &candidate.approval.metadata.uid;
    let answer = judge_all(all, bench).into_iter().find(|(other, _)| other.approval.metadata.uid == *uid);
    match answer.map(|(_, answer)| answer) {
        Some(Ok(Counted { until, note, .. })) => Verdict::counted(Some(until), note.as_deref()),
        Some(Err(refusal)) => Verdict::refused(&refusal),
        None => Verdict::open("Unread", "the approval could not be read again"),
    }
}
