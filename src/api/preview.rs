//! What a plan shows before anybody says yes to it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::bounds;

/// What will be sent, what it meets, and what it would break. Bounded: what did not fit is counted.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Preview {
    #[schemars(length(max = 512))]
    pub summary: String,
    /// In the order in which they are sent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub calls: Vec<PreviewedCall>,
    /// The live state that the calls meet.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "bounds::facts")]
    pub meets: BTreeMap<String, String>,
    /// What is another way afterwards.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub changes: Vec<PreviewedChange>,
    #[serde(default)]
    pub privileges: PrivilegeReport,
    #[serde(default)]
    pub blast_radius: BlastRadius,
    /// How things stand afterwards, where that matters: memory of a node, quorum.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "bounds::lines")]
    pub afterwards: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "bounds::lines")]
    pub warnings: Vec<String>,
    #[serde(default)]
    pub undo: PreviewedUndo,
    /// Changes, warnings and the like that did not fit.
    #[serde(default)]
    #[schemars(with = "i32", range(min = 0))]
    pub omitted: u32,
}

/// One thing that is another way afterwards.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct PreviewedChange {
    #[schemars(length(max = 128))]
    pub what: String,
    /// Absent if it is not there now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub from: Option<String>,
    /// Absent if it is gone afterwards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub to: Option<String>,
}

/// What the token has to be allowed, and what it is allowed beyond that.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct PrivilegeReport {
    /// Such as `VM.PowerMgmt on /vms/100`; the token has all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "bounds::lines")]
    pub needed: Vec<String>,
    /// Far-reaching ones that this action does not need.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "bounds::lines")]
    pub beyond: Vec<String>,
}

/// Who and what else is hit.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct BlastRadius {
    /// What could not be seen, and why; it counts as the worst.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "bounds::lines")]
    pub unknown: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub hits: Vec<PreviewedHit>,
    /// Hits that did not fit.
    #[serde(default)]
    #[schemars(with = "i32", range(min = 0))]
    pub omitted: u32,
}

/// One that is hit.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct PreviewedHit {
    #[schemars(length(max = 253))]
    pub subject: String,
    #[schemars(length(max = 512))]
    pub effect: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 512))]
    pub detail: String,
}

/// How to take it back, or why that can't be done.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct PreviewedUndo {
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 512))]
    pub how: String,
    /// A plan that would do it, ready to be asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<CompensatingPlan>,
}

/// What to write into a plan that takes this one back.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct CompensatingPlan {
    #[schemars(length(max = 63))]
    pub action: String,
    #[schemars(length(max = 253))]
    pub target: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "bounds::params")]
    pub params: BTreeMap<String, serde_json::Value>,
}

/// One call to the Proxmox API.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
pub struct PreviewedCall {
    #[schemars(length(max = 8))]
    pub method: String,
    #[schemars(length(max = 512))]
    pub path: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "bounds::call_params")]
    pub params: BTreeMap<String, String>,
}
