use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Provenance, Risk, Source, bounds};

/// One immutable decision of one person on one plan.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "proxmox-agent.io",
    version = "v1alpha1",
    kind = "ProxmoxActionApproval",
    plural = "proxmoxactionapprovals",
    namespaced,
    status = "ApprovalStatus",
    shortname = "pxa",
    category = "proxmox",
    derive = "PartialEq",
    cel,
    doc = "One immutable decision of one person on one plan. Delete it to revoke it, until the plan is dispatched.",
    printcolumn(name = "Plan", type_ = "string", json_path = ".spec.planRef.name"),
    printcolumn(name = "Decision", type_ = "string", json_path = ".spec.decision"),
    printcolumn(name = "Approved-By", type_ = "string", json_path = ".spec.approved_by"),
    printcolumn(name = "Risk", type_ = "string", json_path = ".spec.risk"),
    printcolumn(name = "Verdict", type_ = "string", json_path = ".status.verdict"),
    printcolumn(name = "Why", type_ = "string", json_path = ".status.message", priority = 1),
    printcolumn(name = "Expires", type_ = "string", json_path = ".spec.expiresAt", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    selectable = ".spec.planRef.name",
    selectable = ".spec.environment",
    selectable = ".spec.approved_by"
)]
#[x_kube(validation = Rule::new("self == oldSelf").message("approvals are immutable: delete this one to revoke it"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ProxmoxActionApprovalSpec {
    pub plan_ref: PlanRef,
    /// The plan's `status.planHash` as the approver saw it.
    #[schemars(length(min = 71, max = 71), regex(pattern = r"^sha256:[0-9a-f]{64}$"))]
    pub plan_hash: String,
    pub decision: Decision,
    /// The person who decides.
    #[serde(rename = "approved_by")]
    #[schemars(length(min = 1, max = 253))]
    pub approved_by: String,
    /// Groups that the approver speaks for. They count as far as admission, or a list of signers, proves them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "bounds::names")]
    pub approver_groups: Vec<String>,
    /// The plan's environment: admission checks the approver's right on what stands here.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub environment: String,
    /// The plan's risk: admission checks the approver's right on what stands here.
    pub risk: Risk,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 1024))]
    pub reason: String,
    /// Until when the decision counts; 24 hours from its creation if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
    /// `git` when a syncer brings it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// Only to decide about an attempt whose outcome is unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub attempt: Option<i64>,
}

/// The plan that is decided on: a plan of the same name that is made later is another one.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct PlanRef {
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    #[schemars(length(min = 36, max = 36))]
    pub uid: String,
}

/// Yes or no.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    Approve,
    Deny,
}

/// What the operator makes of the approval.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ApprovalStatus {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<ApprovalVerdict>,
    #[serde(default)]
    #[schemars(length(max = 128))]
    pub reason: String,
    #[serde(default)]
    #[schemars(length(max = 4096))]
    pub message: String,
    /// Of one that came by git.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provenance: Option<Provenance>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "bounds::conditions")]
    pub conditions: Vec<Condition>,
}

/// Whether an approval counts.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApprovalVerdict {
    Counted,
    Refused,
}
