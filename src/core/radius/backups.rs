//! What would bring a guest back.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::{
    catalog::Vmid,
    core::{
        measure::age,
        observe::{Backup, Volume},
    },
};

/// A guest's backups, each once: a shared storage lists them on every node.
pub(super) fn backups_of(vmid: Vmid, volumes: &[Volume]) -> Vec<&Backup> {
    let of_guest = volumes.iter().filter(|volume| volume.content == "backup" && volume.vmid == Some(vmid));
    let each: BTreeMap<&str, &Backup> = of_guest.map(|backup| (backup.id.as_str(), backup)).collect();
    each.into_values().collect()
}

/// How many there are and how old the last one is.
pub(super) fn told(backups: &[&Backup], now: Timestamp) -> String {
    let last = backups.iter().filter_map(|backup| backup.created_at).max();
    match last {
        Some(last) => format!("{} in all, the last one is {} old", backups.len(), age(now, last)),
        None => format!("{} in all", backups.len()),
    }
}
