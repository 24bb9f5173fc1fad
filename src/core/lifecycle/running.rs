//! A plan with a task of its own: follows it to its end, however long that takes.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::{
    api::{Intent, TaskReport},
    core::{
        ha::is_of_ha,
        task::{TaskState, TaskVerdict, Upid},
    },
};

use super::{
    ending::{finish, in_doubt, tell},
    event::{Blocked, Effect, TASK_TAKES_LONG},
    handed_over::handed_over,
    state::{Ended, Order, Outcome, Sending, State},
};

/// A task that runs longer than this holds its plan, so that its end finds a place to be written to.
const HOLD_AFTER: SignedDuration = SignedDuration::from_secs(5);
/// Backups and disks that move take an hour; what takes longer is worth a look by a person.
const LONG: SignedDuration = SignedDuration::from_hours(1);
const SHORTEST_PAUSE: SignedDuration = SignedDuration::from_millis(200);
const LONGEST_PAUSE: SignedDuration = SignedDuration::from_secs(10);
const LONGEST_PAUSE_WITH_A_LONG_ONE: SignedDuration = SignedDuration::from_secs(60);

pub(super) fn followed(
    order: &Order,
    sending: Sending,
    upid: Upid,
    task: TaskState,
    now: Timestamp,
) -> (State, Vec<Effect>) {
    match task {
        TaskState::Running => runs_on(sending, upid, now),
        TaskState::Stopped { exit_status } => stopped(order, sending, upid, &exit_status, now),
        TaskState::Vanished => {
            let fact = format!("Proxmox no longer knows its task {upid}: how it ended can't be read");
            let ended = State::Running(sending, upid).end(Outcome::Indeterminate, "TaskVanished", "");
            in_doubt(ended, &[fact])
        }
    }
}

/// The plan stays what it is, however long its task takes. People are told of a long one, once: whether it hangs is not for
/// the operator to say.
fn runs_on(sending: Sending, upid: Upid, now: Timestamp) -> (State, Vec<Effect>) {
    let age = now.duration_since(sending.intent.at.0);
    let blocked = (age >= LONG).then(|| takes_long(&sending, &upid));
    let mut effects = vec![];
    if sending.blocked != blocked {
        effects.push(Effect::WriteStatus);
        effects.extend(blocked.as_ref().map(|long| tell(true, &long.reason, &long.message)));
    }
    effects.extend(held_meanwhile(&sending, now));
    effects.push(Effect::WakeAt(next_look(age, now)));
    (State::Running(Sending { blocked, ..sending }, upid), effects)
}

/// Before, nobody may delete it. Afterwards they may, and it stays until it has ended.
pub(super) fn held_meanwhile(sending: &Sending, now: Timestamp) -> Vec<Effect> {
    if now.duration_since(sending.intent.at.0) < HOLD_AFTER {
        return vec![];
    }
    vec![Effect::Hold]
}

/// Says the same at every look.
fn takes_long(sending: &Sending, upid: &Upid) -> Blocked {
    let Intent { at, node, .. } = &sending.intent;
    let message = format!(
        "its task has run for more than {} minutes, since {}, and is watched until it ends: {upid}. If that is too long, \
         read its log in Proxmox (pvenode task log {upid}, on node {node}); the plan ends when the task does, also when \
         somebody stops it there",
        LONG.as_mins(),
        at.0
    );
    Blocked { reason: TASK_TAKES_LONG.to_owned(), message }
}

pub(super) fn next_look(age: SignedDuration, now: Timestamp) -> Timestamp {
    now.saturating_add(pause_between_looks(age)).unwrap_or(Timestamp::MAX)
}

/// Often at first, then ever less: a task that has run for a minute is not over in the next second, and one that has run
/// for a day not in the next ten.
pub fn pause_between_looks(age: SignedDuration) -> SignedDuration {
    if age >= LONG {
        return LONGEST_PAUSE_WITH_A_LONG_ONE;
    }
    (age / 4).clamp(SHORTEST_PAUSE, LONGEST_PAUSE)
}

fn stopped(
    order: &Order,
    sending: Sending,
    upid: Upid,
    exit_status: &str,
    now: Timestamp,
) -> (State, Vec<Effect>) {
    let task = TaskReport { exit_status: exit_status.chars().take(4096).collect(), ended_at: Time(now) };
    let verdict = TaskVerdict::of(exit_status);
    if verdict.is_success() && is_handed_over(order, &upid) {
        return handed_over(sending, upid, task);
    }
    let shown: String = exit_status.chars().take(1000).collect();
    let (outcome, reason, message) = match verdict {
        TaskVerdict::Succeeded => (Outcome::Succeeded, "TaskOk", "done".to_owned()),
        TaskVerdict::SucceededWithWarnings => {
            (Outcome::Succeeded, "TaskWarnings", format!("done, with warnings in the task log ({shown})"))
        }
        TaskVerdict::Failed => {
            (Outcome::Failed, "TaskFailed", format!("its task ended in an error: {shown}"))
        }
        TaskVerdict::Unknown => {
            let fact = format!("its task was killed ({shown}): how far it came is not known");
            let ended = State::Running(sending, upid).end(Outcome::Indeterminate, "TaskKilled", "");
            return in_doubt(Ended { task: Some(task), ..ended }, &[fact]);
        }
    };
    let ended = State::Running(sending, upid).end(outcome, reason, message);
    finish(Ended { task: Some(task), ..ended })
}

fn is_handed_over(order: &Order, upid: &Upid) -> bool {
    order.ha_goal.is_some() && is_of_ha(&upid.task_type)
}
