//! Which value a knob has: the environment's, else the policy's, else the preset's.

use crate::api::{GuardMode, Knobs, Preset, ProxmoxEnvironment, ProxmoxPolicy, Risk};

use super::preset::Complete;

/// A value, and what set it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Set<T> {
    pub value: T,
    pub by: String,
}

/// The three layers, from the one that is asked last to the one that is asked first.
#[derive(Clone, Debug)]
pub(super) struct Layers {
    preset: Preset,
    policy: Option<Layer>,
    environment: Layer,
}

#[derive(Clone, Debug)]
struct Layer {
    /// Such as `policy house`.
    whose: String,
    knobs: Knobs,
}

impl Layers {
    pub(super) fn of(policy: Option<&ProxmoxPolicy>, environment: &ProxmoxEnvironment) -> Self {
        let whose =
            |kind: &str, name: &Option<String>| format!("{kind} {}", name.as_deref().unwrap_or_default());
        Self {
            preset: policy.map(|policy| policy.spec.preset).unwrap_or_default(),
            policy: policy.map(|policy| Layer {
                whose: whose("policy", &policy.metadata.name),
                knobs: policy.spec.knobs.clone(),
            }),
            environment: Layer {
                whose: whose("environment", &environment.metadata.name),
                knobs: environment.spec.policy_knobs.clone(),
            },
        }
    }

    pub(super) fn guards(&self) -> Set<GuardMode> {
        self.settle("guards", |knobs| knobs.guards, self.complete().guards)
    }

    pub(super) fn approvals(&self, risk: Risk) -> Set<u32> {
        let knob = format!("approvals.{risk}");
        let of = |knobs: &Knobs| match risk {
            Risk::Low => knobs.approvals.low,
            Risk::Medium => knobs.approvals.medium,
            Risk::High => knobs.approvals.high,
            Risk::Critical => knobs.approvals.critical,
        };
        self.settle(&knob, of, self.complete().approvals(risk))
    }

    pub(super) fn hits_per_approver(&self) -> Option<Set<u32>> {
        self.limit("hitsPerApprover", |knobs| knobs.hits_per_approver, self.complete().hits_per_approver)
    }

    pub(super) fn hourly_changes(&self) -> Option<Set<u32>> {
        self.limit("hourly.changes", |knobs| knobs.hourly.changes, self.complete().hourly_changes)
    }

    pub(super) fn hourly_high_risk(&self) -> Option<Set<u32>> {
        self.limit("hourly.highRisk", |knobs| knobs.hourly.high_risk, self.complete().hourly_high_risk)
    }

    fn complete(&self) -> Complete {
        Complete::of(self.preset)
    }

    fn settle<T: Copy>(&self, knob: &str, of: impl Fn(&Knobs) -> Option<T>, preset: T) -> Set<T> {
        self.set_apart(knob, of).unwrap_or_else(|| self.by_preset(preset))
    }

    fn limit<T: Copy>(
        &self,
        knob: &str,
        of: impl Fn(&Knobs) -> Option<T>,
        preset: Option<T>,
    ) -> Option<Set<T>> {
        self.set_apart(knob, of).or_else(|| preset.map(|value| self.by_preset(value)))
    }

    /// By somebody else than the preset.
    fn set_apart<T: Copy>(&self, knob: &str, of: impl Fn(&Knobs) -> Option<T>) -> Option<Set<T>> {
        std::iter::once(&self.environment).chain(&self.policy).find_map(|layer| {
            let value = of(&layer.knobs)?;
            Some(Set { value, by: format!("knob {knob} of {}", layer.whose) })
        })
    }

    fn by_preset<T>(&self, value: T) -> Set<T> {
        Set { value, by: format!("preset {}", self.preset) }
    }
}
