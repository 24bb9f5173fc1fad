//! The settings of guests that plans can give, in Proxmox's own names.
//!
//! Left out on purpose: `affinity`, `args`, `hookscript`, `lock`, `skiplock` and `vmgenid`, which only root may set or which get around
//! what protects a guest, and host devices, which bind a guest to one node.

use crate::catalog::{GuestKind, Param, ParamType};

use super::params::{flag, param};

const SETTINGS: ParamType = ParamType::Settings { max: 512 };
const COUNT: ParamType = ParamType::Integer { min: 0, max: 1_000_000_000 };

/// What both kinds of guest know.
pub(super) static COMMON: &[Param] = &[
    param("name", ParamType::Name, "its name").sent_per_kind("name", "hostname"),
    param("description", ParamType::Text { max: 4096 }, "a note"),
    param("tags", ParamType::Settings { max: 512 }, "tags, separated by semicolons"),
    param("onboot", ParamType::Bool, "start it with its node"),
    param("protection", ParamType::Bool, "refuse to delete it or its disks"),
    param("startup", SETTINGS, "order and delays, such as `order=2,up=30`"),
    param("cores", COUNT, "cores (of a socket)"),
    param(
        "cpulimit",
        ParamType::Integer { min: 0, max: 128 },
        "how many cores' worth of time it may use; 0 for no limit",
    ),
    param("cpuunits", COUNT, "its weight beside others"),
    param("memory", COUNT, "memory in MiB"),
    param("net[n]", SETTINGS, "a network card, such as `virtio,bridge=vmbr0`").times(32),
    param("nameserver", SETTINGS, "DNS servers"),
    param("searchdomain", SETTINGS, "DNS search domain"),
    param("ostype", SETTINGS, "the kind of system in it"),
    param("unused[n]", SETTINGS, "a disk that is kept and not used").times(256),
];

/// What only a VM knows.
pub(super) static VM: &[Param] = &[
    vm("scsi[n]", "a disk, such as `local-lvm:32` for a new one of 32 GiB").times(31),
    vm("virtio[n]", "a disk").times(16),
    vm("sata[n]", "a disk").times(6),
    vm("ide[n]", "a disk or CD, such as `local:iso/debian.iso,media=cdrom`").times(4),
    vm("efidisk0", "where UEFI keeps its variables"),
    vm("tpmstate0", "where the TPM keeps its state"),
    vm("cpu", "the kind of processor"),
    count("sockets", "sockets"),
    count("vcpus", "cores that are plugged in"),
    count("balloon", "the least memory in MiB; 0 switches ballooning off"),
    count("shares", "its share when memory is scarce"),
    vm("machine", "the kind of machine"),
    vm("bios", "`seabios` or `ovmf`"),
    vm("boot", "boot order, such as `order=scsi0;net0`"),
    vm("scsihw", "the SCSI controller"),
    vm("agent", "whether the guest agent is there, such as `1`"),
    vm("vga", "the display"),
    vm("serial[n]", "a serial port, such as `socket`").times(4),
    vm("smbios1", "what the firmware tells of the machine"),
    vm("rng0", "a source of randomness"),
    vm("audio0", "a sound card"),
    vm("watchdog", "a watchdog"),
    vm("numa[n]", "a NUMA node").times(8),
    vm("hotplug", "what can be plugged in while it runs"),
    vm("keyboard", "keyboard layout"),
    vm("startdate", "what its clock begins with"),
    vm_flag("acpi", "ACPI"),
    vm_flag("kvm", "hardware virtualisation"),
    vm_flag("numa", "NUMA"),
    vm_flag("tablet", "a tablet as pointer"),
    vm_flag("localtime", "its clock counts local time"),
    vm_flag("freeze", "wait at start"),
    vm_flag("reboot", "let it reboot"),
];

/// What cloud-init hands to a VM at its first start.
pub(super) static CLOUD_INIT: &[Param] = &[
    vm("ciuser", "the user that it makes"),
    param("cipassword", ParamType::Secret, "that user's password").only_for(GuestKind::Qemu),
    vm("citype", "the format"),
    vm_flag("ciupgrade", "upgrade packages at first start"),
    vm("cicustom", "files of your own instead of the generated ones"),
    param("sshkeys", ParamType::PublicKeys, "public SSH keys, one a line").only_for(GuestKind::Qemu),
    vm("ipconfig[n]", "addresses of the card of that number, such as `ip=dhcp`").times(32),
];

/// What only a container knows.
pub(super) static CONTAINER: &[Param] = &[
    ct("rootfs", "its root disk, such as `local-lvm:8`"),
    ct("mp[n]", "a mount point").times(256),
    ct("features", "what it may do beyond the ordinary: Proxmox lets only root give more than `nesting=1`"),
    ct("arch", "processor architecture"),
    ct("cmode", "what its console is"),
    ct("timezone", "its time zone"),
    param("swap", COUNT, "swap in MiB").only_for(GuestKind::Lxc),
    param("tty", ParamType::Integer { min: 0, max: 6 }, "consoles").only_for(GuestKind::Lxc),
    flag("console", "a console").only_for(GuestKind::Lxc),
];

const fn vm(name: &'static str, doc: &'static str) -> Param {
    param(name, SETTINGS, doc).only_for(GuestKind::Qemu)
}

const fn vm_flag(name: &'static str, doc: &'static str) -> Param {
    flag(name, doc).only_for(GuestKind::Qemu)
}

const fn count(name: &'static str, doc: &'static str) -> Param {
    param(name, COUNT, doc).only_for(GuestKind::Qemu)
}

const fn ct(name: &'static str, doc: &'static str) -> Param {
    param(name, SETTINGS, doc).only_for(GuestKind::Lxc)
}
