//! The life of a plan, sentence by sentence.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::*;
use crate::{
    api::{Decision, GrantedApproval, Phase, PolicyDecision, Preset, Preview, ReadResult, Risk},
    core::{
        approval::{Backing, Counted, Proof, Tally},
        audit::AuditEvent,
        demand::Demand,
        hash::Hash,
        judge::Judged,
        task::{Sent, Upid},
    },
};

pub(super) const UPID: &str = "UPID:pve1:00001619:00062D39:6B00EAFE:qmstart:100:agent@pve!operator:";

pub(super) fn noon() -> Timestamp {
    Timestamp::from_second(i64::from_str_radix("6B00EAFE", 16).unwrap()).unwrap()
}

pub(crate) fn judged(approvals_required: u32) -> Judged {
    Judged {
        request_hash: Hash::of("a test", &1).unwrap(),
        plan_hash: Hash::of("a test", &2).unwrap(),
        risk: if approvals_required == 0 { Risk::Low } else { Risk::Critical },
        risk_reasons: vec!["because".into()],
        policy: PolicyDecision {
            preset: Preset::Balanced,
            name: None,
            revision: "balanced/1".into(),
            decisions: vec![],
        },
        demand: Demand::of(approvals_required),
        fingerprint: BTreeMap::from([("guest".into(), "qemu/100".into())]),
        preview: Preview { summary: "start".into(), ..Default::default() },
    }
}

/// The same plan, judged when its target lay on another node.
pub(super) fn judged_on(node: &str, approvals_required: u32) -> Judged {
    let mut judged = judged(approvals_required);
    judged.plan_hash = Hash::of("a test", &(node, approvals_required)).unwrap();
    judged.fingerprint.insert("node".into(), node.into());
    judged
}

/// The same number, but another guest has it.
pub(super) fn judged_as_another_guest() -> Judged {
    let mut judged = judged_on("pve1", 1);
    judged.plan_hash = Hash::of("a test", &"another guest").unwrap();
    judged.fingerprint.insert("smbiosUuid".into(), "another".into());
    judged
}

pub(super) fn granted(count: usize) -> Vec<GrantedApproval> {
    (0..count)
        .map(|n| GrantedApproval {
            name: format!("a{n}"),
            uid: format!("uid-{n}"),
            approved_by: format!("person-{n}"),
            groups: vec![],
        })
        .collect()
}

pub(super) fn tally(count: usize) -> Tally {
    Tally { backing: backing(count), ..Default::default() }
}

pub(super) fn backing(count: usize) -> Backing {
    Backing { granted: granted(count), refused: vec![] }
}

/// A no.
pub(super) fn no() -> Counted {
    Counted { decision: Decision::Deny, granted: granted(1).remove(0), until: noon(), note: None }
}

pub(super) fn draft() -> IntentDraft {
    IntentDraft {
        nonce: "n".into(),
        storages: vec![],
        node: "pve1".into(),
        task_id: "100".into(),
        task_types: vec!["qmstart".into(), "hastart".into()],
        sender: "agent@pve!operator".into(),
        node_time: noon(),
        drafted_at: noon(),
        judged_at: noon(),
        digest: None,
        settle: SignedDuration::from_secs(35),
    }
}

pub(super) fn sends(effects: &[Effect]) -> bool {
    effects.iter().any(|effect| matches!(effect, Effect::Send { .. }))
}

pub(super) fn order() -> Order {
    Order { dry_run: false, reads: false, not_before: None, not_after: None, ha_goal: None }
}

pub(super) fn waiting() -> State {
    State::AwaitingApproval { judged: judged(1), backing: Backing::default(), setback: None }
}

pub(super) fn approved(judged: Judged) -> State {
    State::Approved { judged, backing: backing(1), blocked: None }
}

/// Phase, reason and message.
pub(super) fn told(state: &State) -> (Phase, String, String) {
    let status = report(state, None, Some(1), Some(&Proof::ApiServer), noon());
    (status.phase, status.reason, status.message)
}

/// Outcome, reason and message.
pub(super) fn ended(state: State) -> (Outcome, String, String) {
    let State::Ended(ended) = state else { panic!("it goes on: {state:?}") };
    (ended.outcome, ended.reason, ended.message)
}

pub(super) fn upid() -> Upid {
    UPID.parse().unwrap()
}

/// The path of a plan that needs one approval, up to the call.
pub(super) fn sent(order: &Order) -> (State, Vec<Effect>) {
    weighed_last(order, tally(1))
}

/// The same path, with these approvals at the last look at them.
fn weighed_last(order: &Order, last: Tally) -> (State, Vec<Effect>) {
    let mut state = State::Pending { blocked: None };
    let mut effects = vec![];
    for event in [
        Event::Judged(judged(1)),
        Event::Approvals(tally(1)),
        Event::Rechecked { judged: judged(1), draft: Box::new(draft()) },
        Event::Approvals(last),
    ] {
        (state, effects) = step(order, state, event, noon());
    }
    (state, effects)
}

#[test]
fn the_intent_is_on_record_twice_before_anything_is_sent() {
    let (state, effects) = sent(&order());
    assert_eq!(state.phase(), Phase::Dispatching);
    assert!(matches!(effects[0], Effect::Audit(AuditEvent::Intent, _)));
    assert_eq!(effects[1], Effect::WriteStatus);
    assert!(matches!(effects.last(), Some(Effect::Send { .. })));
    assert_eq!(state.intent().unwrap().attempt, 1);
}

#[test]
fn an_approval_that_is_revoked_in_the_last_moment_stops_dispatch() {
    let (state, effects) = weighed_last(&order(), tally(0));
    assert!(!sends(&effects));
    assert_eq!(state.phase(), Phase::AwaitingApproval);
}

/// It may also have ended: no change of any object tells.
#[test]
fn a_plan_whose_approval_is_gone_in_the_last_moment_is_looked_at_again() {
    let confirmed = State::Confirmed { judged: judged(1), backing: backing(1), draft: draft(), before: None };
    let (_, effects) = step(&order(), confirmed, Event::Approvals(tally(0)), noon());
    assert_eq!(effects, [Effect::WakeAt(noon())]);
}

#[test]
fn what_stands_in_the_way_is_in_the_status_and_told_once() {
    let blocked = || Event::Blocked(Blocked { reason: "ProxmoxUnavailable".into(), message: "down".into() });
    let (dispatching, _) = sent(&order());
    let (running, _) = step(&order(), dispatching.clone(), Event::Sent(Sent::Task(upid())), noon());
    for state in [
        State::Pending { blocked: None },
        State::Approved { judged: judged(1), backing: backing(1), blocked: None },
        dispatching,
        running,
    ] {
        let (state, effects) = step(&order(), state, blocked(), noon());
        assert_eq!(effects[0], Effect::WriteStatus);
        let status = report(&state, None, Some(1), Some(&Proof::ApiServer), noon());
        assert_eq!((status.reason.as_str(), status.message.as_str()), ("ProxmoxUnavailable", "down"));
        let again = read(Some(&status)).unwrap();
        assert_eq!(again, state);
        assert_eq!(step(&order(), again, blocked(), noon()).1, []);
    }
}

#[test]
fn a_deleted_plan_is_not_sent_and_one_that_was_sent_is_followed() {
    for state in [
        State::Pending { blocked: None },
        waiting(),
        State::Approved { judged: judged(1), backing: backing(1), blocked: None },
    ] {
        assert_eq!(step(&order(), state, Event::Deleted, noon()).0.phase(), Phase::Cancelled);
    }
    let (dispatching, _) = sent(&order());
    let (running, _) = step(&order(), dispatching, Event::Sent(Sent::Task(upid())), noon());
    assert_eq!(step(&order(), running.clone(), Event::Deleted, noon()).1, [Effect::LookAtTask]);
    let gone = Event::Abandoned(Blocked { reason: "EnvironmentNotFound".into(), message: "gone".into() });
    let (state, effects) = step(&order(), running, gone, noon());
    assert_eq!(state.phase(), Phase::Indeterminate);
    assert!(effects.contains(&Effect::Release));
}

#[test]
fn nothing_leaves_after_its_announcement_has_grown_old() {
    let (_, effects) = sent(&order());
    assert_eq!(effects.last(), Some(&Effect::Send { until: noon() + SignedDuration::from_secs(5) }));
    let soon = noon() + SignedDuration::from_secs(2);
    let (_, effects) = sent(&Order { not_after: Some(soon), ..order() });
    assert_eq!(effects.last(), Some(&Effect::Send { until: soon }));
    let confirmed = State::Confirmed { judged: judged(1), backing: backing(1), draft: draft(), before: None };
    let ending = Tally { stands_until: Some(soon), ..tally(1) };
    let (_, effects) = step(&order(), confirmed, Event::Approvals(ending), noon());
    assert_eq!(effects.last(), Some(&Effect::Send { until: soon }));
}

#[test]
fn a_call_that_leaves_long_after_its_node_told_the_time_takes_so_much_longer_to_settle() {
    let drafted_at = noon() - SignedDuration::from_secs(4);
    let draft = IntentDraft { drafted_at, ..draft() };
    let confirmed = State::Confirmed { judged: judged(1), backing: backing(1), draft, before: None };
    let (state, _) = step(&order(), confirmed, Event::Approvals(tally(1)), noon());
    let settles_at = state.intent().unwrap().settles_at.0;
    assert_eq!(settles_at, noon() + SignedDuration::from_secs(35 + 4));
}

#[test]
fn a_judgement_that_has_grown_old_is_made_anew_before_anything_is_announced() {
    let judged_ago = |milliseconds| {
        let judged_at = noon() - SignedDuration::from_millis(milliseconds);
        let draft = IntentDraft { judged_at, ..draft() };
        State::Confirmed { judged: judged(1), backing: backing(1), draft, before: None }
    };
    assert!(sends(&step(&order(), judged_ago(5000), Event::Approvals(tally(1)), noon()).1));
    let (state, effects) = step(&order(), judged_ago(5001), Event::Approvals(tally(1)), noon());
    assert_eq!((state.phase(), effects), (Phase::Approved, vec![Effect::Recheck]));
    // It is the approvals that were read now which count when it comes round again.
    assert_eq!(state.granted(), granted(1));
}

/// The task list, read when a late call would have arrived too.
pub(crate) fn tasks_found(found: Vec<Upid>, rivals: Rivals) -> Event {
    Event::TasksFound { found, rivals, node_time: noon() + SignedDuration::from_mins(1) }
}

#[test]
fn the_task_of_another_plan_is_not_adopted() {
    let (state, _) = sent(&order());
    let theirs = Rivals { tasks: vec![upid()], ..Rivals::default() };
    let (state, effects) = step(&order(), state, tasks_found(vec![upid()], theirs), noon());
    assert_eq!((state.phase(), effects), (Phase::Dispatching, vec![Effect::LookForTraces]));
}

#[test]
fn one_task_for_two_plans_without_an_answer_is_nobodys() {
    let (state, _) = sent(&order());
    let unanswered = vec![state.intent().unwrap().clone()];
    let rivals = Rivals { unanswered, ..Rivals::default() };
    let found = vec![upid()];
    let (State::Ended(ended), _) = step(&order(), state, tasks_found(found, rivals), noon()) else {
        panic!("it goes on")
    };
    assert_eq!((ended.outcome, ended.reason.as_str()), (Outcome::Indeterminate, "TaskContested"));
}

#[test]
fn one_no_outweighs_any_number_of_yes() {
    let waiting = waiting();
    let denied = Tally { denied_by: Some(no()), ..tally(5) };
    let (state, _) = step(&order(), waiting, Event::Approvals(denied), noon());
    assert_eq!(state.phase(), Phase::Denied);
}

#[test]
fn a_plan_past_its_time_expires_in_every_phase_before_dispatch() {
    let order = Order { not_after: Some(noon()), ..order() };
    for state in [
        State::Pending { blocked: None },
        waiting(),
        State::Approved { judged: judged(1), backing: backing(1), blocked: None },
    ] {
        assert_eq!(step(&order, state, Event::Woken, noon()).0.phase(), Phase::Expired);
    }
    let confirmed = State::Confirmed { judged: judged(1), backing: backing(1), draft: draft(), before: None };
    let (state, effects) = step(&order, confirmed, Event::Approvals(tally(1)), noon());
    assert_eq!(state.phase(), Phase::Expired);
    assert!(!sends(&effects));
}

#[test]
fn a_missing_answer_is_settled_from_the_task_list_and_only_after_its_time() {
    let (state, _) = sent(&order());
    let (state, effects) = step(&order(), state, Event::Sent(Sent::Unknown { why: "reset".into() }), noon());
    assert_eq!(state.phase(), Phase::Dispatching);
    let settles_at = noon() + SignedDuration::from_secs(35);
    assert_eq!(effects.last(), Some(&Effect::WakeAt(settles_at)));
    let (state, effects) = step(&order(), state, Event::Woken, noon());
    assert_eq!(effects, [Effect::WakeAt(settles_at)]);
    let (state, effects) = step(&order(), state, Event::Woken, settles_at);
    assert_eq!(effects, [Effect::SearchTasks]);
    let (state, _) = step(&order(), state, tasks_found(vec![upid()], Rivals::default()), settles_at);
    assert_eq!(state.upid(), Some(&upid()));
}

#[test]
fn only_a_task_of_our_token_our_target_our_kind_and_our_time_is_adopted() {
    for other in [
        UPID.replace("pve1", "pve2"),
        UPID.replace(":100:", ":101:"),
        UPID.replace("qmstart", "qmstop"),
        UPID.replace("!operator", "!other"),
        UPID.replace("agent@pve!operator", "agent@pve"),
        UPID.replace("6B00EAFE", "6B00EAFD"),
        UPID.replace("6B00EAFE", "6B00EA00"),
        UPID.replace("6B00EAFE", "6B00EB80"),
    ] {
        let (state, _) = sent(&order());
        let found = vec![other.parse().unwrap()];
        let (state, effects) = step(&order(), state, tasks_found(found, Rivals::default()), noon());
        assert_eq!((state.phase(), effects), (Phase::Dispatching, vec![Effect::LookForTraces]), "{other}");
    }
}

#[test]
fn several_candidates_are_for_a_person_to_judge() {
    let (state, _) = sent(&order());
    let found = vec![upid(), UPID.replace("00001619", "00001620").parse().unwrap()];
    let (State::Ended(ended), _) = step(&order(), state, tasks_found(found, Rivals::default()), noon())
    else {
        panic!("it goes on")
    };
    assert_eq!(ended.outcome, Outcome::Indeterminate);
    assert!(ended.message.contains(UPID));
}

#[test]
fn an_action_that_only_reads_sends_nothing() {
    let order = Order { reads: true, ..order() };
    let (state, _) = step(&order, State::Pending { blocked: None }, Event::Judged(judged(0)), noon());
    let (state, effects) = step(&order, state, Event::Approvals(tally(0)), noon());
    assert_eq!(effects, [Effect::Read]);
    let (state, effects) = step(&order, state, Event::Read(ReadResult::default()), noon());
    assert_eq!(state.phase(), Phase::Succeeded);
    assert!(!sends(&effects));
}

#[test]
fn a_status_that_nobody_could_have_written_is_left_alone() {
    let mut status = report(&sent(&order()).0, None, Some(1), Some(&Proof::ApiServer), noon());
    status.intent = None;
    assert!(read(Some(&status)).unwrap_err().to_string().contains("needs intent"));
}
