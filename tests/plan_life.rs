//! The life of a plan where time or an odd answer matters: the real engine on a directory, with a clock that can be put
//! forward.
// A test that can't prepare its world has nothing better to do than to stop.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use jiff::{SignedDuration, Timestamp};
use proxmox_agent::{
    api::{Phase, PlanStatus, ProxmoxActionPlan},
    ports::{Key, Store},
    pve::sim::{Fault, Trigger, World},
};
use serde_json::json;
use support::{home::Home, patience::until_async, proxmox, worlds};

/// One pass, after which this is what the one plan has come to.
async fn settled(home: &Home) -> PlanStatus {
    home.settle().await.remove(0).1
}

fn in_an_hour() -> String {
    Timestamp::from_second(Timestamp::now().as_second() + 3600).unwrap().to_string()
}

fn came_to(status: &PlanStatus) -> (Phase, &str) {
    (status.phase, status.reason.as_str())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_that_needs_no_approval_is_judged_anew_and_goes_on_when_its_target_has_moved() {
    let (home, sim) = Home::beside(World::sample()).await;
    home.plan("p", "start_guest", "qemu/101", &json!({"notBefore": in_an_hour()}));
    let waiting = settled(&home).await;
    assert_eq!(came_to(&waiting), (Phase::Approved, "NotBefore"));
    proxmox::put(&sim, "pve1/qemu/101", &[("name", "renamed")]).await;
    home.clock.set(SignedDuration::from_hours(2));
    let done = settled(&home).await;
    assert_eq!(came_to(&done), (Phase::Succeeded, "TaskOk"), "{}", done.message);
    assert_eq!(done.fingerprint["name"], "renamed");
    assert_ne!(done.plan_hash, waiting.plan_hash);
    assert_eq!(proxmox::executed(&sim), 1);
    assert_eq!(home.audited(), ["planned", "rejudged", "intent", "sent", "ended"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_whose_approval_ends_before_it_is_due_waits_for_another() {
    let (home, sim) = Home::beside(World::sample()).await;
    home.plan("p", "delete_guest", "qemu/101", &json!({"notBefore": in_an_hour()}));
    settled(&home).await;
    let plan: ProxmoxActionPlan = home.ports.store.get(&Key::new("default", "p")).await.unwrap().unwrap();
    let status = plan.status.unwrap();
    let approve = |name: &str, until: &str| {
        let spec = json!({
            "planRef": {"name": "p", "uid": plan.metadata.uid}, "planHash": status.plan_hash, "decision": "Approve",
            "approved_by": "bob", "environment": "home", "risk": status.risk, "expiresAt": until,
        });
        home.write("ProxmoxActionApproval", name, &spec);
    };
    approve("short", &in_an_hour());
    assert_eq!(settled(&home).await.phase, Phase::Approved);
    home.clock.set(SignedDuration::from_hours(2));
    let waiting = settled(&home).await;
    assert_eq!(came_to(&waiting), (Phase::AwaitingApproval, "ApprovalGone"));
    assert_eq!(proxmox::executed(&sim), 0);
    approve("long", "2999-01-01T00:00:00Z");
    assert_eq!(settled(&home).await.phase, Phase::Succeeded);
    assert_eq!(proxmox::executed(&sim), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_no_answer_named_is_found_and_followed() {
    let (home, sim) = Home::beside(worlds::start_meets("fault: answer, status: 200, executed: true")).await;
    home.plan("p", "start_guest", "qemu/101", &json!({}));
    let done = settled(&home).await;
    assert_eq!(came_to(&done), (Phase::Succeeded, "TaskOk"), "{}", done.message);
    assert_eq!(done.upid, sim.ledger()[0].upid);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_done_without_a_task_is_done() {
    let (home, _sim) = Home::beside(worlds::start_meets("fault: answer, status: 200")).await;
    home.plan("p", "start_guest", "qemu/101", &json!({}));
    let done = settled(&home).await;
    assert_eq!(came_to(&done), (Phase::Succeeded, "Done"), "{}", done.message);
    assert!(done.message.contains("task list shows no task"), "{}", done.message);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ha_has_not_done_after_a_long_time_is_for_a_person_to_look_at() {
    let (home, sim) = Home::beside(worlds::under_ha("vm:101", "{config: {state: stopped}}", 600)).await;
    home.plan("p", "start_guest", "qemu/101", &json!({}));
    let running = home.run();
    until_async("HA works on it", async || home.status("p").await.reason == "HaWorking").await;
    running.kill().await;
    home.clock.set(SignedDuration::from_mins(16));
    let status = settled(&home).await;
    assert_eq!(came_to(&status), (Phase::Indeterminate, "HaUnfinished"));
    assert!(status.message.contains("the guest is stopped on pve1"), "{}", status.message);
    assert_eq!(proxmox::executed(&sim), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_never_ends_is_told_of_and_its_plan_stays_as_it_is() {
    let (home, sim) = Home::beside(World::sample()).await;
    sim.set_faults(vec![Fault::SlowTask { types: vec![], seconds: 1e6 }]);
    home.plan("p", "start_guest", "qemu/101", &json!({}));
    let running = home.run();
    until_async("its task runs", async || home.status("p").await.reason == "Running").await;
    running.kill().await;
    home.clock.set(SignedDuration::from_hours(2));
    let running = home.run();
    until_async("it is told of", async || home.status("p").await.reason == "TaskTakesLong").await;
    running.kill().await;
    assert_eq!(home.status("p").await.phase, Phase::Running);
    assert_eq!(proxmox::executed(&sim), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_pass_waits_for_ha_as_it_waits_for_tasks() {
    let (home, sim) = Home::beside(worlds::under_ha("ct:201", "{config: {state: stopped}}", 2)).await;
    home.plan("p", "start_guest", "lxc/201", &json!({}));
    let done = settled(&home).await;
    assert_eq!(came_to(&done), (Phase::Succeeded, "HaDone"), "{}", done.message);
    assert!(proxmox::runs(&sim, "pve3/lxc/201").await, "told too early");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_done_without_an_answer_and_without_a_task_is_known_by_its_traces() {
    let (home, sim) = Home::beside(worlds::without_a_word()).await;
    home.plan("power", "start_guest", "lxc/201", &json!({}));
    home.plan("settings", "set_guest_tags", "qemu/102", &json!({"params": {"tags": "web"}}));
    home.plan("snapshot", "create_snapshot", "qemu/101", &json!({}));
    for (name, status) in home.settle().await {
        assert_eq!(came_to(&status), (Phase::Succeeded, "FoundDone"), "{name}: {}", status.message);
    }
    assert_eq!(proxmox::executed(&sim), 3);
}

/// So many changes are lost on the way to Proxmox.
fn lost(times: u32) -> Vec<Fault> {
    vec![Fault::LostRequest { when: Trigger { times, ..Trigger::default() } }]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_certainly_did_nothing_is_sent_again_and_the_attempt_stays_on_record() {
    let (home, sim) = Home::beside(World::sample()).await;
    sim.set_faults(lost(1));
    home.plan("p", "create_snapshot", "qemu/101", &json!({}));
    let done = settled(&home).await;
    assert_eq!(came_to(&done), (Phase::Succeeded, "TaskOk"), "{}", done.message);
    assert_eq!((done.attempts, done.earlier[0].reason.as_str()), (2, "NotDone"));
    assert_eq!(proxmox::executed(&sim), 1);
    assert_eq!(home.audited(), ["planned", "intent", "sent", "intent", "sent", "ended"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_lost_again_and_again_is_for_people_to_decide() {
    let (home, sim) = Home::beside(World::sample()).await;
    sim.set_faults(lost(3));
    home.plan("p", "create_snapshot", "qemu/101", &json!({}));
    let asked = settled(&home).await;
    assert_eq!(came_to(&asked), (Phase::Indeterminate, "NoTaskFound"), "{}", asked.message);
    assert_eq!((asked.attempts, proxmox::executed(&sim)), (3, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_went_down_without_a_word_is_known_by_the_clock_and_the_list_of_another_one() {
    let (home, sim) = Home::beside(worlds::without_a_word()).await;
    home.plan("p", "shutdown_node", "node/pve3", &json!({}));
    let waiting = settled(&home).await;
    for name in approvers(&waiting) {
        home.approve_as("p", &name).await;
    }
    let done = settled(&home).await;
    assert_eq!(came_to(&done), (Phase::Succeeded, "FoundDone"), "{}", done.message);
    assert_eq!(proxmox::executed(&sim), 1);
}

/// As many as are needed.
fn approvers(status: &PlanStatus) -> Vec<String> {
    let required = status.approvals.as_ref().map_or(0, |approvals| approvals.required);
    (0..required).map(|nth| format!("approver-{nth}")).collect()
}

/// A plan that meets this fault at its call, approved if it has to be, as far as one pass takes it.
async fn answered(
    action: &str,
    target: &str,
    params: serde_json::Value,
    fault: Fault,
) -> (PlanStatus, usize) {
    let (home, sim) = Home::beside(worlds::with_every_privilege()).await;
    home.plan("p", action, target, &json!({"notBefore": in_an_hour(), "params": params}));
    if settled(&home).await.phase == Phase::AwaitingApproval {
        home.approve("p", "yes").await;
    }
    sim.set_faults(vec![fault]);
    home.clock.set(SignedDuration::from_hours(2));
    let status = settled(&home).await;
    (status, proxmox::executed(&sim))
}

fn says(status: u16, reason: &str, executed: bool) -> Fault {
    Fault::Answer { when: Trigger::default(), status, reason: Some(reason.to_owned()), executed }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_that_comes_after_the_work_is_never_a_failure_of_what_was_done() {
    let complaint = "Result verification failed";
    for (action, target, params) in [
        ("create_pool", "pool/two", json!({})),
        ("set_guest_tags", "qemu/101", json!({"tags": "db;prod"})),
        ("add_firewall_rule", "qemu/101", json!({"type": "in", "action": "ACCEPT"})),
    ] {
        let (status, executed) = answered(action, target, params, says(500, complaint, true)).await;
        assert_eq!(came_to(&status), (Phase::Succeeded, "FoundDone"), "{action}: {}", status.message);
        assert!(status.message.contains(complaint), "{}", status.message);
        assert_eq!(executed, 1, "{action}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_is_a_failure_where_the_target_shows_that_nothing_was_done() {
    let (status, executed) =
        answered("create_pool", "pool/two", json!({}), says(500, "no space", false)).await;
    assert_eq!(came_to(&status), (Phase::Failed, "FailedInProxmox"), "{}", status.message);
    assert!(status.message.contains("no space"), "{}", status.message);
    assert_eq!(executed, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_of_what_leaves_no_trace_is_a_question_to_people() {
    let rule = json!({"type": "in", "action": "ACCEPT"});
    let (status, executed) =
        answered("add_firewall_rule", "qemu/101", rule, says(500, "half of it", false)).await;
    assert_eq!(came_to(&status), (Phase::Indeterminate, "NoTaskFound"), "{}", status.message);
    let known = status.doubt.unwrap().known;
    assert!(known[1].contains("stopped with an error (500): half of it"), "{known:?}");
    assert_eq!(executed, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_has_to_decide_is_told_what_was_answered() {
    let (status, _) = answered("start_guest", "qemu/101", json!({}), says(502, "Bad Gateway", false)).await;
    assert_eq!(status.phase, Phase::Indeterminate, "{}", status.message);
    let known = status.doubt.unwrap().known;
    assert!(known[1].contains("HTTP 502 Bad Gateway"), "{known:?}");
    assert!(!known.iter().any(|fact| fact.contains("never came")), "{known:?}");
}
