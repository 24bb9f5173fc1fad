//! The way of one request, from the plan to the ledger of the Proxmox.

use kube::{Api, ResourceExt};
use proxmox_agent::api::{Phase, ProxmoxActionPlan, Risk};
use serde_json::json;

use crate::support::{
    cluster::taken,
    patience::until,
    stage::{Setting, Stage},
    worlds,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_low_risk_plan_runs_without_approval() {
    let stage = Stage::new().await;
    let plan = stage.plan("start", "start_guest", "qemu/101", &json!({}));
    let plan = stage.request(&plan, Phase::Succeeded).await;
    assert_eq!(stage.calls(), ["POST /nodes/pve1/qemu/101/status/start"]);
    let status = plan.status.unwrap();
    assert_eq!((status.risk, status.attempts), (Some(Risk::Low), 1));
    assert_eq!(status.task.unwrap().exit_status, "OK");
    assert_eq!(status.upid, stage.mutations()[0].upid);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_high_risk_plan_waits_and_says_why() {
    let stage = Stage::new().await;
    let plan = stage.plan("delete", "delete_guest", "qemu/101", &json!({"params": {"purge": true}}));
    let status = stage.request(&plan, Phase::AwaitingApproval).await.status.unwrap();
    assert_eq!(status.risk, Some(Risk::Critical));
    assert_eq!(status.risk_reasons, ["critical: the guest and its disks are gone for good"]);
    let approvals = status.approvals.unwrap();
    assert_eq!((approvals.required, approvals.progress.as_str()), (1, "0/1"));
    let preview = status.preview.unwrap();
    assert_eq!(preview.calls[0].path, "/nodes/pve1/qemu/101");
    assert_eq!(preview.calls[0].params["purge"], "1");
    assert!(preview.undo.how.starts_with("can't be undone"));
    assert!(stage.calls().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn it_runs_only_after_an_approval_and_then_once() {
    let stage = Stage::new().await;
    let plan = stage.plan("delete", "delete_guest", "qemu/101", &json!({}));
    stage.request(&plan, Phase::AwaitingApproval).await;
    assert!(stage.calls().is_empty());
    let approved = stage.approve("approver", &["delete", "--yes", "--reason", "no longer needed"]).await;
    taken(&approved);
    assert!(approved.stdout.contains("critical: the guest and its disks are gone for good"));
    let status = stage.plan_in("delete", Phase::Succeeded).await.status.unwrap();
    assert_eq!(stage.calls(), ["DELETE /nodes/pve1/qemu/101"]);
    assert_eq!(status.approvals.unwrap().granted[0].approved_by, "approver@example.test");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_never_mutates() {
    let stage = Stage::new().await;
    for (name, action) in [("low", "start_guest"), ("critical", "delete_guest")] {
        let plan = stage.plan(name, action, "qemu/101", &json!({"dryRun": true}));
        let status = stage.request(&plan, Phase::Succeeded).await.status.unwrap();
        assert_eq!(status.reason, "DryRun");
        assert!(!status.preview.unwrap().calls.is_empty());
    }
    assert!(stage.sim.ledger().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_inventory_is_read_and_nothing_is_sent() {
    let stage = Stage::new().await;
    let plan = stage.plan("look", "read_inventory", "inventory/running", &json!({}));
    let result = stage.request(&plan, Phase::Succeeded).await.status.unwrap().result.unwrap();
    assert!(
        result.rows.iter().any(|row| row.starts_with("qemu/100 ") && row.ends_with("running")),
        "{result:?}"
    );
    assert!(!result.rows.iter().any(|row| row.starts_with("qemu/101 ")), "{result:?}");
    assert!(stage.sim.ledger().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_action_of_the_table_is_carried_out_on_a_vm_and_on_a_container() {
    let stage = Stage::with(Setting { preset: Some("permissive"), ..Setting::default() }).await;
    let steps: [(&str, serde_json::Value); 9] = [
        ("start_guest", json!({})),
        ("create_snapshot", json!({"snapshot": "before", "description": "a note"})),
        ("reboot_guest", json!({})),
        ("shutdown_guest", json!({"timeout": 30})),
        ("rollback_snapshot", json!({"snapshot": "before"})),
        ("delete_snapshot", json!({"snapshot": "before"})),
        ("start_guest", json!({})),
        ("stop_guest", json!({})),
        ("delete_guest", json!({"purge": true})),
    ];
    for guest in ["qemu/101", "lxc/201"] {
        for (number, (action, params)) in steps.iter().enumerate() {
            let name = format!("{}-{number}", guest.replace('/', "-"));
            let plan = stage.plan(&name, action, guest, &json!({"params": params}));
            stage.apply("requester", &plan).await;
            let judged = |status: &proxmox_agent::api::PlanStatus| {
                status.phase == Phase::AwaitingApproval || status.phase.is_terminal()
            };
            let plan = stage.plan_when(&name, "judged", judged).await;
            if plan.status.unwrap().phase == Phase::AwaitingApproval {
                let approved = stage.approve("approver", &[&name, "--yes"]).await;
                taken(&approved);
            }
            stage.plan_in(&name, Phase::Succeeded).await;
        }
    }
    assert_eq!(stage.mutations().len(), 18, "{:?}", stage.calls());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_by_proxmox_is_told_in_its_own_words() {
    let stage = Stage::with(Setting { preset: Some("permissive"), ..Setting::default() }).await;
    let plan = stage.plan("delete", "delete_guest", "qemu/102", &json!({}));
    stage.request(&plan, Phase::AwaitingApproval).await;
    stage.approve("approver", &["delete", "--yes"]).await;
    let status = stage.plan_in("delete", Phase::Failed).await.status.unwrap();
    assert!(status.message.contains("can't remove VM 102 - protection mode enabled"), "{}", status.message);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_past_its_time_expires() {
    let stage = Stage::new().await;
    let past = json!({"notAfter": "2020-01-01T00:00:00Z"});
    stage.request(&stage.plan("late", "start_guest", "qemu/101", &past), Phase::Expired).await;
    assert!(stage.sim.ledger().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_before_its_time_waits_and_keeps_its_word() {
    let stage = Stage::new().await;
    let future = json!({"notBefore": "2999-01-01T00:00:00Z"});
    let plan = stage.request(&stage.plan("early", "start_guest", "qemu/101", &future), Phase::Approved).await;
    assert!(plan.status.unwrap().message.contains("notBefore"));
    assert!(stage.sim.ledger().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_plan_stays_until_its_long_task_has_ended() {
    let world = Some(worlds::slow("qmstart", 7));
    let stage = Stage::with(Setting { world, ..Setting::default() }).await;
    stage.request(&stage.plan("long", "start_guest", "qemu/101", &json!({})), Phase::Running).await;
    let plans = held(&stage, "long").await;
    plans.delete("long", &Default::default()).await.unwrap();
    assert!(plans.get_opt("long").await.unwrap().is_some(), "gone while its task runs");
    let gone = |plan: Option<&ProxmoxActionPlan>| plan.is_none();
    kube::runtime::wait::await_condition(plans, "long", gone).await.unwrap();
    let ended = stage.audit().into_iter().filter(|line| line["event"] == "ended").count();
    assert_eq!(ended, 1);
}

/// The operator's own finalizer is on it.
async fn held(stage: &Stage, name: &str) -> Api<ProxmoxActionPlan> {
    let plans = stage.api::<ProxmoxActionPlan>();
    let held = |plan: Option<&ProxmoxActionPlan>| {
        plan.is_some_and(|plan| plan.finalizers().iter().any(|by| by == "proxmox-agent.io/task"))
    };
    kube::runtime::wait::await_condition(plans.clone(), name, held).await.unwrap();
    plans
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_deletes_a_plan_in_the_seconds_in_which_nothing_holds_it_yet() {
    let world = Some(worlds::start_meets("fault: lateResponse, seconds: 30"));
    let mut stage = Stage::with(Setting { world, ..Setting::default() }).await;
    stage.apply("requester", &stage.plan("p", "start_guest", "qemu/101", &json!({}))).await;
    stage.received(1).await;
    stage.kill_operator().await;
    for phase in ["Dispatching", "Running"] {
        let status = json!({"status": {"phase": phase}}).to_string();
        let patch = ["patch", "plan", "p", "--subresource=status", "--type=merge", "-p", &status];
        taken(&stage.kubectl("operator", &patch).await);
        for what in ["p", "--all"] {
            let refused = stage.kubectl("admin", &["delete", "plan", what]).await;
            let why = format!("plan p is {phase}: deleted in these seconds, nobody would know");
            assert!(refused.code != 0 && refused.stderr.contains(&why), "{what}: {}", refused.stderr);
        }
    }
    assert_eq!(stage.api::<ProxmoxActionPlan>().get("p").await.unwrap().metadata.deletion_timestamp, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_whose_answer_is_missing_is_held_until_it_is_known() {
    let world = Some(worlds::start_meets("fault: lostResponse"));
    let environment = json!({"requestTimeoutSeconds": 1});
    let stage = Stage::with(Setting { world, environment, ..Setting::default() }).await;
    stage.apply("requester", &stage.plan("p", "start_guest", "qemu/101", &json!({}))).await;
    let plans = held(&stage, "p").await;
    plans.delete("p", &Default::default()).await.unwrap();
    let gone = |plan: Option<&ProxmoxActionPlan>| plan.is_none();
    kube::runtime::wait::await_condition(plans, "p", gone).await.unwrap();
    let last = stage.audit().pop().unwrap();
    assert_eq!((&last["event"], &last["outcome"]), (&json!("ended"), &json!("Succeeded")), "{last}");
}

#[tokio::test(flavor = "multi_thread")]
async fn events_and_conditions_tell_the_story_to_people_and_programs() {
    let stage = Stage::new().await;
    let plan =
        stage.request(&stage.plan("start", "start_guest", "qemu/101", &json!({})), Phase::Succeeded).await;
    let status = plan.status.unwrap();
    let condition = |type_: &str| status.conditions.iter().find(|c| c.type_ == type_).unwrap().status.clone();
    assert_eq!(
        [condition("Ready"), condition("Reconciling"), condition("Stalled")],
        ["True", "False", "False"]
    );
    assert_eq!(status.observed_generation, plan.metadata.generation);
    let waited =
        stage.kubectl("auditor", &["wait", "plan/start", "--for=condition=Ready", "--timeout=5s"]).await;
    taken(&waited);
    until("the audit log is whole", || stage.audit().len() >= 4).await;
    let told =
        stage.kubectl("auditor", &["get", "events.events.k8s.io", "-o", "jsonpath={.items[*].reason}"]).await;
    for reason in ["Dispatching", "Running", "Succeeded"] {
        assert!(told.stdout.contains(reason), "{}", told.stdout);
    }
    let events: Vec<String> =
        stage.audit().iter().map(|line| line["event"].as_str().unwrap().to_owned()).collect();
    assert_eq!(events, ["planned", "intent", "sent", "ended"]);
}

/// Somebody else's finalizer is on it, and no other.
async fn keep(stage: &Stage, plan: &str) {
    let patch = json!({"metadata": {"finalizers": ["example.test/keep"]}}).to_string();
    let kept = stage.kubectl("admin", &["patch", "plan", plan, "--type=merge", "-p", &patch]).await;
    taken(&kept);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_that_is_being_deleted_is_not_dispatched() {
    let stage = Stage::new().await;
    let plan = stage.plan("delete", "delete_guest", "qemu/101", &json!({}));
    let plan = stage.request(&plan, Phase::AwaitingApproval).await;
    keep(&stage, "delete").await;
    stage.api::<ProxmoxActionPlan>().delete("delete", &Default::default()).await.unwrap();
    stage.apply("approver", &stage.approval("mine", &plan, &json!({}))).await;
    assert_eq!(stage.plan_in("delete", Phase::Cancelled).await.status.unwrap().reason, "Deleted");
    assert!(stage.calls().is_empty());
}

/// It can't be held any more: the API server takes no new finalizer.
#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_plan_whose_finalizer_somebody_takes_off_is_followed_as_long_as_it_is_there() {
    let world = Some(worlds::slow("qmstart", 9));
    let stage = Stage::with(Setting { world, ..Setting::default() }).await;
    stage.request(&stage.plan("long", "start_guest", "qemu/101", &json!({})), Phase::Running).await;
    let plans = held(&stage, "long").await;
    let both =
        json!({"metadata": {"finalizers": ["proxmox-agent.io/task", "example.test/keep"]}}).to_string();
    taken(&stage.kubectl("admin", &["patch", "plan", "long", "--type=merge", "-p", &both]).await);
    plans.delete("long", &Default::default()).await.unwrap();
    keep(&stage, "long").await;
    stage.plan_in("long", Phase::Succeeded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_plan_can_go_after_its_environment_has_gone() {
    let world = Some(worlds::slow("qmstart", 600));
    let stage = Stage::with(Setting { world, ..Setting::default() }).await;
    stage.request(&stage.plan("long", "start_guest", "qemu/101", &json!({})), Phase::Running).await;
    let plans = held(&stage, "long").await;
    assert_eq!(stage.kubectl("admin", &["delete", "pxe", "home"]).await.code, 0);
    let told = |status: &proxmox_agent::api::PlanStatus| status.reason == "EnvironmentNotFound";
    stage.plan_when("long", "blocked", told).await;
    plans.delete("long", &Default::default()).await.unwrap();
    let gone = |plan: Option<&ProxmoxActionPlan>| plan.is_none();
    kube::runtime::wait::await_condition(plans, "long", gone).await.unwrap();
    let last = stage.audit().pop().unwrap();
    assert!(last["message"].as_str().unwrap().contains("its outcome can't be read"), "{last}");
}
