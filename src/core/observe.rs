//! What was found at the other end, as values.

use crate::catalog::{GuestKind, GuestRef};

/// One guest as it was met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guest {
    pub reference: GuestRef,
    pub node: String,
    pub name: String,
    /// `running`, `stopped`, ...
    pub status: String,
    /// Who it is, whatever its number: only VMs have one.
    pub smbios_uuid: Option<String>,
    /// Changes with every change of its configuration.
    pub config_digest: String,
    pub template: bool,
    pub protected: bool,
    /// What Proxmox has locked it for.
    pub lock: Option<String>,
    pub ha_managed: bool,
    pub snapshots: Vec<String>,
}

/// One guest in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InventoryRow {
    pub kind: GuestKind,
    pub vmid: u32,
    pub node: String,
    pub name: String,
    pub status: String,
}
