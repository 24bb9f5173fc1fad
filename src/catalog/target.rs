use std::{fmt, str::FromStr};

use thiserror::Error;

use super::{GuestKind, GuestRef, Vmid};

/// What an action acts on, in Proxmox's own resource ids.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    Inventory(InventoryScope),
    /// The whole cluster, or what belongs to no single part of it.
    Cluster,
    Guest(GuestRef),
    Node(Name),
    Storage(Name),
    Volume(VolumeId),
    Pool(Name),
    HaRule(Name),
    BackupJob(Name),
    Replication(Name),
}

/// A name of a node, storage, pool, rule or job: it can't leave its place in a path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(String);

/// A volume: the storage it lies on, and what it is called there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VolumeId {
    pub storage: Name,
    pub name: String,
}

/// Which guests an inventory lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum InventoryScope {
    All,
    Running,
}

/// The kinds of target there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetKind {
    Inventory,
    Cluster,
    Qemu,
    Lxc,
    Node,
    Storage,
    Volume,
    Pool,
    HaRule,
    BackupJob,
    Replication,
}

/// Why a target can't be read.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum TargetError {
    #[error(
        "`{0}` is not a target: write a kind, a slash and a name, such as qemu/100, lxc/200 or inventory/all"
    )]
    Malformed(String),
    #[error("`{0}` is not a kind of target: known are {known}", known = TargetKind::known())]
    UnknownKind(String),
    #[error("`{0}` is no guest: Proxmox numbers them from 100 to 999999999")]
    BadVmid(String),
    #[error("`{0}` is not an inventory: known are inventory/all and inventory/running")]
    UnknownInventory(String),
    #[error("`{0}` does not name one: names have letters, digits, `-`, `_` and `.`, at most 63 characters")]
    BadName(String),
    #[error(
        "`{0}` is no volume: write its storage, a colon and its name, such as volume/local:iso/debian.iso"
    )]
    BadVolume(String),
    #[error("`{0}` is not the cluster: write cluster/all")]
    UnknownCluster(String),
}

impl Name {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Name {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        let good = (1..=63).contains(&text.len())
            && text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.chars().all(plain);
        if good { Ok(Self(text.to_owned())) } else { Err(TargetError::BadName(shown(text))) }
    }
}

impl fmt::Display for VolumeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.storage, self.name)
    }
}

impl FromStr for VolumeId {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        let bad = || TargetError::BadVolume(shown(text));
        let (storage, name) = text.split_once(':').ok_or_else(bad)?;
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.+/:@=".contains(c);
        let climbs = name.split('/').any(|part| part.is_empty() || part.chars().all(|c| c == '.'));
        if climbs || name.len() > 255 || !name.chars().all(plain) {
            return Err(bad());
        }
        Ok(Self { storage: storage.parse().map_err(|_| bad())?, name: name.to_owned() })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inventory(InventoryScope::All) => f.write_str("inventory/all"),
            Self::Inventory(InventoryScope::Running) => f.write_str("inventory/running"),
            Self::Cluster => f.write_str("cluster/all"),
            Self::Guest(guest) => guest.fmt(f),
            Self::Volume(volume) => write!(f, "volume/{volume}"),
            Self::Node(name)
            | Self::Storage(name)
            | Self::Pool(name)
            | Self::HaRule(name)
            | Self::BackupJob(name)
            | Self::Replication(name) => write!(f, "{}/{name}", self.kind().as_str()),
        }
    }
}

impl Target {
    pub fn kind(&self) -> TargetKind {
        match self {
            Self::Inventory(_) => TargetKind::Inventory,
            Self::Cluster => TargetKind::Cluster,
            Self::Guest(GuestRef { kind: GuestKind::Qemu, .. }) => TargetKind::Qemu,
            Self::Guest(GuestRef { kind: GuestKind::Lxc, .. }) => TargetKind::Lxc,
            Self::Node(_) => TargetKind::Node,
            Self::Storage(_) => TargetKind::Storage,
            Self::Volume(_) => TargetKind::Volume,
            Self::Pool(_) => TargetKind::Pool,
            Self::HaRule(_) => TargetKind::HaRule,
            Self::BackupJob(_) => TargetKind::BackupJob,
            Self::Replication(_) => TargetKind::Replication,
        }
    }

    pub fn guest(&self) -> Option<GuestRef> {
        match self {
            Self::Guest(guest) => Some(*guest),
            _ => None,
        }
    }

    /// What Proxmox calls it, without its kind.
    pub fn id(&self) -> String {
        match self {
            Self::Guest(guest) => guest.vmid.to_string(),
            Self::Volume(volume) => volume.to_string(),
            other => other.to_string().split_once('/').map(|(_, id)| id.to_owned()).unwrap_or_default(),
        }
    }
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        let (kind, name) = text.split_once('/').ok_or_else(|| TargetError::Malformed(shown(text)))?;
        let guest = |kind| match Vmid::parse(name) {
            Some(vmid) => Ok(Self::Guest(GuestRef { kind, vmid })),
            None => Err(TargetError::BadVmid(shown(text))),
        };
        let kind = TargetKind::ALL
            .into_iter()
            .find(|known| known.as_str() == kind)
            .ok_or_else(|| TargetError::UnknownKind(shown(kind)))?;
        match kind {
            TargetKind::Qemu => guest(GuestKind::Qemu),
            TargetKind::Lxc => guest(GuestKind::Lxc),
            TargetKind::Inventory => match name {
                "all" => Ok(Self::Inventory(InventoryScope::All)),
                "running" => Ok(Self::Inventory(InventoryScope::Running)),
                _ => Err(TargetError::UnknownInventory(shown(text))),
            },
            TargetKind::Cluster if name == "all" => Ok(Self::Cluster),
            TargetKind::Cluster => Err(TargetError::UnknownCluster(shown(text))),
            TargetKind::Node => name.parse().map(Self::Node),
            TargetKind::Storage => name.parse().map(Self::Storage),
            TargetKind::Volume => name.parse().map(Self::Volume),
            TargetKind::Pool => name.parse().map(Self::Pool),
            TargetKind::HaRule => name.parse().map(Self::HaRule),
            TargetKind::BackupJob => name.parse().map(Self::BackupJob),
            TargetKind::Replication => name.parse().map(Self::Replication),
        }
    }
}

/// Garbage is quoted only as far as a person reads it.
fn shown(text: &str) -> String {
    text.chars().take(64).collect()
}

impl TargetKind {
    const ALL: [Self; 11] = [
        Self::Inventory,
        Self::Cluster,
        Self::Qemu,
        Self::Lxc,
        Self::Node,
        Self::Storage,
        Self::Volume,
        Self::Pool,
        Self::HaRule,
        Self::BackupJob,
        Self::Replication,
    ];

    /// The part of a target before the slash.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Inventory => "inventory",
            Self::Cluster => "cluster",
            Self::Qemu => "qemu",
            Self::Lxc => "lxc",
            Self::Node => "node",
            Self::Storage => "storage",
            Self::Volume => "volume",
            Self::Pool => "pool",
            Self::HaRule => "ha-rule",
            Self::BackupJob => "backup-job",
            Self::Replication => "replication",
        }
    }

    /// An example for messages and documents.
    pub fn example(self) -> &'static str {
        match self {
            Self::Inventory => "inventory/all",
            Self::Cluster => "cluster/all",
            Self::Qemu => "qemu/100",
            Self::Lxc => "lxc/200",
            Self::Node => "node/pve1",
            Self::Storage => "storage/local",
            Self::Volume => "volume/local:iso/debian.iso",
            Self::Pool => "pool/web",
            Self::HaRule => "ha-rule/keep-apart",
            Self::BackupJob => "backup-job/nightly",
            Self::Replication => "replication/100-0",
        }
    }

    /// How it is written.
    pub fn pattern(self) -> &'static str {
        match self {
            Self::Inventory => "inventory/{all,running}",
            Self::Cluster => "cluster/all",
            Self::Qemu => "qemu/VMID",
            Self::Lxc => "lxc/VMID",
            Self::Node => "node/NODE",
            Self::Storage => "storage/STORAGE",
            Self::Volume => "volume/STORAGE:NAME",
            Self::Pool => "pool/POOL",
            Self::HaRule => "ha-rule/RULE",
            Self::BackupJob => "backup-job/JOB",
            Self::Replication => "replication/VMID-NUMBER",
        }
    }

    fn known() -> String {
        Self::ALL.map(Self::as_str).join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_reads_back_as_it_was_written() {
        let examples = TargetKind::ALL.map(TargetKind::example);
        for text in examples.into_iter().chain(["lxc/999999999", "inventory/running"]) {
            assert_eq!(text.parse::<Target>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn every_other_spelling_of_a_guest_is_refused() {
        for text in [
            "",
            "100",
            "qemu",
            "qemu/",
            "qemu/0100",
            "qemu/+100",
            "qemu/99",
            "qemu/1000000000",
            "QEMU/100",
            "qemu/100/",
            "qemu/100 ",
            "vm/100",
            "inventory/some",
            "cluster/one",
            "node/",
            "node/pve1/..",
            "storage/a:b",
            "pool/..",
            "volume/local",
            "volume/local:../etc/passwd",
            "volume/local:iso//a.iso",
            "volume/local:iso/a b.iso",
            "volume/local:",
        ] {
            assert!(text.parse::<Target>().is_err(), "{text}");
        }
    }

    #[test]
    fn garbage_is_quoted_shortly() {
        let message = "x".repeat(1 << 20).parse::<Target>().unwrap_err().to_string();
        assert!(message.len() < 300);
    }
}
