//! Volumes: finding, judging and removing them.
use serde_json::Value;

use super::size::parse_size;
use crate::pve::sim::contract::PropertyString;
use crate::pve::sim::engine::State;
use crate::pve::sim::world::{Config, GuestType, Storage, Volume};

/// Storages that keep volumes as files in folders.
const FILE_TYPES: [&str; 5] = ["btrfs", "cephfs", "cifs", "dir", "nfs"];

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

    pub(super) fn keeps_files(&self) -> bool {
        FILE_TYPES.contains(&self.kind())
    }

    /// Storages of blocks give whole extents.
    pub(super) fn rounded(&self, bytes: u64) -> u64 {
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
