//! A plan whose call may have left: whether it did, and which task is its own.

use jiff::{SignedDuration, Timestamp};

use crate::{
    api::{Answer, EarlierAttempt, Intent, Says},
    core::{
        audit::AuditEvent,
        judge::Judged,
        task::{Sent, Upid},
        traces::Traces,
    },
};

use super::{
    again::not_done,
    ending::{end, in_doubt, tell},
    event::{Effect, Rivals},
    running::{held_meanwhile, pause_between_looks},
    state::{Outcome, Sending, State},
};

/// How far a node's clock may run ahead of ours while a call settles.
const CLOCK_SLACK: SignedDuration = SignedDuration::from_secs(2);

/// How far a node's clock may lag behind what it should say, before it counts as put back.
const CLOCK_PATIENCE: SignedDuration = SignedDuration::from_mins(10);
/// How long the clock of a node that lags behind is left alone at most.
const LONGEST_PAUSE: SignedDuration = SignedDuration::from_secs(10);

/// A status holds so much of what was answered.
const LONGEST_ANSWER: usize = 1024;

/// What is sent, in words.
pub(super) fn announcement(judged: &Judged) -> String {
    match judged.preview.calls.first() {
        Some(call) => format!("sending {} {}", call.method, call.path),
        None => "sending".to_owned(),
    }
}

/// The same, and after which attempt, if it is not the first.
pub(super) fn announced_after(judged: &Judged, earlier: &[EarlierAttempt]) -> String {
    let announcement = announcement(judged);
    let Some(EarlierAttempt { intent, reason, message, .. }) = earlier.last() else { return announcement };
    format!(
        "{announcement} as attempt {}, after attempt {} ({reason}: {message})",
        intent.attempt + 1,
        intent.attempt
    )
}

/// What came back is on record before anybody is told of it.
pub(super) fn answered(sending: Sending, sent: Sent) -> (State, Vec<Effect>) {
    let dispatched = tell(false, "Dispatching", &announcement(&sending.judged));
    let (state, mut effects) = answer(sending, sent);
    let first_telling = effects.iter().position(|effect| matches!(effect, Effect::Tell(_)));
    effects.insert(first_telling.unwrap_or(effects.len()), dispatched);
    (state, effects)
}

fn answer(sending: Sending, sent: Sent) -> (State, Vec<Effect>) {
    match sent {
        Sent::Task(upid) => running(sending, upid, "Running", "Proxmox has accepted it"),
        Sent::Done if sending.intent.task_types.is_empty() => {
            end(State::Dispatching(sending), Outcome::Succeeded, "Done", "done; there was no task to follow")
        }
        Sent::Done => {
            let text = "Proxmox answered that it is done and named no task; the task list will tell whether one works \
                        on it";
            heard(sending, (Says::Done, text), text, vec![Effect::SearchTasks])
        }
        Sent::Nothing => {
            let text = "Proxmox answered OK and named no task: it found nothing to do there, so nothing was done. Look \
                        on which node the target is now, then make a new plan";
            end(State::Dispatching(sending), Outcome::Failed, "NothingDone", text)
        }
        Sent::HalfWay { status, message } => {
            let text = format!("Proxmox began and stopped with an error ({status}): {message}");
            let telling = tell(true, "AnsweredError", &format!("{text}. Looks how much of it was done"));
            heard(sending, (Says::Error, &text), &text, vec![telling, Effect::SearchTasks])
        }
        Sent::Refused { status, message } => {
            let text = format!("Proxmox refused ({status}): {message}");
            end(State::Dispatching(sending), Outcome::Failed, "RefusedByProxmox", text)
        }
        Sent::NotSent { why } => {
            let text = format!("nothing was sent: {why}. Make a new plan for another try");
            end(State::Dispatching(sending), Outcome::Failed, "NotSent", text)
        }
        Sent::Unknown { why } => {
            let settles_at = sending.intent.settles_at.0;
            let text = format!("the answer is missing: {why}. The task list will tell after {settles_at}");
            let telling = tell(true, "AnswerMissing", &text);
            heard(sending, (Says::Nothing, &why), &text, vec![telling, Effect::WakeAt(settles_at)])
        }
    }
}

/// An answer that does not tell how the call ended: it is kept, so that nobody is told later that none came. Some
/// methods start a task and name none, or wait for it a while and name it only if it takes longer.
fn heard(
    sending: Sending,
    (says, message): (Says, &str),
    told: &str,
    then: Vec<Effect>,
) -> (State, Vec<Effect>) {
    let answer = Answer { says, message: message.chars().take(LONGEST_ANSWER).collect() };
    let mut effects = vec![Effect::Audit(AuditEvent::Sent, told.to_owned()), Effect::WriteStatus];
    effects.extend(then);
    (State::Dispatching(Sending { answer: Some(answer), blocked: None, ..sending }), effects)
}

fn running(sending: Sending, upid: Upid, reason: &str, message: &str) -> (State, Vec<Effect>) {
    let text = format!("{message}: {upid}");
    let effects = vec![
        Effect::Audit(AuditEvent::Sent, text.clone()),
        Effect::WriteStatus,
        tell(false, reason, &text),
        Effect::LookAtTask,
    ];
    (State::Running(Sending { answer: None, blocked: None, ..sending }, upid), effects)
}

/// A call was announced and its answer is not known: only the task list can tell, and only once a late call would have
/// arrived too. Whether that is so the node's clock says; this one only says when to ask, if it was not put back.
pub(super) fn adjudicate(sending: Sending, now: Timestamp) -> (State, Vec<Effect>) {
    let settles_at = sending.intent.settles_at.0;
    let settled = sending.is_answered() || now >= settles_at || now < sending.intent.at.0;
    let mut effects = held_meanwhile(&sending, now);
    effects.push(if settled { Effect::SearchTasks } else { Effect::WakeAt(settles_at) });
    (State::Dispatching(sending), effects)
}

/// Takes the one task that can only be this plan's for its own.
pub(super) fn adopt(
    sending: Sending,
    found: &[Upid],
    rivals: &Rivals,
    node_time: Timestamp,
    now: Timestamp,
) -> (State, Vec<Effect>) {
    let missing = until_settled(&sending.intent, node_time);
    if !sending.is_answered() && missing.is_positive() {
        return not_settled(sending, missing, node_time, now);
    }
    let ours: Vec<&Upid> = found
        .iter()
        .filter(|upid| could_be_ours(upid, &sending.intent) && !rivals.tasks.contains(upid))
        .collect();
    let (reason, what_is_known) = match ours.as_slice() {
        [upid] if !rivals.unanswered.iter().any(|theirs| could_be_ours(upid, theirs)) => {
            let upid = (*upid).clone();
            return running(sending, upid, "Adopted", "its task was found in the task list");
        }
        [] if sending.says(Says::Done) => {
            let message = "done: Proxmox said so at once, and its task list shows no task for it";
            return end(State::Dispatching(sending), Outcome::Succeeded, "Done", message);
        }
        [] => return (State::Dispatching(sending), vec![Effect::LookForTraces]),
        [upid] => ("TaskContested", format!("{upid} could be it, or that of another plan without an answer")),
        several => ("SeveralTasksFound", format!("several tasks could be it: {}", listed(several))),
    };
    unknown(sending, reason, what_is_known)
}

/// By the one clock that whoever sent and whoever looks have in common: theirs may jump, and differ.
fn until_settled(intent: &Intent, node_time: Timestamp) -> SignedDuration {
    intent.settles_at.0.duration_since(intent.at.0) - node_time.duration_since(intent.node_time.0)
}

/// The node's clock lags behind, which passes, or it was put back, and nobody waits for it to come round again.
fn not_settled(
    sending: Sending,
    missing: SignedDuration,
    node_time: Timestamp,
    now: Timestamp,
) -> (State, Vec<Effect>) {
    let overdue = now.duration_since(sending.intent.settles_at.0);
    if overdue <= CLOCK_PATIENCE {
        let pause = missing.min(LONGEST_PAUSE).max(pause_between_looks(overdue));
        let next = now.saturating_add(pause).unwrap_or(Timestamp::MAX);
        return (State::Dispatching(sending), vec![Effect::WakeAt(next)]);
    }
    let Intent { node, node_time: announced_at, .. } = &sending.intent;
    let fact = format!(
        "the clock of node {node} was put back: it said {} before the call and says {node_time} now, {} minutes after the \
         task list should have told, so its tasks can't be dated",
        announced_at.0,
        overdue.as_mins()
    );
    unknown(sending, "ClockWentBack", fact)
}

/// No task was found, and this is what the target tells.
pub(super) fn traced(sending: Sending, traces: Traces) -> (State, Vec<Effect>) {
    match traces {
        Traces::Done(how) => {
            let (answer, no_task) = (answer_of(&sending), none_found(&sending.intent));
            let message = format!("done: {answer}, and {no_task}, but {how}");
            end(State::Dispatching(sending), Outcome::Succeeded, "FoundDone", message)
        }
        Traces::NotDone(why) if sending.says(Says::Error) => {
            let message = format!("{}, and did nothing: {why}", answer_of(&sending));
            end(State::Dispatching(sending), Outcome::Failed, "FailedInProxmox", message)
        }
        Traces::NotDone(why) => not_done(sending, why),
        Traces::Unclear(why) => {
            let facts = [answer_of(&sending), none_found(&sending.intent), why];
            in_doubt(State::Dispatching(sending).end(Outcome::Indeterminate, "NoTaskFound", ""), &facts)
        }
    }
}

fn unknown(sending: Sending, reason: &str, what_is_known: String) -> (State, Vec<Effect>) {
    let facts = [answer_of(&sending), what_is_known];
    in_doubt(State::Dispatching(sending).end(Outcome::Indeterminate, reason, ""), &facts)
}

fn answer_of(sending: &Sending) -> String {
    match &sending.answer {
        None => "no answer to it is on record".to_owned(),
        Some(Answer { says: Says::Done, .. }) => "it was answered without its task".to_owned(),
        Some(answer) => answer.message.clone(),
    }
}

fn none_found(intent: &Intent) -> String {
    let Intent { node, sender, at, task_types, .. } = intent;
    if task_types.is_empty() {
        return "it has no task that could be found".to_owned();
    }
    format!("node {node} lists no task of {sender} for it around {}", at.0)
}

fn listed(upids: &[&Upid]) -> String {
    upids.iter().take(5).map(|upid| upid.as_str()).collect::<Vec<_>>().join(", ")
}

/// Compared on the parsed id alone: Proxmox's own filters lose rows (a token's archived tasks, HA task types).
fn could_be_ours(upid: &Upid, intent: &Intent) -> bool {
    let moment = |slack: SignedDuration| {
        intent.node_time.0.saturating_add(slack).map_or(i64::MAX, |moment| moment.as_second())
    };
    let settle = intent.settles_at.0.duration_since(intent.at.0);
    upid.node == intent.node
        && upid.id == intent.task_id
        && upid.user == intent.sender
        && intent.task_types.contains(&upid.task_type)
        // What began before the node's clock was read can't be ours, and may be the task of a plan that is gone.
        && upid.start_time >= moment(SignedDuration::ZERO)
        && upid.start_time <= moment(settle + CLOCK_SLACK)
}
