//! Volumes: naming, making, finding and removing them.
use serde_json::Value;

use super::size::parse_size;
use crate::pve::sim::contract::PropertyString;
use crate::pve::sim::engine::State;
use crate::pve::sim::world::{Config, GuestType, Storage, Volume};

/// Storages that keep volumes as files in folders.
const FILE_TYPES: [&str; 5] = ["btrfs", "cephfs", "cifs", "dir", "nfs"];
const CLOUD_INIT_SIZE: u64 = 4 << 20;

impl Storage {
    pub(in crate::pve::sim) fn kind(&self) -> &str {
        self.text("type").unwrap_or("dir")
    }

    pub(in crate::pve::sim) fn text(&self, key: &str) -> Option<&str> {
        self.config.get(key).and_then(Value::as_str)
    }

    pub(in crate::pve::sim) fn flag(&self, key: &str) -> bool {
        self.config.get(key).is_some_and(|value| value == 1 || value == "1" || value == true)
    }

    fn keeps_files(&self) -> bool {
        FILE_TYPES.contains(&self.kind())
    }

    /// Storages of blocks give whole extents.
    fn rounded(&self, bytes: u64) -> u64 {
        match self.kind() {
            "lvm" | "lvmthin" => bytes.next_multiple_of(4 << 20),
            "zfspool" => bytes.next_multiple_of(1 << 20),
            _ => bytes,
        }
    }

    pub(in crate::pve::sim) fn is_shared(&self) -> bool {
        self.flag("shared")
            || matches!(self.kind(), "cephfs" | "cifs" | "iscsi" | "iscsidirect" | "nfs" | "pbs" | "rbd")
    }
}

pub(in crate::pve::sim) fn content_types(storage: &Storage) -> Vec<&str> {
    storage.text("content").unwrap_or("images,rootdir").split(',').collect()
}

pub(in crate::pve::sim) fn is_on_node(storage: &Storage, node: &str) -> bool {
    storage.text("nodes").is_none_or(|nodes| nodes.split(',').any(|allowed| allowed == node))
}

/// Whether another node could use all of a configuration's disks where they lie.
pub(in crate::pve::sim) fn reaches(state: &State, config: &Config, home: &str, node: &str) -> bool {
    let mut storages = super::referenced_volumes(config).into_iter().filter_map(|(_, volid)| {
        let (name, _) = volid.split_once(':')?;
        state.world.storages.get(name)
    });

    storages.all(|storage| {
        !storage.flag("disable")
            && is_on_node(storage, node)
            && (storage.is_shared() || storage.text("nodes").is_some() || node == home)
    })
}

/// Finds a storage that may be used on a node. `Err` says why it can't be.
pub(in crate::pve::sim) fn available<'a>(
    state: &'a State,
    node: &str,
    name: &str,
) -> Result<&'a Storage, String> {
    let storage = state.world.storages.get(name).ok_or_else(|| format!("storage '{name}' does not exist"))?;
    if storage.flag("disable") {
        return Err(format!("storage '{name}' is disabled"));
    }
    if !is_on_node(storage, node) {
        return Err(format!("storage '{name}' is not available on node '{node}'"));
    }
    Ok(storage)
}

/// What a drive asks for: something new, or something that is there.
#[derive(Debug, PartialEq)]
pub(in crate::pve::sim) enum DriveRequest {
    Nothing,
    New { storage: String, bytes: u64 },
    CloudInit { storage: String },
    Existing { storage: String, volid: String },
}

/// `tank:8` asks for 8 GiB, `tank:100/vm-100-disk-0.raw` for a volume that exists.
pub(in crate::pve::sim) fn drive_request(drive: &PropertyString) -> DriveRequest {
    let Some((storage, volume)) = drive.bare.split_once(':') else {
        return DriveRequest::Nothing;
    };
    let storage = storage.to_owned();
    if volume == "cloudinit" {
        return DriveRequest::CloudInit { storage };
    }
    match volume.parse::<f64>() {
        // A started KiB counts, as storages allocate whole ones.
        Ok(gib) => DriveRequest::New { storage, bytes: ((gib * f64::from(1 << 20)).ceil() as u64) << 10 },
        Err(_) => DriveRequest::Existing { storage, volid: drive.bare.clone() },
    }
}

pub(in crate::pve::sim) fn find<'a>(state: &'a State, node: &str, volid: &str) -> Option<&'a Volume> {
    let (storage, _) = volid.split_once(':')?;
    let volumes = &state.world.storages.get(storage)?.volumes;
    volumes
        .iter()
        .find(|volume| volume.volid == volid && volume.node.as_deref().is_none_or(|home| home == node))
}

/// Where the volume would lie in the file system.
pub(in crate::pve::sim) fn volume_path(storage: &Storage, volid: &str) -> String {
    let name = volid.split_once(':').map_or(volid, |(_, name)| name);
    let folder = storage.text("path").unwrap_or_default();
    match (storage.keeps_files(), name.split_once('/')) {
        (true, Some(("iso", file))) => format!("{folder}/template/iso/{file}"),
        (true, Some(("vztmpl", file))) => format!("{folder}/template/cache/{file}"),
        (true, Some(("backup", file))) => format!("{folder}/dump/{file}"),
        (true, Some(("import" | "snippets", _))) => format!("{folder}/{name}"),
        (true, _) => format!("{folder}/images/{name}"),
        (false, _) => format!("/dev/{}/{name}", storage.text("vgname").unwrap_or("pve")),
    }
}

pub(in crate::pve::sim) fn path_of(state: &State, volid: &str) -> String {
    let storage = volid.split_once(':').and_then(|(name, _)| state.world.storages.get(name));
    storage.map_or_else(String::new, |storage| volume_path(storage, volid))
}

/// What storages call the disks of such a guest.
pub(in crate::pve::sim) fn content_of(kind: GuestType) -> &'static str {
    match kind {
        GuestType::Qemu => "images",
        GuestType::Lxc => "rootdir",
    }
}

/// The first number that is free among a guest's volumes on a storage.
fn new_name(storage_name: &str, storage: &Storage, vmid: u32, content: &str, format: &str) -> String {
    let stem = if storage.kind() == "zfspool" && content == "rootdir" { "subvol" } else { "vm" };
    let numbered = |number: u32| {
        let file = format!("{stem}-{vmid}-disk-{number}");
        if storage.keeps_files() {
            format!("{storage_name}:{vmid}/{file}.{format}")
        } else {
            format!("{storage_name}:{file}")
        }
    };
    let own_name = |volid: &str| {
        volid.rsplit(['/', ':']).next().and_then(|name| name.split('.').next().map(str::to_owned))
    };
    let present: Vec<String> = storage.volumes.iter().filter_map(|volume| own_name(&volume.volid)).collect();
    let taken = |number: &u32| {
        let stems = ["vm", "base", "subvol", "basevol"];
        stems.iter().any(|stem| present.contains(&format!("{stem}-{vmid}-disk-{number}")))
    };
    numbered((0..).find(|number| !taken(number)).unwrap_or_default())
}

/// A volume that was made, as its guest's configuration and the task's log speak of it.
#[derive(Debug)]
pub(in crate::pve::sim) struct Allocation {
    pub(in crate::pve::sim) volid: String,
    pub(in crate::pve::sim) bytes: u64,
    pub(in crate::pve::sim) log: String,
}

pub(in crate::pve::sim) fn allocate(
    state: &mut State,
    node: &str,
    storage_name: &str,
    vmid: u32,
    bytes: u64,
    format: Option<&str>,
    content: &str,
) -> Result<Allocation, String> {
    let ctime = state.clock.seconds();
    let storage = available(state, node, storage_name)?;
    let is_subvolume = storage.kind() == "zfspool" && content == "rootdir";
    let format = match format.filter(|_| storage.keeps_files()) {
        Some(format) => format,
        None if is_subvolume => "subvol",
        None => "raw",
    }
    .to_owned();
    let volid = if content == "cloudinit" {
        let name = format!("vm-{vmid}-cloudinit");
        if storage.keeps_files() {
            format!("{storage_name}:{vmid}/{name}.{format}")
        } else {
            format!("{storage_name}:{name}")
        }
    } else {
        new_name(storage_name, storage, vmid, content, &format)
    };
    let bytes = storage.rounded(if content == "cloudinit" { CLOUD_INIT_SIZE } else { bytes });
    let home = (!storage.is_shared()).then(|| node.to_owned());
    let log = formatting(storage, &volid, &format, bytes);
    let volume = Volume {
        volid: volid.clone(),
        content: if content == "cloudinit" { "images" } else { content }.to_owned(),
        format: format.clone(),
        size: bytes,
        node: home,
        used: Some(if format == "qcow2" { 331_776 } else { 4096 }),
        ctime,
        vmid: Some(vmid),
        ..Volume::default()
    };
    if let Some(storage) = state.world.storages.get_mut(storage_name) {
        storage.volumes.push(volume);
    }
    Ok(Allocation { volid, bytes, log })
}

/// Makes a volume for the memory of a VM.
pub(in crate::pve::sim) fn allocate_state(
    state: &mut State,
    node: &str,
    storage_name: &str,
    vmid: u32,
    suffix: &str,
    bytes: u64,
) -> Result<String, String> {
    let ctime = state.clock.seconds();
    let storage = available(state, node, storage_name)?;
    let name = format!("vm-{vmid}-state-{suffix}");
    let volid = if storage.keeps_files() {
        format!("{storage_name}:{vmid}/{name}.raw")
    } else {
        format!("{storage_name}:{name}")
    };
    let volume = Volume {
        volid: volid.clone(),
        content: "images".to_owned(),
        format: "raw".to_owned(),
        size: storage.rounded(bytes),
        node: (!storage.is_shared()).then(|| node.to_owned()),
        used: Some(4096),
        ctime,
        vmid: Some(vmid),
        ..Volume::default()
    };
    if let Some(storage) = state.world.storages.get_mut(storage_name) {
        storage.volumes.push(volume);
    }
    Ok(volid)
}

/// Makes a linked clone of a base volume. Where names have room for it, the new volume's name says what it builds on.
pub(in crate::pve::sim) fn link(
    state: &mut State,
    node: &str,
    base: &str,
    vmid: u32,
    content: &str,
) -> Result<String, String> {
    let ctime = state.clock.seconds();
    let source = find(state, node, base).cloned().ok_or_else(|| format!("volume '{base}' does not exist"))?;
    let (storage_name, base_name) = base.split_once(':').unwrap_or_default();
    let storage = available(state, node, storage_name)?;
    let format = if storage.keeps_files() { "qcow2" } else { "raw" };
    let name = new_name(storage_name, storage, vmid, content, format);
    let names_its_base = storage.keeps_files() || matches!(storage.kind(), "rbd" | "zfspool");
    let own_base = base_name.rsplit('/').next().filter(|_| !storage.keeps_files()).unwrap_or(base_name);
    let volid = match name.split_once(':') {
        Some((_, own)) if names_its_base => format!("{storage_name}:{own_base}/{own}"),
        _ => name,
    };
    let home = (!storage.is_shared()).then(|| node.to_owned());
    let volume = Volume {
        volid: volid.clone(),
        content: content.to_owned(),
        format: format.to_owned(),
        node: home,
        used: Some(4096),
        ctime,
        vmid: Some(vmid),
        size: source.size,
        ..Volume::default()
    };
    if let Some(storage) = state.world.storages.get_mut(storage_name) {
        storage.volumes.push(volume);
    }
    Ok(volid)
}

/// Gives a volume to another guest, under a name of that guest's.
pub(in crate::pve::sim) fn rename(
    state: &mut State,
    node: &str,
    volid: &str,
    vmid: u32,
) -> Result<String, String> {
    let missing = || format!("volume '{volid}' does not exist");
    let volume = find(state, node, volid).cloned().ok_or_else(missing)?;
    let storage_name = volid.split(':').next().unwrap_or_default();
    let storage = available(state, node, storage_name)?;
    let renamed = new_name(storage_name, storage, vmid, &volume.content, &volume.format);
    free(state, node, volid);
    if let Some(storage) = state.world.storages.get_mut(storage_name) {
        storage.volumes.push(Volume { volid: renamed.clone(), vmid: Some(vmid), ..volume });
    }
    Ok(renamed)
}

fn formatting(storage: &Storage, volid: &str, format: &str, bytes: u64) -> String {
    if !storage.keeps_files() {
        let name = volid.split_once(':').map_or(volid, |(_, name)| name);
        return format!("  Logical volume \"{name}\" created.");
    }
    let path = volume_path(storage, volid);
    if format == "qcow2" {
        return format!(
            "Formatting '{path}', fmt=qcow2 cluster_size=65536 extended_l2=off preallocation=metadata compression_type=zlib size={bytes} lazy_refcounts=off refcount_bits=16"
        );
    }
    format!("Formatting '{path}', fmt={format} size={bytes} preallocation=off")
}

pub(in crate::pve::sim) fn free(state: &mut State, node: &str, volid: &str) {
    let Some((storage, _)) = volid.split_once(':') else {
        return;
    };
    if let Some(storage) = state.world.storages.get_mut(storage) {
        storage.volumes.retain(|volume| {
            volume.volid != volid || volume.node.as_deref().is_some_and(|home| home != node)
        });
    }
}

/// Removes every disk that belongs to a guest, attached or not.
pub(in crate::pve::sim) fn free_all_of(state: &mut State, node: &str, vmid: u32) {
    for storage in state.world.storages.values_mut() {
        let is_disk = |volume: &Volume| matches!(volume.content.as_str(), "images" | "rootdir");
        let is_here = |volume: &Volume| volume.node.as_deref().is_none_or(|home| home == node);
        storage.volumes.retain(|volume| !(volume.vmid == Some(vmid) && is_disk(volume) && is_here(volume)));
    }
}

/// Makes a volume as large as the drive says that it is.
pub(in crate::pve::sim) fn set_size(state: &mut State, node: &str, drive: &PropertyString) {
    let Some(bytes) = drive.get("size").and_then(parse_size) else {
        return;
    };
    let volumes = state.world.storages.values_mut().flat_map(|storage| &mut storage.volumes);
    let is_meant = |volume: &&mut Volume| {
        volume.volid == drive.bare && volume.node.as_deref().is_none_or(|home| home == node)
    };
    for volume in volumes.filter(is_meant) {
        volume.size = bytes;
    }
}

/// The size of a drive: as its configuration says, else as the volume has it.
pub(in crate::pve::sim) fn drive_bytes(state: &State, node: &str, drive: &PropertyString) -> u64 {
    let configured = drive.get("size").and_then(parse_size);
    configured.or_else(|| find(state, node, &drive.bare).map(|volume| volume.size)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_after_the_storage_asks_for_a_new_volume() {
        let request = |text: &str| drive_request(&PropertyString::parse(text));
        assert_eq!(request("tank:0.1"), DriveRequest::New { storage: "tank".into(), bytes: 107_374_592 });
        assert_eq!(request("tank:cloudinit"), DriveRequest::CloudInit { storage: "tank".into() });
        let volid = "tank:100/vm-100-disk-0.raw".to_owned();
        assert_eq!(request(&volid), DriveRequest::Existing { storage: "tank".into(), volid });
        assert_eq!(request("none,media=cdrom"), DriveRequest::Nothing);
    }
}
