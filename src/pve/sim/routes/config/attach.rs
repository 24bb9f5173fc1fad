//! Making the volumes that drives ask for, or finding them.
use super::GuestType;
use crate::pve::sim::contract::PropertyString;
use crate::pve::sim::disks::{self, DriveRequest};
use crate::pve::sim::engine::State;

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
    let mut drive = parse_drive(text);
    match disks::drive_request(&drive) {
        DriveRequest::Nothing => return Ok(drive.to_string()),
        DriveRequest::Existing { volid, .. } => {
            let Some(volume) = disks::find(state, for_whom.node, &volid) else {
                return Err(format!("volume '{volid}' does not exist"));
            };
            drive.take("format");
            drive.set("size", &disks::format_size(volume.size));
        }
        DriveRequest::New { storage, bytes } => {
            make(state, for_whom, key, &mut drive, (&storage, bytes), log)?;
        }
        DriveRequest::CloudInit { storage } => {
            let format = drive.take("format").unwrap_or_else(|| "qcow2".to_owned());
            let NewDrives { node, vmid, .. } = *for_whom;
            let made = disks::allocate(state, node, &storage, vmid, 0, Some(&format), "cloudinit")?;
            drive.bare.clone_from(&made.volid);
            drive.set("media", "cdrom");
            drive.set("size", &disks::format_size(made.bytes));
            log.push(made.log);
        }
    }
    drive.sort();
    Ok(drive.to_string())
}

/// The volume may be named by its key or without one.
pub(super) fn parse_drive(text: &str) -> PropertyString {
    let mut drive = PropertyString::parse(text);
    if let Some(file) = drive.take("file").or_else(|| drive.take("volume")) {
        drive.bare = file;
    }
    drive
}

fn make(
    state: &mut State,
    for_whom: &NewDrives<'_>,
    key: &str,
    drive: &mut PropertyString,
    (storage, asked): (&str, u64),
    log: &mut Vec<String>,
) -> Result<(), String> {
    let NewDrives { node, kind, vmid } = *for_whom;
    let format = drive.take("format");
    let bytes = match drive.take("import-from") {
        Some(source) => source_size(state, node, &source)?,
        None => fixed_size(key, drive).unwrap_or(asked),
    };
    let content = disks::content_of(kind);
    let made = disks::allocate(state, node, storage, vmid, bytes, format.as_deref(), content)?;
    drive.bare.clone_from(&made.volid);
    drive.set("size", &disks::format_size(made.bytes));
    log.push(made.log);
    if kind == GuestType::Lxc {
        log.extend(file_system_lines(made.bytes));
    } else {
        drive.sort();
        log.push(format!("{key}: successfully created disk '{drive}'"));
    }
    Ok(())
}

/// Firmware variables and the state of a TPM are as large as they are, whatever was asked for.
fn fixed_size(key: &str, drive: &PropertyString) -> Option<u64> {
    match key {
        "efidisk0" if drive.get("efitype") == Some("4m") => Some(528 << 10),
        "efidisk0" => Some(128 << 10),
        "tpmstate0" => Some(4 << 20),
        _ => None,
    }
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
