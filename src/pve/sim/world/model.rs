//! The shape of a world. Field names are those of the YAML file; docs/simulated-proxmox.md explains each.
use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::cluster::{Cluster, Node};
use crate::pve::sim::faults::Fault;

pub(in crate::pve::sim) type Config = BTreeMap<String, Value>;

/// Configurations by kind and id.
pub(in crate::pve::sim) type Definitions = BTreeMap<String, BTreeMap<String, Config>>;

/// A simulated cluster, in the state from which a simulation starts.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct World {
    #[serde(default)]
    pub(in crate::pve::sim) cluster: Cluster,
    pub(in crate::pve::sim) nodes: BTreeMap<String, Node>,
    #[serde(default)]
    pub(in crate::pve::sim) guests: BTreeMap<u32, Guest>,
    #[serde(default)]
    pub(in crate::pve::sim) storages: BTreeMap<String, Storage>,
    #[serde(default)]
    pub(in crate::pve::sim) pools: BTreeMap<String, Pool>,
    #[serde(default)]
    pub(in crate::pve::sim) ha: BTreeMap<String, HaResource>,
    /// Backup jobs, HA rules and the like, by kind and id.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(in crate::pve::sim) definitions: Definitions,
    /// The zones, vnets and subnets in force; those that are defined, where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::pve::sim) applied_sdn: Option<Definitions>,
    /// What addresses would give to whoever downloads from them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(in crate::pve::sim) downloads: BTreeMap<String, Download>,
    #[serde(default)]
    pub(in crate::pve::sim) users: BTreeMap<String, User>,
    #[serde(default)]
    pub(in crate::pve::sim) groups: BTreeMap<String, Group>,
    #[serde(default)]
    pub(in crate::pve::sim) roles: BTreeMap<String, Role>,
    #[serde(default)]
    pub(in crate::pve::sim) acl: Vec<AccessRule>,
    #[serde(default)]
    pub(in crate::pve::sim) tasks: Vec<RunningTask>,
    #[serde(default)]
    pub(in crate::pve::sim) task_seconds: BTreeMap<String, f64>,
    #[serde(default = "one_second")]
    pub(in crate::pve::sim) stats_seconds: f64,
    #[serde(default)]
    pub(in crate::pve::sim) refusal_seconds: f64,
    #[serde(default = "ten_seconds")]
    pub(in crate::pve::sim) lock_seconds: f64,
    #[serde(default = "half_a_second")]
    pub(in crate::pve::sim) shutdown_seconds: f64,
    #[serde(default = "two_seconds")]
    pub(in crate::pve::sim) boot_seconds: f64,
    #[serde(default = "one_second")]
    pub(in crate::pve::sim) replication_seconds: f64,
    #[serde(default)]
    pub(in crate::pve::sim) faults: Vec<Fault>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(in crate::pve::sim) enum GuestType {
    Qemu,
    Lxc,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(in crate::pve::sim) enum Power {
    #[default]
    Stopped,
    Running,
    Paused,
}

/// What answers inside a VM when the guest agent is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(in crate::pve::sim) enum AgentState {
    #[default]
    Absent,
    Running,
}

#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::pve::sim) struct Guest {
    #[serde(rename = "type")]
    pub(in crate::pve::sim) kind: GuestType,
    pub(in crate::pve::sim) node: String,
    #[serde(default)]
    pub(in crate::pve::sim) status: Power,
    #[serde(default)]
    pub(in crate::pve::sim) uptime: i64,
    #[serde(default)]
    pub(in crate::pve::sim) config: Config,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(in crate::pve::sim) pending: Config,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(in crate::pve::sim) pending_delete: BTreeSet<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(in crate::pve::sim) snapshots: BTreeMap<String, Snapshot>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::pve::sim) parent: Option<String>,
    #[serde(default)]
    pub(in crate::pve::sim) agent: AgentState,
    /// A guest without an operating system never answers a shutdown request.
    #[serde(default)]
    pub(in crate::pve::sim) ignores_shutdown: bool,
    /// Why it can't be started, if it can't.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::pve::sim) start_error: Option<String>,
    /// The second at which it was started.
    #[serde(skip)]
    pub(in crate::pve::sim) started: i64,
    #[serde(skip)]
    pub(in crate::pve::sim) observed: Observed,
    /// Cloud-init settings of which the drive says something else; null where it says nothing.
    #[serde(skip)]
    pub(in crate::pve::sim) image_differs: Config,
}

/// What the statistics daemon last saw of a guest; the cluster's resource list shows this, not the truth.
#[derive(Debug, Clone, Default)]
pub(in crate::pve::sim) struct Observed {
    pub(in crate::pve::sim) before: Option<Power>,
    pub(in crate::pve::sim) changed: Option<tokio::time::Instant>,
    pub(in crate::pve::sim) created: Option<tokio::time::Instant>,
}

#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(in crate::pve::sim) struct Snapshot {
    pub(in crate::pve::sim) description: Option<String>,
    pub(in crate::pve::sim) snaptime: i64,
    /// How old it is when the simulation starts, instead of a snaptime.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::pve::sim) age_seconds: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::pve::sim) parent: Option<String>,
    pub(in crate::pve::sim) vmstate: bool,
    pub(in crate::pve::sim) config: Config,
}

#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::pve::sim) struct Storage {
    pub(in crate::pve::sim) config: Config,
    #[serde(default = "hundred_gib")]
    pub(in crate::pve::sim) total: u64,
    #[serde(default)]
    pub(in crate::pve::sim) used: u64,
    #[serde(default)]
    pub(in crate::pve::sim) volumes: Vec<Volume>,
}

#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::pve::sim) struct Volume {
    pub(in crate::pve::sim) volid: String,
    pub(in crate::pve::sim) content: String,
    pub(in crate::pve::sim) format: String,
    pub(in crate::pve::sim) size: u64,
    /// Local storages have the same name on every node and other volumes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::pve::sim) node: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::pve::sim) used: Option<u64>,
    #[serde(default)]
    pub(in crate::pve::sim) ctime: i64,
    /// How old it is when the simulation starts, instead of a ctime.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::pve::sim) age_seconds: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::pve::sim) vmid: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::pve::sim) parent: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::pve::sim) notes: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(in crate::pve::sim) protected: bool,
    /// The configuration that a backup holds.
    #[serde(default, skip_serializing_if = "Config::is_empty")]
    pub(in crate::pve::sim) config: Config,
}

/// A file that can be downloaded. Without a checksum, whichever is expected is right.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(in crate::pve::sim) struct Download {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::pve::sim) checksum: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::pve::sim) size: Option<u64>,
}

#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(in crate::pve::sim) struct Pool {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::pve::sim) comment: Option<String>,
    pub(in crate::pve::sim) vms: BTreeSet<u32>,
    pub(in crate::pve::sim) storage: BTreeSet<String>,
}

#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(in crate::pve::sim) struct HaResource {
    /// The keys of the resource as the API shows them: state, max_restart, max_relocate, comment, failback.
    pub(in crate::pve::sim) config: Config,
    /// What the manager last reported; derived from the guest where it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::pve::sim) crm_state: Option<String>,
}

#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(in crate::pve::sim) struct User {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::pve::sim) password: Option<String>,
    pub(in crate::pve::sim) enable: u8,
    pub(in crate::pve::sim) expire: i64,
    /// email, firstname, lastname, comment, keys.
    pub(in crate::pve::sim) details: BTreeMap<String, String>,
    pub(in crate::pve::sim) groups: BTreeSet<String>,
    pub(in crate::pve::sim) tokens: BTreeMap<String, Token>,
}

impl Default for User {
    fn default() -> Self {
        Self {
            password: None,
            enable: 1,
            expire: 0,
            details: BTreeMap::new(),
            groups: BTreeSet::new(),
            tokens: BTreeMap::new(),
        }
    }
}

#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(in crate::pve::sim) struct Token {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::pve::sim) secret: Option<String>,
    pub(in crate::pve::sim) privsep: u8,
    pub(in crate::pve::sim) expire: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::pve::sim) comment: Option<String>,
}

impl Default for Token {
    fn default() -> Self {
        Self { secret: None, privsep: 1, expire: 0, comment: None }
    }
}

#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(in crate::pve::sim) struct Group {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::pve::sim) comment: Option<String>,
}

/// The privileges of a role that the owner of the cluster made.
pub(in crate::pve::sim) type Role = BTreeSet<String>;

#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::pve::sim) struct AccessRule {
    pub(in crate::pve::sim) path: String,
    /// A user (`a@pve`), a token (`a@pve!b`) or a group (`@ops`).
    pub(in crate::pve::sim) who: String,
    pub(in crate::pve::sim) role: String,
    #[serde(default = "yes")]
    pub(in crate::pve::sim) propagate: bool,
}

/// A task that is already there when the simulation starts.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::pve::sim) struct RunningTask {
    pub(in crate::pve::sim) node: String,
    #[serde(rename = "type")]
    pub(in crate::pve::sim) kind: String,
    #[serde(default)]
    pub(in crate::pve::sim) id: String,
    pub(in crate::pve::sim) user: String,
    #[serde(default)]
    pub(in crate::pve::sim) started_seconds_ago: i64,
    /// How long it goes on; a finished task has an `exit` instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::pve::sim) remaining_seconds: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::pve::sim) exit: Option<String>,
    #[serde(default)]
    pub(in crate::pve::sim) log: Vec<String>,
    /// Written by `GET /_sim/world`; a world file leaves it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::pve::sim) upid: Option<String>,
}

fn one_second() -> f64 {
    1.0
}

fn half_a_second() -> f64 {
    0.5
}

fn two_seconds() -> f64 {
    2.0
}

fn ten_seconds() -> f64 {
    10.0
}

fn hundred_gib() -> u64 {
    100 << 30
}

fn yes() -> bool {
    true
}
