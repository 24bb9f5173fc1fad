//! What was found at the other end, as values.

use crate::{
    api::ReadResult,
    catalog::{GuestRef, InventoryScope},
};

/// As many rows as a status holds.
const MOST_ROWS: usize = 200;

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
    /// Where its disks are.
    pub storages: Vec<String>,
}

/// One guest in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InventoryRow {
    pub reference: GuestRef,
    pub node: String,
    pub name: String,
    pub status: String,
}

/// One node as the cluster lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeRow {
    pub name: String,
    pub online: bool,
    /// The SHA-256 of its certificate; empty if the cluster does not tell.
    pub certificate: String,
}

/// An inventory as a bounded result that a person can read.
pub fn summarise(scope: InventoryScope, mut guests: Vec<InventoryRow>) -> ReadResult {
    let total = guests.len();
    let running = guests.iter().filter(|guest| guest.status == "running").count();
    if scope == InventoryScope::Running {
        guests.retain(|guest| guest.status == "running");
    }
    guests.sort_by_key(|guest| guest.reference.vmid);
    let rows = guests.iter().take(MOST_ROWS).map(|guest| {
        let row = format!("{} {} on {}: {}", guest.reference, guest.name, guest.node, guest.status);
        row.chars().take(256).collect()
    });
    ReadResult {
        summary: format!("{total} guests, {running} running"),
        rows: rows.collect(),
        omitted: u32::try_from(guests.len().saturating_sub(MOST_ROWS)).unwrap_or(u32::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{GuestKind, Vmid};

    #[test]
    fn an_inventory_that_is_too_long_says_how_much_was_cut() {
        let guest = |vmid| InventoryRow {
            reference: GuestRef { kind: GuestKind::Qemu, vmid: Vmid::new(vmid).unwrap() },
            node: "pve1".into(),
            name: "x".repeat(1000),
            status: if vmid % 2 == 0 { "running" } else { "stopped" }.into(),
        };
        let all = summarise(InventoryScope::All, (100..1100).map(guest).collect());
        assert_eq!(
            (all.rows.len(), all.omitted, all.summary.as_str()),
            (200, 800, "1000 guests, 500 running")
        );
        assert!(all.rows.iter().all(|row| row.chars().count() <= 256));
        let running = summarise(InventoryScope::Running, (100..110).map(guest).collect());
        assert_eq!((running.rows.len(), running.omitted), (5, 0));
    }
}
