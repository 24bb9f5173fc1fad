//! What a preset demands.

use crate::api::{PolicyDecision, Preset, ProxmoxPolicy, Risk};

/// How many approvals a plan of this risk needs. High and critical ones need one under every preset.
pub fn approvals_required(preset: Preset, risk: Risk) -> u32 {
    match (preset, risk) {
        (Preset::Permissive | Preset::Balanced, Risk::Low) | (Preset::Permissive, Risk::Medium) => 0,
        (Preset::Strict, Risk::Critical) => 2,
        _ => 1,
    }
}

/// The policy that decides, and what of it enters planHash.
pub fn decision(policy: Option<&ProxmoxPolicy>) -> PolicyDecision {
    let Some(policy) = policy else {
        let preset = Preset::default();
        return PolicyDecision { preset, name: None, revision: format!("{preset}/1"), decisions: vec![] };
    };
    let meta = &policy.metadata;
    PolicyDecision {
        preset: policy.spec.preset,
        name: meta.name.clone(),
        revision: format!(
            "{}/{}",
            meta.uid.as_deref().unwrap_or_default(),
            meta.generation.unwrap_or_default()
        ),
        decisions: vec![],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn high_risk_needs_an_approval_under_every_preset() {
        for preset in Preset::ALL {
            assert!(approvals_required(preset, Risk::High) >= 1, "{preset}");
            assert!(approvals_required(preset, Risk::Critical) >= 1, "{preset}");
        }
    }

    #[test]
    fn a_stricter_preset_or_a_higher_risk_never_demands_less() {
        for presets in Preset::ALL.windows(2) {
            for risk in Risk::ALL {
                assert!(approvals_required(presets[0], risk) <= approvals_required(presets[1], risk));
            }
        }
        for preset in Preset::ALL {
            for risks in Risk::ALL.windows(2) {
                assert!(approvals_required(preset, risks[0]) <= approvals_required(preset, risks[1]));
            }
        }
    }
}
