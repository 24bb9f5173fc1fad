use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::bounds;

/// How much approval plans need.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "proxmox-agent.io",
    version = "v1alpha1",
    kind = "ProxmoxPolicy",
    plural = "proxmoxpolicies",
    namespaced,
    status = "PolicyStatus",
    shortname = "pxpol",
    category = "proxmox",
    derive = "PartialEq",
    cel,
    doc = "How much approval the plans of an environment need.",
    printcolumn(name = "Preset", type_ = "string", json_path = ".spec.preset"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    selectable = ".spec.preset"
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ProxmoxPolicySpec {
    #[serde(default)]
    pub preset: Preset,
}

/// A named, complete set of demands.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Preset {
    Permissive,
    #[default]
    Balanced,
    Strict,
}

impl Preset {
    /// From the mildest to the strictest.
    pub const ALL: [Self; 3] = [Self::Permissive, Self::Balanced, Self::Strict];
}

impl fmt::Display for Preset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Permissive => "permissive",
            Self::Balanced => "balanced",
            Self::Strict => "strict",
        })
    }
}

/// What is known about the policy itself.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct PolicyStatus {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "bounds::conditions")]
    pub conditions: Vec<Condition>,
}
