use std::collections::BTreeMap;

use super::{
    AclEntry, ActiveTask, BackupJob, FirewallRule, Guest, Ha, MigrationCheck, Network, Nodes, Pool,
    ReplicationJob, Rights, Sdn, Storage, Volume,
};

/// Everything that was looked at for one judgement, as it was in one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct World {
    /// The version of Proxmox VE, such as `9.2.11`.
    pub version: String,
    pub target: Met,
    /// What the token may do, at the places that matter.
    pub rights: Rights,
    pub nodes: Seen<Nodes>,
    /// All guests, the target among them.
    pub guests: Seen<Vec<Guest>>,
    pub storages: Seen<Vec<Storage>>,
    /// What lies on the storages.
    pub volumes: Seen<Vec<Volume>>,
    pub ha: Seen<Ha>,
    pub replication: Seen<Vec<ReplicationJob>>,
    pub backup_jobs: Seen<Vec<BackupJob>>,
    pub pools: Seen<Vec<Pool>>,
    /// Of the node that the action is about.
    pub network: Seen<Network>,
    pub sdn: Seen<Sdn>,
    /// Of the target.
    pub firewall: Seen<Vec<FirewallRule>>,
    pub acl: Seen<Vec<AclEntry>>,
    pub migration: Seen<MigrationCheck>,
    pub active_tasks: Seen<Vec<ActiveTask>>,
}

/// A part of the cluster, as far as the token lets one see it.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Seen<T> {
    /// Nobody looked: it does not matter here.
    #[default]
    NotAsked,
    /// It was looked at and can't be seen, or nobody can tell how much is missing. What is in it counts as the worst.
    Unknown {
        why: String,
    },
    /// This was seen, and the rest can't be: it lies on what is down. The rest counts as the worst.
    Partly {
        seen: T,
        why: String,
    },
    Known(T),
}

/// The target as it was met.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Met {
    /// There is no single target, such as for an inventory.
    #[default]
    Nothing,
    /// There is none, or the token can't see it.
    Absent,
    Guest(Box<Guest>),
    Object(Object),
}

/// A target that is no guest: a node, storage, pool, rule or job with its settings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Object {
    pub settings: BTreeMap<String, String>,
    pub digest: Option<String>,
}

impl<T> Seen<T> {
    /// Why it was not seen, or not whole.
    pub fn missing(&self) -> Option<&str> {
        match self {
            Self::Unknown { why } | Self::Partly { why, .. } => Some(why),
            Self::NotAsked | Self::Known(_) => None,
        }
    }

    /// What was seen of it, be it only a part.
    pub fn known(&self) -> Option<&T> {
        match self {
            Self::Known(value) | Self::Partly { seen: value, .. } => Some(value),
            Self::NotAsked | Self::Unknown { .. } => None,
        }
    }
}

impl World {
    /// The target, if it is a guest.
    pub fn guest(&self) -> Option<&Guest> {
        match &self.target {
            Met::Guest(guest) => Some(guest),
            _ => None,
        }
    }

    /// What the target has as settings, whatever it is.
    pub fn settings(&self) -> Option<&BTreeMap<String, String>> {
        match &self.target {
            Met::Guest(guest) => Some(&guest.config),
            Met::Object(object) => Some(&object.settings),
            Met::Nothing | Met::Absent => None,
        }
    }
}
