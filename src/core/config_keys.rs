//! What the settings of a guest belong to.

use std::collections::{BTreeMap, BTreeSet};

use crate::catalog::{SecretValue, split_list};

use super::observe::names_disk;

/// The privileges that it takes to set, delete or revert these settings.
pub fn privileges(
    params: &BTreeMap<String, String>,
    secrets: &BTreeMap<String, SecretValue>,
) -> BTreeSet<&'static str> {
    let listed = ["delete", "revert"].into_iter().filter_map(|name| params.get(name));
    let listed = listed.flat_map(|list| split_list(list));
    params.keys().chain(secrets.keys()).map(String::as_str).chain(listed).filter_map(privilege).collect()
}

/// The privilege that it takes to change a setting; `None` for what is no setting.
fn privilege(key: &str) -> Option<&'static str> {
    let stem = key.trim_end_matches(|c: char| c.is_ascii_digit());
    Some(match stem {
        "delete" | "revert" | "digest" | "force" | "skiplock" | "background_delay" | "vmid" | "node" => {
            return None;
        }
        _ if names_disk(key) => "VM.Config.Disk",
        "net" | "ipconfig" | "nameserver" | "searchdomain" | "hostname" => "VM.Config.Network",
        "cores" | "sockets" | "vcpus" | "cpulimit" | "cpuunits" | "cpu" | "affinity" | "numa" => {
            "VM.Config.CPU"
        }
        "memory" | "balloon" | "shares" | "swap" => "VM.Config.Memory",
        "ciuser" | "cipassword" | "sshkeys" | "citype" | "ciupgrade" | "cicustom" => "VM.Config.Cloudinit",
        "acpi" | "bios" | "hotplug" | "keyboard" | "kvm" | "machine" | "scsihw" | "serial" | "tablet"
        | "usb" | "vga" | "watchdog" | "audio" | "rng" | "hostpci" | "parallel" | "smbios" => {
            "VM.Config.HWType"
        }
        _ => "VM.Config.Options",
    })
}
