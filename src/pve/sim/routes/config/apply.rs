//! Making a change of the configuration that has been judged.
use serde_json::Value;

use super::change::Change;
use super::{Config, Guest, GuestType};
use crate::pve::sim::contract::PropertyString;
use crate::pve::sim::disks::{self, DriveRequest};
use crate::pve::sim::engine::State;

/// Keys that take effect at once, whatever the guest is doing.
const ALWAYS_LIVE: [&str; 16] = [
    "agent",
    "autostart",
    "boot",
    "delete",
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
    "vmstatestorage",
];

#[derive(Debug)]
pub(super) enum ApplyError {
    Parameter(String, String),
    Failed(String),
}

impl From<String> for ApplyError {
    fn from(text: String) -> Self {
        Self::Failed(text)
    }
}

pub(super) fn apply(
    state: &mut State,
    node: &str,
    kind: GuestType,
    vmid: u32,
    change: &Change,
    log: &mut Vec<String>,
) -> Result<(), ApplyError> {
    for key in &change.revert {
        let guest = state.guest_mut(node, kind, vmid)?;
        guest.pending.remove(key);
        guest.pending_delete.remove(key);
    }
    for key in &change.delete {
        delete(state, node, kind, vmid, key, change.destroy_disks)?;
    }
    let drives = NewDrives { node, kind, vmid };
    let mut plain = Config::new();
    for (key, value) in &change.set {
        let value = match value.as_str().filter(|_| disks::is_drive_key(key)) {
            Some(text) => attach(state, &drives, key, text, log)?.into(),
            None => value.clone(),
        };
        plain.insert(key.clone(), value);
    }
    for (key, value) in plain {
        set(state, node, kind, vmid, &key, value)?;
    }
    Ok(())
}

fn delete(
    state: &mut State,
    node: &str,
    kind: GuestType,
    vmid: u32,
    key: &str,
    destroy: bool,
) -> Result<(), ApplyError> {
    let guest = state.guest_mut(node, kind, vmid)?;
    guest.pending.remove(key);
    if !guest.config.contains_key(key) {
        return Ok(());
    }
    if guest.is_running() && kind == GuestType::Qemu && !is_live(guest, key) && !disks::is_unused_key(key) {
        guest.pending_delete.insert(key.to_owned());
        return Ok(());
    }
    let Some(removed) = guest.config.remove(key) else {
        return Ok(());
    };
    let drive = PropertyString::parse(removed.as_str().unwrap_or_default());
    let has_volume = drive.bare.contains(':');
    if disks::is_unused_key(key) || (destroy && disks::is_drive_key(key) && has_volume) {
        disks::free(state, node, &drive.bare);
    } else if disks::is_drive_key(key) && has_volume && !disks::is_cdrom(&drive) {
        keep_unused(guest, &drive.bare);
    }
    Ok(())
}

/// A detached disk stays in the configuration under the first free number.
fn keep_unused(guest: &mut Guest, volid: &str) {
    let free = (0..256).map(|number| format!("unused{number}")).find(|key| !guest.config.contains_key(key));
    if let Some(key) = free {
        guest.config.insert(key, volid.into());
    }
}

fn set(
    state: &mut State,
    node: &str,
    kind: GuestType,
    vmid: u32,
    key: &str,
    value: Value,
) -> Result<(), ApplyError> {
    let bridges = state.world.nodes.get(node).map(|node| node.bridges.clone()).unwrap_or_default();
    let guest = state.guest_mut(node, kind, vmid)?;
    guest.pending_delete.remove(key);
    if guest.is_running() && kind == GuestType::Qemu && guest.config.get(key) != Some(&value) {
        if let Some(problem) = plug_problem(vmid, key, &value, &bridges) {
            guest.pending.insert(key.to_owned(), value);
            return Err(ApplyError::Parameter(key.to_owned(), problem));
        }
        if !is_live(guest, key) {
            guest.pending.insert(key.to_owned(), value);
            return Ok(());
        }
    }
    guest.pending.remove(key);
    let old = guest.config.insert(key.to_owned(), value.clone());
    let old_drive = old.as_ref().and_then(Value::as_str).map(PropertyString::parse);
    let new_volume = value.as_str().map(|text| PropertyString::parse(text).bare);
    if let Some(drive) = old_drive.filter(|_| disks::is_drive_key(key))
        && !disks::is_cdrom(&drive)
        && Some(&drive.bare) != new_volume.as_ref()
    {
        keep_unused(guest, &drive.bare);
    }
    Ok(())
}

/// Plugging a card into a bridge that is not there fails, and yet the card stays in the configuration.
fn plug_problem(vmid: u32, key: &str, value: &Value, bridges: &[String]) -> Option<String> {
    let card = PropertyString::parse(value.as_str().filter(|_| key.starts_with("net"))?);
    let bridge = card.get("bridge")?;
    (!bridges.iter().any(|known| known == bridge)).then(|| {
        format!(
            "hotplug problem - VM {vmid} qmp command 'netdev_add' failed - network script /usr/libexec/qemu-server/pve-bridge-hotplug failed with status 512\n"
        )
    })
}

/// Whether a running VM takes the key at once.
fn is_live(guest: &Guest, key: &str) -> bool {
    let stem = key.trim_end_matches(|c: char| c.is_ascii_digit());
    let features = guest.text("hotplug").unwrap_or("network,disk,usb").to_owned();
    let has = |feature: &str| features == "1" || features.split(',').any(|present| present == feature);
    let is_cdrom_key = guest.text(key).is_some_and(|text| disks::is_cdrom(&PropertyString::parse(text)));
    match stem {
        "net" => has("network"),
        "scsi" | "virtio" => has("disk"),
        "usb" => has("usb"),
        "memory" => has("memory"),
        "cpulimit" | "cpuunits" => true,
        "ide" | "sata" => is_cdrom_key,
        _ => ALWAYS_LIVE.contains(&key),
    }
}

/// For whom drives are made.
#[derive(Debug)]
pub(in crate::pve::sim::routes) struct NewDrives<'a> {
    pub(in crate::pve::sim::routes) node: &'a str,
    pub(in crate::pve::sim::routes) kind: GuestType,
    pub(in crate::pve::sim::routes) vmid: u32,
}

/// Makes what a drive asks for, or finds it. The answer is the drive as the configuration keeps it.
pub(in crate::pve::sim::routes) fn attach(
    state: &mut State,
    for_whom: &NewDrives<'_>,
    key: &str,
    text: &str,
    log: &mut Vec<String>,
) -> Result<String, String> {
    let NewDrives { node, kind, vmid } = *for_whom;
    let mut drive = PropertyString::parse(text);
    if let Some(file) = drive.take("file").or_else(|| drive.take("volume")) {
        drive.bare = file;
    }
    let format = drive.take("format");
    let import = drive.take("import-from");
    match disks::drive_request(&drive) {
        DriveRequest::Nothing => return Ok(drive.to_string()),
        DriveRequest::Existing { volid, .. } => {
            let Some(volume) = disks::find(state, node, &volid) else {
                return Err(format!("volume '{volid}' does not exist"));
            };
            drive.set("size", &disks::format_size(volume.size));
        }
        DriveRequest::New { storage, bytes } => {
            let bytes = match &import {
                None => bytes,
                Some(source) => source_size(state, node, source)?,
            };
            let content = if kind == GuestType::Lxc { "rootdir" } else { "images" };
            let made = disks::allocate(state, node, &storage, vmid, bytes, format.as_deref(), content)?;
            drive.bare.clone_from(&made.volid);
            drive.set("size", &disks::format_size(made.bytes));
            log.push(made.log);
            if kind == GuestType::Lxc {
                log.extend(file_system_lines(made.bytes));
            } else {
                drive.sort();
                log.push(format!("{key}: successfully created disk '{drive}'"));
            }
        }
        DriveRequest::CloudInit { storage } => {
            let made = disks::allocate(state, node, &storage, vmid, 0, Some("qcow2"), "cloudinit")?;
            drive.bare.clone_from(&made.volid);
            drive.set("media", "cdrom");
            drive.set("size", &disks::format_size(made.bytes));
            log.push(made.log);
        }
    }
    drive.sort();
    Ok(drive.to_string())
}

/// What the file system's maker prints for a container's disk.
fn file_system_lines(bytes: u64) -> Vec<String> {
    const GROUP: u64 = 32_768;
    let blocks = bytes / 4096;
    let is_power_of = |base: u64, number: u64| {
        let mut power = 1;
        while power < number {
            power *= base;
        }
        power == number
    };
    let holds_backup = |group: &u64| [3, 5, 7].iter().any(|base| is_power_of(*base, *group));
    let backups: Vec<String> = (1..)
        .take_while(|group| group * GROUP < blocks)
        .filter(holds_backup)
        .map(|group| (group * GROUP).to_string())
        .collect();
    vec![
        format!("Creating filesystem with {blocks} 4k blocks and {} inodes", blocks / 4),
        format!("Filesystem UUID: {}", uuid::Uuid::new_v4()),
        "Superblock backups stored on blocks: ".to_owned(),
        format!("\t{}", backups.join(", ")),
    ]
}

fn source_size(state: &State, node: &str, source: &str) -> Result<u64, String> {
    let found = disks::find(state, node, source).map(|volume| volume.size);
    found.ok_or_else(|| format!("volume '{source}' does not exist"))
}
