use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How much a wrong call would cost. Ordered: a higher one needs at least the approvals of a lower one.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[serde(rename_all = "lowercase")]
pub enum Risk {
    /// Easily undone, touches nothing but its target.
    Low,
    /// An outage, or a change that takes work to undo.
    Medium,
    /// Data or a restore point can be lost.
    High,
    /// Data is lost for certain and nothing brings it back.
    Critical,
}

impl Risk {
    /// From the lowest to the highest.
    pub const ALL: [Self; 4] = [Self::Low, Self::Medium, Self::High, Self::Critical];

    /// The word that is used in YAML, on the command line and in messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

impl fmt::Display for Risk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
