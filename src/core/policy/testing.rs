//! A plan on the way to a judgement under a policy, for tests.

use serde_json::{Value, json};

use super::*;
use crate::{
    api::ProxmoxActionPlan,
    core::{
        judge::{Judgement, Setting, Unjudged, judge},
        observe::World,
        request::{normalise, tests::spec},
        testing::{guest, plan, world_of},
    },
};

/// What becomes of a plan.
pub(super) struct Stage {
    pub plan: ProxmoxActionPlan,
    pub world: World,
    pub policy: Option<Value>,
    pub beside: Vec<ProxmoxPolicy>,
    pub environment: Value,
    pub now: jiff::Timestamp,
}

impl Stage {
    pub(super) fn new(action: &str, params: Value) -> Self {
        Self {
            plan: plan("p", &spec(action, "qemu/100", params)),
            world: world_of(guest("qemu/100")),
            policy: None,
            beside: vec![],
            environment: json!({}),
            now: "2026-11-21T12:30:00Z".parse().unwrap(),
        }
    }

    pub(super) fn under(policy: Value) -> Self {
        Self { policy: Some(policy), ..Self::new("delete_guest", json!({})) }
    }

    pub(super) fn judged(&self) -> Result<Judgement, Unjudged> {
        let mut spec = json!({
            "endpoints": ["https://pve1"], "credentials": {"secretRef": {"name": "s"}}, "tier": "lab", "site": "attic",
        });
        spec.as_object_mut().unwrap().extend(self.environment.as_object().unwrap().clone());
        let environment = ProxmoxEnvironment::new("home", serde_json::from_value(spec).unwrap());
        let policy = self.policy.clone().map(|spec| policy("house", spec));
        let policy = Policy::of(policy.as_ref(), &environment, &self.beside)?;
        let request = normalise("default", &self.plan.spec).unwrap();
        let setting = Setting { plan: &self.plan, environment: &environment, policy: &policy, now: self.now };
        judge(&request, &self.world, setting)
    }

    pub(super) fn refused(&self) -> (&'static str, String) {
        match self.judged() {
            Err(Unjudged::Denied(denial)) => (denial.reason, denial.message),
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn unusable(&self) -> String {
        match self.judged() {
            Err(Unjudged::Unruled(unusable)) => unusable.to_string(),
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn decisions(&self) -> Vec<String> {
        let decisions = self.judged().unwrap().judged.policy.decisions;
        decisions.into_iter().map(|one| format!("{}: {}", one.by, one.what)).collect()
    }

    pub(super) fn warnings(&self) -> Vec<String> {
        self.judged().unwrap().judged.preview.warnings
    }
}

pub(super) fn policy(name: &str, spec: Value) -> ProxmoxPolicy {
    let mut policy = ProxmoxPolicy::new(name, serde_json::from_value(spec).unwrap());
    policy.metadata.uid = Some("550e".into());
    policy.metadata.generation = Some(3);
    policy
}

pub(super) fn rule(name: &str, when: &str, more: Value) -> Value {
    let mut rule = json!({"name": name, "when": when});
    if let (Value::Object(fields), Value::Object(more)) = (&mut rule, more) {
        fields.extend(more);
    }
    rule
}

pub(super) fn under_rule(when: &str, more: Value) -> Stage {
    Stage::under(json!({"rules": [rule("r", when, more)]}))
}

#[track_caller]
pub(super) fn assert_one(lines: &[String], words: &str) {
    assert!(lines.iter().any(|line| line.contains(words)), "{words}: {lines:#?}");
}
