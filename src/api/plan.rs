use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Answer, Doubt, EarlierAttempt, Intent, Phase, Preset, Preview, Provenance, Risk, Source, TaskReport,
    bounds,
};

/// One immutable request to do one thing on one Proxmox environment.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "proxmox-agent.io", version = "v1alpha1", kind = "ProxmoxActionPlan", plural = "proxmoxactionplans",
    namespaced, status = "PlanStatus", shortname = "pxp", shortname = "plan", category = "proxmox",
    derive = "PartialEq", cel,
    doc = "One immutable request to do one thing on one Proxmox environment, and everything found out about it.",
    printcolumn(name = "Env", type_ = "string", json_path = ".spec.environment"),
    printcolumn(name = "Action", type_ = "string", json_path = ".spec.action"),
    printcolumn(name = "Target", type_ = "string", json_path = ".spec.target"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Risk", type_ = "string", json_path = ".status.risk"),
    printcolumn(name = "Approvals", type_ = "string", json_path = ".status.approvals.progress"),
    printcolumn(name = "Requested-By", type_ = "string", json_path = ".spec.requestedBy"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.reason", priority = 1),
    printcolumn(name = "UPID", type_ = "string", json_path = ".status.upid", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    selectable = ".spec.environment",
    selectable = ".spec.action",
    selectable = ".spec.target",
    selectable = ".status.phase",
    validation = Rule::new("!has(oldSelf.status) || has(self.status)").message("status can't be removed"),
)]
#[x_kube(
    validation = Rule::new("self == oldSelf").message("spec is immutable: make a new plan instead"),
    validation = Rule::new("!has(self.source) || has(self.notAfter)").message("a plan that comes by git needs notAfter: it would run again wherever the repository is applied anew"),
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ProxmoxActionPlanSpec {
    /// The ProxmoxEnvironment, in the plan's own namespace.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub environment: String,
    /// What to do: a name from the action catalogue, such as `start_guest`.
    #[schemars(length(min = 1, max = 63))]
    pub action: String,
    /// On what: a Proxmox resource id, such as `qemu/100` or `lxc/200`.
    #[schemars(length(min = 1, max = 253))]
    pub target: String,
    /// The action's parameters.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "bounds::params")]
    pub params: BTreeMap<String, serde_json::Value>,
    /// Plan and preview only; nothing is ever sent.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
    /// Why; shown to approvers and kept in the audit log.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 1024))]
    pub reason: String,
    /// Who asks. This person can't approve the plan.
    #[schemars(length(min = 1, max = 253))]
    pub requested_by: String,
    /// Don't send before this moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Time>,
    /// Don't send after this moment; the plan expires instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after: Option<Time>,
    /// `git` when a syncer brings it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
}

/// What the operator found out and did.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[x_kube(
    validation = Rule::new("!(oldSelf.phase in ['Succeeded','Failed','Denied','Expired','Cancelled']) || self == oldSelf").message("the plan has ended: its status is final"),
    validation = Rule::new("oldSelf.phase != 'Indeterminate' || self.phase == 'Indeterminate' || (self.phase == 'Dispatching' && self.attempts == oldSelf.attempts + 1)").message("an unknown outcome stays unknown: only another attempt can follow"),
    validation = Rule::new("oldSelf.phase != 'AwaitingApproval' || self.phase != 'Pending'").message("phases never go back"),
    validation = Rule::new("oldSelf.phase != 'Approved' || self.phase != 'Pending'").message("phases never go back"),
    validation = Rule::new("!(self.phase in ['Pending','AwaitingApproval','Approved']) || (self.attempts == 0 && !has(self.intent))").message("nothing waits any more once an intent is on record"),
    validation = Rule::new("oldSelf.phase != 'Dispatching' || self.phase in ['Dispatching','Running','Succeeded','Failed','Indeterminate']").message("once dispatched, only the outcome can follow"),
    validation = Rule::new("oldSelf.phase != 'Running' || self.phase in ['Running','Succeeded','Failed','Indeterminate']").message("once running, only the outcome can follow"),
    validation = Rule::new("!has(oldSelf.requestHash) || (has(self.requestHash) && self.requestHash == oldSelf.requestHash)").message("requestHash is write-once"),
    validation = Rule::new("!has(oldSelf.planHash) || (has(self.planHash) && (self.planHash == oldSelf.planHash || self.phase in ['AwaitingApproval','Approved']))").message("planHash only changes while a plan waits"),
    validation = Rule::new("!has(oldSelf.planHash) || !has(self.planHash) || self.planHash == oldSelf.planHash || !has(self.approvals) || !has(self.approvals.granted) || size(self.approvals.granted) == 0").message("approvals of another planHash don't count"),
    validation = Rule::new("!has(oldSelf.upid) || self.attempts > oldSelf.attempts || (has(self.upid) && self.upid == oldSelf.upid)").message("upid is write-once within an attempt"),
    validation = Rule::new("!has(oldSelf.intent) || self.attempts > oldSelf.attempts || (has(self.intent) && self.intent == oldSelf.intent)").message("an intent is write-once within an attempt"),
    validation = Rule::new("self.attempts >= oldSelf.attempts && self.attempts <= oldSelf.attempts + 1").message("attempts only count up, by one"),
    validation = Rule::new("self.attempts == oldSelf.attempts || self.phase == 'Dispatching'").message("an attempt begins with its announcement"),
    validation = Rule::new("!has(oldSelf.earlier) || (has(self.earlier) && (self.attempts > oldSelf.attempts ? size(self.earlier) > size(oldSelf.earlier) : self.earlier == oldSelf.earlier))").message("what earlier attempts were stays on record"),
    validation = Rule::new("self.attempts < 2 || (has(self.earlier) && size(self.earlier) == self.attempts - 1)").message("what earlier attempts were stays on record"),
    validation = Rule::new("!has(self.upid) || self.attempts > 0").message("a upid needs an attempt"),
    validation = Rule::new("!(self.phase in ['Dispatching','Running']) || has(self.intent)").message("nothing is dispatched without an intent on record"),
)]
#[serde(rename_all = "camelCase")]
pub struct PlanStatus {
    #[serde(default)]
    pub phase: Phase,
    /// One word for programs.
    #[serde(default)]
    #[schemars(length(max = 128))]
    pub reason: String,
    /// A sentence for people.
    #[serde(default)]
    #[schemars(length(max = 4096))]
    pub message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// What is asked for, as a hash that is the same on every machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 71), regex(pattern = r"^sha256:[0-9a-f]{64}$"))]
    pub request_hash: Option<String>,
    /// What approvals bind to: the request, the target as it was met, and the policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 71), regex(pattern = r"^sha256:[0-9a-f]{64}$"))]
    pub plan_hash: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub risk: Option<Risk>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "bounds::lines")]
    pub risk_reasons: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<PolicyDecision>,
    /// Of a plan that came by git.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provenance: Option<Provenance>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approvals: Option<ApprovalProgress>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preview: Option<Preview>,
    /// The target as it was met; part of planHash.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "bounds::facts")]
    pub fingerprint: BTreeMap<String, String>,
    /// How often a dispatch was begun.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1000))]
    pub attempts: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intent: Option<Intent>,
    /// What came back of the last call, while that is all that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Answer>,
    /// The Proxmox task that carries the plan out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub upid: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<TaskReport>,
    /// Of a plan whose outcome is unknown: what is known, and what a person can do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doubt: Option<Doubt>,
    /// The attempts before this one, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 7))]
    pub earlier: Vec<EarlierAttempt>,
    /// What a reading action has read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<ReadResult>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "bounds::conditions")]
    pub conditions: Vec<Condition>,
}

/// Which policy judged the plan.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct PolicyDecision {
    pub preset: Preset,
    /// The ProxmoxPolicy, if the environment names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub name: Option<String>,
    /// The uid and generation of the ProxmoxPolicy that was read; without one, the preset and its version.
    #[schemars(length(max = 128))]
    pub revision: String,
    /// What was decided, each time with what decided it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub decisions: Vec<Decided>,
}

/// One thing that a policy decided.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
pub struct Decided {
    /// What decided it, such as `preset balanced`, `rule no-night-shift` or `knob approvals.high of environment home`.
    #[schemars(length(max = 128))]
    pub by: String,
    /// What it decided, in words.
    #[schemars(length(max = 512))]
    pub what: String,
}

/// Approvals asked for and given.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ApprovalProgress {
    #[schemars(with = "i32", range(min = 0, max = 16))]
    pub required: u32,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub granted: Vec<GrantedApproval>,
    /// Groups that so many of the approvers have to speak for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub groups: Vec<GroupDemand>,
    /// What is still missing, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "bounds::lines")]
    pub missing: Vec<String>,
    /// Those that do not count, the newest last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub refused: Vec<RefusedApproval>,
    /// `granted/required`, or `-` where none is needed.
    #[schemars(length(max = 16))]
    pub progress: String,
    /// What an approval is worth in this home.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 512))]
    pub proof: String,
}

/// So many approvers of one group.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
pub struct GroupDemand {
    #[schemars(length(min = 1, max = 253))]
    pub group: String,
    #[schemars(with = "i32", range(min = 1, max = 16))]
    pub count: u32,
}

/// An approval that counted.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
pub struct GrantedApproval {
    #[schemars(length(max = 253))]
    pub name: String,
    /// Tells it from a later one of the same name.
    #[schemars(length(max = 64))]
    pub uid: String,
    /// Spelled as in the approval.
    #[schemars(length(max = 253))]
    pub approved_by: String,
    /// The groups that the approver is proven to speak for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "bounds::names")]
    pub groups: Vec<String>,
}

/// An approval that does not count. Its own status says why in a sentence.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
pub struct RefusedApproval {
    #[schemars(length(max = 253))]
    pub name: String,
    /// As the approval says, which may be untrue.
    #[schemars(length(max = 253))]
    pub approved_by: String,
    /// One word for programs.
    #[schemars(length(max = 128))]
    pub reason: String,
}

/// What a reading action has read, bounded.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ReadResult {
    #[schemars(length(max = 512))]
    pub summary: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "bounds::rows")]
    pub rows: Vec<String>,
    /// Rows that did not fit.
    #[serde(default)]
    #[schemars(with = "i32", range(min = 0))]
    pub omitted: u32,
}
