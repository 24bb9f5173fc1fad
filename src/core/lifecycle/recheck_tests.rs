//! A target that is not what it was when the plan was judged, and approvals that go.

use jiff::SignedDuration;

use super::{
    tests::{
        approved, draft, judged, judged_as_another_guest, judged_on, noon, order, sends, tally, told, waiting,
    },
    *,
};
use crate::{
    api::Phase,
    core::{approval::Proof, audit::AuditEvent, judge::Judged},
};

fn rechecked(before: Judged, now: Judged) -> (State, Vec<Effect>) {
    step(&order(), approved(before), Event::Rechecked { judged: now, draft: Box::new(draft()) }, noon())
}

#[test]
fn a_plan_whose_target_has_moved_waits_for_approvals_of_what_is_there_now() {
    let (before, now) = (judged_on("pve1", 1), judged_on("pve2", 2));
    let (state, effects) = rechecked(before.clone(), now.clone());
    assert!(!sends(&effects));
    assert_eq!(state.judged(), Some(&now));
    assert_eq!(state.granted(), []);
    let (phase, reason, message) = told(&state);
    assert_eq!((phase, reason.as_str()), (Phase::AwaitingApproval, "TargetMoved"));
    for part in
        ["node: pve1 -> pve2", &before.plan_hash.to_string(), &now.plan_hash.to_string(), "2 more approvals"]
    {
        assert!(message.contains(part), "`{part}` is missing in: {message}");
    }
    assert!(matches!(effects[0], Effect::Audit(AuditEvent::Rejudged, _)));
    assert_eq!(effects[1], Effect::WriteStatus);
}

#[test]
fn a_target_that_comes_and_goes_is_not_run_after() {
    let (_, effects) = rechecked(judged_on("pve1", 1), judged_on("pve2", 1));
    assert_eq!(effects.last(), Some(&Effect::WakeAt(noon() + SignedDuration::from_secs(30))));
    let asks = |effect: &Effect| matches!(effect, Effect::GatherApprovals | Effect::Recheck | Effect::Judge);
    assert!(!effects.iter().any(asks), "{effects:?}");
}

#[test]
fn a_plan_that_needs_no_approval_goes_on_as_it_is_judged_now() {
    let now = judged_on("pve2", 0);
    let (state, effects) = rechecked(judged_on("pve1", 0), now.clone());
    assert!(matches!(effects[0], Effect::Audit(AuditEvent::Rejudged, _)));
    assert_eq!((&effects[1], effects.last()), (&Effect::WriteStatus, Some(&Effect::GatherApprovals)));
    let (state, effects) = step(&order(), state, Event::Approvals(tally(0)), noon());
    assert!(sends(&effects));
    assert_eq!(state.judged(), Some(&now));
}

#[test]
fn a_plan_that_needed_no_approval_asks_for_one_that_it_needs_now() {
    let (state, _) = rechecked(judged_on("pve1", 0), judged_on("pve1", 1));
    assert_eq!(state.phase(), Phase::AwaitingApproval);
}

#[test]
fn a_status_that_asks_for_fewer_people_or_less_risk_under_the_right_hash_is_not_believed() {
    let now = judged(2);
    let fewer = Judged { demand: judged(0).demand, ..now.clone() };
    let milder = Judged { risk: crate::api::Risk::Low, ..now.clone() };
    for (forged, difference) in [(fewer, "approvals: 0 -> 2"), (milder, "risk: low -> critical")] {
        let (state, effects) = rechecked(forged, now.clone());
        assert_eq!((state.phase(), state.judged()), (Phase::AwaitingApproval, Some(&now)));
        assert!(told(&state).2.contains(difference), "{}", told(&state).2);
        assert_eq!(effects[1], Effect::WriteStatus, "what is on record is put right");
    }
}

#[test]
fn another_guest_under_the_same_number_is_never_offered_for_approval() {
    for required in [0, 1] {
        let (State::Ended(ended), _) = rechecked(judged_on("pve1", required), judged_as_another_guest())
        else {
            panic!("it goes on")
        };
        assert_eq!((ended.outcome, ended.reason.as_str()), (Outcome::Cancelled, "TargetReplaced"));
        assert!(ended.message.contains("smbiosUuid: absent -> another"), "{}", ended.message);
    }
}

#[test]
fn why_a_plan_waits_again_stays_while_the_first_of_its_approvals_come() {
    let (state, _) = rechecked(judged_on("pve1", 1), judged_on("pve2", 2));
    let before = told(&state);
    let again = read(Some(&report(&state, None, Some(1), Some(&Proof::ApiServer), noon()))).unwrap();
    let (state, _) = step(&order(), again, Event::Approvals(tally(1)), noon());
    assert_eq!(told(&state), before);
    assert_eq!(state.granted().len(), 1);
}

#[test]
fn a_plan_that_is_approved_too_early_waits_and_asks_again_when_its_approval_is_gone() {
    let order = Order { not_before: Some(noon() + SignedDuration::from_hours(1)), ..order() };
    let (state, effects) = step(&order, waiting(), Event::Approvals(tally(1)), noon());
    assert_eq!(state.phase(), Phase::Approved);
    assert_eq!(effects, [Effect::WriteStatus, Effect::WakeAt(noon() + SignedDuration::from_hours(1))]);
    let (state, effects) = step(&order, state, Event::Approvals(tally(0)), noon());
    let (phase, reason, message) = told(&state);
    assert_eq!((phase, reason.as_str()), (Phase::AwaitingApproval, "ApprovalGone"));
    assert!(message.contains("waits for 1 more approval"), "{message}");
    assert_eq!(state.judged(), Some(&judged(1)), "its judgement still stands");
    assert!(matches!(effects[0], Effect::AuditGone(..)));
    let (state, _) = step(&order, state, Event::Approvals(tally(1)), noon());
    assert_eq!(state.phase(), Phase::Approved);
}

#[test]
fn a_place_is_needed_for_exactly_what_goes_on_at_once() {
    let before = judged_on("pve1", 1);
    let after = [
        before.clone(),
        judged_on("pve2", 1),
        judged_on("pve2", 0),
        judged_as_another_guest(),
        Judged { demand: crate::core::demand::Demand::default(), ..judged_as_another_guest() },
    ];
    for now in after {
        let (state, _) = rechecked(before.clone(), now.clone());
        assert_eq!(matches!(state, State::Confirmed { .. }), goes_on_at_once(&before, &now), "{now:?}");
    }
}
