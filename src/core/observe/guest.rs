use std::collections::BTreeMap;

use crate::catalog::{GuestRef, contract::PropertyString};

/// One guest as it was met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guest {
    pub reference: GuestRef,
    pub node: String,
    pub name: String,
    /// `running`, `stopped`, ...
    pub status: String,
    /// What the hypervisor says beyond that, such as `paused`.
    pub detail: Option<String>,
    /// Seconds since it was started, where that was looked at.
    pub uptime: Option<i64>,
    /// Who it is, whatever its number: only VMs have one.
    pub smbios_uuid: Option<String>,
    /// Changes with every change of its configuration.
    pub config_digest: String,
    pub template: bool,
    pub protected: bool,
    /// What Proxmox has locked it for.
    pub lock: Option<String>,
    pub ha_managed: bool,
    pub tags: Vec<String>,
    pub pool: Option<String>,
    /// Started with its node.
    pub onboot: bool,
    /// Bytes that it may take.
    pub memory: u64,
    /// Its settings that are in force, in Proxmox's own notation.
    pub config: BTreeMap<String, String>,
    /// Settings that wait for its next start; `None` for one that will go.
    pub pending: BTreeMap<String, Option<String>>,
    pub snapshots: Vec<Snapshot>,
}

/// A snapshot of a guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    pub name: String,
    pub description: String,
    pub parent: Option<String>,
    /// Seconds since 1970.
    pub taken_at: Option<i64>,
    pub with_memory: bool,
    /// The settings that it keeps, where they were looked at.
    pub config: BTreeMap<String, String>,
}

/// A disk, or whatever else stands on a storage for a guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disk {
    /// Such as `scsi0`, `rootfs` or `unused1`.
    pub key: String,
    /// Such as `local-lvm:vm-100-disk-0`.
    pub volume: String,
    /// Such as `32G`, where it is told.
    pub size: Option<String>,
    /// A CD, not a disk.
    pub is_cdrom: bool,
}

/// A network card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nic {
    /// Such as `net0`.
    pub key: String,
    pub bridge: Option<String>,
    /// The tag of its VLAN.
    pub vlan: Option<String>,
    pub mac: Option<String>,
}

impl Guest {
    pub fn is_running(&self) -> bool {
        self.status == "running"
    }

    /// What it has on storages at present.
    pub fn disks(&self) -> Vec<Disk> {
        disks_in(&self.config)
    }

    pub fn nics(&self) -> Vec<Nic> {
        nics_in(&self.config)
    }

    pub fn snapshot(&self, name: &str) -> Option<&Snapshot> {
        self.snapshots.iter().find(|snapshot| snapshot.name == name)
    }
}

impl Disk {
    /// A disk that is to be made, such as `local-lvm:32`; all others name a volume that is there.
    pub fn is_new(&self) -> bool {
        let volume = self.volume.split_once(':').map_or("", |(_, volume)| volume);
        volume == "cloudinit" || volume.parse::<f64>().is_ok()
    }

    /// The storage that it lies on.
    pub fn storage(&self) -> &str {
        self.volume.split(':').next().unwrap_or_default()
    }
}

/// What stands on storages for a guest with these settings.
pub fn disks_in(config: &BTreeMap<String, String>) -> Vec<Disk> {
    config.iter().filter(|(key, _)| names_disk(key)).filter_map(|(key, value)| disk(key, value)).collect()
}

fn disk(key: &str, value: &str) -> Option<Disk> {
    let parts = PropertyString::parse(value);
    let volume = parts.get("file").or(parts.get("volume")).unwrap_or(&parts.bare);
    // `none` is an empty drive; a path belongs to the node, not to a storage.
    if !volume.contains(':') || volume.starts_with('/') {
        return None;
    }
    Some(Disk {
        key: key.to_owned(),
        volume: volume.to_owned(),
        size: parts.get("size").map(str::to_owned),
        is_cdrom: parts.get("media") == Some("cdrom"),
    })
}

/// Whether a setting of this name holds a volume.
pub fn names_disk(key: &str) -> bool {
    const ROWS: [&str; 7] = ["scsi", "virtio", "sata", "ide", "mp", "unused", "dev"];
    matches!(key, "efidisk0" | "tpmstate0" | "rootfs" | "vmstate" | "cdrom")
        || ROWS.iter().any(|row| is_numbered(key, row))
}

pub fn nics_in(config: &BTreeMap<String, String>) -> Vec<Nic> {
    let cards = config.iter().filter(|(key, _)| is_numbered(key, "net"));
    cards.map(|(key, value)| nic(key, value)).collect()
}

fn nic(key: &str, value: &str) -> Nic {
    let parts = PropertyString::parse(value);
    // A VM's card is written `virtio=AA:BB:...`, a container's `hwaddr=AA:BB:...`.
    let is_mac = |value: &&str| value.len() == 17 && value.split(':').count() == 6;
    let told = |name: &str| parts.get(name).map(str::to_owned);
    Nic {
        key: key.to_owned(),
        bridge: told("bridge"),
        vlan: told("tag"),
        mac: parts.values().find(is_mac).map(str::to_uppercase),
    }
}

fn is_numbered(key: &str, row: &str) -> bool {
    let number = key.strip_prefix(row);
    number.is_some_and(|number| !number.is_empty() && number.chars().all(|c| c.is_ascii_digit()))
}
