//! Which keys a running guest takes at once; the others wait for its next start.
use serde_json::Value;

use super::{Guest, GuestType};
use crate::pve::sim::contract::PropertyString;
use crate::pve::sim::disks;

const VM_KEYS: [&str; 13] = [
    "cpulimit",
    "cpuunits",
    "description",
    "hookscript",
    "lock",
    "migrate_downtime",
    "migrate_speed",
    "name",
    "onboot",
    "protection",
    "shares",
    "startup",
    "tags",
];
const CONTAINER_KEYS: [&str; 13] = [
    "cores",
    "cpulimit",
    "cpuunits",
    "description",
    "hookscript",
    "hostname",
    "lock",
    "memory",
    "onboot",
    "protection",
    "startup",
    "swap",
    "tags",
];
const CLOUD_INIT_KEYS: [&str; 8] =
    ["cicustom", "cipassword", "citype", "ciupgrade", "ciuser", "nameserver", "searchdomain", "sshkeys"];

pub(super) fn stem(key: &str) -> &str {
    key.trim_end_matches(|c: char| c.is_ascii_digit())
}

/// Settings that reach a VM by its cloud-init drive alone.
pub(super) fn is_cloud_init_key(key: &str) -> bool {
    CLOUD_INIT_KEYS.contains(&key) || stem(key) == "ipconfig"
}

/// Whether a running guest takes a new value, or the loss of the present one, at once.
pub(super) fn is_live(guest: &Guest, key: &str, new: Option<&Value>) -> bool {
    match guest.kind {
        GuestType::Qemu => is_live_in_machine(guest, key, new),
        GuestType::Lxc => is_live_in_container(guest, key, new),
    }
}

fn is_live_in_machine(guest: &Guest, key: &str, new: Option<&Value>) -> bool {
    let features = guest.text("hotplug").unwrap_or("1").to_owned();
    let features = if features == "1" { "network,disk,usb" } else { &features };
    let has = |feature: &str| features.split(',').any(|present| present == feature);
    match stem(key) {
        _ if disks::is_unused_key(key) || is_cloud_init_key(key) => true,
        "net" => has("network"),
        "scsi" | "virtio" => has("disk"),
        "usb" | "tablet" => has("usb"),
        "memory" => has("memory"),
        "vcpus" => has("cpu"),
        "balloon" => is_enabled(guest.config.get(key)) == is_enabled(new),
        "hotplug" => !features.contains("cpu") && !features.contains("memory"),
        "ide" | "sata" => new.is_some() && holds_cdrom(guest.config.get(key)) && holds_cdrom(new),
        "vmstatestorage" => true,
        _ => VM_KEYS.contains(&key),
    }
}

fn is_live_in_container(guest: &Guest, key: &str, new: Option<&Value>) -> bool {
    match stem(key) {
        _ if disks::is_unused_key(key) => true,
        "net" => true,
        "mp" | "dev" => new.is_some() && !guest.config.contains_key(key),
        "cores" if new.is_none() => true,
        "memory" => new.is_some(),
        _ => CONTAINER_KEYS.contains(&key),
    }
}

fn is_enabled(balloon: Option<&Value>) -> bool {
    balloon.is_none_or(|balloon| balloon != 0 && balloon != "0")
}

fn holds_cdrom(drive: Option<&Value>) -> bool {
    drive.and_then(Value::as_str).is_some_and(|text| disks::is_cdrom(&PropertyString::parse(text)))
}

/// Plugging a card into a bridge that is not there fails, and yet the card stays in the configuration.
pub(super) fn plug_problem(vmid: u32, key: &str, value: &Value, bridges: &[String]) -> Option<String> {
    let card = PropertyString::parse(value.as_str().filter(|_| key.starts_with("net"))?);
    let bridge = card.get("bridge")?;
    (!bridges.iter().any(|known| known == bridge)).then(|| {
        format!(
            "hotplug problem - VM {vmid} qmp command 'netdev_add' failed - network script /usr/libexec/qemu-server/pve-bridge-hotplug failed with status 512\n"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pve::sim::world::Config;

    fn takes(kind: GuestType, config: &[(&str, &str)], key: &str, new: &str) -> bool {
        let config: Config = config.iter().map(|(key, text)| ((*key).to_owned(), (*text).into())).collect();
        is_live(&Guest::new(kind, "pve1", config), key, Some(&new.into()))
    }

    #[test]
    fn a_machine_takes_cards_and_disks_but_no_memory_unless_it_is_told_to() {
        assert!(takes(GuestType::Qemu, &[], "net1", "virtio,bridge=vmbr0"));
        assert!(takes(GuestType::Qemu, &[], "scsi1", "tank:1"));
        assert!(!takes(GuestType::Qemu, &[], "memory", "512"));
        assert!(takes(GuestType::Qemu, &[("hotplug", "memory")], "memory", "512"));
        assert!(!takes(GuestType::Qemu, &[("hotplug", "memory")], "net1", "virtio,bridge=vmbr0"));
        assert!(!takes(GuestType::Qemu, &[], "cores", "2"));
    }

    #[test]
    fn another_medium_goes_into_a_drive_and_a_new_drive_waits() {
        let drive = [("ide2", "none,media=cdrom")];
        assert!(takes(GuestType::Qemu, &drive, "ide2", "local:iso/a.iso,media=cdrom"));
        assert!(!takes(GuestType::Qemu, &[], "ide2", "local:iso/a.iso,media=cdrom"));
    }

    #[test]
    fn a_container_takes_memory_and_no_other_root() {
        assert!(takes(GuestType::Lxc, &[], "memory", "512"));
        assert!(takes(GuestType::Lxc, &[], "mp0", "tank:1,mp=/data"));
        assert!(!takes(GuestType::Lxc, &[("mp0", "tank:1,mp=/data")], "mp0", "tank:1,mp=/other"));
        assert!(!takes(GuestType::Lxc, &[], "nameserver", "192.0.2.1"));
    }
}
