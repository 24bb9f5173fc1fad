use std::collections::BTreeMap;

use crate::catalog::Vmid;

/// The nodes and whether enough of them see each other.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Nodes {
    pub quorate: bool,
    /// Whether it is a cluster at all: a single node is always quorate.
    pub is_cluster: bool,
    pub nodes: Vec<Node>,
}

/// One node.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Node {
    pub name: String,
    pub online: bool,
    /// Its address within the cluster.
    pub ip: Option<String>,
    pub votes: u32,
    /// Bytes in use and in all; `None` without the right to see them, or offline.
    pub memory: Option<(u64, u64)>,
}

/// One node as the cluster lists it to everybody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeRow {
    pub name: String,
    pub online: bool,
    /// The SHA-256 of its certificate; empty if the cluster does not tell.
    pub certificate: String,
}

/// A storage as the cluster knows it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Storage {
    pub id: String,
    /// Such as `dir`, `lvmthin` or `pbs`.
    pub kind: String,
    pub shared: bool,
    /// What it may hold: `images`, `backup`, ...
    pub content: Vec<String>,
    /// The nodes that it is on; empty for all of them.
    pub nodes: Vec<String>,
    pub settings: BTreeMap<String, String>,
    /// Free bytes by node, where they are told.
    pub free: BTreeMap<String, u64>,
}

/// Something that lies on a storage.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Volume {
    /// Such as `local:backup/vzdump-qemu-100-2026_01_01-00_00_00.vma.zst`.
    pub id: String,
    pub storage: String,
    pub node: String,
    /// `images`, `rootdir`, `backup`, `iso`, ...
    pub content: String,
    pub vmid: Option<Vmid>,
    /// The base volume that a linked clone rests on.
    pub parent: Option<String>,
    pub size: u64,
    /// Seconds since 1970.
    pub created_at: Option<i64>,
    pub protected: bool,
}

/// A backup of a guest: a volume whose content is `backup`.
pub type Backup = Volume;

/// What HA looks after.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ha {
    pub resources: Vec<HaResource>,
    pub rules: Vec<HaRule>,
    /// Whether fencing is armed, where the version tells.
    pub armed: Option<bool>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HaResource {
    /// Such as `vm:100`.
    pub sid: String,
    /// What it should be: `started`, `stopped`, `ignored`, ...
    pub state: String,
    /// What it is, such as `started`, `error` or `fence`.
    pub current: Option<String>,
    pub node: Option<String>,
    pub settings: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HaRule {
    pub id: String,
    /// `node-affinity` or `resource-affinity`; `group` for the groups of older versions.
    pub kind: String,
    /// Such as `vm:100`.
    pub resources: Vec<String>,
    pub nodes: Vec<String>,
    pub settings: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReplicationJob {
    /// Such as `100-0`.
    pub id: String,
    pub guest: Option<Vmid>,
    pub source: Option<String>,
    pub target: String,
    pub last_sync: Option<i64>,
    /// How often it failed in a row.
    pub failures: u32,
    pub settings: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BackupJob {
    pub id: String,
    pub enabled: bool,
    pub storage: Option<String>,
    /// The guests that it saves, as Proxmox itself works them out.
    pub guests: Vec<Vmid>,
    pub settings: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pool {
    pub id: String,
    pub comment: String,
    pub guests: Vec<Vmid>,
    pub storages: Vec<String>,
}

/// A node's network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Network {
    pub interfaces: Vec<Interface>,
    /// What would change if it were applied, as Proxmox writes it.
    pub waiting: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interface {
    pub name: String,
    /// `bridge`, `bond`, `vlan`, ...
    pub kind: String,
    pub active: bool,
    pub addresses: Vec<String>,
    pub gateway: Option<String>,
    /// The interfaces that it is made of.
    pub ports: Vec<String>,
    pub settings: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sdn {
    pub zones: Vec<Zone>,
    pub vnets: Vec<Vnet>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Zone {
    pub id: String,
    /// `new`, `changed` or `deleted`, while it waits to be applied.
    pub waiting: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vnet {
    pub id: String,
    pub zone: String,
    /// `new`, `changed` or `deleted`, while it waits to be applied.
    pub waiting: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FirewallRule {
    pub position: u32,
    /// Of all rules of this firewall together.
    pub digest: Option<String>,
    pub settings: BTreeMap<String, String>,
}

/// A role that somebody holds on the target itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AclEntry {
    pub path: String,
    pub who: String,
    pub role: String,
}

/// What Proxmox says when it is asked whether a guest can go to another node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MigrationCheck {
    pub allowed_nodes: Option<Vec<String>>,
    /// Why another node can't take it, by node.
    pub refused_by: BTreeMap<String, String>,
    /// Disks that are on this node alone.
    pub local_disks: Vec<String>,
    /// Devices of this node that it uses.
    pub local_resources: Vec<String>,
    /// Other guests that HA would take along.
    pub moves_along: Vec<String>,
}

/// A task that runs on the node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ActiveTask {
    pub kind: String,
    pub id: String,
    pub user: String,
}

impl Node {
    /// Bytes that nobody uses; `None` where that can't be seen.
    pub fn free_memory(&self) -> Option<u64> {
        self.memory.map(|(used, all)| all.saturating_sub(used))
    }
}

impl Nodes {
    pub fn called(&self, name: &str) -> Option<&Node> {
        self.nodes.iter().find(|node| node.name == name)
    }
}

impl Storage {
    pub fn is_on(&self, node: &str) -> bool {
        self.nodes.is_empty() || self.nodes.iter().any(|on| on == node)
    }
}
