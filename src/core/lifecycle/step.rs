use jiff::{SignedDuration, Timestamp};

use crate::{
    api::GrantedApproval,
    core::{approval::Tally, audit::AuditEvent, judge::Judged},
};

use super::{
    ending::{end, finish, tell},
    event::{Blocked, Effect, Event, IntentDraft},
    handed_over::seen,
    in_flight::{adjudicate, adopt, announcement, answered, followed},
    recheck::rechecked,
    state::{Ended, Order, Outcome, Sending, Setback, State},
};

/// A call that has not left by then is not sent: its approvals and its place in the task list would be out of date.
const AT_ONCE: SignedDuration = SignedDuration::from_secs(5);

/// What a plan becomes when something happens to it, and what has to be done about it.
///
/// An event that does not fit the state changes nothing: it came too late or too early.
pub fn step(order: &Order, state: State, event: Event, now: Timestamp) -> (State, Vec<Effect>) {
    match (state, event) {
        (state, Event::Woken) => woken(order, state, now),
        (state, Event::Deleted) => deleted(order, state, now),
        (state, Event::Blocked(blocked)) => blocked_by(order, state, blocked),

        (state @ State::Pending { .. }, Event::Invalid(violations)) => {
            let problems: Vec<String> = violations.iter().map(ToString::to_string).collect();
            end(state, Outcome::Denied, "InvalidRequest", problems.join("; "))
        }
        (state @ State::Pending { .. }, Event::Denied(denial)) => {
            end(state, Outcome::Denied, denial.reason, denial.message)
        }
        (state @ State::Approved { .. }, Event::Denied(denial)) => {
            end(state, Outcome::Cancelled, denial.reason, denial.message)
        }
        (State::Pending { .. }, Event::Judged(judged)) => judged_first(order, judged),
        (state @ State::Approved { .. }, Event::Read(result)) => {
            let summary = result.summary.clone();
            finish(Ended { result: Some(result), ..state.end(Outcome::Succeeded, "Read", summary) })
        }
        (
            state @ (State::AwaitingApproval { .. } | State::Approved { .. } | State::Confirmed { .. }),
            Event::Approvals(tally),
        ) => weigh(order, state, tally, now),
        (State::Approved { judged, granted, .. }, Event::Rechecked { judged: now_judged, draft })
            if order.sends() =>
        {
            rechecked(order, (judged, granted), now_judged, draft, now)
        }

        (State::Dispatching(sending), Event::Sent(sent)) => answered(sending, sent),
        (State::Dispatching(sending), Event::TasksFound { found, rivals }) => adopt(sending, &found, &rivals),
        (State::Running(sending, upid), Event::Task(task)) => followed(order, sending, upid, task, now),
        (State::HaWorking(sending, upid, task), Event::HaSeen(guest)) => {
            seen(order, (sending, upid, task), guest.as_ref(), now)
        }
        (
            state @ (State::Dispatching(_) | State::Running(..) | State::HaWorking(..)),
            Event::Abandoned(blocked),
        ) => {
            let message = format!("the plan was deleted and its outcome can't be read: {}", blocked.message);
            end(state, Outcome::Indeterminate, "Abandoned", message)
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
        State::Confirmed { .. } => (state, vec![]),
        State::Dispatching(sending) => adjudicate(sending, now),
        State::Running(..) => (state, vec![Effect::LookAtTask]),
        State::HaWorking(..) => (state, vec![Effect::LookAtHa]),
        State::Ended(_) => (state, vec![Effect::Release]),
    }
}

/// Whoever deletes a plan does not want it sent. What was sent is followed to its end all the same.
fn deleted(order: &Order, state: State, now: Timestamp) -> (State, Vec<Effect>) {
    if state.is_before_dispatch() {
        return end(state, Outcome::Cancelled, "Deleted", "the plan was deleted before it was sent");
    }
    woken(order, state, now)
}

/// Says what stands in the way, once.
fn blocked_by(order: &Order, mut state: State, blocked: Blocked) -> (State, Vec<Effect>) {
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

fn judged_first(order: &Order, judged: Judged) -> (State, Vec<Effect>) {
    let planned = Effect::Audit(AuditEvent::Planned, judged.preview.summary.clone());
    let summary = judged.preview.summary.clone();
    if order.dry_run {
        let message = format!("dry run, nothing was sent. {summary}");
        let (state, mut effects) = end(approved(judged, vec![]), Outcome::Succeeded, "DryRun", message);
        effects.insert(0, planned);
        return (state, effects);
    }
    let required = judged.demand.people();
    if required == 0 {
        return (approved(judged, vec![]), vec![planned, Effect::GatherApprovals]);
    }
    let waiting = format!("risk {}: waits for {}. {summary}", judged.risk, approvals(required as usize));
    let effects = vec![
        planned,
        Effect::WriteStatus,
        tell(false, "AwaitingApproval", &waiting),
        Effect::GatherApprovals,
    ];
    (State::AwaitingApproval { judged, granted: vec![], setback: None }, effects)
}

pub(super) fn approved(judged: Judged, granted: Vec<GrantedApproval>) -> State {
    State::Approved { judged, granted, blocked: None }
}

pub(super) fn approvals(count: usize) -> String {
    if count == 1 { "1 approval".to_owned() } else { format!("{count} approvals") }
}

/// Holds the approvals against what is needed, in any of the states before dispatch.
fn weigh(order: &Order, state: State, tally: Tally, now: Timestamp) -> (State, Vec<Effect>) {
    if let Some(denier) = &tally.denied_by {
        let message = format!("{} said no ({})", denier.approved_by, denier.name);
        return end(state, Outcome::Denied, "DeniedByApprover", message);
    }
    let Some(judged) = state.judged().cloned() else { return (state, vec![]) };
    if tally.is_enough(&judged.demand) {
        return enough(order, state, judged, tally, now);
    }
    let alarm = next_alarm(order.not_after, tally.stands_until).map(Effect::WakeAt);
    match state {
        State::Approved { .. } => approval_gone(judged, tally.granted, alarm),
        // Gone in the very last moment: whatever is on record, the next look sees it as it is.
        State::Confirmed { .. } => (awaiting(judged, tally.granted, None), vec![Effect::WakeAt(now)]),
        State::AwaitingApproval { setback, .. } => {
            let effects = std::iter::once(Effect::WriteStatus).chain(alarm).collect();
            (awaiting(judged, tally.granted, setback), effects)
        }
        state => (state, vec![]),
    }
}

fn awaiting(judged: Judged, granted: Vec<GrantedApproval>, setback: Option<Setback>) -> State {
    State::AwaitingApproval { judged, granted, setback }
}

/// What it rested on is not there any more: it waits again, for the same judgement.
fn approval_gone(
    judged: Judged,
    granted: Vec<GrantedApproval>,
    alarm: Option<Effect>,
) -> (State, Vec<Effect>) {
    let missing = (judged.demand.people() as usize).saturating_sub(granted.len());
    let message = format!(
        "an approval that it rested on was revoked or has ended: it waits for {} again. {}",
        approvals(missing),
        judged.preview.summary
    );
    let mut effects = vec![
        Effect::Audit(AuditEvent::ApprovalGone, message.clone()),
        Effect::WriteStatus,
        tell(true, "ApprovalGone", &message),
    ];
    effects.extend(alarm);
    let setback = Setback { reason: "ApprovalGone".to_owned(), message };
    (awaiting(judged, granted, Some(setback)), effects)
}

fn enough(order: &Order, state: State, judged: Judged, tally: Tally, now: Timestamp) -> (State, Vec<Effect>) {
    if let State::Confirmed { draft, .. } = state {
        if order.is_over(now) {
            return too_late(approved(judged, tally.granted));
        }
        let until = next_alarm(order.not_after, tally.stands_until);
        return dispatch(judged, tally.granted, draft, until, now);
    }
    let blocked = state.blocked().cloned();
    let state = State::Approved { judged, granted: tally.granted, blocked };
    if order.is_early(now) {
        let alarm = next_alarm(order.not_before, tally.stands_until);
        return (state, std::iter::once(Effect::WriteStatus).chain(alarm.map(Effect::WakeAt)).collect());
    }
    let next = if order.reads { Effect::Read } else { Effect::Recheck };
    (state, vec![next])
}

pub(super) fn next_alarm(a: Option<Timestamp>, b: Option<Timestamp>) -> Option<Timestamp> {
    a.into_iter().chain(b).min()
}

fn too_late(state: State) -> (State, Vec<Effect>) {
    end(state, Outcome::Expired, "NotAfterPassed", "notAfter has passed: it will not be sent any more")
}

/// The one way into a mutation: intent into the audit log, intent into the fenced status, then one call, at once or not
/// at all. Nothing else may come in between: each thing that takes its time makes the approvals older.
fn dispatch(
    judged: Judged,
    granted: Vec<GrantedApproval>,
    draft: IntentDraft,
    until: Option<Timestamp>,
    now: Timestamp,
) -> (State, Vec<Effect>) {
    let at_once = now.saturating_add(AT_ONCE).unwrap_or(Timestamp::MAX);
    let effects = vec![
        Effect::Audit(AuditEvent::Intent, announcement(&judged)),
        Effect::WriteStatus,
        Effect::Send { until: until.map_or(at_once, |until| until.min(at_once)) },
    ];
    (
        State::Dispatching(Sending {
            judged,
            granted,
            intent: draft.begin(1, now),
            answered_done: false,
            blocked: None,
        }),
        effects,
    )
}
