//! The drives in a guest's configuration.
use serde_json::Value;

use crate::pve::sim::contract::PropertyString;
use crate::pve::sim::world::{Config, Guest};

const DRIVE_STEMS: [&str; 8] = ["ide", "sata", "scsi", "virtio", "efidisk", "tpmstate", "rootfs", "mp"];

fn stem_and_number(key: &str) -> (&str, &str) {
    let stem = key.trim_end_matches(|c: char| c.is_ascii_digit());
    (stem, &key[stem.len()..])
}

pub(in crate::pve::sim) fn is_drive_key(key: &str) -> bool {
    let (stem, number) = stem_and_number(key);
    DRIVE_STEMS.contains(&stem) && (number.is_empty() == (stem == "rootfs"))
}

pub(in crate::pve::sim) fn is_unused_key(key: &str) -> bool {
    let (stem, number) = stem_and_number(key);
    stem == "unused" && !number.is_empty()
}

/// All drives of a configuration, in the order of their names.
pub(in crate::pve::sim) fn drives(config: &Config) -> impl Iterator<Item = (&str, PropertyString)> {
    config.iter().filter(|(key, _)| is_drive_key(key)).filter_map(|(key, value)| {
        let text = value.as_str()?;
        Some((key.as_str(), PropertyString::parse(text)))
    })
}

pub(in crate::pve::sim) fn is_cdrom(drive: &PropertyString) -> bool {
    drive.get("media") == Some("cdrom") || drive.bare == "none" || drive.bare == "cdrom"
}

/// A drive of settings for the guest's first boot, made by Proxmox itself.
pub(in crate::pve::sim) fn is_cloud_init(drive: &PropertyString) -> bool {
    drive.bare.trim_end_matches(".qcow2").trim_end_matches(".raw").ends_with("-cloudinit")
}

/// A detached disk stays in the configuration under the first free number, which is the answer. One that a drive or a
/// snapshot still names is not listed.
pub(in crate::pve::sim) fn keep_unused(guest: &mut Guest, volid: &str) -> Option<String> {
    let configs = guest.snapshots.values().map(|snapshot| &snapshot.config).chain([&guest.config]);
    if configs.flat_map(referenced_volumes).any(|(_, named)| named == volid) {
        return None;
    }
    let key = (0..256).map(|number| format!("unused{number}")).find(|key| !guest.config.contains_key(key))?;
    guest.config.insert(key.clone(), volid.into());
    Some(key)
}

/// Every volume that a configuration names, whether in use or detached.
pub(in crate::pve::sim) fn referenced_volumes(config: &Config) -> Vec<(String, String)> {
    let named = |(key, value): (&String, &Value)| {
        let drive = PropertyString::parse(value.as_str()?);
        let is_volume = drive.bare.contains(':');
        ((is_drive_key(key) || is_unused_key(key)) && is_volume).then(|| (key.clone(), drive.bare))
    };
    config.iter().filter_map(named).collect()
}

/// The boot order: as configured, else disks before CD-ROMs before network cards.
pub(in crate::pve::sim) fn drive_order(config: &Config) -> Vec<String> {
    let configured = config.get("boot").and_then(Value::as_str).and_then(|boot| boot.strip_prefix("order="));
    if let Some(order) = configured {
        return order.split(';').map(str::to_owned).collect();
    }
    let is_boot_drive = |key: &str| matches!(stem_and_number(key).0, "ide" | "sata" | "scsi" | "virtio");
    let pick = |cdroms: bool| {
        drives(config)
            .filter(move |(key, drive)| is_boot_drive(key) && is_cdrom(drive) == cdroms)
            .map(|(key, _)| key.to_owned())
            .next()
    };
    let card = config.keys().find(|key| stem_and_number(key).0 == "net").cloned();
    [pick(false), pick(true), card].into_iter().flatten().collect()
}

pub(in crate::pve::sim) fn boot_disk(config: &Config) -> Option<String> {
    let is_disk = |key: &String| {
        let drive = config.get(key).and_then(Value::as_str).map(PropertyString::parse);
        is_drive_key(key) && drive.is_some_and(|drive| !is_cdrom(&drive))
    };
    drive_order(config).into_iter().find(is_disk)
}

/// Whether there is anything from which an operating system could have been started.
pub(in crate::pve::sim) fn bootable(config: &Config) -> bool {
    drives(config).any(|(_, drive)| drive.bare.contains(':') || drive.bare.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(pairs: &[(&str, &str)]) -> Config {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).into())).collect()
    }

    #[test]
    fn disks_boot_before_cdroms_and_network() {
        let config =
            config(&[("ide2", "local:iso/a.iso,media=cdrom"), ("net0", "virtio"), ("scsi0", "tank:1")]);
        assert_eq!(drive_order(&config), ["scsi0", "ide2", "net0"]);
    }

    #[test]
    fn the_boot_disk_is_the_first_disk_in_order() {
        let config =
            config(&[("boot", "order=ide2;scsi1"), ("ide2", "none,media=cdrom"), ("scsi1", "tank:1")]);
        assert_eq!(boot_disk(&config).as_deref(), Some("scsi1"));
    }

    #[test]
    fn a_controller_is_no_drive() {
        assert!(!is_drive_key("scsihw"));
        assert!(is_drive_key("rootfs") && is_drive_key("mp0") && is_drive_key("scsi12"));
    }

    #[test]
    fn an_empty_drive_boots_nothing() {
        assert!(!bootable(&config(&[("ide0", "none,media=cdrom")])));
    }
}
