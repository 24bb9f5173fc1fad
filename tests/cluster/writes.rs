//! What a plan costs the API server.

use proxmox_agent::api::Phase;
use serde_json::json;

use crate::support::{
    chart::OPERATOR,
    cluster::{Write, taken},
    patience::until,
    stage::{Setting, Stage},
    worlds,
};

/// What the operator wrote to our own kinds, Events aside, the environment's status aside.
fn writes(stage: &Stage) -> Vec<Write> {
    let writes = stage.cluster.audit_writes(&stage.namespace).into_iter();
    writes
        .filter(|write| write.user == OPERATOR)
        .filter(|write| ["proxmoxactionplans", "proxmoxactionapprovals"].contains(&write.resource.as_str()))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_without_approval_costs_at_most_four_writes() {
    let stage = Stage::new().await;
    stage.request(&stage.plan("start", "start_guest", "qemu/101", &json!({})), Phase::Succeeded).await;
    let writes = writes(&stage);
    assert!((1..=4).contains(&writes.len()), "{writes:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approved_plan_costs_at_most_five_writes_its_approval_included() {
    let stage = Stage::new().await;
    stage
        .request(&stage.plan("delete", "delete_guest", "qemu/101", &json!({})), Phase::AwaitingApproval)
        .await;
    stage.approve("approver", &["delete", "--yes"]).await;
    stage.plan_in("delete", Phase::Succeeded).await;
    until("the approval is answered", || {
        writes(&stage).iter().any(|write| write.resource == "proxmoxactionapprovals")
    })
    .await;
    let writes = writes(&stage);
    assert!((1..=5).contains(&writes.len()), "{writes:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn however_long_ha_takes_watching_it_costs_one_write_and_its_finalizer() {
    let world = Some(worlds::under_ha("vm:101", "{config: {state: stopped}}", 8));
    let stage = Stage::with(Setting { world, ..Setting::default() }).await;
    stage.request(&stage.plan("start", "start_guest", "qemu/101", &json!({})), Phase::Succeeded).await;
    let writes = writes(&stage);
    assert!((1..=4 + 1 + 2).contains(&writes.len()), "{writes:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_that_waits_costs_nothing_whatever_happens_around_it() {
    let mut stage = Stage::new().await;
    stage.request(&stage.plan("wait", "delete_guest", "qemu/101", &json!({})), Phase::AwaitingApproval).await;
    let about_it = |stage: &Stage| writes(stage).iter().filter(|write| write.name == "wait").count();
    until("its one write is in the audit log", || about_it(&stage) > 0).await;
    assert_eq!(about_it(&stage), 1);
    // Other plans come and go, its environment changes, the operator begins again.
    for (name, guest) in [("one", "lxc/201"), ("two", "lxc/200")] {
        stage.request(&stage.plan(name, "create_snapshot", guest, &json!({})), Phase::Succeeded).await;
    }
    let site = r#"{"spec": {"site": "cellar"}}"#;
    let changed = stage.kubectl("admin", &["patch", "pxe/home", "--type=merge", "-p", site]).await;
    taken(&changed);
    stage.kill_operator().await;
    stage.start_operator();
    stage.request(&stage.plan("three", "create_snapshot", "lxc/201", &json!({})), Phase::Succeeded).await;
    assert_eq!(about_it(&stage), 1);
}
