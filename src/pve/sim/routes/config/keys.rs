//! What is special about single configuration keys: who may set them, and how Proxmox rewrites their values.
use serde_json::Value;

use crate::pve::sim::contract::{PropertyString, config_value};
use crate::pve::sim::disks;
use crate::pve::sim::engine::Call;
use crate::pve::sim::http::{Refusal, refuse};
use crate::pve::sim::world::GuestType;

/// Keys that even an administrator's token may not touch.
const ROOT_KEYS: [&str; 4] = ["args", "hookscript", "lock", "lxc"];
const CPU_KEYS: [&str; 9] =
    ["affinity", "arch", "cores", "cpu", "cpulimit", "cpuunits", "numa", "sockets", "vcpus"];
const MEMORY_KEYS: [&str; 5] = ["allow-ksm", "balloon", "memory", "shares", "swap"];
const CLOUD_INIT_KEYS: [&str; 6] = ["cicustom", "cipassword", "citype", "ciupgrade", "ciuser", "sshkeys"];
const NETWORK_KEYS: [&str; 2] = ["nameserver", "searchdomain"];
const HARDWARE_KEYS: [&str; 10] =
    ["acpi", "audio", "hotplug", "kvm", "machine", "scsihw", "serial", "smbios", "tablet", "vga"];

/// Demands the privilege for each key that is to be changed.
pub(in crate::pve::sim::routes) fn demand_keys<'a>(
    call: &Call<'_>,
    kind: GuestType,
    vmid: u32,
    keys: impl Iterator<Item = (&'a str, &'a str)>,
) -> Result<(), Refusal> {
    if call.caller.is_root() {
        return Ok(());
    }
    let path = format!("/vms/{vmid}");
    for (key, value) in keys {
        if ROOT_KEYS.contains(&key) {
            return refuse(format!("only root can set '{key}' config"));
        }
        call.demand(&path, privilege_for(kind, key, value))?;
    }
    Ok(())
}

fn privilege_for(kind: GuestType, key: &str, value: &str) -> &'static str {
    let stem = key.trim_end_matches(|c: char| c.is_ascii_digit());
    if disks::is_unused_key(key) {
        return "VM.Config.Disk";
    }
    if disks::is_drive_key(key) {
        let cdrom = disks::is_cdrom(&PropertyString::parse(value)) && kind == GuestType::Qemu;
        return if cdrom { "VM.Config.CDROM" } else { "VM.Config.Disk" };
    }
    match stem {
        stem if CPU_KEYS.contains(&stem) => "VM.Config.CPU",
        stem if MEMORY_KEYS.contains(&stem) => "VM.Config.Memory",
        "net" => "VM.Config.Network",
        "ipconfig" => "VM.Config.Network",
        stem if NETWORK_KEYS.contains(&stem) || (kind == GuestType::Lxc && stem == "hostname") => {
            "VM.Config.Network"
        }
        stem if CLOUD_INIT_KEYS.contains(&stem) => "VM.Config.Cloudinit",
        stem if HARDWARE_KEYS.contains(&stem) => "VM.Config.HWType",
        _ => "VM.Config.Options",
    }
}

/// The value as it is stored and shown; disks are another matter.
pub(in crate::pve::sim::routes) fn normalise(
    call: &Call<'_>,
    kind: GuestType,
    key: &str,
    text: &str,
) -> Value {
    let stem = key.trim_end_matches(|c: char| c.is_ascii_digit());
    match (kind, stem) {
        (_, "tags") => tags(text).into(),
        (GuestType::Qemu, "net") => vm_card(text).into(),
        (GuestType::Lxc, "net") => container_card(text).into(),
        (GuestType::Lxc, "description") => format!("{}\n", text.trim_end_matches('\n')).into(),
        _ => {
            let writer = call.state.contract.config_writer(kind.name());
            config_value(writer.and_then(|writer| writer.parameter(key)), text)
        }
    }
}

/// Tags are lower case, single, and joined by semicolons.
fn tags(text: &str) -> String {
    let mut kept: Vec<String> = Vec::new();
    for tag in text.split([',', ';', ' ']).filter(|tag| !tag.is_empty()).map(str::to_lowercase) {
        if !kept.contains(&tag) {
            kept.push(tag);
        }
    }
    kept.join(";")
}

/// An address of the vendor's range, drawn at random.
pub(in crate::pve::sim::routes) fn random_mac() -> String {
    let bytes = *uuid::Uuid::new_v4().as_bytes();
    format!("BC:24:11:{:02X}:{:02X}:{:02X}", bytes[0], bytes[1], bytes[2])
}

/// `virtio,bridge=vmbr0` becomes `virtio=BC:24:11:…,bridge=vmbr0`.
fn vm_card(text: &str) -> String {
    let mut card = PropertyString::parse(text);
    let mac = card.take("macaddr").unwrap_or_else(random_mac);
    let model = card.take("model").unwrap_or_else(|| std::mem::take(&mut card.bare));
    if model.is_empty() {
        return card.to_string();
    }
    card.put_first(&model, &mac);
    card.to_string()
}

fn container_card(text: &str) -> String {
    let mut card = PropertyString::parse(text);
    if card.get("hwaddr").is_none() {
        card.set("hwaddr", &random_mac());
    }
    if card.get("type").is_none() {
        card.set("type", "veth");
    }
    card.sort();
    if let Some(name) = card.take("name") {
        card.put_first("name", &name);
    }
    card.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_lowered_and_single() {
        assert_eq!(tags("Zed,alpha;web alpha"), "zed;alpha;web");
    }

    #[test]
    fn a_card_gets_an_address() {
        let card = vm_card("virtio,bridge=vmbr0");
        assert!(card.starts_with("virtio=BC:24:11:") && card.ends_with(",bridge=vmbr0"), "{card}");
        assert_eq!(vm_card("virtio=BC:24:11:28:38:64,bridge=vmbr0"), "virtio=BC:24:11:28:38:64,bridge=vmbr0");
        assert_eq!(vm_card("model=e1000,macaddr=BC:24:11:28:38:64"), "e1000=BC:24:11:28:38:64");
    }

    #[test]
    fn a_containers_card_is_written_in_order() {
        let card = container_card("name=eth0,bridge=vmbr0,ip=dhcp,hwaddr=BC:24:11:A7:FB:60");
        assert_eq!(card, "name=eth0,bridge=vmbr0,hwaddr=BC:24:11:A7:FB:60,ip=dhcp,type=veth");
    }

    #[test]
    fn privileges_go_by_key() {
        assert_eq!(privilege_for(GuestType::Qemu, "memory", "512"), "VM.Config.Memory");
        assert_eq!(privilege_for(GuestType::Qemu, "ide2", "none,media=cdrom"), "VM.Config.CDROM");
        assert_eq!(privilege_for(GuestType::Qemu, "scsi0", "tank:1"), "VM.Config.Disk");
        assert_eq!(privilege_for(GuestType::Qemu, "tags", "a"), "VM.Config.Options");
    }
}
