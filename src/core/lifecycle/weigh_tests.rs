//! Quorums of groups, approvals that end one by one, and admission policies that come and go.

use jiff::SignedDuration;

use super::{
    tests::{approved, backing, draft, judged, no, noon, order, sends, tally, told, waiting},
    *,
};
use crate::{
    api::{GrantedApproval, Phase},
    core::{
        approval::{Backing, Proof, Refusal, Tally},
        demand::Demand,
        judge::{Denial, Judged},
    },
};

fn of_two_groups() -> Judged {
    Judged { demand: Demand::of(3).and_of("ops", 1).and_of("storage", 1), ..judged(0) }
}

fn by(people: &[(&str, &[&str])]) -> Tally {
    let granted = people.iter().map(|(by, groups)| GrantedApproval {
        name: format!("of-{by}"),
        uid: format!("uid-{by}"),
        approved_by: (*by).to_owned(),
        groups: groups.iter().map(|group| (*group).to_owned()).collect(),
    });
    Tally { backing: Backing { granted: granted.collect(), refused: vec![] }, ..Tally::default() }
}

fn not_in_force(tally: Tally) -> Event {
    Event::Approvals(Tally { not_in_force: Some("binding approvals is missing".into()), ..tally })
}

fn confirmed(judged: Judged) -> State {
    State::Confirmed { judged, backing: backing(1), draft: draft(), before: None }
}

/// What is on record, read back.
fn restarted(state: &State) -> State {
    read(Some(&report(state, None, Some(1), Some(&Proof::ApiServer), noon()))).unwrap()
}

#[test]
fn a_plan_says_which_groups_it_still_waits_for() {
    let (state, _) = step(&order(), State::Pending { blocked: None }, Event::Judged(of_two_groups()), noon());
    assert!(told(&state).2.contains("waits for 1 of group storage, 1 of group ops, 1 more approval."));
    let (state, effects) =
        step(&order(), state, Event::Approvals(by(&[("ann", &["ops"]), ("bob", &["ops"])])), noon());
    assert!(!sends(&effects));
    assert!(told(&state).2.contains("waits for 1 of group storage."), "{}", told(&state).2);
    let status = report(&state, None, Some(1), Some(&Proof::ApiServer), noon()).approvals.unwrap();
    assert_eq!((status.progress.as_str(), status.missing), ("2/3", vec!["1 of group storage".to_owned()]));
    assert_eq!(status.groups.len(), 2);
    assert_eq!(restarted(&state), state);
    let all = by(&[("ann", &["ops"]), ("bob", &["ops"]), ("cat", &["storage"])]);
    let (_, effects) = step(&order(), state, Event::Approvals(all), noon());
    assert_eq!(effects, [Effect::Recheck]);
}

#[test]
fn a_quorum_of_groups_that_loses_its_one_of_a_group_in_the_last_moment_is_none() {
    let left = by(&[("ann", &["ops"]), ("bob", &["ops"]), ("dan", &[])]);
    let (state, effects) = step(&order(), confirmed(of_two_groups()), Event::Approvals(left), noon());
    assert!(!sends(&effects));
    assert_eq!(state.phase(), Phase::AwaitingApproval);
}

#[test]
fn the_first_of_two_approvals_that_ends_takes_the_plan_back_and_is_waited_for() {
    let soon = noon() + SignedDuration::from_secs(60);
    let order = Order { not_before: Some(noon() + SignedDuration::from_hours(1)), ..order() };
    let both = Tally { stands_until: Some(soon), ..tally(2) };
    let state = State::AwaitingApproval { judged: judged(2), backing: Backing::default(), setback: None };
    let (state, effects) = step(&order, state, Event::Approvals(both), noon());
    assert_eq!(effects, [Effect::WriteStatus, Effect::WakeAt(soon)]);
    let (state, effects) = step(&order, restarted(&state), Event::Approvals(tally(1)), soon);
    let (phase, reason, message) = told(&state);
    assert_eq!((phase, reason.as_str()), (Phase::AwaitingApproval, "ApprovalGone"));
    assert!(message.contains("waits for 1 more approval."), "{message}");
    assert!(matches!(effects[0], Effect::AuditGone(..)));
}

#[test]
fn a_call_leaves_no_later_than_the_first_approval_ends_that_it_rests_on() {
    let soon = noon() + SignedDuration::from_secs(2);
    let both = Tally { stands_until: Some(soon), ..tally(2) };
    let (_, effects) = step(&order(), confirmed(judged(2)), Event::Approvals(both), noon());
    assert_eq!(effects.last(), Some(&Effect::Send { until: soon }));
}

#[test]
fn nothing_is_sent_while_the_admission_policies_are_not_in_force_whether_anybody_has_to_approve_or_not() {
    for (state, last, phase) in [
        (waiting(), tally(0), Phase::AwaitingApproval),
        (approved(judged(1)), tally(0), Phase::AwaitingApproval),
        (confirmed(judged(1)), tally(0), Phase::AwaitingApproval),
        (approved(judged(0)), tally(0), Phase::Approved),
        (confirmed(judged(0)), tally(0), Phase::Approved),
        (confirmed(judged(1)), tally(1), Phase::Approved),
    ] {
        let (state, effects) = step(&order(), state, not_in_force(last.clone()), noon());
        assert!(!sends(&effects) && !effects.contains(&Effect::Recheck), "{effects:?}");
        let (now, reason, message) = told(&state);
        assert_eq!((now, reason.as_str()), (phase, "AdmissionNotInForce"));
        for part in ["binding approvals is missing", "--without-admission-policies"] {
            assert!(message.contains(part), "{message}");
        }
        assert!(effects.contains(&Effect::WriteStatus));
        assert_eq!(effects.last(), Some(&Effect::WakeAfter(SignedDuration::from_secs(15))));
        let (again, effects) = step(&order(), restarted(&state), not_in_force(last), noon());
        assert_eq!(again, state);
        assert!(
            !effects.iter().any(|effect| matches!(effect, Effect::Tell(_) | Effect::Audit(..))),
            "told twice"
        );
    }
}

#[test]
fn an_approved_plan_that_loses_its_approvals_with_the_policies_has_it_on_record() {
    let (_, effects) = step(&order(), approved(judged(1)), not_in_force(tally(0)), noon());
    assert!(matches!(effects[0], Effect::AuditGone(..)));
    let (_, effects) = step(&order(), approved(judged(0)), not_in_force(tally(0)), noon());
    assert_eq!(effects[0], Effect::WriteStatus);
}

#[test]
fn a_plan_goes_on_when_the_admission_policies_are_back() {
    let order = Order { not_before: Some(noon() + SignedDuration::from_hours(1)), ..order() };
    let (state, _) = step(&order, waiting(), not_in_force(tally(0)), noon());
    let (state, _) = step(&order, restarted(&state), Event::Approvals(tally(0)), noon());
    assert_eq!(told(&state).1, "AwaitingApproval");
    let (state, _) = step(&order, approved(judged(0)), not_in_force(tally(0)), noon());
    let (state, _) = step(&order, restarted(&state), Event::Approvals(tally(0)), noon());
    assert_eq!(told(&state).1, "NotBefore");
}

#[test]
fn who_only_reads_is_not_kept_from_it_by_missing_policies_and_a_no_is_heard_without_them() {
    let reads = Order { reads: true, ..order() };
    let (_, effects) = step(&reads, approved(judged(0)), not_in_force(tally(0)), noon());
    assert_eq!(effects, [Effect::Read]);
    let denied = Tally { denied_by: Some(no()), ..tally(1) };
    for state in [waiting(), approved(judged(1)), confirmed(judged(1))] {
        let (state, effects) = step(&order(), state, not_in_force(denied.clone()), noon());
        assert_eq!(state.phase(), Phase::Denied);
        assert!(!sends(&effects));
    }
}

#[test]
fn what_comes_in_the_way_between_the_last_look_and_the_call_stops_it_and_stands_in_the_status() {
    let blocked = Event::Blocked(Blocked { reason: "ProxmoxUnavailable".into(), message: "down".into() });
    let (state, effects) = step(&order(), confirmed(judged(1)), blocked, noon());
    assert_eq!(effects[0], Effect::WriteStatus);
    let (phase, reason, _) = told(&state);
    assert_eq!((phase, reason.as_str()), (Phase::Approved, "ProxmoxUnavailable"));
    let (_, effects) = step(&order(), state, Event::Approvals(tally(1)), noon());
    assert_eq!(effects, [Effect::Recheck], "it is judged once more");
    let (state, effects) = step(&order(), confirmed(judged(1)), Event::Deleted, noon());
    assert_eq!(state.phase(), Phase::Cancelled);
    assert!(!sends(&effects));
}

#[test]
fn a_plan_that_turns_out_to_be_nobodys_ends_wherever_it_is_before_dispatch() {
    let denial = || Event::Denied(Denial { reason: "RequesterNotProven", message: "nobody knows".into() });
    for state in [waiting(), approved(judged(1)), confirmed(judged(1))] {
        let (state, effects) = step(&order(), state, denial(), noon());
        let (phase, reason, _) = told(&state);
        assert_eq!((phase, reason.as_str()), (Phase::Cancelled, "RequesterNotProven"));
        assert!(!sends(&effects));
    }
}

fn refusal(reason: &'static str) -> Refusal {
    Refusal { reason, message: "it does not count".into() }
}

#[test]
fn each_approval_that_is_gone_is_on_record_with_its_approver_and_why() {
    let people = ["ann", "bob", "cem", "dan", "eve"];
    let before = by(&people.map(|name| (name, &["ops"][..])));
    let mut left = by(&[("eve", &["dev"])]);
    left.refusals = [
        ("uid-bob".to_owned(), refusal("Expired")),
        ("uid-cem".to_owned(), refusal("NotAdmitted")),
        // Nothing is wrong with this one: another one of the same person counts now.
        ("uid-dan".to_owned(), refusal("ApprovedAlready")),
    ]
    .into();
    let state = State::Approved { judged: judged(5), backing: before.backing.clone(), blocked: None };
    let (state, effects) = step(&order(), state, Event::Approvals(left), noon());
    let gone: Vec<(&str, &str)> = effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::AuditGone(approval, why) => Some((approval.approved_by.as_str(), why.as_str())),
            _ => None,
        })
        .collect();
    let whose: Vec<&str> = gone.iter().map(|(whose, _)| *whose).collect();
    assert_eq!(whose, ["ann", "bob", "cem", "eve"]);
    let why = ["was revoked", "has ended", "is no longer proven (NotAdmitted)", "no longer speaks for ops"];
    for ((_, told), why) in gone.iter().zip(why) {
        assert!(told.ends_with(why), "{told}");
        assert!(super::tests::told(&state).2.contains(told), "{told}");
    }
}
