use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Risk, bounds};

/// What plans of an environment may do, and whom they need.
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
    doc = "What the plans of an environment may do, when, and whose approval they need.",
    printcolumn(name = "Preset", type_ = "string", json_path = ".spec.preset"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#
    ),
    printcolumn(name = "Frozen", type_ = "string", json_path = ".spec.globalFreeze.reason", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    selectable = ".spec.preset"
)]
#[x_kube(validation = Rule::new("!has(self.rules) || self.rules.all(one, self.rules.exists_one(other, other.name == one.name))").message("rules have different names: a refusal tells the rule by its name"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ProxmoxPolicySpec {
    /// What holds where nothing else is said.
    #[serde(default)]
    pub preset: Preset,
    /// What is set otherwise than in the preset.
    #[serde(default)]
    pub knobs: Knobs,
    /// All are asked, and each that applies counts; their order does not matter.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub rules: Vec<PolicyRule>,
    #[serde(default)]
    pub protection: Protection,
    /// Times in which nothing is sent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub freeze_windows: Vec<FreezeWindow>,
    /// Nothing is sent in this whole namespace, whichever policy an environment names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub global_freeze: Option<Freeze>,
    /// Of weekly hours and of `time` in rules, such as `Europe/Vienna`.
    #[serde(default = "default_time_zone")]
    #[schemars(length(min = 1, max = 64))]
    pub time_zone: String,
}

fn default_time_zone() -> String {
    "UTC".to_owned()
}

impl Default for ProxmoxPolicySpec {
    fn default() -> Self {
        Self {
            preset: Preset::default(),
            knobs: Knobs::default(),
            rules: vec![],
            protection: Protection::default(),
            freeze_windows: vec![],
            global_freeze: None,
            time_zone: default_time_zone(),
        }
    }
}

/// What a preset sets, a policy may set otherwise, and an environment otherwise again. The last one counts.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Knobs {
    /// What a guard does that fails: protection, a freeze, an hourly limit, a rule's `guard`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guards: Option<GuardMode>,
    #[serde(default)]
    pub approvals: ApprovalsByRisk,
    /// One more approver for each so many who are hit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<i32>", range(min = 1, max = 100_000))]
    pub hits_per_approver: Option<u32>,
    #[serde(default)]
    pub hourly: HourlyLimits,
}

/// Whether a guard that fails stops the plan or only warns.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum GuardMode {
    Warn,
    Stop,
}

/// How many approvals a plan of each risk needs. `high` and `critical` need one at least, whatever is set.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct ApprovalsByRisk {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<i32>", range(min = 0, max = 16))]
    pub low: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<i32>", range(min = 0, max = 16))]
    pub medium: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<i32>", range(min = 1, max = 16))]
    pub high: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<i32>", range(min = 1, max = 16))]
    pub critical: Option<u32>,
}

/// How many plans of an environment may be sent within one hour.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HourlyLimits {
    /// All that change something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<i32>", range(min = 0, max = 100_000))]
    pub changes: Option<u32>,
    /// Those of high or critical risk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<i32>", range(min = 0, max = 100_000))]
    pub high_risk: Option<u32>,
}

/// What follows when a condition holds.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[x_kube(validation = Rule::new("has(self.raiseRiskTo) || has(self.approvals) || has(self.deny) || has(self.guard) || has(self.warn)").message("nothing follows from this rule: give raiseRiskTo, approvals, deny, guard or warn"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PolicyRule {
    /// The plan's status names the rule by it.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// In CEL, over `plan`, `requester`, `environment`, `action`, `target`, `preview`, `blastRadius`, `risk` and `time`.
    #[schemars(length(min = 1, max = 4096))]
    pub when: String,
    /// The plan's risk is at least this then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raise_risk_to: Option<Risk>,
    /// All of them have to be met.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub approvals: Vec<RuleDemand>,
    /// Refuses the plan, with this message.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 512))]
    pub deny: String,
    /// Refuses it with this message, or only warns, as the knob `guards` says.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 512))]
    pub guard: String,
    /// Says this to whoever approves.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 512))]
    pub warn: String,
}

/// So many approvals, of anybody or of one group.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct RuleDemand {
    #[schemars(with = "i32", range(min = 1, max = 16))]
    pub count: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub group: Option<String>,
}

/// Who must not be hit by anything of high or critical risk: as the target, or beside it.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Protection {
    /// Such as `qemu/100` or `storage/backup`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), inner(length(min = 1, max = 253)))]
    pub targets: Vec<String>,
    /// Guests that carry one of these tags.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 253)))]
    pub tags: Vec<String>,
    /// Guests in one of these pools.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 253)))]
    pub pools: Vec<String>,
}

/// A stop to everything.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Freeze {
    #[schemars(length(min = 1, max = 512))]
    pub reason: String,
    /// Until it is taken away if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
}

/// A time in which nothing is sent.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[x_kube(validation = Rule::new("!has(self.from) || !has(self.until) || self.from < self.until").message("from is not before until: this window would never be on"))]
#[serde(deny_unknown_fields)]
pub struct FreezeWindow {
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 512))]
    pub reason: String,
    /// Not before this moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Time>,
    /// Not from this moment on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
    /// In these hours of the week only; always if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weekly: Option<WeeklyHours>,
}

/// Hours of some days of the week.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct WeeklyHours {
    /// On which the hours begin.
    #[schemars(length(min = 1, max = 7))]
    pub days: Vec<Weekday>,
    /// Such as `22:00`.
    #[schemars(length(min = 5, max = 5), regex(pattern = r"^([01][0-9]|2[0-3]):[0-5][0-9]$"))]
    pub from: String,
    /// Such as `06:00`: on the next day if it is not later than `from`.
    #[schemars(length(min = 5, max = 5), regex(pattern = r"^([01][0-9]|2[0-3]):[0-5][0-9]$"))]
    pub until: String,
}

/// A day of the week.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weekday {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
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
