//! A plan that was handed to the HA manager.

use jiff::SignedDuration;

use super::{
    tests::{UPID, ended, noon, order, sent, told},
    *,
};
use crate::{
    api::Phase,
    core::{
        approval::Proof,
        ha::{HaGoal, HaGuest},
        task::{Sent, TaskState},
    },
};

fn start_by_ha() -> Order {
    let spec = serde_json::json!({"environment": "e", "action": "start_guest", "target": "qemu/100", "requestedBy": "r"});
    Order { ha_goal: HaGoal::of(&serde_json::from_value(spec).unwrap()), ..order() }
}

/// A plan whose task has handed its start over at noon.
fn with_ha() -> (State, Vec<Effect>) {
    let (state, _) = sent(&start_by_ha());
    let task = UPID.replace("qmstart", "hastart").parse().unwrap();
    let (state, _) = step(&start_by_ha(), state, Event::Sent(Sent::Task(task)), noon());
    step(&start_by_ha(), state, Event::Task(TaskState::Stopped { exit_status: "OK".into() }), noon())
}

fn guest(status: &str, state: Option<&str>) -> Option<HaGuest> {
    Some(HaGuest {
        node: "pve1".into(),
        status: status.into(),
        state: state.map(str::to_owned),
        told: "vm:100 (pve1, as it is)".into(),
    })
}

fn seen_after(state: State, seconds: i64, guest: Option<HaGuest>) -> (State, Vec<Effect>) {
    step(&start_by_ha(), state, Event::HaSeen(guest), noon() + SignedDuration::from_secs(seconds))
}

#[test]
fn a_request_that_was_handed_to_ha_is_not_done_yet() {
    let (state, effects) = with_ha();
    let (phase, reason, _) = told(&state);
    assert_eq!((phase, reason.as_str()), (Phase::Running, "HaWorking"));
    assert!(effects.contains(&Effect::LookAtHa) && effects.contains(&Effect::WriteStatus));
    let again = read(Some(&report(&state, None, Some(1), Some(&Proof::ApiServer), noon()))).unwrap();
    assert_eq!(again, state);
    assert_eq!(step(&start_by_ha(), again, Event::Woken, noon()).1, [Effect::LookAtHa]);
}

#[test]
fn a_guest_that_ha_works_on_is_watched_without_a_write_until_it_is_there() {
    let (mut state, mut effects) = with_ha();
    for seconds in [0, 3, 10, 60, 600] {
        (state, effects) = seen_after(state, seconds, guest("stopped", Some("started")));
        assert!(!effects.contains(&Effect::WriteStatus), "{effects:?}");
        let Some(Effect::WakeAt(next)) = effects.last() else { panic!("{effects:?}") };
        let pause = next.duration_since(noon()).as_secs() - seconds;
        assert!((1..=10).contains(&pause), "{pause}");
    }
    assert!(effects.contains(&Effect::Hold), "it may be deleted meanwhile");
    let (state, _) = seen_after(state, 601, guest("running", Some("started")));
    let State::Ended(ended) = state else { panic!("it goes on") };
    assert_eq!((ended.outcome, ended.reason.as_str()), (Outcome::Succeeded, "HaDone"));
    assert_eq!(ended.task.unwrap().exit_status, "OK");
}

#[test]
fn what_ha_gives_up_has_failed_in_its_words() {
    let given_up = guest("stopped", Some("error"));
    let (outcome, reason, message) = ended(seen_after(with_ha().0, 5, given_up).0);
    assert_eq!((outcome, reason.as_str()), (Outcome::Failed, "HaError"));
    assert!(message.contains("vm:100 (pve1, as it is)"), "{message}");
}

#[test]
fn nobody_waits_for_ha_for_ever() {
    let working = || guest("stopped", Some("started"));
    let (state, _) = seen_after(with_ha().0, 15 * 60 - 1, working());
    assert_eq!(state.phase(), Phase::Running);
    let (outcome, reason, message) = ended(seen_after(state, 15 * 60, working()).0);
    assert_eq!((outcome, reason.as_str()), (Outcome::Indeterminate, "HaUnfinished"));
    assert!(message.contains("stopped on pve1") && message.contains("15 minutes"), "{message}");
}

#[test]
fn what_keeps_ha_from_being_watched_is_told_and_taken_back() {
    let blocked = Blocked { reason: "ProxmoxUnavailable".into(), message: "down".into() };
    let (state, effects) = step(&start_by_ha(), with_ha().0, Event::Blocked(blocked), noon());
    assert_eq!((told(&state).1.as_str(), &effects[0]), ("ProxmoxUnavailable", &Effect::WriteStatus));
    let again = read(Some(&report(&state, None, Some(1), Some(&Proof::ApiServer), noon()))).unwrap();
    let (state, effects) = seen_after(again, 2, guest("stopped", Some("started")));
    assert_eq!((told(&state).1.as_str(), &effects[0]), ("HaWorking", &Effect::WriteStatus));
}

#[test]
fn a_request_that_ha_did_not_even_take_has_failed_with_its_task() {
    let (state, _) = sent(&start_by_ha());
    let task = UPID.replace("qmstart", "hastart").parse().unwrap();
    let (state, _) = step(&start_by_ha(), state, Event::Sent(Sent::Task(task)), noon());
    let stopped = TaskState::Stopped { exit_status: "no quorum".into() };
    assert_eq!(ended(step(&start_by_ha(), state, Event::Task(stopped), noon()).0).1, "TaskFailed");
}
