//! Which approvals count.

use proxmox_agent::{
    api::{ApprovalVerdict, Phase, PlanStatus},
    ports::{Key, Store, StoreError},
    store::kube::KubeStore,
};
use serde_json::json;

use crate::support::{
    cluster::taken,
    manifests::APPROVER,
    stage::{Setting, Stage},
};

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_that_does_not_fit_is_answered_with_a_reason_and_moves_nothing() {
    let stage = Stage::new().await;
    // For every environment, so that it can be the wrong one.
    stage.give("approver@example.test", "proxmox-agent-approver-critical").await;
    let plan = stage.plan("delete", "delete_guest", "qemu/101", &json!({}));
    let plan = stage.request(&plan, Phase::AwaitingApproval).await;
    let other_hash = format!("sha256:{}", "0".repeat(64));
    let other_uid = "00000000-0000-0000-0000-000000000000";
    for (name, change, reason) in [
        ("hash", json!({"planHash": other_hash}), "OtherPlanHash"),
        ("uid", json!({"planRef": {"name": "delete", "uid": other_uid}}), "OtherPlan"),
        ("environment", json!({"environment": "cloud"}), "OtherEnvironment"),
        ("risk", json!({"risk": "low"}), "OtherRisk"),
        ("expired", json!({"expiresAt": "2020-01-01T00:00:00Z"}), "Expired"),
        ("attempt", json!({"attempt": 1}), "NoAttemptToDecide"),
    ] {
        let created = stage.apply("approver", &stage.approval(name, &plan, &change)).await;
        taken(&created);
        let status = stage.answered(name).await.status.unwrap();
        assert_eq!(status.verdict, Some(ApprovalVerdict::Refused), "{name}");
        assert_eq!(status.reason, reason);
        assert!(status.message.starts_with("spec."), "{}", status.message);
    }
    let told = [
        ("hash", "OtherPlanHash"),
        ("uid", "OtherPlan"),
        ("environment", "OtherEnvironment"),
        ("risk", "OtherRisk"),
        ("expired", "Expired"),
        ("attempt", "NoAttemptToDecide"),
    ];
    let all_told = |status: &PlanStatus| {
        let refused =
            status.approvals.as_ref().map(|approvals| approvals.refused.clone()).unwrap_or_default();
        told.iter().all(|(name, reason)| refused.iter().any(|one| one.name == *name && one.reason == *reason))
    };
    let now = stage.plan_when("delete", "told who does not count", all_told).await.status.unwrap();
    assert_eq!(now.phase, Phase::AwaitingApproval);
    assert_eq!(now.approvals.unwrap().granted, []);
    assert!(stage.sim.ledger().is_empty());
    let refused = stage.audit().into_iter().filter(|line| line["event"] == "approvalRefused").count();
    assert_eq!(refused, 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_approves_what_they_have_asked_for_whatever_their_roles() {
    let stage = Stage::new().await;
    stage.give("approver@example.test", "proxmox-agent-requester").await;
    let own = json!({"requestedBy": "approver@example.test"});
    stage.apply("approver", &stage.plan("delete", "delete_guest", "qemu/101", &own)).await;
    let plan = stage.plan_in("delete", Phase::AwaitingApproval).await;
    let created = stage.apply("approver", &stage.approval("own", &plan, &json!({}))).await;
    taken(&created);
    assert_eq!(stage.answered("own").await.status.unwrap().reason, "OwnPlan");
    assert!(stage.sim.ledger().is_empty());
    let another = json!({"approved_by": "second-approver@example.test"});
    stage.apply("second-approver", &stage.approval("another", &plan, &another)).await;
    stage.plan_in("delete", Phase::Succeeded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denial_ends_the_plan() {
    let stage = Stage::new().await;
    stage
        .request(&stage.plan("delete", "delete_guest", "qemu/101", &json!({})), Phase::AwaitingApproval)
        .await;
    let denied = stage.approve("approver", &["delete", "--deny", "--yes"]).await;
    taken(&denied);
    let status = stage.plan_in("delete", Phase::Denied).await.status.unwrap();
    assert!(status.message.contains("approver@example.test said no"), "{}", status.message);
    let late = stage.approve("approver", &["delete", "--yes"]).await;
    assert_eq!(late.code, 5);
    assert!(late.stderr.contains("does not wait for approval: it is Denied"), "{}", late.stderr);
    assert!(stage.sim.ledger().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn strict_wants_two_people_for_a_critical_plan() {
    let stage = Stage::with(Setting { preset: Some("strict"), ..Setting::default() }).await;
    stage
        .request(&stage.plan("delete", "delete_guest", "qemu/101", &json!({})), Phase::AwaitingApproval)
        .await;
    for _ in 0..2 {
        let approved = stage.approve("approver", &["delete", "--yes"]).await;
        taken(&approved);
    }
    let one_of_two = |status: &proxmox_agent::api::PlanStatus| {
        status.approvals.as_ref().is_some_and(|approvals| approvals.progress == "1/2")
    };
    stage.plan_when("delete", "approved by one", one_of_two).await;
    assert!(stage.sim.ledger().is_empty());
    stage.approve("second-approver", &["delete", "--yes"]).await;
    stage.plan_in("delete", Phase::Succeeded).await;
    assert_eq!(stage.calls().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_approval_of_one_person_counts_when_the_first_is_revoked() {
    let stage = Stage::with(Setting { preset: Some("strict"), ..Setting::default() }).await;
    let plan = stage.plan("delete", "delete_guest", "qemu/101", &json!({}));
    let plan = stage.request(&plan, Phase::AwaitingApproval).await;
    stage.apply("approver", &stage.approval("a-first", &plan, &json!({}))).await;
    assert_eq!(stage.answered("a-first").await.status.unwrap().reason, "Counted");
    stage.apply("approver", &stage.approval("b-second", &plan, &json!({}))).await;
    assert_eq!(stage.answered("b-second").await.status.unwrap().reason, "ApprovedAlready");
    assert_eq!(stage.kubectl("approver", &["delete", "pxa", "a-first"]).await.code, 0);
    let counted = ["wait", "pxa/b-second", "--for=jsonpath={.status.reason}=Counted", "--timeout=30s"];
    let waited = stage.kubectl("auditor", &counted).await;
    taken(&waited);
    assert!(stage.sim.ledger().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_that_is_made_again_needs_an_approval_of_its_own() {
    let stage = Stage::new().await;
    let yaml = stage.plan("delete", "delete_guest", "qemu/101", &json!({}));
    let first = stage.request(&yaml, Phase::AwaitingApproval).await;
    let approval = stage.approval("kept", &first, &json!({}));
    assert_eq!(stage.kubectl("admin", &["delete", "plan", "delete"]).await.code, 0);
    stage.request(&yaml, Phase::AwaitingApproval).await;
    stage.apply("approver", &approval).await;
    assert_eq!(stage.answered("kept").await.status.unwrap().reason, "OtherPlan");
    assert!(stage.sim.ledger().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_whose_approval_is_revoked_before_its_time_waits_for_another() {
    let stage = Stage::new().await;
    let future = json!({"notBefore": "2999-01-01T00:00:00Z"});
    let yaml = stage.plan("delete", "delete_guest", "qemu/101", &future);
    let plan = stage.request(&yaml, Phase::AwaitingApproval).await;
    stage.apply("approver", &stage.approval("mine", &plan, &json!({}))).await;
    stage.plan_in("delete", Phase::Approved).await;
    assert_eq!(stage.kubectl("approver", &["delete", "pxa", "mine"]).await.code, 0);
    let gone = |status: &proxmox_agent::api::PlanStatus| status.reason == "ApprovalGone";
    let waiting = stage.plan_when("delete", "taken back", gone).await;
    let status = waiting.status.clone().unwrap();
    assert_eq!(status.phase, Phase::AwaitingApproval);
    assert_eq!(status.plan_hash, plan.status.unwrap().plan_hash, "what was judged still stands");
    assert_eq!(status.approvals.unwrap().progress, "0/1");
    stage.apply("approver", &stage.approval("again", &waiting, &json!({}))).await;
    stage.plan_in("delete", Phase::Approved).await;
    let events: Vec<_> = stage.audit().into_iter().map(|line| line["event"].clone()).collect();
    assert_eq!(events, ["planned", "approvalGone"]);
    let gone = &stage.audit()[1];
    assert_eq!((&gone["actor"]["role"], &gone["actor"]["name"]), (&json!("approver"), &json!(APPROVER)));
    assert_eq!(gone["approvals"][0]["name"], "mine");
    assert!(gone["message"].as_str().unwrap().ends_with("was revoked"), "{gone:#}");
    assert!(stage.sim.ledger().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_approve_is_told_so_and_nobody_is_asked_in_the_dark() {
    let stage = Stage::new().await;
    stage
        .request(&stage.plan("delete", "delete_guest", "qemu/101", &json!({})), Phase::AwaitingApproval)
        .await;
    let forbidden = stage.approve("auditor", &["delete", "--yes"]).await;
    assert_eq!(forbidden.code, 4);
    assert!(
        forbidden.stderr.contains("cannot create resource \"proxmoxactionapprovals\""),
        "{}",
        forbidden.stderr
    );
    let unasked = stage.approve("approver", &["delete"]).await;
    assert_eq!(unasked.code, 3);
    assert!(unasked.stderr.contains("Give --yes"), "{}", unasked.stderr);
    let unknown = stage.approve("approver", &["no-such-plan", "--yes"]).await;
    assert!(unknown.stderr.contains("there is no plan `no-such-plan`"), "{}", unknown.stderr);
    assert!(stage.sim.ledger().is_empty());
}

/// The API server takes a date that is later than any that this program knows.
#[tokio::test(flavor = "multi_thread")]
async fn a_no_that_can_not_be_read_is_not_passed_over() {
    let stage = Stage::new().await;
    let plan = stage.plan("delete", "delete_guest", "qemu/101", &json!({}));
    let plan = stage.request(&plan, Phase::AwaitingApproval).await;
    let for_good = json!({"decision": "Deny", "expiresAt": "9999-12-31T23:59:59Z"});
    let denied = stage.apply("approver", &stage.approval("no", &plan, &for_good)).await;
    assert_eq!(denied.code, 0, "{}", denied.stderr);
    let store = KubeStore::new(stage.admin.clone(), None, None);
    let read = store.approvals_of(&Key::of(&plan)).await;
    assert!(matches!(&read, Err(StoreError::Malformed { object, .. }) if object.contains("no")), "{read:?}");
}
