//! A state as the status that people and programs read, and back.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use thiserror::Error;

use crate::{
    api::{
        Answer, ApprovalProgress, Doubt, Phase, PlanStatus, READY, RECONCILING, STALLED, Says, set_condition,
    },
    core::{
        approval::{Backing, Proof},
        demand::Demand,
        judge::Judged,
    },
};

use super::{
    event::{Blocked, TASK_TAKES_LONG},
    state::{Ended, Outcome, Sending, Setback, State},
    weigh::waits_for,
};

/// The ordinary words of the states that can also have another.
const AWAITING_APPROVAL: &str = "AwaitingApproval";
const NOT_BEFORE: &str = "NotBefore";
const DISPATCHING: &str = "Dispatching";
const ANSWERED_DONE: &str = "AnsweredDone";
const ANSWERED_ERROR: &str = "AnsweredError";
const RUNNING: &str = "Running";
const HA_WORKING: &str = "HaWorking";

/// A status that no state can have. Nothing is done to such a plan.
#[derive(Debug, Error, PartialEq, Eq)]
#[error(
    "the status is not one that this program writes: phase {phase} needs {missing}. Nothing is done with this plan"
)]
pub struct Corrupt {
    phase: Phase,
    missing: &'static str,
}

/// Writes a state down. `before` is the status that it replaces.
pub fn report(
    state: &State,
    before: Option<&PlanStatus>,
    generation: Option<i64>,
    proof: Option<&Proof>,
    now: Timestamp,
) -> PlanStatus {
    if let State::Confirmed { before: Some(attempt), .. } = state {
        return report(attempt, before, generation, proof, now);
    }
    let (reason, message) = words(state);
    let judged = state.judged();
    let worth = worth(proof, before);
    let ended = match state {
        State::Ended(ended) => Some(ended),
        _ => None,
    };
    let mut status = PlanStatus {
        phase: state.phase(),
        reason: bounded(&reason, 128),
        message: bounded(&message, 4096),
        observed_generation: generation,
        request_hash: judged.map(|judged| judged.request_hash.to_string()),
        plan_hash: judged.map(|judged| judged.plan_hash.to_string()),
        risk: judged.map(|judged| judged.risk),
        risk_reasons: judged.map(|judged| judged.risk_reasons.clone()).unwrap_or_default(),
        policy: judged.map(|judged| judged.policy.clone()),
        approvals: judged.zip(state.backing()).map(|(judged, backing)| progress(judged, backing, worth)),
        preview: judged.map(|judged| judged.preview.clone()),
        fingerprint: judged.map(|judged| judged.fingerprint.clone()).unwrap_or_default(),
        attempts: state.intent().map_or(0, |intent| intent.attempt),
        intent: state.intent().cloned(),
        answer: state.answer().cloned(),
        upid: state.upid().map(ToString::to_string),
        task: state.task().cloned(),
        doubt: ended.and_then(|ended| dated(ended.doubt.clone()?, now)),
        earlier: state.earlier().to_vec(),
        result: ended.and_then(|ended| ended.result.clone()),
        provenance: before.and_then(|status| status.provenance.clone()),
        conditions: before.map(|status| status.conditions.clone()).unwrap_or_default(),
    };
    set_conditions(&mut status, state, generation, now);
    status
}

/// Since when it is in doubt: since it was first written down.
fn dated(mut doubt: Doubt, now: Timestamp) -> Option<Doubt> {
    doubt.since.get_or_insert(Time(now));
    Some(doubt)
}

fn bounded(text: &str, max: usize) -> String {
    text.chars().take(max).collect()
}

/// What an approval is worth in this home, in words: as it was told before, where it was not looked at again.
fn worth<'a>(proof: Option<&Proof>, before: Option<&'a PlanStatus>) -> &'a str {
    let told = before.and_then(|status| Some(status.approvals.as_ref()?.proof.as_str()));
    match proof {
        Some(proof) => proof.described(),
        None => told.unwrap_or_default(),
    }
}

fn progress(judged: &Judged, backing: &Backing, worth: &str) -> ApprovalProgress {
    let Backing { granted, refused } = backing;
    let required = judged.demand.people();
    let there = required.saturating_sub(judged.demand.still_to_come(granted));
    ApprovalProgress {
        required,
        granted: granted.clone(),
        groups: judged.demand.groups(),
        missing: judged.demand.missing(granted).iter().take(16).map(|line| bounded(line, 512)).collect(),
        refused: refused.clone(),
        progress: if required == 0 { "-".to_owned() } else { format!("{there}/{required}") },
        proof: if required == 0 { String::new() } else { worth.to_owned() },
    }
}

/// One word and one sentence.
fn words(state: &State) -> (String, String) {
    let plain = |reason: &str, message: String| (reason.to_owned(), message);
    if let Some(Blocked { reason, message }) = state.blocked() {
        return (reason.clone(), message.clone());
    }
    match state {
        State::Pending { .. } => plain("", String::new()),
        State::AwaitingApproval { setback: Some(Setback { reason, message }), .. } => {
            plain(reason, message.clone())
        }
        State::AwaitingApproval { judged, backing, setback: None } => {
            plain(AWAITING_APPROVAL, waits_for(judged, &backing.granted))
        }
        State::Approved { .. } => plain(NOT_BEFORE, "nothing is missing: waits for notBefore".to_owned()),
        State::Confirmed { .. } => plain(NOT_BEFORE, "nothing is missing: is about to be sent".to_owned()),
        State::Dispatching(sending) | State::NotDone(sending, _) => on_its_way(sending),
        State::Running(_, upid) => plain(RUNNING, format!("Proxmox works on it: {upid}")),
        State::HaWorking(..) => plain(
            HA_WORKING,
            "the HA manager has taken the request and carries it out in its own time".to_owned(),
        ),
        State::Ended(ended) => (ended.reason.clone(), ended.message.clone()),
    }
}

/// A call that was announced, by what came back of it.
fn on_its_way(sending: &Sending) -> (String, String) {
    let announced = format!("the call was announced as attempt {}", sending.intent.attempt);
    let (reason, message) = match &sending.answer {
        None => (DISPATCHING, announced),
        Some(Answer { says: Says::Nothing, message }) => (DISPATCHING, format!("{announced}; {message}")),
        Some(Answer { says: Says::Done, .. }) => {
            (ANSWERED_DONE, "Proxmox answered that it is done; looks whether a task works on it".to_owned())
        }
        Some(Answer { says: Says::Error, message }) => {
            (ANSWERED_ERROR, format!("{message}; looks how much of it was done"))
        }
    };
    (reason.to_owned(), message)
}

/// `Ready`, `Reconciling` and `Stalled` as kstatus reads them.
fn set_conditions(status: &mut PlanStatus, state: &State, generation: Option<i64>, now: Timestamp) {
    let ready = status.phase == Phase::Succeeded;
    let stuck = state.blocked().is_some_and(|blocked| !blocked.passes_by_itself());
    let stalled = stuck || status.phase.is_terminal() && !ready;
    let reconciling = !stalled && !ready && status.phase != Phase::AwaitingApproval;
    let message = bounded(&status.message, 1024);
    let mut conditions: Vec<Condition> = std::mem::take(&mut status.conditions);
    for (type_, holds) in [(READY, ready), (RECONCILING, reconciling), (STALLED, stalled)] {
        set_condition(&mut conditions, type_, holds, (&status.reason, &message), generation, now);
    }
    status.conditions = conditions;
}

/// Reads a state back.
pub fn read(status: Option<&PlanStatus>) -> Result<State, Corrupt> {
    let Some(status) = status else { return Ok(State::Pending { blocked: None }) };
    let judged = judged(status);
    let backing = || backing(status);
    let need = |missing| Corrupt { phase: status.phase, missing };
    // Any other word than the ordinary one names what stands in the way.
    let blocked = |ordinary: &str| {
        (status.reason != ordinary)
            .then(|| Blocked { reason: status.reason.clone(), message: status.message.clone() })
    };
    let sending = |ordinary: &str| {
        let intent = status.intent.clone().ok_or(need("intent"))?;
        let judged = judged.clone().ok_or(need("a judgement"))?;
        let (answer, earlier) = (status.answer.clone(), status.earlier.clone());
        let sending = Sending { judged, backing: backing(), intent, answer, blocked: None, earlier };
        let blocked = blocked(ordinary).filter(|_| !sending.is_answered());
        Ok(Sending { blocked, ..sending })
    };
    let upid = || status.upid.as_ref().and_then(|upid| upid.parse().ok());
    Ok(match status.phase {
        Phase::Pending => State::Pending { blocked: blocked("") },
        Phase::AwaitingApproval => {
            let setback = (status.reason != AWAITING_APPROVAL)
                .then(|| Setback { reason: status.reason.clone(), message: status.message.clone() });
            State::AwaitingApproval {
                judged: judged.ok_or(need("a judgement"))?,
                backing: backing(),
                setback,
            }
        }
        Phase::Approved => State::Approved {
            judged: judged.ok_or(need("a judgement"))?,
            backing: backing(),
            blocked: blocked(NOT_BEFORE),
        },
        Phase::Dispatching => State::Dispatching(sending(DISPATCHING)?),
        Phase::Running => {
            let upid = upid().ok_or(need("a upid"))?;
            match status.task.clone() {
                None => State::Running(sending(RUNNING)?, upid),
                Some(task) => State::HaWorking(sending(HA_WORKING)?, upid, task),
            }
        }
        Phase::Succeeded => ended(status, Outcome::Succeeded),
        Phase::Failed => ended(status, Outcome::Failed),
        Phase::Denied => ended(status, Outcome::Denied),
        Phase::Expired => ended(status, Outcome::Expired),
        Phase::Cancelled => ended(status, Outcome::Cancelled),
        Phase::Indeterminate => ended(status, Outcome::Indeterminate),
    })
}

/// In flight, with nothing in the way: looking again takes it further.
pub fn is_under_way(status: &PlanStatus) -> bool {
    status.phase.is_in_flight()
        && [DISPATCHING, RUNNING, TASK_TAKES_LONG, HA_WORKING].contains(&status.reason.as_str())
}

fn ended(status: &PlanStatus, outcome: Outcome) -> State {
    State::Ended(Box::new(Ended {
        outcome,
        reason: status.reason.clone(),
        message: status.message.clone(),
        judged: judged(status),
        backing: backing(status),
        intent: status.intent.clone(),
        upid: status.upid.as_ref().and_then(|upid| upid.parse().ok()),
        task: status.task.clone(),
        doubt: status.doubt.clone(),
        earlier: status.earlier.clone(),
        result: status.result.clone(),
    }))
}

/// The judgement that a status holds, if it holds one.
pub fn judged(status: &PlanStatus) -> Option<Judged> {
    Some(Judged {
        request_hash: status.request_hash.as_ref()?.parse().ok()?,
        plan_hash: status.plan_hash.as_ref()?.parse().ok()?,
        risk: status.risk?,
        risk_reasons: status.risk_reasons.clone(),
        policy: status.policy.clone()?,
        demand: status.approvals.as_ref().map(demand)?,
        fingerprint: status.fingerprint.clone(),
        preview: status.preview.clone()?,
    })
}

fn backing(status: &PlanStatus) -> Backing {
    let of = |approvals: &ApprovalProgress| Backing {
        granted: approvals.granted.clone(),
        refused: approvals.refused.clone(),
    };
    status.approvals.as_ref().map(of).unwrap_or_default()
}

fn demand(progress: &ApprovalProgress) -> Demand {
    let people = Demand::of(progress.required);
    progress.groups.iter().fold(people, |demand, of| demand.and_of(&of.group, of.count))
}
