//! Objects as a user would write them.

use serde_json::{Value, json};

pub const HASH: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
pub const OTHER_HASH: &str = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

/// Who asks in all of them.
pub const REQUESTER: &str = "requester@example.test";
/// Who decides.
pub const APPROVER: &str = "approver@example.test";

/// Any object. JSON is YAML as well.
pub fn manifest(kind: &str, name: &str, spec: &Value) -> String {
    manifest_in("default", kind, name, spec)
}

pub fn manifest_in(namespace: &str, kind: &str, name: &str, spec: &Value) -> String {
    let object = json!({
        "apiVersion": "proxmox-agent.io/v1alpha1", "kind": kind,
        "metadata": { "name": name, "namespace": namespace }, "spec": spec,
    });
    serde_json::to_string_pretty(&object).unwrap()
}

/// A spec with some of its fields added or written over. Nothing is added by null.
pub fn with(mut spec: Value, more: &Value) -> Value {
    let more = more.as_object().cloned().unwrap_or_default();
    spec.as_object_mut().unwrap().extend(more);
    spec
}

pub fn plan_spec() -> Value {
    json!({ "environment": "home", "action": "start_guest", "target": "qemu/100", "requestedBy": REQUESTER })
}

pub fn plan(name: &str) -> String {
    manifest("ProxmoxActionPlan", name, &plan_spec())
}

pub fn approval_spec(plan: &str, uid: &str) -> Value {
    json!({
        "planRef": { "name": plan, "uid": uid }, "planHash": HASH, "decision": "Approve", "approved_by": APPROVER,
        "environment": "home", "risk": "low",
    })
}

pub fn approval(name: &str, plan: &str, uid: &str) -> String {
    manifest("ProxmoxActionApproval", name, &approval_spec(plan, uid))
}

pub fn policy(name: &str, preset: &str) -> String {
    manifest("ProxmoxPolicy", name, &json!({ "preset": preset }))
}
