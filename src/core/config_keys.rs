//! What the settings of a guest belong to.

use std::collections::BTreeSet;

use crate::catalog::Call;

use super::observe::{Guest, names_disk};

/// The privileges that it takes to set, delete or revert the settings that a call names.
pub fn privileges(call: &Call, met: Option<&Guest>) -> BTreeSet<&'static str> {
    let set = call.params.iter().filter_map(|(key, value)| privilege(key, is_cd(value)));
    let secret = call.secrets.keys().filter_map(|key| privilege(key, false));
    let listed = ["delete", "revert"].into_iter().filter_map(|name| call.params.get(name));
    let listed = listed.flat_map(|list| list.split([',', ';', ' '])).filter(|key| !key.is_empty());
    let had = |key: &str| met.and_then(|guest| guest.config.get(key));
    let listed = listed.filter_map(|key| privilege(key, had(key).is_some_and(|value| is_cd(value))));
    set.chain(secret).chain(listed).collect()
}

fn is_cd(value: &str) -> bool {
    value.split(',').any(|property| property == "media=cdrom")
}

/// The privilege that it takes to change a setting; `None` for what is no setting.
fn privilege(key: &str, is_cd: bool) -> Option<&'static str> {
    let stem = key.trim_end_matches(|c: char| c.is_ascii_digit());
    Some(match stem {
        "delete" | "revert" | "digest" | "force" | "skiplock" | "background_delay" | "vmid" | "node" => {
            return None;
        }
        _ if names_disk(key) && is_cd => "VM.Config.CDROM",
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
