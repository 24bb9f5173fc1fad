//! Guests that the HA manager looks after: it takes a request at once and carries it out when it comes to it.

use kube::runtime::wait::await_condition;
use proxmox_agent::{
    api::{Phase, PlanStatus, ProxmoxActionPlan},
    pve::sim::World,
};
use serde_json::json;

use crate::support::{
    patience::until,
    proxmox,
    stage::{Setting, Stage},
    worlds,
};

async fn stage(world: World) -> Stage {
    Stage::with(Setting { world: Some(world), preset: Some("permissive"), ..Setting::default() }).await
}

fn ha_works(status: &PlanStatus) -> bool {
    status.reason == "HaWorking"
}

fn ended(status: &PlanStatus) -> bool {
    status.phase.is_terminal()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_by_ha_has_succeeded_when_the_guest_runs_and_not_before() {
    let stage = stage(worlds::under_ha("vm:101", "{config: {state: stopped}}", 3)).await;
    stage.apply("requester", &stage.plan("p", "start_guest", "qemu/101", &json!({}))).await;
    let working = stage.plan_when("p", "with HA", ha_works).await.status.unwrap();
    assert_eq!(working.phase, Phase::Running);
    assert_eq!(working.task.unwrap().exit_status, "OK");
    let done = stage.plan_in("p", Phase::Succeeded).await.status.unwrap();
    assert!(proxmox::runs(&stage.sim, "pve1/qemu/101").await, "told too early");
    assert_eq!(done.reason, "HaDone");
    assert!(done.message.contains("running on pve1"), "{}", done.message);
    assert_eq!(stage.calls().len(), 1);
    until("the audit log is whole", || stage.audit().len() >= 5).await;
    let events: Vec<_> = stage.audit().into_iter().map(|line| line["event"].clone()).collect();
    assert_eq!(events, ["planned", "intent", "sent", "handedOver", "ended"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_is_stopped_by_ha_when_it_no_longer_runs() {
    let stage = stage(worlds::under_ha("ct:200", "{config: {state: started}}", 3)).await;
    stage.request(&stage.plan("p", "stop_guest", "lxc/200", &json!({})), Phase::AwaitingApproval).await;
    stage.approve("approver", &["p", "--yes"]).await;
    stage.plan_when("p", "with HA", ha_works).await;
    let done = stage.plan_in("p", Phase::Succeeded).await.status.unwrap();
    assert!(!proxmox::runs(&stage.sim, "pve2/lxc/200").await, "told too early");
    assert_eq!(done.reason, "HaDone");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_has_been_moved_by_ha_when_it_is_on_the_other_node() {
    let stage = stage(worlds::under_ha("vm:101", "{config: {state: stopped}}", 3)).await;
    let params = json!({"params": {"destination": "pve2"}});
    let plan = stage.plan("p", "migrate_guest", "qemu/101", &params);
    stage.request(&plan, Phase::AwaitingApproval).await;
    stage.approve("approver", &["p", "--yes"]).await;
    stage.plan_when("p", "with HA", ha_works).await;
    let done = stage.plan_in("p", Phase::Succeeded).await.status.unwrap();
    assert_eq!(done.reason, "HaDone");
    assert!(done.message.contains("on pve2"), "{}", done.message);
    assert!(!proxmox::runs(&stage.sim, "pve2/qemu/101").await, "it is there, and as it was");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ha_can_not_do_has_failed_and_says_what_ha_says() {
    let stage = stage(worlds::under_ha("vm:101", "{config: {state: started}, crmState: error}", 600)).await;
    stage.apply("requester", &stage.plan("p", "start_guest", "qemu/101", &json!({}))).await;
    let status = stage.plan_when("p", "ended", ended).await.status.unwrap();
    assert_eq!((status.phase, status.reason.as_str()), (Phase::Failed, "HaError"));
    assert!(status.message.contains("vm:101 (pve1, error)"), "{}", status.message);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_ha_no_longer_looks_after_is_not_waited_for() {
    let stage = stage(worlds::under_ha("vm:101", "{config: {state: stopped}}", 600)).await;
    stage.apply("requester", &stage.plan("p", "start_guest", "qemu/101", &json!({}))).await;
    stage.plan_when("p", "with HA", ha_works).await;
    proxmox::unmanage(&stage.sim, "vm:101").await;
    let status = stage.plan_when("p", "ended", ended).await.status.unwrap();
    assert_eq!((status.phase, status.reason.as_str()), (Phase::Failed, "HaError"));
    assert!(status.message.contains("no longer looks after"), "{}", status.message);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_while_ha_works_loses_nothing() {
    let mut stage = stage(worlds::under_ha("vm:101", "{config: {state: stopped}}", 4)).await;
    stage.apply("requester", &stage.plan("p", "start_guest", "qemu/101", &json!({}))).await;
    let working = stage.plan_when("p", "with HA", ha_works).await;
    stage.kill_operator().await;
    stage.start_operator();
    let done = stage.plan_in("p", Phase::Succeeded).await;
    assert_eq!(done.status.unwrap().upid, working.status.unwrap().upid);
    assert!(proxmox::runs(&stage.sim, "pve1/qemu/101").await, "told too early");
    assert_eq!(stage.calls().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_that_is_deleted_while_ha_works_is_followed_to_its_end() {
    let stage = stage(worlds::under_ha("vm:101", "{config: {state: stopped}}", 9)).await;
    stage.apply("requester", &stage.plan("p", "start_guest", "qemu/101", &json!({}))).await;
    let plans = stage.api::<ProxmoxActionPlan>();
    let held = |plan: Option<&ProxmoxActionPlan>| {
        plan.is_some_and(|plan| plan.metadata.finalizers.as_ref().is_some_and(|all| !all.is_empty()))
    };
    await_condition(plans.clone(), "p", held).await.unwrap();
    plans.delete("p", &Default::default()).await.unwrap();
    await_condition(plans, "p", |plan: Option<&ProxmoxActionPlan>| plan.is_none()).await.unwrap();
    assert!(proxmox::runs(&stage.sim, "pve1/qemu/101").await, "let go too early");
    assert!(stage.audit().pop().unwrap()["message"].as_str().unwrap().contains("has done it"));
}
