//! Answers that name no task.

use super::{
    tests::{UPID, backing, draft, ended, judged, noon, order, sent, tally, tasks_found, upid},
    *,
};
use crate::{
    api::Phase,
    core::{
        approval::Proof,
        task::{Sent, Upid},
        traces::Traces,
    },
};

fn answered(answer: Sent) -> (State, Vec<Effect>) {
    let (state, _) = sent(&order());
    step(&order(), state, Event::Sent(answer), noon())
}

fn found(state: State, found: Vec<Upid>) -> State {
    step(&order(), state, tasks_found(found, Rivals::default()), noon()).0
}

#[test]
fn what_is_done_without_naming_a_task_is_looked_up_in_the_task_list_once_and_at_once() {
    let (state, effects) = answered(Sent::Done);
    let asked = |effects: &[Effect]| effects.iter().filter(|effect| **effect == Effect::SearchTasks).count();
    assert_eq!(asked(&effects), 1);
    assert_eq!(found(state.clone(), vec![upid()]).upid(), Some(&upid()));
    let (outcome, reason, message) = ended(found(state.clone(), vec![]));
    assert_eq!((outcome, reason.as_str()), (Outcome::Succeeded, "Done"));
    assert!(message.contains("task list shows no task"), "{message}");
    let two = vec![upid(), UPID.replace("00001619", "00001620").parse().unwrap()];
    assert_eq!(ended(found(state, two)).1, "SeveralTasksFound");
}

#[test]
fn an_answer_that_it_is_done_is_remembered_whatever_comes_in_between() {
    let (state, _) = answered(Sent::Done);
    let blocked = Event::Blocked(Blocked { reason: "ProxmoxUnavailable".into(), message: "down".into() });
    let (state, effects) = step(&order(), state, blocked, noon());
    assert_eq!(effects, []);
    let status = report(&state, None, Some(1), Some(&Proof::ApiServer), noon());
    assert_eq!((status.phase, status.reason.as_str()), (Phase::Dispatching, "AnsweredDone"));
    let again = read(Some(&status)).unwrap();
    assert_eq!(again, state);
    let (state, effects) = step(&order(), again, Event::Woken, noon());
    assert_eq!(effects, [Effect::SearchTasks]);
    assert_eq!(ended(found(state, vec![])).1, "Done");
}

#[test]
fn what_can_not_have_a_task_is_done_when_it_is_answered() {
    let mut draft = draft();
    draft.task_types = vec![];
    let confirmed = State::Confirmed { judged: judged(1), backing: backing(1), draft, before: None };
    let (state, _) = step(&order(), confirmed, Event::Approvals(tally(1)), noon());
    let (state, _) = step(&order(), state, Event::Sent(Sent::Done), noon());
    assert_eq!(ended(state).1, "Done");
}

#[test]
fn where_there_was_nothing_to_do_nothing_was_done() {
    let (outcome, reason, message) = ended(answered(Sent::Nothing).0);
    assert_eq!((outcome, reason.as_str()), (Outcome::Failed, "NothingDone"));
    assert!(message.contains("on which node the target is now"), "{message}");
}

#[test]
fn after_an_error_from_half_way_the_target_tells_how_it_ended() {
    let (state, effects) = answered(Sent::HalfWay { status: 500, message: "no".into() });
    assert!(effects.ends_with(&[Effect::SearchTasks]), "{effects:?}");
    let status = report(&state, None, Some(1), Some(&Proof::ApiServer), noon());
    assert_eq!((status.phase, status.reason.as_str()), (Phase::Dispatching, "AnsweredError"));
    assert_eq!(read(Some(&status)).unwrap(), state);
    let (state, effects) = step(&order(), state, tasks_found(vec![], Rivals::default()), noon());
    assert_eq!(effects, [Effect::LookForTraces]);
    for (traces, outcome, reason) in [
        (Traces::Done("it is there".into()), Outcome::Succeeded, "FoundDone"),
        (Traces::NotDone("it is not there".into()), Outcome::Failed, "FailedInProxmox"),
        (Traces::Unclear("nothing tells".into()), Outcome::Indeterminate, "NoTaskFound"),
    ] {
        let (state, _) = step(&order(), state.clone(), Event::Traces(traces), noon());
        let (ended_as, why, message) = ended(state);
        assert_eq!((ended_as, why.as_str()), (outcome, reason));
        assert!(message.contains("stopped with an error (500): no"), "{message}");
    }
}
