//! Where the disks of a guest are.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// Keys of a configuration that hold a disk, each followed by a number or by nothing.
const DISKS: &[&str] = &["scsi", "virtio", "sata", "ide", "efidisk", "tpmstate", "unused", "rootfs", "mp"];

/// The storages of a guest's disks. Installation media and cloud-init drives are none of its disks.
pub(super) fn storages_of(config: &BTreeMap<String, Value>) -> Vec<String> {
    let disks = config.iter().filter(|(key, _)| is_disk(key)).filter_map(|(_, value)| value.as_str());
    let storages: BTreeSet<&str> = disks.filter_map(storage_of).collect();
    storages.into_iter().map(str::to_owned).collect()
}

fn is_disk(key: &str) -> bool {
    DISKS.contains(&key.trim_end_matches(|c: char| c.is_ascii_digit()))
}

/// `tank:vm-100-disk-0,size=8G`, also written `file=tank:…` or `volume=tank:…`.
fn storage_of(drive: &str) -> Option<&str> {
    if drive.split(',').any(|option| option == "media=cdrom") {
        return None;
    }
    let volume = drive.split(',').next()?;
    let volume = volume.strip_prefix("file=").or_else(|| volume.strip_prefix("volume=")).unwrap_or(volume);
    let (storage, _) = volume.split_once(':')?;
    (!storage.starts_with('/')).then_some(storage)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn storages(config: &Value) -> Vec<String> {
        let config: BTreeMap<String, Value> = serde_json::from_value(config.clone()).unwrap();
        storages_of(&config)
    }

    #[test]
    fn every_kind_of_disk_counts_once_for_its_storage() {
        let config = serde_json::json!({
            "scsi0": "tank:100/vm-100-disk-0.qcow2,size=8G", "virtio15": "file=fast:vm-100-disk-1,ssd=1",
            "efidisk0": "tank:100/vm-100-disk-2.raw", "unused3": "old:vm-100-disk-9", "rootfs": "volume=ct:subvol-1",
            "mp0": "tank:subvol-2,mp=/srv", "scsihw": "virtio-scsi-pci", "memory": "512", "net0": "virtio=AA:BB",
        });
        assert_eq!(storages(&config), ["ct", "fast", "old", "tank"]);
    }

    #[test]
    fn media_devices_and_folders_of_the_host_are_no_disks() {
        let config = serde_json::json!({
            "ide2": "local:iso/debian.iso,media=cdrom", "ide0": "none,media=cdrom", "scsi1": "/dev/sdb,backup=0",
            "mp1": "/srv/data,mp=/data", "ide3": "tank:vm-100-cloudinit,media=cdrom",
        });
        assert!(storages(&config).is_empty());
    }
}
