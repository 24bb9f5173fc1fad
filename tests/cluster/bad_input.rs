//! Bad input is answered with the field and what is allowed; it stops nobody else.

use std::sync::Arc;

use proxmox_agent::api::{Phase, PlanStatus, ProxmoxActionPlan};
use serde_json::{Value, json};

use crate::support::{
    cluster::{Cluster, taken},
    manifests::manifest_in,
    patience::until_async,
    stage::{Setting, Stage},
    worlds,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_none_is_denied_with_its_field() {
    let stage = Stage::new().await;
    for (name, action, target, more, expected) in [
        ("action", "format_disk", "qemu/101", json!({}), "spec.action: `format_disk` is not an action"),
        ("target", "start_guest", "qemu/abc", json!({}), "spec.target: `qemu/abc` is no guest"),
        (
            "form",
            "start_guest",
            "inventory/all",
            json!({}),
            "spec.target: `inventory/all` is not what start_guest",
        ),
        (
            "type",
            "shutdown_guest",
            "qemu/101",
            json!({"params": {"timeout": "soon"}}),
            "spec.params.timeout: must be a whole number",
        ),
        (
            "unknown",
            "start_guest",
            "qemu/101",
            json!({"params": {"colour": "red"}}),
            "spec.params.colour: is not known",
        ),
        ("missing", "delete_snapshot", "qemu/101", json!({}), "spec.params.snapshot: is missing"),
        ("nobody", "start_guest", "qemu/999", json!({}), "spec.target: there is no qemu/999"),
        (
            "garbage",
            "create_snapshot",
            "qemu/101",
            json!({"params": {"description": "x".repeat(200_000)}}),
            "spec.params.description: must be text of at most 1024 characters, not a text of 200000",
        ),
    ] {
        let status =
            stage.request(&stage.plan(name, action, target, &more), Phase::Denied).await.status.unwrap();
        assert!(status.message.starts_with(expected), "{}", status.message);
    }
    assert!(stage.sim.ledger().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_megabyte_of_garbage_is_refused_at_the_door() {
    let stage = Stage::new().await;
    let garbage = "x".repeat(1 << 20);
    for (field, more) in
        [("spec.reason", json!({"reason": garbage})), ("spec.target", json!({"target": garbage}))]
    {
        let refused = stage.apply("requester", &stage.plan("big", "start_guest", "qemu/101", &more)).await;
        assert_ne!(refused.code, 0);
        assert!(refused.stderr.contains(field), "{}", &refused.stderr[..refused.stderr.len().min(500)]);
    }
    stage.request(&stage.plan("fine", "start_guest", "qemu/101", &json!({})), Phase::Succeeded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_for_an_environment_that_comes_later_waits_for_it() {
    let stage = Stage::new().await;
    stage.kubectl("admin", &["delete", "pxe", "home"]).await;
    let missing = |status: &proxmox_agent::api::PlanStatus| status.reason == "EnvironmentNotFound";
    stage.apply("requester", &stage.plan("early", "start_guest", "qemu/101", &json!({}))).await;
    let status = stage.plan_when("early", "blocked", missing).await.status.unwrap();
    assert!(
        status.message.starts_with("spec.environment: there is no ProxmoxEnvironment `home`"),
        "{}",
        status.message
    );
    stage.apply_as_admin(&stage.environment(&json!({}), None)).await;
    stage.plan_in("early", Phase::Succeeded).await;
    assert_eq!(stage.calls().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_whose_policy_comes_later_waits_for_it_too() {
    let environment = json!({"policyRef": {"name": "house"}});
    let stage = Stage::with(Setting { environment, ..Setting::default() }).await;
    stage.apply("requester", &stage.plan("early", "start_guest", "qemu/101", &json!({}))).await;
    let missing = |status: &proxmox_agent::api::PlanStatus| status.reason == "PolicyNotFound";
    stage.plan_when("early", "blocked", missing).await;
    stage.apply_as_admin(&stage.policy("permissive")).await;
    stage.plan_in("early", Phase::Succeeded).await;
    assert_eq!(stage.calls().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_environment_says_what_is_wrong_with_it() {
    let wrong = json!({"tls": {"fingerprint": "00".repeat(32)}});
    let stage = Stage::with(Setting { environment: wrong, ..Setting::default() }).await;
    stage.apply("requester", &stage.plan("p", "start_guest", "qemu/101", &json!({}))).await;
    let unreachable = |status: &proxmox_agent::api::PlanStatus| status.reason == "ProxmoxUnavailable";
    let status = stage.plan_when("p", "blocked", unreachable).await.status.unwrap();
    assert!(status.message.contains("fingerprint"), "{}", status.message);
    assert!(stage.sim.ledger().is_empty());
}

/// Stores what the schema does not take, as it may have come from a time when the schema was another one.
async fn stored_in_spite_of_the_schema(
    stage: &Stage,
    crd: &str,
    loosened: &Value,
    (who, object): (&str, &str),
) {
    let loosened = loosened.to_string();
    let patch = ["patch", "crd", crd, "--type=json", "-p", &loosened];
    let patched = stage.cluster.kubectl("admin", &patch).await;
    taken(&patched);
    // Until the API server serves the loosened schema, it refuses the object.
    until_async("the object is taken", async || stage.apply(who, object).await.code == 0).await;
    let crds = concat!(env!("CARGO_MANIFEST_DIR"), "/crds");
    stage.cluster.kubectl("admin", &["apply", "--server-side", "--force-conflicts", "-f", crds]).await;
}

/// Other tests rely on the schema as it is.
async fn stage_of_its_own() -> Stage {
    let cluster = Some(Arc::new(Cluster::start()));
    Stage::without_operator(Setting { cluster, ..Setting::default() }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_can_not_be_read_stops_nobody_else() {
    let mut stage = stage_of_its_own().await;
    let open = json!([{"op": "replace", "path": "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/params",
        "value": {"x-kubernetes-preserve-unknown-fields": true}}]);
    let poison = stage.plan("poison", "start_guest", "qemu/101", &json!({"params": "not a map"}));
    let crd = "proxmoxactionplans.proxmox-agent.io";
    stored_in_spite_of_the_schema(&stage, crd, &open, ("requester", &poison)).await;

    stage.start_operator();
    stage.request(&stage.plan("fine", "start_guest", "qemu/101", &json!({})), Phase::Succeeded).await;
    assert!(stage.api::<ProxmoxActionPlan>().get("poison").await.is_err(), "it can be read after all");
    assert_eq!(stage.calls().len(), 1);
    // The API server refuses every write to it, its status too; an Event gets through.
    until_async("the object is reported on", async || {
        let told = stage.kubectl("admin", &["get", "events.events.k8s.io", "-o", "json"]).await.stdout;
        told.contains("\"Malformed\"") && told.contains("\"poison\"")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_can_not_be_read_holds_up_its_whole_namespace_for_it_may_hold_a_freeze() {
    let mut stage = stage_of_its_own().await;
    let preset = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/preset/enum";
    let open = json!([{"op": "remove", "path": preset}]);
    let spec = json!({"preset": "ancient", "globalFreeze": {"reason": "the attic burns"}});
    let ice = manifest_in(&stage.namespace, "ProxmoxPolicy", "ice", &spec);
    let crd = "proxmoxpolicies.proxmox-agent.io";
    stored_in_spite_of_the_schema(&stage, crd, &open, ("admin", &ice)).await;

    stage.start_operator();
    stage.apply("requester", &stage.plan("p", "start_guest", "qemu/101", &json!({}))).await;
    let unread = |status: &PlanStatus| status.phase == Phase::Pending && status.reason == "Malformed";
    let status = stage.plan_when("p", "blocked", unread).await.status.unwrap();
    let words = format!("ProxmoxPolicy {}/ice can't be read: ", stage.namespace);
    assert!(status.message.starts_with(&words), "{}", status.message);
    assert!(stage.sim.ledger().is_empty());
    let gone = stage.kubectl("admin", &["delete", "pxpol", "ice"]).await;
    taken(&gone);
    stage.plan_in("p", Phase::Succeeded).await;
    assert_eq!(stage.calls().len(), 1);
}

/// One that is nested deeply enough could not be read, and with it no list that it stands in.
#[tokio::test(flavor = "multi_thread")]
async fn a_parameter_is_never_a_list_or_an_object() {
    let stage = Stage::new().await;
    let nested = format!("{}1{}", "[".repeat(200), "]".repeat(200));
    for value in [nested.as_str(), "[1]", "{\"a\": 1}"] {
        let plan = stage.plan("deep", "start_guest", "qemu/101", &json!({"params": {"timeout": "VALUE"}}));
        let refused = stage.apply("requester", &plan.replace("\"VALUE\"", value)).await;
        assert!(refused.stderr.contains("spec.params.timeout"), "{value}: {}", refused.stderr);
    }
    stage.request(&stage.plan("fine", "start_guest", "qemu/101", &json!({})), Phase::Succeeded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_that_can_not_go_on_says_why_whether_it_was_approved_or_only_reads() {
    let stage =
        Stage::with(Setting { world: Some(worlds::without_privilege("Sys.Audit")), ..Setting::default() })
            .await;
    let high = stage
        .request(&stage.plan("high", "delete_guest", "lxc/201", &json!({})), Phase::AwaitingApproval)
        .await;
    stage.apply("approver", &stage.approval("mine", &high, &json!({}))).await;
    stage.apply("requester", &stage.plan("low", "create_snapshot", "qemu/101", &json!({}))).await;
    for name in ["low", "high"] {
        let status =
            stage.plan_when(name, "blocked", |status| status.phase == Phase::Approved).await.status.unwrap();
        assert!(status.message.contains("Sys.Audit"), "{}", status.message);
        let stalled = status.conditions.iter().find(|condition| condition.type_ == "Stalled").unwrap();
        assert_eq!(stalled.status, "True");
    }
    assert!(stage.sim.ledger().is_empty());
    stage.apply_as_admin(&stage.environment(&json!({"endpoints": ["https://127.0.0.1:9"]}), None)).await;
    stage.apply("requester", &stage.plan("look", "read_inventory", "inventory/all", &json!({}))).await;
    let unreachable = |status: &proxmox_agent::api::PlanStatus| status.reason == "ProxmoxUnavailable";
    stage.plan_when("look", "blocked", unreachable).await;
}
