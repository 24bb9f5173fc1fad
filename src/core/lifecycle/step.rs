use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::{
    api::{Intent, TaskReport},
    core::{
        approval::Tally,
        audit::AuditEvent,
        judge::Judged,
        task::{Sent, TaskState, TaskVerdict, Upid},
    },
};

use super::{
    event::{Effect, Event, IntentDraft, Telling},
    state::{Ended, Order, Outcome, Sending, State},
};

/// A task that runs longer than this holds its plan, so that its end finds a place to be written to.
const HOLD_AFTER: SignedDuration = SignedDuration::from_secs(5);
/// How much the clocks of a node may differ between two looks at it.
const CLOCK_SLACK: SignedDuration = SignedDuration::from_secs(2);

/// What a plan becomes when something happens to it, and what has to be done about it.
///
/// An event that does not fit the state changes nothing: it came too late or too early.
pub fn step(order: &Order, state: State, event: Event, now: Timestamp) -> (State, Vec<Effect>) {
    match (state, event) {
        (
            state @ (State::Pending { .. } | State::AwaitingApproval { .. } | State::Approved { .. }),
            Event::Woken,
        ) if order.is_over(now) => too_late(state),
        (state @ State::Pending { .. }, Event::Woken) => (state, vec![Effect::Judge]),
        (state @ (State::AwaitingApproval { .. } | State::Approved { .. }), Event::Woken) => {
            (state, vec![Effect::GatherApprovals])
        }
        (State::Dispatching(sending), Event::Woken) => adjudicate(sending, now),
        (state @ State::Running(..), Event::Woken) => (state, vec![Effect::LookAtTask]),
        (state @ State::Ended(_), Event::Woken) => (state, vec![Effect::Release]),

        (state @ State::Pending { .. }, Event::Invalid(violations)) => {
            let problems: Vec<String> = violations.iter().map(ToString::to_string).collect();
            finish(state.end(Outcome::Denied, "InvalidRequest", problems.join("; ")))
        }
        (State::Pending { blocked: before }, Event::Blocked(blocked)) => {
            let effects = if before.as_ref() == Some(&blocked) {
                vec![]
            } else {
                vec![Effect::WriteStatus, tell(true, &blocked.reason, &blocked.message)]
            };
            (State::Pending { blocked: Some(blocked) }, effects)
        }
        (
            state @ (State::Pending { .. } | State::AwaitingApproval { .. } | State::Approved { .. }),
            Event::Denied(denial),
        ) => {
            let judged = state.judged().is_some();
            let outcome = if judged { Outcome::Cancelled } else { Outcome::Denied };
            finish(state.end(outcome, denial.reason, denial.message))
        }
        (state @ State::Approved { .. }, Event::Blocked(blocked)) => {
            (state, vec![tell(true, &blocked.reason, &blocked.message)])
        }
        (State::Pending { .. }, Event::Judged(judged)) => judged_first(order, judged),
        (state @ State::Approved { .. }, Event::Read(result)) => {
            let summary = result.summary.clone();
            let ended = Ended { result: Some(result), ..state.end(Outcome::Succeeded, "Read", summary) };
            finish(ended)
        }

        (
            state @ (State::AwaitingApproval { .. } | State::Approved { .. } | State::Confirmed { .. }),
            Event::Approvals(tally),
        ) => weigh(order, state, tally, now),
        (State::Approved { judged, granted }, Event::Rechecked { moved, draft }) if order.sends() => {
            if moved.is_empty() {
                (State::Confirmed { judged, granted, draft }, vec![Effect::GatherApprovals])
            } else {
                let message = format!(
                    "the target is no longer what was judged ({}): make a new plan for what is there now",
                    moved.join("; ")
                );
                finish(State::Approved { judged, granted }.end(Outcome::Cancelled, "TargetMoved", message))
            }
        }

        (State::Dispatching(sending), Event::Sent(sent)) => answered(sending, sent),
        (State::Dispatching(sending), Event::TasksFound(found)) => adopt(sending, &found),
        (State::Running(sending, upid), Event::Task(task)) => followed(sending, upid, task, now),

        (state, _) => (state, vec![]),
    }
}

fn judged_first(order: &Order, judged: Judged) -> (State, Vec<Effect>) {
    let planned = Effect::Audit(AuditEvent::Planned, judged.preview.summary.clone());
    let summary = judged.preview.summary.clone();
    if order.dry_run {
        let state = State::Approved { judged, granted: vec![] };
        let ended = state.end(Outcome::Succeeded, "DryRun", format!("dry run, nothing was sent. {summary}"));
        let (state, mut effects) = finish(ended);
        effects.insert(0, planned);
        return (state, effects);
    }
    let required = judged.approvals_required;
    if required == 0 {
        return (State::Approved { judged, granted: vec![] }, vec![planned, Effect::GatherApprovals]);
    }
    let waiting = format!("risk {}: waits for {}. {summary}", judged.risk, approvals(required));
    let effects = vec![
        planned,
        Effect::WriteStatus,
        tell(false, "AwaitingApproval", &waiting),
        Effect::GatherApprovals,
    ];
    (State::AwaitingApproval { judged, granted: vec![] }, effects)
}

fn approvals(count: u32) -> String {
    if count == 1 { "1 approval".to_owned() } else { format!("{count} approvals") }
}

/// Holds the approvals against what is needed, in any of the states before dispatch.
fn weigh(order: &Order, state: State, tally: Tally, now: Timestamp) -> (State, Vec<Effect>) {
    if let Some(denier) = &tally.denied_by {
        let message = format!("{} said no ({})", denier.approved_by, denier.name);
        return finish(state.end(Outcome::Denied, "DeniedByApprover", message));
    }
    let Some(judged) = state.judged().cloned() else { return (state, vec![]) };
    if tally.is_enough(judged.approvals_required) {
        return enough(order, state, judged, tally, now);
    }
    match state {
        State::Approved { .. } => {
            let message = "an approval that it rested on was revoked or has ended: make a new plan";
            finish(state.end(Outcome::Cancelled, "ApprovalGone", message))
        }
        // Taken back in the very last moment. What is on record is still AwaitingApproval, or nothing at all.
        State::Confirmed { .. } => (State::AwaitingApproval { judged, granted: tally.granted }, vec![]),
        State::AwaitingApproval { .. } => {
            let alarm = next_alarm(order.not_after, tally.stands_until).map(Effect::WakeAt);
            let effects = std::iter::once(Effect::WriteStatus).chain(alarm).collect();
            (State::AwaitingApproval { judged, granted: tally.granted }, effects)
        }
        other => (other, vec![]),
    }
}

fn enough(order: &Order, state: State, judged: Judged, tally: Tally, now: Timestamp) -> (State, Vec<Effect>) {
    let granted = tally.granted;
    if let State::Confirmed { draft, .. } = state {
        let confirmed = State::Approved { judged, granted };
        return if order.is_over(now) { too_late(confirmed) } else { dispatch(confirmed, draft, now) };
    }
    let state = State::Approved { judged, granted };
    if order.is_early(now) {
        let alarm = next_alarm(order.not_before, tally.stands_until);
        return (state, std::iter::once(Effect::WriteStatus).chain(alarm.map(Effect::WakeAt)).collect());
    }
    let next = if order.reads { Effect::ReadInventory } else { Effect::Recheck };
    (state, vec![next])
}

fn too_late(state: State) -> (State, Vec<Effect>) {
    finish(state.end(Outcome::Expired, "NotAfterPassed", "notAfter has passed: it will not be sent any more"))
}

fn next_alarm(a: Option<Timestamp>, b: Option<Timestamp>) -> Option<Timestamp> {
    a.into_iter().chain(b).min()
}

/// The one way into a mutation: intent into the audit log, intent into the fenced status, then one call.
fn dispatch(confirmed: State, draft: IntentDraft, now: Timestamp) -> (State, Vec<Effect>) {
    let State::Approved { judged, granted } = confirmed else { return (confirmed, vec![]) };
    let message = match judged.preview.calls.first() {
        Some(call) => format!("sending {} {}", call.method, call.path),
        None => "sending".to_owned(),
    };
    let effects = vec![
        Effect::Audit(AuditEvent::Intent, message.clone()),
        Effect::WriteStatus,
        tell(false, "Dispatching", &message),
        Effect::Send,
    ];
    (State::Dispatching(Sending { judged, granted, intent: draft.begin(1, now) }), effects)
}

fn answered(sending: Sending, sent: Sent) -> (State, Vec<Effect>) {
    match sent {
        Sent::Task(upid) => running(sending, upid, "Running", "Proxmox has accepted it"),
        Sent::Done => ended(
            State::Dispatching(sending),
            Outcome::Succeeded,
            "Done",
            "done; there was no task to follow",
        ),
        Sent::Refused { status, message } => {
            let text = format!("Proxmox refused ({status}): {message}");
            ended(State::Dispatching(sending), Outcome::Failed, "RefusedByProxmox", text)
        }
        Sent::NotSent { why } => {
            let text = format!("nothing was sent: {why}. Make a new plan when Proxmox can be reached");
            ended(State::Dispatching(sending), Outcome::Failed, "NotSent", text)
        }
        Sent::Unknown { why } => {
            let text = format!(
                "the answer is missing: {why}. The task list will tell after {}",
                sending.intent.settles_at.0
            );
            let settles_at = sending.intent.settles_at.0;
            let effects = vec![
                Effect::Audit(AuditEvent::Sent, text.clone()),
                tell(true, "AnswerMissing", &text),
                Effect::WakeAt(settles_at),
            ];
            (State::Dispatching(sending), effects)
        }
    }
}

fn running(sending: Sending, upid: Upid, reason: &str, message: &str) -> (State, Vec<Effect>) {
    let text = format!("{message}: {upid}");
    let effects = vec![
        Effect::Audit(AuditEvent::Sent, text.clone()),
        Effect::WriteStatus,
        tell(false, reason, &text),
        Effect::LookAtTask,
    ];
    (State::Running(sending, upid), effects)
}

/// A call was announced and its answer is not known: only the task list can tell, and only once a late call would have
/// arrived too.
fn adjudicate(sending: Sending, now: Timestamp) -> (State, Vec<Effect>) {
    let settles_at = sending.intent.settles_at.0;
    let next = if now < settles_at { Effect::WakeAt(settles_at) } else { Effect::SearchTasks };
    (State::Dispatching(sending), vec![next])
}

fn adopt(sending: Sending, found: &[Upid]) -> (State, Vec<Effect>) {
    let ours: Vec<&Upid> = found.iter().filter(|upid| could_be_ours(upid, &sending.intent)).collect();
    match ours.as_slice() {
        [upid] => {
            let upid = (*upid).clone();
            running(sending, upid, "Adopted", "its task was found in the task list")
        }
        [] => {
            let message = format!(
                "the call was announced and its answer never came, and node {node} lists no task of {sender} for it. \
                 It may or may not have been carried out: look at {target} itself and at the task log of {node} around {at}, \
                 then make a new plan for what is still to be done",
                node = sending.intent.node,
                sender = sending.intent.sender,
                target = sending.intent.task_id,
                at = sending.intent.at.0,
            );
            ended(State::Dispatching(sending), Outcome::Indeterminate, "NoTaskFound", message)
        }
        several => {
            let list: Vec<&str> = several.iter().take(5).map(|upid| upid.as_str()).collect();
            let message = format!(
                "the call was announced and its answer never came, and several tasks could be it: {}. \
                 Look at them, then make a new plan for what is still to be done",
                list.join(", ")
            );
            ended(State::Dispatching(sending), Outcome::Indeterminate, "SeveralTasksFound", message)
        }
    }
}

/// Compared on the parsed id alone: Proxmox's own filters lose rows (a token's archived tasks, HA task types).
fn could_be_ours(upid: &Upid, intent: &Intent) -> bool {
    let began =
        |time: &Time, slack: SignedDuration| time.0.saturating_add(slack).map_or(i64::MAX, |t| t.as_second());
    let settle = intent.settles_at.0.duration_since(intent.at.0);
    upid.node == intent.node
        && upid.id == intent.task_id
        && upid.user == intent.sender
        && intent.task_types.contains(&upid.task_type)
        && upid.start_time >= began(&intent.node_time, -CLOCK_SLACK)
        && upid.start_time <= began(&intent.node_time, settle + CLOCK_SLACK)
}

fn followed(sending: Sending, upid: Upid, task: TaskState, now: Timestamp) -> (State, Vec<Effect>) {
    match task {
        TaskState::Running => {
            let age = now.duration_since(sending.intent.at.0);
            let mut effects = vec![];
            if age >= HOLD_AFTER {
                effects.push(Effect::Hold);
            }
            effects.push(Effect::WakeAt(next_look(age, now)));
            (State::Running(sending, upid), effects)
        }
        TaskState::Stopped { exit_status } => stopped(sending, upid, &exit_status, now),
        TaskState::Vanished => {
            let message = format!(
                "Proxmox no longer knows its task {upid}: how it ended can't be read. Look at {} itself",
                sending.intent.task_id
            );
            ended(State::Running(sending, upid), Outcome::Indeterminate, "TaskVanished", message)
        }
    }
}

/// Often at first, then ever less: a task that has run for a minute is not over in the next second.
fn next_look(age: SignedDuration, now: Timestamp) -> Timestamp {
    let pause = (age / 4).clamp(SignedDuration::from_millis(200), SignedDuration::from_secs(10));
    now.saturating_add(pause).unwrap_or(Timestamp::MAX)
}

fn stopped(sending: Sending, upid: Upid, exit_status: &str, now: Timestamp) -> (State, Vec<Effect>) {
    let handed_over = upid.task_type.starts_with("ha");
    let shown: String = exit_status.chars().take(1000).collect();
    let (outcome, reason, message) = match TaskVerdict::of(exit_status) {
        TaskVerdict::Succeeded if handed_over => (
            Outcome::Succeeded,
            "HandedToHa",
            "the HA manager has taken the request and carries it out in its own time".to_owned(),
        ),
        TaskVerdict::Succeeded => (Outcome::Succeeded, "TaskOk", "done".to_owned()),
        TaskVerdict::SucceededWithWarnings => {
            (Outcome::Succeeded, "TaskWarnings", format!("done, with warnings in the task log ({shown})"))
        }
        TaskVerdict::Failed => {
            (Outcome::Failed, "TaskFailed", format!("its task ended in an error: {shown}"))
        }
        TaskVerdict::Unknown => (
            Outcome::Indeterminate,
            "TaskKilled",
            format!(
                "its task was killed ({shown}): how far it came is not known. Look at {} itself",
                sending.intent.task_id
            ),
        ),
    };
    let task = TaskReport { exit_status: exit_status.chars().take(4096).collect(), ended_at: Time(now) };
    let end = State::Running(sending, upid).end(outcome, reason, message);
    finish(Ended { task: Some(task), ..end })
}

fn ended(state: State, outcome: Outcome, reason: &str, message: impl Into<String>) -> (State, Vec<Effect>) {
    finish(state.end(outcome, reason, message))
}

/// On record before it is in the status, so that no end is ever seen that was not kept.
fn finish(ended: Ended) -> (State, Vec<Effect>) {
    let event = if ended.outcome == Outcome::Denied { AuditEvent::Denied } else { AuditEvent::Ended };
    let warning = ended.outcome != Outcome::Succeeded;
    let effects = vec![
        Effect::Audit(event, ended.message.clone()),
        Effect::WriteStatus,
        tell(warning, &ended.outcome.phase().to_string(), &ended.message),
        Effect::Release,
    ];
    (State::Ended(Box::new(ended)), effects)
}

fn tell(warning: bool, reason: &str, message: &str) -> Effect {
    Effect::Tell(Telling { warning, reason: reason.to_owned(), message: message.to_owned() })
}
