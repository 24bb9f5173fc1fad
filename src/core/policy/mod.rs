//! What the presets, a ProxmoxPolicy and its environment make of a plan: how risky it is in their eyes, whom it needs,
//! and what stops it. Every decision says what made it.
//!
//! `Policy::of` settles everything once: `compile` makes `Rules` that can be asked of what somebody wrote, or says every
//! `Fault` in it; `knobs` lays preset, policy and environment over each other. `Policy::rule` (in `ruling`) then judges a
//! `Case`, a plan as far as it is judged without a policy. It asks the rules about the `facts` of the case, which may raise
//! the risk; `demand` says whom that risk needs; `guards`, `protection` and `freeze` say what stops it. The answer is a
//! `Ruling`. How many may be sent in an hour is asked last, right before dispatch: `hourly`.

mod calendar;
mod compile;
mod demand;
mod expression;
mod facts;
mod freeze;
#[cfg(test)]
mod freeze_tests;
mod guards;
mod hourly;
mod knobs;
mod preset;
#[cfg(test)]
mod property_tests;
mod protection;
mod room;
mod rules;
mod ruling;
mod running;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use jiff::tz::TimeZone;
use serde_json::json;

use crate::api::{Preset, Protection, ProxmoxEnvironment, ProxmoxPolicy};

use super::hash::{NotCanonical, RequestHash};

pub use compile::{Fault, Unusable, faults};
pub use demand::MOST_PEOPLE;
pub use facts::{BLANK, Case};
pub use freeze::FROZEN;
pub use hourly::{HOURLY_LIMIT_REACHED, Limits, Sent};
pub use preset::Complete;
pub use ruling::{Hold, Ruling};

use freeze::Freeze;
use knobs::Layers;
use rules::Rules;

/// Everything that rules the plans of an environment, settled and compiled.
#[derive(Debug)]
pub struct Policy {
    origin: Origin,
    knobs: Layers,
    rules: Rules,
    protection: Protection,
    freezes: Vec<Freeze>,
    zone: TimeZone,
    /// Of everything that approvals take for granted about it.
    digest: String,
}

/// Where it stands.
#[derive(Clone, Debug)]
struct Origin {
    preset: Preset,
    name: Option<String>,
    revision: String,
}

impl Policy {
    /// `beside` are the policies of the same namespace: a global freeze in any of them counts.
    pub fn of(
        policy: Option<&ProxmoxPolicy>,
        environment: &ProxmoxEnvironment,
        beside: &[ProxmoxPolicy],
    ) -> Result<Self, Unusable> {
        let spec = policy.map(|policy| policy.spec.clone()).unwrap_or_default();
        let origin = Origin::of(policy, spec.preset);
        let (rules, zone) = compile::compile(&origin.told(), &spec)?;
        let knobs = Layers::of(policy, environment);
        let digest = digest(policy, &knobs).map_err(|error| Unusable::because(&origin.told(), &error))?;
        Ok(Self {
            freezes: freeze::all(policy, beside),
            protection: spec.protection,
            origin,
            knobs,
            rules,
            zone,
            digest,
        })
    }

    /// What of it enters planHash. Neither freezes nor hourly limits do: they decide when, not whether.
    pub(super) fn digest(&self) -> &str {
        &self.digest
    }

    pub fn limits(&self) -> Limits {
        Limits::of(&self.knobs)
    }
}

impl Origin {
    fn of(policy: Option<&ProxmoxPolicy>, preset: Preset) -> Self {
        let Some(policy) = policy else {
            return Self { preset, name: None, revision: preset::revision(preset) };
        };
        let meta = &policy.metadata;
        let uid = meta.uid.as_deref().unwrap_or_default();
        Self {
            preset,
            name: meta.name.clone(),
            revision: format!("{uid}/{}", meta.generation.unwrap_or_default()),
        }
    }

    fn told(&self) -> String {
        self.name.as_ref().map_or_else(|| format!("preset {}", self.preset), |name| format!("policy {name}"))
    }
}

fn digest(policy: Option<&ProxmoxPolicy>, knobs: &Layers) -> Result<String, NotCanonical> {
    let spec = policy.map(|policy| policy.spec.clone()).unwrap_or_default();
    let agreed = json!({
        "guards": knobs.guards().value,
        "preset": preset::revision(spec.preset),
        "protection": spec.protection,
        "rules": spec.rules,
        "timeZone": spec.time_zone,
        "uid": policy.and_then(|policy| policy.metadata.uid.clone()).unwrap_or_default(),
    });
    Ok(RequestHash::of("the policy", &agreed)?.short())
}
