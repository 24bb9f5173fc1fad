//! A target that is not what it was when the plan was judged.

use proxmox_agent::{
    api::{Phase, PlanStatus, ProxmoxActionApproval, ProxmoxActionPlan},
    catalog::Method,
};
use serde_json::json;

use crate::support::{
    cluster::taken,
    proxmox,
    stage::{Setting, Stage},
};

fn moved(status: &PlanStatus) -> bool {
    status.reason == "TargetMoved"
}

/// A plan that wants qemu/101 deleted, judged while it was called batch-1; it is called something else by now.
async fn outdated(stage: &Stage) -> ProxmoxActionPlan {
    let plan = stage.plan("delete", "delete_guest", "qemu/101", &json!({}));
    let plan = stage.request(&plan, Phase::AwaitingApproval).await;
    proxmox::put(&stage.sim, "pve1/qemu/101", &[("name", "somebody-elses")]).await;
    plan
}

async fn answer(stage: &Stage, approval: &str, reason: &str) -> ProxmoxActionApproval {
    let wanted = format!("--for=jsonpath={{.status.reason}}={reason}");
    let waited =
        stage.kubectl("auditor", &["wait", &format!("pxa/{approval}"), &wanted, "--timeout=30s"]).await;
    taken(&waited);
    stage.api().get(approval).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_whose_target_has_moved_runs_only_on_an_approval_of_what_is_there_now() {
    let stage = Stage::new().await;
    let before = outdated(&stage).await;
    stage.apply("approver", &stage.approval("old", &before, &json!({}))).await;
    let waiting = stage.plan_when("delete", "judged anew", moved).await;
    let (was, is) = (before.status.unwrap(), waiting.status.clone().unwrap());
    assert_eq!(is.phase, Phase::AwaitingApproval);
    assert!(is.message.contains("name: batch-1 -> somebody-elses"), "{}", is.message);
    assert!(
        is.message.contains(&format!("approvals of {} no longer count", was.plan_hash.as_ref().unwrap()))
    );
    assert_ne!(is.plan_hash, was.plan_hash);
    assert_eq!(is.request_hash, was.request_hash);
    assert_eq!(is.fingerprint["name"], "somebody-elses");
    assert!(is.preview.unwrap().summary.contains("`somebody-elses`"));
    assert_eq!(is.approvals.unwrap().progress, "0/1");
    let old = answer(&stage, "old", "OtherPlanHash").await.status.unwrap();
    assert!(old.message.contains(is.plan_hash.as_ref().unwrap()), "{}", old.message);
    assert!(stage.calls().is_empty(), "{:?}", stage.calls());

    // Somebody who still looks at the old judgement.
    let late = json!({"approved_by": "second-approver@example.test"});
    stage.apply("second-approver", &stage.approval("late", &before_of(&waiting, &was), &late)).await;
    answer(&stage, "late", "OtherPlanHash").await;
    let listed = |status: &PlanStatus| {
        let refused = status.approvals.iter().flat_map(|all| &all.refused);
        moved(status) && refused.into_iter().any(|one| one.name == "late")
    };
    let now = stage.plan_when("delete", "still waiting", listed).await;
    let beside_who_is_refused = |plan: &ProxmoxActionPlan| {
        let mut status = plan.status.clone().unwrap();
        status.approvals.as_mut().unwrap().refused.clear();
        status
    };
    assert_eq!(beside_who_is_refused(&now), beside_who_is_refused(&waiting), "it was judged anew");

    stage.apply("approver", &stage.approval("new", &waiting, &json!({}))).await;
    let done = stage.plan_in("delete", Phase::Succeeded).await.status.unwrap();
    let granted: Vec<String> =
        done.approvals.unwrap().granted.into_iter().map(|granted| granted.name).collect();
    assert_eq!(granted, ["new"]);
    assert_eq!(done.plan_hash, is.plan_hash);
    assert_eq!(stage.calls(), ["DELETE /nodes/pve1/qemu/101"]);
    let audit = stage.audit();
    let rejudged: Vec<_> = audit.iter().filter(|line| line["event"] == "rejudged").collect();
    assert_eq!(rejudged.len(), 1);
    assert_eq!(rejudged[0]["planHash"], json!(is.plan_hash));
}

/// The same plan as somebody saw it before.
fn before_of(plan: &ProxmoxActionPlan, status: &PlanStatus) -> ProxmoxActionPlan {
    ProxmoxActionPlan { status: Some(status.clone()), ..plan.clone() }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_approvals_none_is_carried_over_to_another_judgement() {
    let stage = Stage::with(Setting { preset: Some("strict"), ..Setting::default() }).await;
    let before = outdated(&stage).await;
    stage.apply("approver", &stage.approval("one", &before, &json!({}))).await;
    answer(&stage, "one", "Counted").await;
    let other = json!({"approved_by": "second-approver@example.test"});
    stage.apply("second-approver", &stage.approval("two", &before, &other)).await;
    let waiting = stage.plan_when("delete", "judged anew", moved).await;
    for approval in ["one", "two"] {
        answer(&stage, approval, "OtherPlanHash").await;
    }
    stage.apply("approver", &stage.approval("three", &waiting, &json!({}))).await;
    let one_of_two = |status: &PlanStatus| status.approvals.as_ref().is_some_and(|all| all.progress == "1/2");
    let status = stage.plan_when("delete", "approved by one", one_of_two).await.status.unwrap();
    assert_eq!((status.phase, status.reason.as_str()), (Phase::AwaitingApproval, "TargetMoved"));
    assert!(stage.calls().is_empty(), "{:?}", stage.calls());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_no_to_an_earlier_judgement_stops_the_plan_all_the_same() {
    let stage = Stage::new().await;
    let before = outdated(&stage).await;
    stage.apply("approver", &stage.approval("old", &before, &json!({}))).await;
    stage.plan_when("delete", "judged anew", moved).await;
    let no = json!({"decision": "Deny", "approved_by": "second-approver@example.test"});
    stage.apply("second-approver", &stage.approval("no", &before, &no)).await;
    assert_eq!(stage.plan_in("delete", Phase::Denied).await.status.unwrap().reason, "DeniedByApprover");
    assert!(stage.calls().is_empty(), "{:?}", stage.calls());
}

/// Lets the plan be approved after this was done to its target, and returns how it ends.
async fn end_after(stage: &Stage, target: &str, done: impl AsyncFnOnce(&Stage)) -> PlanStatus {
    let name = target.replace('/', "-");
    let plan = stage.plan(&name, "delete_guest", target, &json!({}));
    let plan = stage.request(&plan, Phase::AwaitingApproval).await;
    done(stage).await;
    stage.apply("approver", &stage.approval(&name, &plan, &json!({}))).await;
    let status = stage.plan_in(&name, Phase::Cancelled).await.status.unwrap();
    assert_eq!(status.plan_hash, plan.status.unwrap().plan_hash);
    assert!(stage.calls().is_empty(), "{:?}", stage.calls());
    status
}

#[tokio::test(flavor = "multi_thread")]
async fn another_guest_under_the_same_number_is_never_touched() {
    let stage = Stage::new().await;
    let vm = end_after(&stage, "qemu/102", async |stage| {
        let uuid = "uuid=00000000-0000-4000-8000-000000000001";
        proxmox::put(&stage.sim, "pve2/qemu/102", &[("smbios1", uuid)]).await;
    })
    .await;
    assert_eq!(vm.reason, "TargetReplaced");
    assert!(vm.message.contains("smbiosUuid: 7a4d6a52"), "{}", vm.message);
    let container = end_after(&stage, "lxc/200", async |stage| {
        let card = "name=eth0,bridge=vmbr0,hwaddr=BC:24:11:00:0F:FF,type=veth";
        proxmox::put(&stage.sim, "pve2/lxc/200", &[("net0", card)]).await;
    })
    .await;
    assert_eq!(container.reason, "TargetReplaced");
    assert!(
        container.message.contains("macAddress: bc:24:11:00:02:00 -> bc:24:11:00:0f:ff"),
        "{}",
        container.message
    );
    let other_kind = end_after(&stage, "qemu/101", async |stage| {
        proxmox::change(&stage.sim, Method::Delete, "/nodes/pve1/qemu/101", &[]).await;
        let template = "local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst";
        let params = [("vmid", "101"), ("ostemplate", template), ("rootfs", "local-lvm:2")];
        proxmox::change(&stage.sim, Method::Post, "/nodes/pve1/lxc", &params).await;
    })
    .await;
    assert_eq!(other_kind.reason, "TargetReplaced");
    assert!(other_kind.message.contains("qemu/101 -> lxc/101"), "{}", other_kind.message);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_has_vanished_ends_its_plan() {
    let stage = Stage::new().await;
    let gone = end_after(&stage, "qemu/101", async |stage| {
        proxmox::change(&stage.sim, Method::Delete, "/nodes/pve1/qemu/101", &[]).await;
    })
    .await;
    assert_eq!(gone.reason, "TargetNotFound");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_policy_asks_for_approvals_of_its_own() {
    let stage = Stage::with(Setting { preset: Some("permissive"), ..Setting::default() }).await;
    let plan = stage.plan("delete", "delete_guest", "qemu/101", &json!({}));
    let plan = stage.request(&plan, Phase::AwaitingApproval).await;
    stage.apply_as_admin(&stage.policy("strict")).await;
    stage.apply("approver", &stage.approval("old", &plan, &json!({}))).await;
    let status = stage.plan_when("delete", "judged anew", moved).await.status.unwrap();
    assert_eq!(status.approvals.unwrap().progress, "0/2");
    assert!(status.message.contains("policy: "), "{}", status.message);
    assert!(stage.calls().is_empty(), "{:?}", stage.calls());
}
