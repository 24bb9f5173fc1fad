//! Making volumes, and giving them their names.
use super::volumes::{available, find, free, volume_path};
use crate::pve::sim::engine::State;
use crate::pve::sim::world::{Storage, Volume};

const CLOUD_INIT_SIZE: u64 = 4 << 20;

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
