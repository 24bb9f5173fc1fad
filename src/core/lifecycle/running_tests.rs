//! Tasks and their ends.

use jiff::{SignedDuration, Timestamp};

use super::{
    tests::{noon, order, sent, told, upid},
    *,
};
use crate::{
    api::Phase,
    core::{
        approval::Proof,
        task::{Sent, TaskState},
    },
};

#[test]
fn a_long_task_holds_its_plan_and_a_short_one_does_not() {
    let (state, _) = sent(&order());
    let (state, _) = step(&order(), state, Event::Sent(Sent::Task(upid())), noon());
    let look = |after| {
        let later = noon() + SignedDuration::from_secs(after);
        step(&order(), state.clone(), Event::Task(TaskState::Running), later).1
    };
    assert!(!look(4).contains(&Effect::Hold));
    assert!(look(5).contains(&Effect::Hold));
}

#[test]
fn how_a_task_ended_decides_how_the_plan_ends() {
    for (exit_status, phase) in [
        ("OK", Phase::Succeeded),
        ("WARNINGS: 1", Phase::Succeeded),
        ("VM is locked (backup)", Phase::Failed),
        ("unexpected status", Phase::Indeterminate),
    ] {
        let (state, _) = sent(&order());
        let (state, _) = step(&order(), state, Event::Sent(Sent::Task(upid())), noon());
        let stopped = TaskState::Stopped { exit_status: exit_status.into() };
        let (state, _) = step(&order(), state, Event::Task(stopped), noon());
        assert_eq!(state.phase(), phase, "{exit_status}");
    }
}

fn running() -> State {
    let (state, _) = sent(&order());
    step(&order(), state, Event::Sent(Sent::Task(upid())), noon()).0
}

/// Its task still runs after so many minutes.
fn still_runs(state: State, minutes: i64) -> (State, Vec<Effect>) {
    let later = noon() + SignedDuration::from_mins(minutes);
    step(&order(), state, Event::Task(TaskState::Running), later)
}

/// The reasons that people are told.
fn tellings(effects: &[Effect]) -> Vec<&str> {
    let telling = |effect| match effect {
        &Effect::Tell(Telling { ref reason, .. }) => Some(reason.as_str()),
        _ => None,
    };
    effects.iter().filter_map(telling).collect()
}

#[test]
fn a_task_that_never_ends_is_told_of_once_and_watched_for_ever_once_a_minute() {
    let (mut state, effects) = still_runs(running(), 59);
    assert_eq!((tellings(&effects), told(&state).1.as_str()), (vec![], "Running"));
    let mut all_told = vec![];
    for minutes in [61, 62, 600, 60 * 24 * 365] {
        let (next, effects) = still_runs(state, minutes);
        let again = noon() + SignedDuration::from_mins(minutes + 1);
        assert!(effects.contains(&Effect::WakeAt(again)), "{minutes}: {effects:?}");
        all_told.extend(tellings(&effects).into_iter().map(ToOwned::to_owned));
        // Whoever begins anew reads it from the status.
        let status = report(&next, None, Some(1), Some(&Proof::ApiServer), noon());
        assert_eq!((status.phase, status.reason.as_str()), (Phase::Running, "TaskTakesLong"));
        assert!(status.message.contains(upid().as_str()), "{}", status.message);
        assert!(!status.message.contains("  "), "{}", status.message);
        assert!(is_under_way(&status));
        let stalled = status.conditions.iter().find(|condition| condition.type_ == "Stalled").unwrap();
        assert_eq!(stalled.status, "False");
        state = read(Some(&status)).unwrap();
        assert_eq!(state, next);
    }
    assert_eq!(all_told, ["TaskTakesLong"]);
    let stopped = TaskState::Stopped { exit_status: "OK".into() };
    let (state, _) = step(&order(), state, Event::Task(stopped), Timestamp::MAX);
    assert_eq!(told(&state).1, "TaskOk");
}
