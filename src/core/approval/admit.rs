//! One approval: whether it is for this plan as it is judged now, in time, and really of the person whose name it bears.

use jiff::{SignedDuration, Timestamp};

use crate::api::{Decision, GrantedApproval, ProxmoxActionApproval, ProxmoxActionApprovalSpec, Source};

use super::{Bench, Candidate, Counted, Proof, Question, Refusal, refuse};

pub(super) const EXPIRED: &str = "Expired";

/// How long an approval without `expiresAt` counts.
pub const DEFAULT_LIFETIME: SignedDuration = SignedDuration::from_hours(24);

/// How long one counts at most, whatever `expiresAt` says: nobody remembers for longer what was approved.
pub const LONGEST_LIFETIME: SignedDuration = SignedDuration::from_hours(366 * 24);

/// Judges one approval.
pub fn admit(candidate: &Candidate, bench: Bench<'_>) -> Result<Counted, Refusal> {
    let approval = &candidate.approval;
    let spec = &approval.spec;
    let until =
        expiry(approval).ok_or_else(|| refuse("NotDated", "metadata.creationTimestamp: is missing"))?;
    about_this_plan(spec, bench)?;
    if spec.decision == Decision::Approve {
        of_what_is_there_now(spec, bench)?;
    }
    if until <= bench.now || was_over_before_it_began(approval) {
        return Err(refuse(EXPIRED, format!("spec.expiresAt: the approval ended at {until}")));
    }
    about_this_attempt(approval, bench.question)?;
    let (groups, note) = match (spec.decision, speaks_for(candidate, bench)) {
        (Decision::Approve, proven) => {
            by_somebody_else(spec, bench)?;
            let groups = proven?;
            let note = unproven_groups(spec, &groups);
            (groups, note)
        }
        // Whoever says no stops the plan. To pass over a true one would be worse than to heed a false one.
        (Decision::Deny, Ok(_)) => (vec![], None),
        (Decision::Deny, Err(_)) => {
            (vec![], Some("nothing proves whose it is, but a no stops the plan all the same".to_owned()))
        }
    };
    let granted = GrantedApproval {
        name: approval.metadata.name.clone().unwrap_or_default(),
        uid: approval.metadata.uid.clone().unwrap_or_default(),
        approved_by: spec.approved_by.clone(),
        groups,
    };
    Ok(Counted { decision: spec.decision, granted, until, note })
}

fn about_this_plan(spec: &ProxmoxActionApprovalSpec, bench: Bench<'_>) -> Result<(), Refusal> {
    let uid = bench.plan.uid.as_deref().unwrap_or_default();
    if bench.plan.name.as_deref() != Some(&spec.plan_ref.name) || spec.plan_ref.uid != uid {
        let message = format!(
            "spec.planRef.uid: is for another plan, {}; the plan of this name is {uid}",
            spec.plan_ref.uid
        );
        return Err(refuse("OtherPlan", message));
    }
    if spec.environment != bench.environment {
        let message =
            format!("spec.environment: is {}, the plan's is {}", spec.environment, bench.environment);
        return Err(refuse("OtherEnvironment", message));
    }
    Ok(())
}

/// Nobody approves another attempt without having said which one is meant, and known that its outcome is not. A no that
/// names none is a no to any.
fn about_this_attempt(approval: &ProxmoxActionApproval, question: Option<Question>) -> Result<(), Refusal> {
    let spec = &approval.spec;
    let Some(Question { attempt, since }) = question else {
        let message = "spec.attempt: is only for a plan whose outcome is unknown";
        return if spec.attempt.is_some() { Err(refuse("NoAttemptToDecide", message)) } else { Ok(()) };
    };
    match spec.attempt {
        None if spec.decision == Decision::Deny => Ok(()),
        None => {
            let message = format!(
                "spec.attempt: is missing. It is unknown what became of attempt {attempt}: look at what the plan's status \
                 tells of it, then decide with attempt {attempt}"
            );
            Err(refuse("AttemptNotNamed", message))
        }
        Some(named) if named != attempt => {
            let message =
                format!("spec.attempt: is {named}, but what has to be decided about is attempt {attempt}");
            Err(refuse("OtherAttempt", message))
        }
        Some(_) if spec.decision == Decision::Approve && came_in_before(approval, since) => {
            let message = format!(
                "spec.attempt: this came in before it was known, at {since}, that the outcome of attempt {attempt} is \
                 unknown. Look at what the plan's status tells of it, then decide anew"
            );
            Err(refuse("DecidedTooEarly", message))
        }
        Some(_) => Ok(()),
    }
}

/// Objects are dated in whole seconds.
fn came_in_before(approval: &ProxmoxActionApproval, moment: Timestamp) -> bool {
    let came_in = approval.metadata.creation_timestamp.as_ref();
    came_in.is_none_or(|came_in| came_in.0.as_second() < moment.as_second())
}

/// A yes is one to a single judgement. A no to an earlier one is no yes to the next.
fn of_what_is_there_now(spec: &ProxmoxActionApprovalSpec, bench: Bench<'_>) -> Result<(), Refusal> {
    let plan_hash = bench.judged.plan_hash.to_string();
    if spec.plan_hash != plan_hash {
        let message = format!(
            "spec.planHash: is {}, but the plan is judged as {plan_hash} now: look at what it would do now, and approve that",
            spec.plan_hash
        );
        return Err(refuse("OtherPlanHash", message));
    }
    if spec.risk != bench.judged.risk {
        let message = format!("spec.risk: is {}, the plan's is {}", spec.risk, bench.judged.risk);
        return Err(refuse("OtherRisk", message));
    }
    Ok(())
}

/// Names are compared letter by letter, as Kubernetes does: there, `Ann` and `ann` are two people.
fn by_somebody_else(spec: &ProxmoxActionApprovalSpec, bench: Bench<'_>) -> Result<(), Refusal> {
    if spec.approved_by == bench.requested_by {
        let message =
            format!("spec.approved_by: {} asked for the plan and can't approve it", spec.approved_by);
        return Err(refuse("OwnPlan", message));
    }
    Ok(())
}

/// The groups that the approver is proven to speak for, or why it is not even proven who that is.
fn speaks_for(candidate: &Candidate, bench: Bench<'_>) -> Result<Vec<String>, Refusal> {
    match candidate.approval.spec.source {
        Some(Source::Git) => as_signed(candidate, bench),
        None => as_let_in(&candidate.approval, bench),
    }
}

/// Git proves by itself who speaks, whatever this home is worth.
fn as_signed(candidate: &Candidate, bench: Bench<'_>) -> Result<Vec<String>, Refusal> {
    let Some(traced) = &candidate.traced else {
        let message = format!(
            "spec.source: environment {} names no repository (spec.git), so no signature counts there",
            bench.environment
        );
        return Err(refuse("GitNotConfigured", message));
    };
    match &traced.refusal {
        Some(refusal) => Err(refusal.clone()),
        None => Ok(traced.groups.clone()),
    }
}

fn as_let_in(approval: &ProxmoxActionApproval, bench: Bench<'_>) -> Result<Vec<String>, Refusal> {
    match bench.proof {
        Proof::Admission { since } => {
            let came_in = approval.metadata.creation_timestamp.as_ref().map(|time| time.0);
            if came_in.is_some_and(|came_in| came_in > *since) {
                return Ok(approval.spec.approver_groups.clone());
            }
            let message = format!(
                "spec.approved_by: when this came in, the admission policies that prove it were missing, unbound or changed, \
                 or known to be in force for too short a time (they are since {since}). Approve anew"
            );
            Err(refuse("NotAdmitted", message))
        }
        Proof::NotInForce(why) => {
            let message = format!(
                "spec.approved_by: the admission policies that prove it are not in force: {why}. Approve anew when they are"
            );
            Err(refuse("NotAdmitted", message))
        }
        proof if proof.is_enough_for(bench.tier) => Ok(vec![]),
        proof => {
            let message = format!(
                "spec.approved_by: {}; an environment of tier production does not accept that",
                proof.described()
            );
            Err(refuse("NotProven", message))
        }
    }
}

/// What is said in vain about groups.
pub(super) fn unproven_groups(spec: &ProxmoxActionApprovalSpec, proven: &[String]) -> Option<String> {
    let unproven: Vec<&str> =
        spec.approver_groups.iter().filter(|group| !proven.contains(group)).map(String::as_str).collect();
    (!unproven.is_empty())
        .then(|| format!("but for no group named {}, because nothing proves that", unproven.join(" or ")))
}

/// Until when an approval counts. `None` if it has no date.
pub(super) fn expiry(approval: &ProxmoxActionApproval) -> Option<Timestamp> {
    let came_in = approval.metadata.creation_timestamp.as_ref()?.0;
    let at_most = came_in.saturating_add(LONGEST_LIFETIME).unwrap_or(Timestamp::MAX);
    let by_itself = came_in.saturating_add(DEFAULT_LIFETIME).unwrap_or(Timestamp::MAX);
    Some(approval.spec.expires_at.as_ref().map_or(by_itself, |time| time.0.min(at_most)))
}

/// The store dates approvals by its own clock, which may be ahead of this program's.
fn was_over_before_it_began(approval: &ProxmoxActionApproval) -> bool {
    let came_in = approval.metadata.creation_timestamp.as_ref();
    approval.spec.expires_at.as_ref().is_some_and(|end| came_in.is_some_and(|came_in| end.0 <= came_in.0))
}
