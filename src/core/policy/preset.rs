//! What the presets say, complete.

use crate::api::{GuardMode, Preset, Risk};

/// A value for every knob. What is `None` there is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Complete {
    pub guards: GuardMode,
    /// From low to critical.
    approvals: [u32; 4],
    pub hits_per_approver: Option<u32>,
    pub hourly_changes: Option<u32>,
    pub hourly_high_risk: Option<u32>,
}

/// Another one whenever the content of a preset changes: approvals under another content don't count.
const CONTENT: u32 = 2;

pub(super) fn revision(preset: Preset) -> String {
    format!("{preset}/{CONTENT}")
}

impl Complete {
    pub fn of(preset: Preset) -> Self {
        match preset {
            Preset::Permissive => Self {
                guards: GuardMode::Warn,
                approvals: [0, 0, 1, 1],
                hits_per_approver: None,
                hourly_changes: None,
                hourly_high_risk: None,
            },
            Preset::Balanced => Self {
                guards: GuardMode::Stop,
                approvals: [0, 1, 1, 1],
                hits_per_approver: None,
                hourly_changes: None,
                hourly_high_risk: None,
            },
            Preset::Strict => Self {
                guards: GuardMode::Stop,
                approvals: [1, 1, 1, 2],
                hits_per_approver: Some(10),
                hourly_changes: Some(60),
                hourly_high_risk: Some(10),
            },
        }
    }

    pub fn approvals(&self, risk: Risk) -> u32 {
        let [low, medium, high, critical] = self.approvals;
        match risk {
            Risk::Low => low,
            Risk::Medium => medium,
            Risk::High => high,
            Risk::Critical => critical,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn high_risk_needs_an_approval_under_every_preset() {
        for preset in Preset::ALL {
            assert!(Complete::of(preset).approvals(Risk::High) >= 1, "{preset}");
            assert!(Complete::of(preset).approvals(Risk::Critical) >= 1, "{preset}");
        }
    }

    #[test]
    fn a_stricter_preset_or_a_higher_risk_never_demands_less() {
        for presets in Preset::ALL.windows(2) {
            let (mild, strict) = (Complete::of(presets[0]), Complete::of(presets[1]));
            assert!(Risk::ALL.iter().all(|risk| mild.approvals(*risk) <= strict.approvals(*risk)));
            assert!((mild.guards == GuardMode::Warn) || strict.guards == GuardMode::Stop);
            let no_looser = |mild: Option<u32>, strict: Option<u32>| {
                strict.unwrap_or(u32::MAX) <= mild.unwrap_or(u32::MAX)
            };
            assert!(no_looser(mild.hits_per_approver, strict.hits_per_approver));
            assert!(no_looser(mild.hourly_changes, strict.hourly_changes));
            assert!(no_looser(mild.hourly_high_risk, strict.hourly_high_risk));
        }
        for preset in Preset::ALL {
            for risks in Risk::ALL.windows(2) {
                assert!(Complete::of(preset).approvals(risks[0]) <= Complete::of(preset).approvals(risks[1]));
            }
        }
    }
}
