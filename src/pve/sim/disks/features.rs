//! What can be done with a volume where it lies.
use crate::pve::sim::contract::PropertyString;
use crate::pve::sim::engine::State;
use crate::pve::sim::world::{Config, Storage, Volume};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::pve::sim) enum Feature {
    Snapshot,
    /// Making a linked clone.
    Clone,
    /// Making a full clone.
    Copy,
}

/// Whether a storage offers a feature for a volume as it is, or as it was in a snapshot.
fn offers(storage: &Storage, volid: &str, feature: Feature, of_snapshot: bool) -> bool {
    let is_qcow2 = volid.ends_with(".qcow2");
    let is_base = super::is_base(volid);
    match (storage.kind(), feature) {
        ("lvmthin" | "rbd", Feature::Snapshot) => !of_snapshot && !is_base,
        ("lvmthin" | "rbd", Feature::Clone) => is_base || of_snapshot,
        ("zfspool", Feature::Snapshot) => !is_base,
        ("zfspool" | "btrfs", Feature::Clone) => is_base,
        ("btrfs", Feature::Snapshot) => true,
        ("lvm" | "iscsi" | "iscsidirect", Feature::Snapshot | Feature::Clone) => false,
        ("zfspool" | "lvm", Feature::Copy) => !of_snapshot,
        ("lvmthin" | "rbd" | "btrfs", Feature::Copy) => true,
        (_, Feature::Snapshot) => is_qcow2,
        (_, Feature::Clone) => is_base,
        (_, Feature::Copy) => !of_snapshot || is_qcow2,
    }
}

/// The first drive that does not offer a feature; `None` means that all of the configuration's drives do.
pub(in crate::pve::sim) fn drive_without(
    state: &State,
    config: &Config,
    feature: Feature,
    of_snapshot: bool,
) -> Option<(String, String)> {
    let lacks = |(_, drive): &(&str, PropertyString)| {
        let storage = drive.bare.split_once(':').and_then(|(name, _)| state.world.storages.get(name));
        !super::is_cdrom(drive)
            && !storage.is_some_and(|storage| offers(storage, &drive.bare, feature, of_snapshot))
    };
    super::drives(config).find(lacks).map(|(key, drive)| (key.to_owned(), drive.bare))
}

/// Whether linked clones build on a volume. LVM can't tell, and lets its base volumes go.
pub(in crate::pve::sim) fn is_base_in_use(state: &State, volid: &str) -> bool {
    let builds_on_it =
        |volume: &Volume| super::base_of(&volume.volid).or(volume.parent.clone()).as_deref() == Some(volid);
    state.world.storages.values().flat_map(|storage| &storage.volumes).any(builds_on_it)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn storage(kind: &str) -> Storage {
        serde_json::from_value(serde_json::json!({ "config": { "type": kind } })).unwrap()
    }

    #[test]
    fn only_qcow2_files_can_be_snapshotted_in_folders() {
        assert!(offers(&storage("dir"), "tank:100/vm-100-disk-0.qcow2", Feature::Snapshot, false));
        assert!(!offers(&storage("dir"), "tank:100/vm-100-disk-0.raw", Feature::Snapshot, false));
        assert!(offers(&storage("lvmthin"), "lvm:vm-100-disk-0", Feature::Snapshot, false));
        assert!(!offers(&storage("lvm"), "lvm:vm-100-disk-0", Feature::Snapshot, false));
    }

    #[test]
    fn linked_clones_need_a_base_or_a_storage_that_clones_snapshots() {
        assert!(offers(&storage("dir"), "tank:9/base-9-disk-0.raw", Feature::Clone, false));
        assert!(!offers(&storage("zfspool"), "zfs:vm-100-disk-0", Feature::Clone, true));
        assert!(offers(&storage("lvmthin"), "lvm:vm-100-disk-0", Feature::Clone, true));
    }
}
