//! The life of a plan, sentence by sentence.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::*;
use crate::{
    api::{GrantedApproval, Phase, PolicyDecision, Preset, Preview, ReadResult, Risk},
    core::{
        approval::{Proof, Tally},
        audit::AuditEvent,
        ha::{HaGoal, HaGuest},
        hash::Hash,
        judge::Judged,
        task::{Sent, TaskState, Upid},
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
        policy: PolicyDecision { preset: Preset::Balanced, name: None, revision: "balanced/1".into() },
        approvals_required,
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
        })
        .collect()
}

pub(super) fn tally(count: usize) -> Tally {
    Tally { granted: granted(count), ..Default::default() }
}

pub(super) fn draft() -> IntentDraft {
    IntentDraft {
        nonce: "n".into(),
        node: "pve1".into(),
        task_id: "100".into(),
        task_types: vec!["qmstart".into(), "hastart".into()],
        sender: "agent@pve!operator".into(),
        node_time: noon(),
        settle: SignedDuration::from_secs(35),
    }
}

fn sends(effects: &[Effect]) -> bool {
    effects.iter().any(|effect| matches!(effect, Effect::Send { .. }))
}

pub(super) fn order() -> Order {
    Order { dry_run: false, reads: false, not_before: None, not_after: None, ha_goal: None }
}

fn waiting() -> State {
    State::AwaitingApproval { judged: judged(1), granted: vec![], setback: None }
}

fn approved(judged: Judged) -> State {
    State::Approved { judged, granted: granted(1), blocked: None }
}

pub(super) fn upid() -> Upid {
    UPID.parse().unwrap()
}

/// The path of a plan that needs one approval, up to the call.
fn sent(order: &Order) -> (State, Vec<Effect>) {
    weighed_last(order, tally(1))
}

/// The same path, with these approvals at the last look at them.
fn weighed_last(order: &Order, last: Tally) -> (State, Vec<Effect>) {
    let mut state = State::Pending { blocked: None };
    let mut effects = vec![];
    for event in [
        Event::Judged(judged(1)),
        Event::Approvals(tally(1)),
        Event::Rechecked { judged: judged(1), draft: draft() },
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
    let confirmed = State::Confirmed { judged: judged(1), granted: granted(1), draft: draft() };
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
        State::Approved { judged: judged(1), granted: granted(1), blocked: None },
        dispatching,
        running,
    ] {
        let (state, effects) = step(&order(), state, blocked(), noon());
        assert_eq!(effects[0], Effect::WriteStatus);
        let status = report(&state, None, Some(1), Proof::ApiServer, noon());
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
        State::Approved { judged: judged(1), granted: granted(1), blocked: None },
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
    let confirmed = State::Confirmed { judged: judged(1), granted: granted(1), draft: draft() };
    let ending = Tally { stands_until: Some(soon), ..tally(1) };
    let (_, effects) = step(&order(), confirmed, Event::Approvals(ending), noon());
    assert_eq!(effects.last(), Some(&Effect::Send { until: soon }));
}

#[test]
fn the_task_of_another_plan_is_not_adopted() {
    let (state, _) = sent(&order());
    let theirs = Rivals { tasks: vec![upid()], ..Rivals::default() };
    let (state, _) = step(&order(), state, Event::TasksFound { found: vec![upid()], rivals: theirs }, noon());
    assert_eq!(state.phase(), Phase::Indeterminate);
}

#[test]
fn one_task_for_two_plans_without_an_answer_is_nobodys() {
    let (state, _) = sent(&order());
    let unanswered = vec![state.intent().unwrap().clone()];
    let rivals = Rivals { unanswered, ..Rivals::default() };
    let found = vec![upid()];
    let (State::Ended(ended), _) = step(&order(), state, Event::TasksFound { found, rivals }, noon()) else {
        panic!("it goes on")
    };
    assert_eq!((ended.outcome, ended.reason.as_str()), (Outcome::Indeterminate, "TaskContested"));
}

fn rechecked(before: Judged, now: Judged) -> (State, Vec<Effect>) {
    step(&order(), approved(before), Event::Rechecked { judged: now, draft: draft() }, noon())
}

fn told(state: &State) -> (Phase, String, String) {
    let status = report(state, None, Some(1), Proof::ApiServer, noon());
    (status.phase, status.reason, status.message)
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
        ["node: pve1 -> pve2", &before.plan_hash.to_string(), &now.plan_hash.to_string(), "2 approvals"]
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
    let again = read(Some(&report(&state, None, Some(1), Proof::ApiServer, noon()))).unwrap();
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
    assert!(message.contains("waits for 1 approval again"), "{message}");
    assert_eq!(state.judged(), Some(&judged(1)), "its judgement still stands");
    assert!(matches!(effects[0], Effect::Audit(AuditEvent::ApprovalGone, _)));
    let (state, _) = step(&order, state, Event::Approvals(tally(1)), noon());
    assert_eq!(state.phase(), Phase::Approved);
}

#[test]
fn one_no_outweighs_any_number_of_yes() {
    let waiting = waiting();
    let denied = Tally { denied_by: granted(1).pop(), ..tally(5) };
    let (state, _) = step(&order(), waiting, Event::Approvals(denied), noon());
    assert_eq!(state.phase(), Phase::Denied);
}

#[test]
fn a_plan_past_its_time_expires_in_every_phase_before_dispatch() {
    let order = Order { not_after: Some(noon()), ..order() };
    for state in [
        State::Pending { blocked: None },
        waiting(),
        State::Approved { judged: judged(1), granted: granted(1), blocked: None },
    ] {
        assert_eq!(step(&order, state, Event::Woken, noon()).0.phase(), Phase::Expired);
    }
    let confirmed = State::Confirmed { judged: judged(1), granted: granted(1), draft: draft() };
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
    let (state, _) = step(
        &order(),
        state,
        Event::TasksFound { found: vec![upid()], rivals: Rivals::default() },
        settles_at,
    );
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
        UPID.replace("6B00EAFE", "6B00EA00"),
        UPID.replace("6B00EAFE", "6B00EB80"),
    ] {
        let (state, _) = sent(&order());
        let found = vec![other.parse().unwrap()];
        let (state, _) =
            step(&order(), state, Event::TasksFound { found, rivals: Rivals::default() }, noon());
        assert_eq!(state.phase(), Phase::Indeterminate, "{other}");
    }
}

#[test]
fn several_candidates_are_for_a_person_to_judge() {
    let (state, _) = sent(&order());
    let found = vec![upid(), UPID.replace("00001619", "00001620").parse().unwrap()];
    let (State::Ended(ended), _) =
        step(&order(), state, Event::TasksFound { found, rivals: Rivals::default() }, noon())
    else {
        panic!("it goes on")
    };
    assert_eq!(ended.outcome, Outcome::Indeterminate);
    assert!(ended.message.contains(UPID));
}

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

#[test]
fn an_action_that_only_reads_sends_nothing() {
    let order = Order { reads: true, ..order() };
    let (state, _) = step(&order, State::Pending { blocked: None }, Event::Judged(judged(0)), noon());
    let (state, effects) = step(&order, state, Event::Approvals(tally(0)), noon());
    assert_eq!(effects, [Effect::ReadInventory]);
    let (state, effects) = step(&order, state, Event::Read(ReadResult::default()), noon());
    assert_eq!(state.phase(), Phase::Succeeded);
    assert!(!sends(&effects));
}

#[test]
fn a_status_that_nobody_could_have_written_is_left_alone() {
    let mut status = report(&sent(&order()).0, None, Some(1), Proof::ApiServer, noon());
    status.intent = None;
    assert!(read(Some(&status)).unwrap_err().to_string().contains("needs intent"));
}

// ---- odd answers

fn answered(sent: Sent) -> (State, Vec<Effect>) {
    let (state, _) = self::sent(&order());
    step(&order(), state, Event::Sent(sent), noon())
}

fn ended(state: State) -> (Outcome, String, String) {
    let State::Ended(ended) = state else { panic!("it goes on: {state:?}") };
    (ended.outcome, ended.reason, ended.message)
}

fn found(state: State, found: Vec<Upid>) -> State {
    step(&order(), state, Event::TasksFound { found, rivals: Rivals::default() }, noon()).0
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
    let status = report(&state, None, Some(1), Proof::ApiServer, noon());
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
    let confirmed = State::Confirmed { judged: judged(1), granted: granted(1), draft };
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
fn an_error_from_half_way_is_no_refusal() {
    let (outcome, reason, message) = ended(answered(Sent::HalfWay { status: 500, message: "no".into() }).0);
    assert_eq!((outcome, reason.as_str()), (Outcome::Failed, "FailedInProxmox"));
    assert!(message.contains("Part of it may be done: look at the target"), "{message}");
}

// ---- handed to the HA manager

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
    let again = read(Some(&report(&state, None, Some(1), Proof::ApiServer, noon()))).unwrap();
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
    let again = read(Some(&report(&state, None, Some(1), Proof::ApiServer, noon()))).unwrap();
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
