//! The approvals of a plan, held against what it needs, in any of the states before dispatch.

use jiff::{SignedDuration, Timestamp};

use crate::{
    api::GrantedApproval,
    core::{
        approval::{Backing, Tally},
        judge::Judged,
    },
};

use super::{
    ending::{end, tell},
    event::{Blocked, Effect},
    gone::{gone, in_words, on_record},
    state::{Order, Outcome, Setback, State},
    step::{approved, dispatch, next_alarm, too_late},
};

const ADMISSION_NOT_IN_FORCE: &str = "AdmissionNotInForce";

/// When to look again whether the admission policies are back. Somebody who is told will hardly be faster.
pub(super) const ADMISSION_PAUSE: SignedDuration = SignedDuration::from_secs(15);

/// What a plan waits for, in words.
pub(super) fn waits_for(judged: &Judged, granted: &[GrantedApproval]) -> String {
    let missing = judged.demand.missing_in_words(granted);
    format!("risk {}: waits for {missing}. {}", judged.risk, judged.preview.summary)
}

pub(super) fn weigh(order: &Order, state: State, tally: Tally, now: Timestamp) -> (State, Vec<Effect>) {
    if let Some(no) = &tally.denied_by {
        let note = no.note.as_ref().map(|note| format!("; {note}")).unwrap_or_default();
        let message = format!("{} said no ({}){note}", no.granted.approved_by, no.granted.name);
        return end(state, Outcome::Denied, "DeniedByApprover", message);
    }
    let Some(judged) = state.judged().cloned() else { return (state, vec![]) };
    if let Some(why) = tally.not_in_force.clone().filter(|_| order.sends()) {
        return nothing_is_proven(order, &state, judged, tally, &why);
    }
    if tally.is_enough(&judged.demand) {
        return enough(order, state, judged, tally, now);
    }
    let alarm = next_alarm(order.not_after, tally.stands_until).map(Effect::WakeAt);
    match state {
        State::Approved { backing: before, .. } => approval_gone(judged, &before, tally, alarm),
        // Gone in the very last moment: whatever is on record, the next look sees it as it is.
        State::Confirmed { .. } => (awaiting(judged, tally.backing, None), vec![Effect::WakeAt(now)]),
        State::AwaitingApproval { setback, .. } => {
            let setback = setback.filter(|setback| setback.reason != ADMISSION_NOT_IN_FORCE);
            let effects = std::iter::once(Effect::WriteStatus).chain(alarm).collect();
            (awaiting(judged, tally.backing, setback), effects)
        }
        state => (state, vec![]),
    }
}

pub(super) fn awaiting(judged: Judged, backing: Backing, setback: Option<Setback>) -> State {
    State::AwaitingApproval { judged, backing, setback }
}

/// What it rested on is not there any more: it waits again, for the same judgement.
fn approval_gone(
    judged: Judged,
    before: &Backing,
    tally: Tally,
    alarm: Option<Effect>,
) -> (State, Vec<Effect>) {
    let gone = gone(before, &tally);
    let message = format!(
        "{}: it waits for {}. {}",
        in_words(&gone),
        judged.demand.missing_in_words(&tally.backing.granted),
        judged.preview.summary
    );
    let mut effects = on_record(&gone, &message);
    effects.extend([Effect::WriteStatus, tell(true, "ApprovalGone", &message)]);
    effects.extend(alarm);
    let setback = Setback { reason: "ApprovalGone".to_owned(), message };
    (awaiting(judged, tally.backing, Some(setback)), effects)
}

/// Nobody knows whose names stand in plans and approvals. Nothing is sent, not even what needs no approval.
fn nothing_is_proven(
    order: &Order,
    state: &State,
    judged: Judged,
    tally: Tally,
    why: &str,
) -> (State, Vec<Effect>) {
    let blocked = not_in_force(why);
    let message = blocked.message.clone();
    let setback = Setback { reason: ADMISSION_NOT_IN_FORCE.to_owned(), message: message.clone() };
    let is_told = match state {
        State::AwaitingApproval { setback: before, .. } => before.as_ref() == Some(&setback),
        state => state.blocked() == Some(&blocked),
    };
    let is_enough = tally.is_enough(&judged.demand);
    let mut effects = match state {
        State::Approved { backing: before, .. } if !is_enough => on_record(&gone(before, &tally), &message),
        _ => vec![],
    };
    effects.push(Effect::WriteStatus);
    if !is_told {
        effects.push(tell(true, ADMISSION_NOT_IN_FORCE, &message));
    }
    effects.extend(order.not_after.map(Effect::WakeAt));
    effects.push(Effect::WakeAfter(ADMISSION_PAUSE));
    let state = if is_enough {
        State::Approved { judged, backing: tally.backing, blocked: Some(blocked) }
    } else {
        awaiting(judged, tally.backing, Some(setback))
    };
    (state, effects)
}

pub(super) fn not_in_force(why: &str) -> Blocked {
    let message = format!(
        "nothing is sent, because the admission policies are not in force which prove who asks and who approves: {why}. Put \
         those of the chart back, or let the operator's owner do without them (--without-admission-policies)"
    );
    Blocked { reason: ADMISSION_NOT_IN_FORCE.to_owned(), message }
}

fn enough(order: &Order, state: State, judged: Judged, tally: Tally, now: Timestamp) -> (State, Vec<Effect>) {
    if let State::Confirmed { draft, .. } = state {
        if order.is_over(now) {
            return too_late(approved(judged, tally.backing));
        }
        if draft.has_grown_old(now) {
            return (approved(judged, tally.backing), vec![Effect::Recheck]);
        }
        let until = next_alarm(order.not_after, tally.stands_until);
        return dispatch(judged, tally.backing, (draft, vec![]), until, now);
    }
    let blocked = state.blocked().filter(|blocked| blocked.reason != ADMISSION_NOT_IN_FORCE).cloned();
    let state = State::Approved { judged, backing: tally.backing, blocked };
    if order.is_early(now) {
        let alarm = next_alarm(order.not_before, tally.stands_until);
        return (state, std::iter::once(Effect::WriteStatus).chain(alarm.map(Effect::WakeAt)).collect());
    }
    let next = if order.reads { Effect::Read } else { Effect::Recheck };
    (state, vec![next])
}
