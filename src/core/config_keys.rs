//! What the settings of a guest belong to.

use std::collections::BTreeSet;

use crate::catalog::{Call, GuestKind, contract::PropertyString, split_list};

use super::observe::{Guest, names_disk};

/// Any one of these, on the guest.
type AnyOf = &'static [&'static str];

/// The privileges that it takes to set, delete or revert the settings that a call names.
pub fn privileges(call: &Call, kind: GuestKind, met: Option<&Guest>) -> BTreeSet<AnyOf> {
    let mut needed = BTreeSet::new();
    let set = call.params.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    let secret = call.secrets.keys().map(|key| (key.as_str(), ""));
    let removed = removed(call).map(|key| (key, value_of(met, key)));
    for (key, value) in set.chain(secret).chain(removed).filter(|(key, _)| !NO_SETTINGS.contains(key)) {
        needed.extend(match kind {
            GuestKind::Qemu => of_vm(key, value),
            GuestKind::Lxc => of_container(key),
        });
    }
    needed
}

/// They say what becomes of settings, or of which guest.
const NO_SETTINGS: [&str; 6] = ["delete", "digest", "force", "node", "revert", "vmid"];

/// The settings that a call takes away or drops the waiting changes of.
pub fn removed(call: &Call) -> impl Iterator<Item = &str> {
    let lists = ["delete", "revert"].into_iter().filter_map(|name| call.params.get(name));
    lists.flat_map(|list| split_list(list))
}

fn value_of<'a>(met: Option<&'a Guest>, key: &str) -> &'a str {
    met.and_then(|guest| guest.config.get(key)).map(String::as_str).unwrap_or_default()
}

fn of_vm(key: &str, value: &str) -> &'static [AnyOf] {
    let parts = PropertyString::parse(value);
    let is_cd = parts.get("media") == Some("cdrom");
    let is_cloud_init =
        parts.values().any(|part| part.ends_with(":cloudinit") || part.contains("-cloudinit"));
    match stem(key) {
        _ if names_disk(key) && is_cloud_init => &[&["VM.Config.Cloudinit"], &["VM.Config.CDROM"]],
        _ if names_disk(key) && is_cd => &[&["VM.Config.CDROM"]],
        _ if names_disk(key) => &[&["VM.Config.Disk"]],
        "boot" => &[&["VM.Config.Disk"]],
        "net" => &[&["VM.Config.Network"]],
        "ciuser" | "cipassword" | "sshkeys" | "citype" | "ciupgrade" | "cicustom" | "ipconfig"
        | "nameserver" | "searchdomain" => &[&["VM.Config.Cloudinit", "VM.Config.Network"]],
        "cores" | "sockets" | "vcpus" | "cpulimit" | "cpuunits" | "cpu" | "numa" => &[&["VM.Config.CPU"]],
        "memory" | "balloon" | "shares" => &[&["VM.Config.Memory"]],
        "acpi" | "audio" | "hotplug" | "kvm" | "machine" | "rng" | "scsihw" | "serial" | "smbios"
        | "tablet" | "vga" | "watchdog" => &[&["VM.Config.HWType"]],
        "freeze" => &[&["VM.PowerMgmt"]],
        _ => &[&["VM.Config.Options"]],
    }
}

fn of_container(key: &str) -> &'static [AnyOf] {
    match stem(key) {
        _ if names_disk(key) => &[&["VM.Config.Disk"]],
        "net" | "nameserver" | "searchdomain" | "hostname" => &[&["VM.Config.Network"]],
        "cores" | "cpulimit" | "cpuunits" => &[&["VM.Config.CPU"]],
        "memory" | "swap" => &[&["VM.Config.Memory"]],
        // Only nesting: all else is for root alone.
        "features" => &[&["VM.Allocate"]],
        _ => &[&["VM.Config.Options"]],
    }
}

fn stem(key: &str) -> &str {
    key.trim_end_matches(|c: char| c.is_ascii_digit())
}
