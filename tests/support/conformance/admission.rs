//! What users may write.

use kube::{core::DeserializeGuard, runtime::watcher::Event};
use proxmox_agent::{
    api::{Phase, ProxmoxActionPlan, ProxmoxPolicy},
    ports::Store,
};
use serde_json::json;

use super::{Home, a_plan, applied, in_phase, initialised, is_refused, key, next_about};
use crate::support::manifests::{manifest, plan_spec, policy};

pub async fn a_spec_never_changes<H: Home>(home: &H) {
    let plan = a_plan(home, "p").await;
    let mut spec = plan_spec();
    spec["target"] = json!("qemu/666");
    let changed = home.apply(&manifest("ProxmoxActionPlan", "p", &spec)).await;
    let why = match changed {
        Err(why) => why,
        Ok(()) => home.refusal::<ProxmoxActionPlan>(&key(home, "p")).await.expect("a refusal is told"),
    };
    assert!(why.contains("spec is immutable: make a new plan instead"), "{why}");
    let read: ProxmoxActionPlan = home.store().get(&key(home, "p")).await.unwrap().unwrap();
    assert_eq!((read.spec, read.metadata.uid), (plan.spec, plan.metadata.uid));
}

pub async fn a_malformed_object_stops_nobody_else<H: Home>(home: &H) {
    let store = home.store();
    let mut changes = store.watch::<ProxmoxActionPlan>();
    initialised(&mut changes).await;
    let before = a_plan(home, "before").await;
    let bad = home.apply(&manifest("ProxmoxActionPlan", "bad", &json!({ "action": ["x"] }))).await;
    is_refused::<H, ProxmoxActionPlan>(home, bad, "bad", "spec.environment").await;
    a_plan(home, "after").await;
    assert!(matches!(next_about(&mut changes, "after").await, Event::Apply(DeserializeGuard(Ok(_)))));
    store.replace_status(&in_phase(&before, Phase::Denied)).await.unwrap();
    // The engine says what it thinks of it as well; that must not fail either.
    store
        .report_malformed::<ProxmoxActionPlan>(&key(home, "bad"), "spec.action: must be a string")
        .await
        .unwrap();
    // Put right, it is taken.
    a_plan(home, "bad").await;
}

pub async fn an_unknown_field_is_refused<H: Home>(home: &H) {
    let mut spec = plan_spec();
    spec["dryrun"] = json!(true);
    let applied = home.apply(&manifest("ProxmoxActionPlan", "p", &spec)).await;
    is_refused::<H, ProxmoxActionPlan>(home, applied, "p", "spec.dryrun").await;
}

pub async fn a_missing_field_is_refused<H: Home>(home: &H) {
    let mut spec = plan_spec();
    spec.as_object_mut().unwrap().remove("requestedBy");
    let applied = home.apply(&manifest("ProxmoxActionPlan", "p", &spec)).await;
    is_refused::<H, ProxmoxActionPlan>(home, applied, "p", "spec.requestedBy").await;
}

pub async fn a_value_of_the_wrong_type_is_refused<H: Home>(home: &H) {
    for (field, value) in
        [("dryRun", json!("yes")), ("target", json!(100)), ("params", json!([])), ("notAfter", json!("soon"))]
    {
        let mut spec = plan_spec();
        spec[field] = value;
        let name = format!("p-{field}").to_lowercase();
        let applied = home.apply(&manifest("ProxmoxActionPlan", &name, &spec)).await;
        is_refused::<H, ProxmoxActionPlan>(home, applied, &name, &format!("spec.{field}")).await;
    }
}

pub async fn a_value_over_its_bound_is_refused<H: Home>(home: &H) {
    for field in ["reason", "target", "environment"] {
        let mut spec = plan_spec();
        spec[field] = json!("x".repeat(1_000_000));
        let name = format!("p-{field}");
        let applied = home.apply(&manifest("ProxmoxActionPlan", &name, &spec)).await;
        is_refused::<H, ProxmoxActionPlan>(home, applied, &name, &format!("spec.{field}")).await;
    }
}

pub async fn a_policy_may_change<H: Home>(home: &H) {
    let before: ProxmoxPolicy = applied(home, &policy("house", "balanced"), "house").await;
    let mut changes = home.store().watch::<ProxmoxPolicy>();
    initialised(&mut changes).await;
    home.apply(&policy("house", "strict")).await.unwrap();
    let Event::Apply(DeserializeGuard(Ok(after))) = next_about(&mut changes, "house").await else {
        panic!("a change is told")
    };
    assert_ne!(after.spec, before.spec);
    assert_eq!(after.metadata.uid, before.metadata.uid);
    assert_eq!(after.metadata.generation, Some(2));
    assert_ne!(after.metadata.resource_version, before.metadata.resource_version);
}
