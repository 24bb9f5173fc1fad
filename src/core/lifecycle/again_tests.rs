//! Another attempt, by a decision of people or because the one before did nothing.

use jiff::SignedDuration;

use super::{
    tests::{backing, draft, ended, judged, judged_on, no, noon, order, sends, sent, tally, told, upid},
    *,
};
use crate::{
    api::{Phase, PlanStatus},
    core::{
        approval::{Proof, Tally},
        audit::AuditEvent,
        judge::{Denial, Judged},
        task::{Sent, TaskState},
        traces::Traces,
    },
};

/// As the next look reads it.
fn restarted(state: &State) -> State {
    read(Some(&written(state))).unwrap()
}

fn written(state: &State) -> PlanStatus {
    report(state, None, Some(1), Some(&Proof::ApiServer), noon())
}

fn traced(state: State, traces: Traces) -> (State, Vec<Effect>) {
    step(&order(), state, Event::Traces(traces), noon())
}

/// Attempt 1 was sent on one approval, and nothing tells what became of it.
fn unknown() -> State {
    restarted(&traced(sent(&order()).0, Traces::Unclear("nothing tells".into())).0)
}

fn not_done() -> (State, Vec<Effect>) {
    traced(sent(&order()).0, Traces::NotDone("it is not there".into()))
}

fn played(order: &Order, state: State, events: Vec<Event>) -> (State, Vec<Effect>) {
    events.into_iter().fold((state, vec![]), |(state, _), event| step(order, state, event, noon()))
}

fn rechecked(judged: Judged) -> Event {
    Event::Rechecked { judged, draft: Box::new(draft()) }
}

/// What leads to another attempt, if nothing stands in the way.
fn the_whole_way() -> Vec<Event> {
    vec![Event::Approvals(tally(1)), rechecked(judged(1)), Event::Approvals(tally(1))]
}

fn attempt(state: &State) -> i64 {
    state.intent().unwrap().attempt
}

#[test]
fn an_unknown_outcome_asks_for_a_decision_about_its_attempt_and_keeps_who_approved_it() {
    let state = unknown();
    let status = written(&state);
    let doubt = status.doubt.unwrap();
    assert_eq!((status.phase, status.reason.as_str()), (Phase::Indeterminate, "NoTaskFound"));
    assert_eq!((doubt.reason.as_str(), doubt.approvals.len()), ("NoTaskFound", 1));
    let approvals = status.approvals.unwrap();
    assert_eq!((approvals.progress.as_str(), approvals.granted.len()), ("0/1", 0));
    assert_eq!(state.question().map(|question| question.attempt), Some(1));
    assert_eq!(step(&order(), state, Event::Woken, noon()).1, [Effect::Release, Effect::GatherApprovals]);
}

#[test]
fn what_needed_no_approval_needs_one_to_be_sent_again() {
    let draft = draft();
    let confirmed = State::Confirmed { judged: judged(0), backing: backing(0), draft, before: None };
    let (state, _) = step(&order(), confirmed, Event::Approvals(tally(0)), noon());
    let state = restarted(&traced(state, Traces::Unclear("nothing tells".into())).0);
    let (state, effects) = step(&order(), state, Event::Approvals(tally(0)), noon());
    assert_eq!((state.phase(), effects), (Phase::Indeterminate, vec![Effect::WriteStatus]));
    let way = vec![Event::Approvals(tally(1)), rechecked(judged(0)), Event::Approvals(tally(1))];
    let (state, effects) = played(&order(), state, way);
    assert!(sends(&effects));
    assert_eq!(attempt(&state), 2);
}

#[test]
fn a_decision_leads_to_another_attempt_by_the_same_way_as_the_first() {
    let (state, effects) = played(&order(), unknown(), the_whole_way());
    assert!(
        matches!(&effects[0], Effect::Audit(AuditEvent::Intent, text) if text.contains("as attempt 2, after attempt 1"))
    );
    assert_eq!(effects[1], Effect::WriteStatus);
    assert!(matches!(effects[2], Effect::Send { .. }));
    let status = written(&state);
    assert_eq!((status.phase, status.attempts, status.doubt), (Phase::Dispatching, 2, None));
    let earlier = &status.earlier[0];
    assert_eq!((earlier.intent.attempt, earlier.reason.as_str()), (1, "NoTaskFound"));
    assert_eq!(earlier.approvals.len(), 1);
    assert_eq!(restarted(&state), state);
}

#[test]
fn another_attempt_is_judged_anew_too_when_its_judgement_has_grown_old() {
    for before in [unknown(), not_done().0] {
        let draft = IntentDraft { judged_at: noon() - SignedDuration::from_secs(6), ..draft() };
        let old = Event::Rechecked { judged: judged(1), draft: Box::new(draft) };
        let way = vec![Event::Approvals(tally(1)), old, Event::Approvals(tally(1))];
        let (state, effects) = played(&order(), before, way);
        assert_eq!(effects, [Effect::Recheck]);
        assert!(sends(&played(&order(), state, the_whole_way()).1));
    }
}

#[test]
fn the_task_of_an_attempt_before_stays_on_record_and_is_not_the_next_ones() {
    let (state, _) = step(&order(), sent(&order()).0, Event::Sent(Sent::Task(upid())), noon());
    let (state, _) = step(&order(), state, Event::Task(TaskState::Vanished), noon());
    let (state, _) = played(&order(), restarted(&state), the_whole_way());
    let status = written(&state);
    assert_eq!((status.upid, status.earlier[0].upid.clone()), (None, Some(upid().to_string())));
}

#[test]
fn what_has_moved_meanwhile_is_not_sent_again_and_says_so() {
    let moved = vec![Event::Approvals(tally(1)), rechecked(judged_on("pve2", 1))];
    let gone = vec![
        Event::Approvals(tally(1)),
        Event::Denied(Denial { reason: "TargetNotFound", message: "it is gone".into() }),
    ];
    for (way, why) in [(moved, "node: absent -> pve2"), (gone, "it is gone")] {
        let (state, effects) = played(&order(), unknown(), way);
        assert!(!sends(&effects));
        let (phase, reason, message) = told(&state);
        assert_eq!((phase, reason.as_str()), (Phase::Indeterminate, "NotSentAgain"));
        assert!(message.contains(why) && message.contains("Make a new plan"), "{message}");
        assert_eq!(written(&state).plan_hash, written(&unknown()).plan_hash);
        assert_eq!(written(&state).doubt.unwrap().reason, "NoTaskFound", "what is known stays");
    }
}

#[test]
fn a_decision_after_not_after_comes_too_late() {
    let order = Order { not_after: Some(noon()), ..order() };
    let (state, effects) = played(&order, unknown(), vec![Event::Approvals(tally(1))]);
    assert!(!effects.contains(&Effect::Recheck));
    assert!(told(&state).2.contains("notAfter has passed"));
    assert_eq!(effects[0], Effect::Audit(AuditEvent::Denied, told(&state).2));
}

#[test]
fn a_no_leaves_it_as_it_is_and_nobody_is_asked_until_it_is_taken_back() {
    let denied = Tally { denied_by: Some(no()), ..tally(5) };
    let (state, effects) = step(&order(), unknown(), Event::Approvals(denied.clone()), noon());
    assert!(!sends(&effects));
    let (phase, reason, message) = told(&state);
    assert_eq!((phase, reason.as_str()), (Phase::Indeterminate, "LeftAsItIs"));
    assert!(message.contains("person-0 decided"), "{message}");
    assert_eq!(effects[..2], [Effect::Audit(AuditEvent::Denied, message), Effect::WriteStatus]);
    let state = restarted(&state);
    let (state, effects) = step(&order(), state, Event::Approvals(denied), noon());
    assert!(
        !effects.iter().any(|effect| matches!(effect, Effect::Tell(_) | Effect::Audit(..))),
        "told again: {effects:?}"
    );
    let (state, effects) = step(&order(), restarted(&state), Event::Approvals(tally(0)), noon());
    assert_eq!(told(&state), told(&unknown()));
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Audit(..))), "{effects:?}");
}

#[test]
fn an_obstacle_is_told_once_and_does_not_take_the_question_away() {
    let frozen = || Event::Blocked(Blocked { reason: "Frozen".into(), message: "a freeze".into() });
    let (state, effects) = played(&order(), unknown(), vec![Event::Approvals(tally(1)), frozen()]);
    assert_eq!(told(&state).1, "Frozen");
    assert_eq!(effects.len(), 2);
    let (state, effects) = step(&order(), restarted(&state), frozen(), noon());
    assert_eq!(effects, [Effect::WriteStatus]);
    assert!(sends(&played(&order(), restarted(&state), the_whole_way()).1));
}

#[test]
fn an_approval_that_goes_in_the_last_moment_leaves_the_outcome_unknown() {
    let way = vec![Event::Approvals(tally(1)), rechecked(judged(1)), Event::Approvals(tally(0))];
    let (state, effects) = played(&order(), unknown(), way);
    assert!(!sends(&effects));
    assert_eq!((state.phase(), attempt(&state)), (Phase::Indeterminate, 1));
}

#[test]
fn no_plan_makes_more_than_eight_attempts() {
    let mut state = unknown();
    for made in 2..=8 {
        let (next, _) = played(&order(), state, the_whole_way());
        assert_eq!(attempt(&next), made);
        state = restarted(&traced(next, Traces::Unclear("nothing tells".into())).0);
    }
    let (state, effects) = played(&order(), state, vec![Event::Approvals(tally(1))]);
    assert!(!effects.contains(&Effect::Recheck));
    assert_eq!(told(&state).1, "NotSentAgain");
}

#[test]
fn a_call_that_certainly_did_nothing_is_sent_again_on_the_approvals_that_it_had() {
    let (state, effects) = not_done();
    assert_eq!((state.phase(), effects), (Phase::Dispatching, vec![Effect::GatherApprovals]));
    assert_eq!(state.question(), None, "nobody has to name an attempt");
    let (state, effects) = played(&order(), state, the_whole_way());
    assert!(sends(&effects));
    let status = written(&state);
    assert_eq!((status.attempts, status.earlier[0].reason.as_str()), (2, "NotDone"));
}

#[test]
fn what_is_no_longer_wanted_as_it_was_approved_is_not_sent_again() {
    let late = Order { not_after: Some(noon()), ..order() };
    let denied = Tally { denied_by: Some(no()), ..tally(1) };
    for (order, way, why) in [
        (order(), vec![Event::Approvals(tally(0))], "1 more approval"),
        (order(), vec![Event::Approvals(denied)], "person-0 said no"),
        (late, vec![Event::Approvals(tally(1))], "notAfter has passed"),
        (
            order(),
            vec![Event::Approvals(tally(1)), rechecked(judged_on("pve2", 1))],
            "no longer what was approved",
        ),
        (order(), vec![rechecked(judged(1)), Event::Approvals(tally(0))], "1 more approval"),
        (order(), vec![Event::Deleted], "being deleted"),
    ] {
        let (state, effects) = played(&order, not_done().0, way);
        assert!(!sends(&effects));
        let (outcome, reason, message) = ended(state);
        assert_eq!((outcome, reason.as_str()), (Outcome::Failed, "NotCarriedOut"));
        assert!(message.contains("it was never carried out") && message.contains(why), "{message}");
    }
}

#[test]
fn what_stands_in_the_way_of_sending_again_is_waited_for_and_all_is_found_out_anew() {
    let down = Event::Blocked(Blocked { reason: "ProxmoxUnavailable".into(), message: "down".into() });
    let (state, _) = played(&order(), not_done().0, vec![Event::Approvals(tally(1)), down]);
    assert_eq!(told(&state).1, "ProxmoxUnavailable");
    let (state, effects) = played(&order(), restarted(&state), the_whole_way());
    assert!(!sends(&effects), "it was not known any more that nothing was done");
    assert_eq!(attempt(&state), 1);
}

#[test]
fn after_three_attempts_in_vain_people_are_asked() {
    let (mut state, _) = sent(&order());
    for made in 2..=3 {
        (state, _) = traced(state, Traces::NotDone("it is not there".into()));
        (state, _) = played(&order(), state, the_whole_way());
        assert_eq!(attempt(&state), made);
    }
    let (state, _) = traced(state, Traces::NotDone("it is not there".into()));
    let (phase, reason, message) = told(&state);
    assert_eq!((phase, reason.as_str()), (Phase::Indeterminate, "NoTaskFound"));
    assert!(message.contains("3 attempts in a row"), "{message}");
}

#[test]
fn an_attempt_that_did_nothing_after_a_decision_rests_on_that_decision() {
    let (state, _) = played(&order(), unknown(), the_whole_way());
    let (state, _) = traced(state, Traces::NotDone("it is not there".into()));
    assert_eq!(state.question().map(|question| question.attempt), Some(1));
    let (state, effects) = played(&order(), state, the_whole_way());
    assert!(sends(&effects));
    assert_eq!(attempt(&state), 3);
}

fn listed(node_time: i64, now: i64) -> (State, Vec<Effect>) {
    let at = |seconds| noon() + SignedDuration::from_secs(seconds);
    let found = Event::TasksFound { found: vec![], rivals: Rivals::default(), node_time: at(node_time) };
    step(&order(), sent(&order()).0, found, at(now))
}

#[test]
fn a_node_whose_clock_lags_is_asked_ever_less_often() {
    let pause = |node_time, now| match listed(node_time, now).1.as_slice() {
        [Effect::WakeAt(moment)] => moment.duration_since(noon() + SignedDuration::from_secs(now)),
        other => panic!("{other:?}"),
    };
    assert_eq!(pause(34, 35), SignedDuration::from_secs(1), "what is missing, if that is little");
    assert_eq!(pause(34, 51), SignedDuration::from_secs(4), "a clock that stands still");
    assert_eq!(pause(-3600, 300), SignedDuration::from_secs(10));
}

#[test]
fn a_node_whose_clock_was_put_back_is_not_waited_for() {
    let (state, _) = listed(-3600, 35 + 601);
    let (phase, reason, message) = told(&state);
    assert_eq!((phase, reason.as_str()), (Phase::Indeterminate, "ClockWentBack"));
    assert!(message.contains("the clock of node pve1 was put back"), "{message}");
}

#[test]
fn a_process_whose_own_clock_was_put_back_asks_the_node() {
    let before = noon() - SignedDuration::from_hours(1);
    assert_eq!(step(&order(), sent(&order()).0, Event::Woken, before).1, [Effect::SearchTasks]);
}
