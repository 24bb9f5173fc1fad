use jiff::Timestamp;

use crate::{
    api::EarlierAttempt,
    core::{approval::Backing, audit::AuditEvent, judge::Judged},
};

use super::{
    again::{another, confirmed_again, held_up, stays},
    ending::{end, finish, in_doubt, tell},
    event::{AT_ONCE, Blocked, Effect, Event, IntentDraft},
    handed_over::seen,
    in_flight::{adjudicate, adopt, announced_after, answered, traced},
    recheck::rechecked,
    running::followed,
    state::{Ended, Order, Outcome, Sending, State},
    weigh::{awaiting, waits_for, weigh},
};

/// What a plan becomes when something happens to it, and what has to be done about it.
///
/// An event that does not fit the state changes nothing: it came too late or too early.
pub fn step(order: &Order, state: State, event: Event, now: Timestamp) -> (State, Vec<Effect>) {
    match (state, event) {
        (State::Confirmed { before: Some(before), judged, draft, .. }, Event::Approvals(tally)) => {
            confirmed_again(order, *before, (judged, draft), tally, now)
        }
        // What was found out a moment ago is worth nothing once anything else happens.
        (State::Confirmed { before: Some(before), .. }, event) => step(order, *before, event, now),

        (state, Event::Woken) => woken(order, state, now),
        (state, Event::Deleted) => deleted(order, state, now),
        (state, Event::Blocked(blocked)) => blocked_by(order, state, blocked),
        (before, event) if before.asks() => another(order, before, event, now),

        (state @ State::Pending { .. }, Event::Invalid(violations)) => {
            let problems: Vec<String> = violations.iter().map(ToString::to_string).collect();
            end(state, Outcome::Denied, "InvalidRequest", problems.join("; "))
        }
        (state @ State::Pending { .. }, Event::Denied(denial)) => {
            end(state, Outcome::Denied, denial.reason, denial.message)
        }
        (
            state @ (State::AwaitingApproval { .. } | State::Approved { .. } | State::Confirmed { .. }),
            Event::Denied(denial),
        ) => end(state, Outcome::Cancelled, denial.reason, denial.message),
        (State::Pending { .. }, Event::Judged(judged)) => judged_first(order, judged),
        (state @ State::Approved { .. }, Event::Read(result)) => {
            let summary = result.summary.clone();
            finish(Ended { result: Some(result), ..state.end(Outcome::Succeeded, "Read", summary) })
        }
        (
            state @ (State::AwaitingApproval { .. } | State::Approved { .. } | State::Confirmed { .. }),
            Event::Approvals(tally),
        ) => weigh(order, state, tally, now),
        (State::Approved { judged, backing, .. }, Event::Rechecked { judged: now_judged, draft })
            if order.sends() =>
        {
            rechecked(order, (judged, backing), now_judged, *draft, now)
        }

        (State::Dispatching(sending), Event::Sent(sent)) => answered(sending, sent),
        (State::Dispatching(sending), Event::TasksFound { found, rivals, node_time }) => {
            adopt(sending, &found, &rivals, node_time, now)
        }
        (State::Dispatching(sending), Event::Traces(traces)) => traced(sending, traces),
        (State::Running(sending, upid), Event::Task(task)) => followed(order, sending, upid, task, now),
        (State::HaWorking(sending, upid, task), Event::HaSeen(guest)) => {
            seen(order, (sending, upid, task), guest.as_ref(), now)
        }
        (
            state @ (State::Dispatching(_) | State::Running(..) | State::HaWorking(..)),
            Event::Abandoned(blocked),
        ) => {
            let fact = format!("the plan was deleted and its outcome can't be read: {}", blocked.message);
            in_doubt(state.end(Outcome::Indeterminate, "Abandoned", ""), &[fact])
        }

        (state, _) => (state, vec![]),
    }
}

/// Begins to look at a plan.
fn woken(order: &Order, state: State, now: Timestamp) -> (State, Vec<Effect>) {
    if state.is_before_dispatch() && order.is_over(now) {
        return too_late(state);
    }
    match state {
        State::Pending { .. } => (state, vec![Effect::Judge]),
        State::AwaitingApproval { .. } | State::Approved { .. } => (state, vec![Effect::GatherApprovals]),
        State::Confirmed { .. } | State::NotDone(..) => (state, vec![]),
        State::Dispatching(sending) => adjudicate(sending, now),
        State::Running(..) => (state, vec![Effect::LookAtTask]),
        State::HaWorking(..) => (state, vec![Effect::LookAtHa]),
        State::Ended(ended) if ended.asks() => {
            (State::Ended(ended), vec![Effect::Release, Effect::GatherApprovals])
        }
        State::Ended(_) => (state, vec![Effect::Release]),
    }
}

/// Whoever deletes a plan does not want it sent. What was sent is followed to its end all the same.
fn deleted(order: &Order, state: State, now: Timestamp) -> (State, Vec<Effect>) {
    if state.is_before_dispatch() {
        return end(state, Outcome::Cancelled, "Deleted", "the plan was deleted before it was sent");
    }
    match state {
        State::Ended(_) => (state, vec![Effect::Release]),
        State::NotDone(..) => stays(state, "the plan is being deleted"),
        state => woken(order, state, now),
    }
}

/// Says what stands in the way, once.
fn blocked_by(order: &Order, state: State, blocked: Blocked) -> (State, Vec<Effect>) {
    let mut state = match no_longer_confirmed(state) {
        State::Ended(ended) if ended.asks() => return held_up(ended, &blocked),
        state => state,
    };
    let is_news = state.blocked() != Some(&blocked);
    let telling = tell(!blocked.passes_by_itself(), &blocked.reason, &blocked.message);
    state.set_blocked(blocked);
    let mut effects = vec![];
    if is_news && state.blocked().is_some() {
        effects.extend([Effect::WriteStatus, telling]);
    }
    effects.extend(order.not_after.filter(|_| state.is_before_dispatch()).map(Effect::WakeAt));
    (state, effects)
}

/// What was found out a moment ago is worth nothing once anything stands in the way.
fn no_longer_confirmed(state: State) -> State {
    match state {
        State::Confirmed { judged, backing, .. } => approved(judged, backing),
        State::NotDone(sending, _) => State::Dispatching(sending),
        state => state,
    }
}

fn judged_first(order: &Order, judged: Judged) -> (State, Vec<Effect>) {
    let planned = Effect::Audit(AuditEvent::Planned, judged.preview.summary.clone());
    let summary = judged.preview.summary.clone();
    if order.dry_run {
        let message = format!("dry run, nothing was sent. {summary}");
        let (state, mut effects) =
            end(approved(judged, Backing::default()), Outcome::Succeeded, "DryRun", message);
        effects.insert(0, planned);
        return (state, effects);
    }
    if judged.demand.is_none() {
        return (approved(judged, Backing::default()), vec![planned, Effect::GatherApprovals]);
    }
    let waiting = waits_for(&judged, &[]);
    let effects = vec![
        planned,
        Effect::WriteStatus,
        tell(false, "AwaitingApproval", &waiting),
        Effect::GatherApprovals,
    ];
    (awaiting(judged, Backing::default(), None), effects)
}

pub(super) fn approved(judged: Judged, backing: Backing) -> State {
    State::Approved { judged, backing, blocked: None }
}

pub(super) fn next_alarm(a: Option<Timestamp>, b: Option<Timestamp>) -> Option<Timestamp> {
    a.into_iter().chain(b).min()
}

pub(super) fn too_late(state: State) -> (State, Vec<Effect>) {
    end(state, Outcome::Expired, "NotAfterPassed", "notAfter has passed: it will not be sent any more")
}

/// The one way into a mutation: intent into the audit log, intent into the fenced status, then one call, at once or not
/// at all. Nothing else may come in between: each thing that takes its time makes the approvals older.
pub(super) fn dispatch(
    judged: Judged,
    backing: Backing,
    (draft, earlier): (IntentDraft, Vec<EarlierAttempt>),
    until: Option<Timestamp>,
    now: Timestamp,
) -> (State, Vec<Effect>) {
    let attempt = earlier.last().map_or(1, |last| last.intent.attempt + 1);
    let at_once = now.saturating_add(AT_ONCE).unwrap_or(Timestamp::MAX);
    let effects = vec![
        Effect::Audit(AuditEvent::Intent, announced_after(&judged, &earlier)),
        Effect::WriteStatus,
        Effect::Send { until: until.map_or(at_once, |until| until.min(at_once)) },
    ];
    (
        State::Dispatching(Sending {
            judged,
            backing,
            intent: draft.begin(attempt, now),
            answer: None,
            blocked: None,
            earlier,
        }),
        effects,
    )
}
