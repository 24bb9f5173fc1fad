//! Who may set which configuration key.
use serde_json::Value;

use super::hotplug::{is_cloud_init_key, stem};
use super::{Call, GuestType, Refusal, refuse};
use crate::pve::sim::contract::PropertyString;
use crate::pve::sim::disks;

const CPU_KEYS: [&str; 7] = ["cores", "cpu", "cpulimit", "cpuunits", "numa", "sockets", "vcpus"];
const MEMORY_KEYS: [&str; 4] = ["allow-ksm", "balloon", "memory", "shares"];
const HARDWARE_KEYS: [&str; 11] =
    ["acpi", "audio", "hotplug", "kvm", "machine", "rng", "scsihw", "smbios", "tablet", "vga", "watchdog"];
const OPTION_KEYS: [&str; 18] = [
    "agent",
    "autostart",
    "bios",
    "description",
    "keyboard",
    "localtime",
    "migrate_downtime",
    "migrate_speed",
    "name",
    "onboot",
    "ostype",
    "protection",
    "reboot",
    "startdate",
    "startup",
    "tags",
    "tdf",
    "template",
];
const BOOT_KEYS: [&str; 3] = ["boot", "bootdisk", "vmstatestorage"];

/// What a key demands of whoever wants to change it.
#[derive(Debug, PartialEq)]
enum Demand {
    /// Any of these on the guest.
    AnyOf(&'static [&'static str]),
    /// Each of these on the guest.
    AllOf(&'static [&'static str]),
    /// Both a privilege on the guest and one on everything.
    AndOnRoot(&'static str, &'static str),
    /// Being root, in the words of the refusal.
    Root(String),
}

/// Demands what each key that is to be changed demands. A value of nothing removes the key.
pub(in crate::pve::sim::routes) fn demand_keys<'a>(
    call: &Call<'_>,
    kind: GuestType,
    vmid: u32,
    keys: impl Iterator<Item = (&'a str, &'a str)>,
) -> Result<(), Refusal> {
    if call.caller.is_root() {
        return Ok(());
    }
    for (key, value) in keys {
        demand(call, vmid, &demand_of(call, kind, key, value))?;
        demand_bridge(call, key, value)?;
    }
    Ok(())
}

fn demand(call: &Call<'_>, vmid: u32, demand: &Demand) -> Result<(), Refusal> {
    let path = format!("/vms/{vmid}");
    let of_pool = |privileges: &[&str]| {
        let pool = call.parameters.text("pool").map(|pool| format!("/pool/{pool}"));
        pool.is_some_and(|pool| call.rights().has_any(&pool, privileges))
    };
    match demand {
        // Rights in the pool that a new guest goes into are as good.
        Demand::AnyOf(privileges) if of_pool(privileges) => Ok(()),
        Demand::AllOf(privileges) => {
            privileges.iter().try_for_each(|privilege| call.demand(&path, privilege))
        }
        Demand::AnyOf(privileges) if call.rights().has_any(&path, privileges) => Ok(()),
        Demand::AnyOf(privileges) => Err(Refusal::privilege(&path, &privileges.join("|"))),
        Demand::AndOnRoot(on_guest, on_root) => {
            call.demand(&path, on_guest)?;
            call.demand("/", on_root)
        }
        Demand::Root(text) if text.starts_with("only root") => refuse(text.as_str()),
        Demand::Root(text) => Err(Refusal::Forbidden(Some(text.clone()))),
    }
}

/// A card is plugged into a bridge that the caller may use, the old one and the new one.
fn demand_bridge(call: &Call<'_>, key: &str, value: &str) -> Result<(), Refusal> {
    if stem(key) != "net" {
        return Ok(());
    }
    let present = call.guest().ok().and_then(|guest| guest.text(key));
    for card in present.into_iter().chain([value]).map(PropertyString::parse) {
        let Some(bridge) = card.get("bridge") else { continue };
        let vnets = call.state.world.definitions.get("vnets").and_then(|vnets| vnets.get(bridge));
        let zone = vnets.and_then(|vnet| vnet.get("zone")?.as_str()).unwrap_or("localnetwork");
        let tag = card.get("tag").map(|tag| format!("/{tag}")).unwrap_or_default();
        call.demand(&format!("/sdn/zones/{zone}/{bridge}{tag}"), "SDN.Use")?;
    }
    Ok(())
}

fn demand_of(call: &Call<'_>, kind: GuestType, key: &str, value: &str) -> Demand {
    // What is removed is judged by what it was.
    let present = call.guest().ok().and_then(|guest| guest.config.get(key)).and_then(Value::as_str);
    let value = if value.is_empty() { present.unwrap_or_default() } else { value };
    match kind {
        GuestType::Qemu => demand_of_machine(key, value),
        GuestType::Lxc => demand_of_container(key, value),
    }
}

fn demand_of_machine(key: &str, value: &str) -> Demand {
    if disks::is_drive_key(key) {
        let drive = PropertyString::parse(value);
        return match (
            disks::is_cloud_init(&drive) || drive.bare.ends_with(":cloudinit"),
            disks::is_cdrom(&drive),
        ) {
            (true, _) => Demand::AllOf(&["VM.Config.Cloudinit", "VM.Config.CDROM"]),
            (false, true) => Demand::AnyOf(&["VM.Config.CDROM"]),
            (false, false) => Demand::AnyOf(&["VM.Config.Disk"]),
        };
    }
    match stem(key) {
        _ if is_cloud_init_key(key) => Demand::AnyOf(&["VM.Config.Cloudinit", "VM.Config.Network"]),
        "cdrom" => Demand::AnyOf(&["VM.Config.CDROM"]),
        "unused" => Demand::AnyOf(&["VM.Config.Disk"]),
        "net" => Demand::AnyOf(&["VM.Config.Network"]),
        "startup" => Demand::AndOnRoot("VM.Config.Options", "Sys.Modify"),
        "vmstate" => Demand::AllOf(&["VM.Config.Disk", "VM.PowerMgmt"]),
        "freeze" => Demand::AnyOf(&["VM.PowerMgmt"]),
        "serial" if value == "socket" => Demand::AnyOf(&["VM.Config.HWType"]),
        "usb" if value.contains("spice") => Demand::AnyOf(&["VM.Config.HWType"]),
        "serial" | "usb" => Demand::Root(format!("only root can modify '{key}' config for real devices")),
        stem if CPU_KEYS.contains(&stem) => Demand::AnyOf(&["VM.Config.CPU"]),
        stem if MEMORY_KEYS.contains(&stem) => Demand::AnyOf(&["VM.Config.Memory"]),
        stem if HARDWARE_KEYS.contains(&stem) => Demand::AnyOf(&["VM.Config.HWType"]),
        stem if OPTION_KEYS.contains(&stem) => Demand::AnyOf(&["VM.Config.Options"]),
        stem if BOOT_KEYS.contains(&stem) => Demand::AnyOf(&["VM.Config.Disk"]),
        _ => Demand::Root(format!("only root can set '{key}' config")),
    }
}

fn demand_of_container(key: &str, value: &str) -> Demand {
    match stem(key) {
        "cores" | "cpulimit" | "cpuunits" => Demand::AnyOf(&["VM.Config.CPU"]),
        "memory" | "swap" => Demand::AnyOf(&["VM.Config.Memory"]),
        "net" | "nameserver" | "searchdomain" | "hostname" => Demand::AnyOf(&["VM.Config.Network"]),
        "rootfs" | "mp" | "unused" => Demand::AnyOf(&["VM.Config.Disk"]),
        "dev" => Demand::Root("configuring device passthrough is only allowed for root@pam".to_owned()),
        "hookscript" => Demand::Root("changing the hookscript is only allowed for root@pam".to_owned()),
        "features" if value.split(',').all(|feature| feature.starts_with("nesting=")) => {
            Demand::AnyOf(&["VM.Allocate"])
        }
        "features" => {
            let text = "changing feature flags (except nesting) is only allowed for root@pam";
            Demand::Root(text.to_owned())
        }
        _ => Demand::AnyOf(&["VM.Config.Options"]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn privileges_go_by_key() {
        let one = |privilege: &'static [&'static str]| Demand::AnyOf(privilege);
        assert_eq!(demand_of_machine("memory", "512"), one(&["VM.Config.Memory"]));
        assert_eq!(demand_of_machine("ide2", "none,media=cdrom"), one(&["VM.Config.CDROM"]));
        assert_eq!(demand_of_machine("scsi0", "tank:1"), one(&["VM.Config.Disk"]));
        assert_eq!(demand_of_machine("tags", "a"), one(&["VM.Config.Options"]));
        assert_eq!(demand_of_machine("smbios1", "uuid=x"), one(&["VM.Config.HWType"]));
        assert_eq!(demand_of_machine("ciuser", "a"), one(&["VM.Config.Cloudinit", "VM.Config.Network"]));
        assert_eq!(demand_of_container("hostname", "a"), one(&["VM.Config.Network"]));
        assert_eq!(demand_of_container("onboot", "1"), one(&["VM.Config.Options"]));
    }

    #[test]
    fn what_no_privilege_covers_is_for_root() {
        assert_eq!(
            demand_of_machine("args", "-x"),
            Demand::Root("only root can set 'args' config".to_owned())
        );
        assert!(matches!(demand_of_machine("serial0", "/dev/ttyS0"), Demand::Root(_)));
        assert!(matches!(demand_of_container("features", "nesting=1,mount=nfs"), Demand::Root(_)));
    }
}
