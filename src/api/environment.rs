use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Knobs, bounds};

/// One Proxmox cluster and how to reach it.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "proxmox-agent.io",
    version = "v1alpha1",
    kind = "ProxmoxEnvironment",
    plural = "proxmoxenvironments",
    namespaced,
    status = "EnvironmentStatus",
    shortname = "pxe",
    category = "proxmox",
    derive = "PartialEq",
    cel,
    doc = "One Proxmox cluster, how to reach it and whom to trust. Plans name an environment of their own namespace.",
    printcolumn(name = "Tier", type_ = "string", json_path = ".spec.tier"),
    printcolumn(name = "Site", type_ = "string", json_path = ".spec.site"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#
    ),
    printcolumn(name = "Version", type_ = "string", json_path = ".status.version"),
    printcolumn(name = "Token", type_ = "string", json_path = ".status.tokenId", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    selectable = ".spec.tier",
    selectable = ".spec.site"
)]
#[x_kube(validation = Rule::new("self.tier != 'production' || !has(self.tls) || !has(self.tls.insecureSkipVerify) || !self.tls.insecureSkipVerify").message("tls.insecureSkipVerify is refused where tier is production: give tls.fingerprint or tls.caBundle"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ProxmoxEnvironmentSpec {
    /// Base addresses of the API, such as `https://pve1.lan:8006`.
    #[schemars(schema_with = "bounds::endpoints")]
    pub endpoints: Vec<String>,
    pub credentials: Credentials,
    #[serde(default)]
    pub tls: TlsTrust,
    /// What is at stake; the strictest if absent.
    #[serde(default)]
    pub tier: Tier,
    /// Where it stands.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 63))]
    pub site: String,
    /// The ProxmoxPolicy that judges its plans; preset `balanced` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_ref: Option<PolicyRef>,
    /// What is set otherwise here than in the policy.
    #[serde(default)]
    pub policy_knobs: Knobs,
    /// The repository that plans and approvals with `source: git` come from, and whose signatures count there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git: Option<GitTrust>,
    /// How long one request may take.
    #[serde(default = "default_request_timeout")]
    #[schemars(with = "i32", range(min = 1, max = 300))]
    pub request_timeout_seconds: u32,
    /// How much may happen there at the same time.
    #[serde(default)]
    pub budgets: Budgets,
}

fn default_request_timeout() -> u32 {
    30
}

/// How many tasks of plans may run at the same time. What exceeds it waits.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Budgets {
    /// On one node.
    #[serde(default = "default_tasks_per_node")]
    #[schemars(with = "i32", range(min = 1, max = 256))]
    pub tasks_per_node: u32,
    /// With disks on one storage.
    #[serde(default = "default_tasks_per_storage")]
    #[schemars(with = "i32", range(min = 1, max = 256))]
    pub tasks_per_storage: u32,
}

fn default_tasks_per_node() -> u32 {
    8
}

fn default_tasks_per_storage() -> u32 {
    8
}

impl Default for Budgets {
    fn default() -> Self {
        Self { tasks_per_node: default_tasks_per_node(), tasks_per_storage: default_tasks_per_storage() }
    }
}

/// A repository, and whose signatures count in it.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GitTrust {
    /// Such as `https://git.example.test/home/infra.git`. It is only ever read.
    #[schemars(length(min = 1, max = 512), regex(pattern = r"^(https?|file)://[^\s?#@]+$"))]
    pub repository: String,
    /// What is on this branch counts, and nothing else.
    #[serde(default = "default_branch")]
    #[schemars(length(min = 1, max = 253))]
    pub branch: String,
    /// Look for files in this folder only; everywhere if absent.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 512))]
    pub path: String,
    /// A key of a Secret with `user:password`, if the repository is not public.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<Credentials>,
    /// Certificate authorities of the repository's server, in PEM; the system's if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 65536))]
    pub ca_bundle: Option<String>,
    /// So many commits are fetched. What was brought before them can't be verified.
    #[serde(default = "default_depth")]
    #[schemars(with = "i32", range(min = 1, max = 100_000))]
    pub depth: u32,
    /// Who may sign, and with what.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub signers: Vec<Signer>,
}

fn default_branch() -> String {
    "main".to_owned()
}

fn default_depth() -> u32 {
    1000
}

/// A person whose signature counts.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Signer {
    /// Spelled as in `approved_by` and `requestedBy`.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Groups that this person's approvals by git speak for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "bounds::names")]
    pub groups: Vec<String>,
    /// Public keys: lines as in `~/.ssh/id_ed25519.pub`, or armoured OpenPGP keys.
    #[schemars(schema_with = "bounds::keys")]
    pub keys: Vec<String>,
}

/// Where the API token is kept.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Credentials {
    pub secret_ref: SecretKeyRef,
}

/// A key of a Secret of the same namespace. For Proxmox it holds `user@realm!tokenid=secret`, for git `user:password`.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct SecretKeyRef {
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    #[serde(default = "default_secret_key")]
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[-._a-zA-Z0-9]+$"))]
    pub key: String,
}

fn default_secret_key() -> String {
    "token".to_owned()
}

/// How the server proves who it is. Without any of these, the system's certificate authorities decide.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TlsTrust {
    /// SHA-256 of the server's certificate, as the Proxmox UI shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 64, max = 95), regex(pattern = r"^[0-9A-Fa-f]{2}(:?[0-9A-Fa-f]{2}){31}$"))]
    pub fingerprint: Option<String>,
    /// Certificate authorities to trust, in PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 65536))]
    pub ca_bundle: Option<String>,
    /// Trust anybody. Refused for production.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub insecure_skip_verify: bool,
}

/// What is at stake in an environment.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Tier {
    #[default]
    Production,
    Staging,
    Lab,
}

/// A ProxmoxPolicy of the same namespace.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct PolicyRef {
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// What the operator found at the other end.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct EnvironmentStatus {
    /// The Proxmox VE version that answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub version: Option<String>,
    /// Which token is used; its secret is never shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub token_id: Option<String>,
    /// What an approval is worth here.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 512))]
    pub approvals: String,
    /// Since when the admission policies that stand behind `approved_by` are known to be as they are now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admission: Option<AdmissionRecord>,
    /// The nodes of the cluster that the endpoints lead to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub nodes: Vec<NodeStatus>,
    /// How far the audit log of each replica has come: whoever shortens or rewrites it later is found out by this.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub audit: Vec<AuditAnchor>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "bounds::conditions")]
    pub conditions: Vec<Condition>,
}

/// Since when the admission policies stand unchanged. What came in before that proves nothing.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
pub struct AdmissionRecord {
    /// Another one after each change, also if it was taken back.
    #[schemars(length(max = 128))]
    pub revision: String,
    /// By the API server's clock.
    pub since: Time,
}

/// The last line of an audit log, as it was at a moment.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
pub struct AuditAnchor {
    /// Each replica keeps a chain of its own.
    #[schemars(length(max = 128))]
    pub chain: String,
    #[schemars(with = "i64", range(min = 1))]
    pub sequence: u64,
    /// Of the whole line.
    #[schemars(length(max = 71))]
    pub hash: String,
    pub at: Time,
}

/// One node of the cluster.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct NodeStatus {
    #[schemars(length(max = 253))]
    pub name: String,
    /// SHA-256 of its certificate: tells whether an endpoint belongs to this cluster.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 128))]
    pub certificate: String,
    /// How far its clock is ahead of the operator's, to about two seconds; absent if it could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_ahead_seconds: Option<i64>,
}
