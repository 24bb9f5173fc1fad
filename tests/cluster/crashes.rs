//! A process that dies and begins again never sends twice.

use proxmox_agent::api::Phase;
use proxmox_agent::pve::sim::World;
use serde_json::json;

use crate::support::{
    chart::let_lead,
    patience::until,
    stage::{Setting, Stage},
    worlds,
};

async fn stage(world: World) -> Stage {
    let environment = json!({"requestTimeoutSeconds": 1});
    Stage::with(Setting { world: Some(world), environment, ..Setting::default() }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_that_may_not_even_look_says_so_and_ends_when_it_is_asked_to() {
    let mut stage = Stage::without_operator(Setting::default()).await;
    stage.namespace = stage.cluster.namespace().await;
    stage.start_operator();
    let told = |what: &str| std::fs::read_to_string(stage.log_file()).unwrap().contains(what);
    until("it says that it may not lead", || told("waiting for the lease")).await;
    let_lead(&stage.cluster, &stage.namespace).await;
    until("it says what it may not", || told("cannot list resource \"proxmoxactionplans\"")).await;
    let ended = stage.ask_operator_to_stop().await;
    assert!(ended.success(), "{ended}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_in_the_middle_of_a_task_finishes_its_plan() {
    let mut stage = stage(worlds::slow("qmstart", 3)).await;
    let running =
        stage.request(&stage.plan("p", "start_guest", "qemu/101", &json!({})), Phase::Running).await;
    stage.kill_operator().await;
    stage.start_operator();
    let done = stage.plan_in("p", Phase::Succeeded).await;
    assert_eq!(done.status.unwrap().upid, running.status.unwrap().upid);
    assert_eq!(stage.calls().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_killed_while_it_waits_for_the_answer_adopts_the_task() {
    let mut stage = stage(worlds::start_meets("fault: lateResponse, seconds: 30")).await;
    stage.apply("requester", &stage.plan("p", "start_guest", "qemu/101", &json!({}))).await;
    stage.received(1).await;
    stage.kill_operator().await;
    stage.start_operator();
    let done = stage.plan_in("p", Phase::Succeeded).await;
    assert_eq!(done.status.unwrap().upid, stage.mutations()[0].upid);
    assert_eq!(stage.calls().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_never_comes_is_read_from_the_task_list() {
    let stage = stage(worlds::start_meets("fault: lostResponse")).await;
    let done = stage.request(&stage.plan("p", "start_guest", "qemu/101", &json!({})), Phase::Succeeded).await;
    assert_eq!(done.status.unwrap().upid, stage.mutations()[0].upid);
    assert_eq!(stage.calls().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_was_lost_on_the_way_is_not_sent_again() {
    let stage = stage(worlds::start_meets("fault: lostRequest")).await;
    let plan = stage.plan("p", "start_guest", "qemu/101", &json!({}));
    let status = stage.request(&plan, Phase::Indeterminate).await.status.unwrap();
    assert_eq!(status.reason, "NoTaskFound");
    assert!(status.message.contains("make a new plan"), "{}", status.message);
    assert!(stage.calls().is_empty(), "{:?}", stage.calls());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_proxmox_forgot_is_indeterminate_and_not_failed() {
    let stage = stage(worlds::slow("qmstart", 600)).await;
    stage.request(&stage.plan("p", "start_guest", "qemu/101", &json!({})), Phase::Running).await;
    crate::support::proxmox::restart(&stage.sim);
    let ended = |status: &proxmox_agent::api::PlanStatus| status.phase.is_terminal();
    let status = stage.plan_when("p", "ended", ended).await.status.unwrap();
    assert_eq!(status.phase, Phase::Indeterminate, "{}", status.message);
    assert_eq!(stage.calls().len(), 1);
}

/// Kills at whatever moment the process is in when something has been seen to happen.
#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_is_killed_again_and_again_never_sends_twice() {
    let mut stage = stage(worlds::slow("qmstart", 1)).await;
    for (name, guest) in [("a", "qemu/101"), ("b", "lxc/201")] {
        let plan = stage.plan(name, "start_guest", guest, &json!({}));
        stage.apply("requester", &plan).await;
        for phase in [Phase::Dispatching, Phase::Running] {
            let there = |status: &proxmox_agent::api::PlanStatus| status.phase as u8 >= phase as u8;
            stage.plan_when(name, "there", there).await;
            stage.kill_operator().await;
            stage.start_operator();
        }
        let ended = |status: &proxmox_agent::api::PlanStatus| status.phase.is_terminal();
        let status = stage.plan_when(name, "ended", ended).await.status.unwrap();
        assert!(matches!(status.phase, Phase::Succeeded | Phase::Indeterminate), "{}", status.message);
    }
    let calls = stage.calls();
    assert!(
        calls.len() <= 2 && calls.iter().all(|call| calls.iter().filter(|c| *c == call).count() == 1),
        "{calls:?}"
    );
}
