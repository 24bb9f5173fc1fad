//! A plan whose task has handed it to the HA manager: the guest itself tells when it is done.

use jiff::{SignedDuration, Timestamp};

use crate::{
    api::TaskReport,
    core::{
        audit::AuditEvent,
        ha::{HaGuest, HaProgress},
        task::Upid,
    },
};

use super::{
    ending::{end, in_doubt, tell},
    event::Effect,
    running::{held_meanwhile, next_look},
    state::{Order, Outcome, Sending, State},
};

/// The manager takes a round of its own every few seconds.
const SHORTEST_PAUSE: SignedDuration = SignedDuration::from_secs(1);

pub(super) fn handed_over(sending: Sending, upid: Upid, task: TaskReport) -> (State, Vec<Effect>) {
    let text = "the HA manager has taken the request, and its guest is watched until it is done".to_owned();
    let effects = vec![
        Effect::Audit(AuditEvent::HandedOver, text.clone()),
        Effect::WriteStatus,
        tell(false, "HaWorking", &text),
        Effect::LookAtHa,
    ];
    (State::HaWorking(Sending { blocked: None, ..sending }, upid, task), effects)
}

/// The guest was looked at.
pub(super) fn seen(
    order: &Order,
    (sending, upid, task): (Sending, Upid, TaskReport),
    guest: Option<&HaGuest>,
    now: Timestamp,
) -> (State, Vec<Effect>) {
    let Some(goal) = &order.ha_goal else { return (State::HaWorking(sending, upid, task), vec![]) };
    let since = now.duration_since(task.ended_at.0);
    match goal.progress(guest) {
        HaProgress::Done(how) => {
            let message = format!("the HA manager has done it: {how}");
            end(State::HaWorking(sending, upid, task), Outcome::Succeeded, "HaDone", message)
        }
        HaProgress::GivenUp(why) => {
            let message = format!(
                "the HA manager has not done it: {why}. Put that right, then make a new plan for what is still to be done"
            );
            end(State::HaWorking(sending, upid, task), Outcome::Failed, "HaError", message)
        }
        HaProgress::Working if since >= goal.patience => {
            let fact = unfinished(guest, goal.patience);
            let ended = State::HaWorking(sending, upid, task).end(Outcome::Indeterminate, "HaUnfinished", "");
            in_doubt(ended, &[fact])
        }
        HaProgress::Working => waits_on(sending, upid, task, now),
    }
}

fn unfinished(guest: Option<&HaGuest>, patience: SignedDuration) -> String {
    let seen = guest.map(|guest| format!("{} on {}: {}", guest.status, guest.node, guest.told));
    format!(
        "the HA manager has not done it within {} minutes, and may still do so; the guest is {}",
        patience.as_mins(),
        seen.unwrap_or_default()
    )
}

fn waits_on(sending: Sending, upid: Upid, task: TaskReport, now: Timestamp) -> (State, Vec<Effect>) {
    let mut effects = vec![];
    if sending.blocked.is_some() {
        effects.push(Effect::WriteStatus);
    }
    effects.extend(held_meanwhile(&sending, now));
    let soonest = now.saturating_add(SHORTEST_PAUSE).unwrap_or(Timestamp::MAX);
    effects.push(Effect::WakeAt(next_look(now.duration_since(task.ended_at.0), now).max(soonest)));
    (State::HaWorking(Sending { blocked: None, ..sending }, upid, task), effects)
}
