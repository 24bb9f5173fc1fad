//! What a plan's call will be at work on, as far as others have to wait for it.

use std::collections::{BTreeMap, BTreeSet};

use crate::{api::Intent, catalog::Target};

use super::{
    call::Dispatch,
    observe::{Disk, Guest, World, disks_in},
    request::Request,
};

/// What the task of a plan is at work on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Occupied {
    /// None if nothing runs on any node for long: what has no task is done when it is answered.
    pub node: Option<String>,
    /// Those of the same name on several nodes count as one: that they are not is nothing that could be seen here.
    pub storages: BTreeSet<String>,
}

/// Parameters of calls that name a storage to write to.
const STORAGE_PARAMS: &[&str] = &["storage", "targetstorage", "target-storage", "statestorage"];

/// What a call will be at work on: the node that carries it out; the storages that hold the guest's disks, those that the
/// call names, and the one that it is about. A call without a task is at work on nothing.
pub fn occupied(request: &Request, dispatch: &Dispatch, world: &World) -> Occupied {
    if !dispatch.call.starts_task {
        return Occupied::default();
    }
    let disks = world.guest().map(Guest::disks).unwrap_or_default();
    let new_disks = disks_in(&dispatch.call.params);
    let disks = disks.iter().chain(&new_disks).filter(|disk| !disk.is_cdrom).map(Disk::storage);
    let storages = named(&dispatch.call.params).chain(disks).chain(target(request));
    Occupied {
        node: Some(dispatch.node.clone()),
        storages: storages.filter(|name| !name.is_empty()).map(str::to_owned).collect(),
    }
}

fn named(params: &BTreeMap<String, String>) -> impl Iterator<Item = &str> {
    let named = STORAGE_PARAMS.iter().filter_map(|name| params.get(*name));
    // A migration may name pairs: `from:to,from:to`.
    named.flat_map(|text| text.split(',')).filter_map(|pair| pair.rsplit(':').next())
}

fn target(request: &Request) -> Option<&str> {
    match &request.target {
        Target::Storage(storage) => Some(storage.as_str()),
        Target::Volume(volume) => Some(volume.storage.as_str()),
        _ => None,
    }
}

/// What a plan whose intent is on record is at work on.
pub fn occupied_by(intent: &Intent) -> Occupied {
    Occupied {
        node: (!intent.task_types.is_empty()).then(|| intent.node.clone()),
        storages: intent.storages.iter().cloned().collect(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::core::{
        call::{PlanIdentity, dispatch_for},
        observe::Met,
        request::{normalise, tests::spec},
        testing::{all_rights, guest, world_of},
    };

    fn occupied_by_plan(action: &str, target: &str, params: serde_json::Value, world: &World) -> Occupied {
        let request = normalise("default", &spec(action, target, params)).unwrap();
        let hash = request.hash().unwrap().to_string().parse().unwrap();
        let dispatch = dispatch_for(&request, world, PlanIdentity { hash: &hash, uid: "uid" }).unwrap();
        occupied(&request, &dispatch.unwrap(), world)
    }

    fn on(node: &str, storages: &[&str]) -> Occupied {
        Occupied {
            node: Some(node.to_owned()),
            storages: storages.iter().map(|name| (*name).to_owned()).collect(),
        }
    }

    fn guest_with(reference: &str, config: &[(&str, &str)]) -> World {
        let config = config.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        world_of(Guest { config, ..guest(reference) })
    }

    #[test]
    fn every_kind_of_disk_counts_once_for_its_storage() {
        let world = guest_with(
            "qemu/100",
            &[
                ("scsi0", "tank:100/vm-100-disk-0.qcow2,size=8G"),
                ("virtio15", "file=fast:vm-100-disk-1,ssd=1"),
                ("efidisk0", "tank:100/vm-100-disk-2.raw"),
                ("unused3", "old:vm-100-disk-9"),
                ("rootfs", "volume=ct:subvol-1"),
                ("mp0", "tank:subvol-2,mp=/srv"),
                ("scsihw", "virtio-scsi-pci"),
                ("net0", "virtio=AA:BB"),
            ],
        );
        let start = occupied_by_plan("start_guest", "qemu/100", json!({}), &world);
        assert_eq!(start, on("pve1", &["ct", "fast", "old", "tank"]));
    }

    #[test]
    fn media_devices_and_folders_of_the_host_are_no_disks() {
        let world = guest_with(
            "qemu/100",
            &[
                ("ide2", "local:iso/debian.iso,media=cdrom"),
                ("ide0", "none,media=cdrom"),
                ("scsi1", "/dev/sdb,backup=0"),
                ("mp1", "/srv/data,mp=/data"),
                ("ide3", "tank:vm-100-cloudinit,media=cdrom"),
            ],
        );
        assert_eq!(occupied_by_plan("start_guest", "qemu/100", json!({}), &world), on("pve1", &[]));
    }

    #[test]
    fn a_call_occupies_the_storages_that_it_names_beside_those_of_the_disks() {
        let world = guest_with("qemu/100", &[("scsi0", "tank:vm-100-disk-0")]);
        let params = json!({"destination": "pve2", "targetStorage": "fast"});
        let migrate = occupied_by_plan("migrate_guest", "qemu/100", params, &world);
        assert_eq!(migrate, on("pve1", &["fast", "tank"]));
        let pairs = BTreeMap::from([("targetstorage".to_owned(), "a:b,c:d".to_owned())]);
        assert_eq!(named(&pairs).collect::<Vec<_>>(), ["b", "d"]);
    }

    #[test]
    fn a_guest_that_is_not_there_yet_occupies_its_node_and_storages() {
        let none = World { target: Met::Absent, rights: all_rights(), ..World::default() };
        let params = json!({"node": "pve3", "scsi0": "tank:8", "ide2": "iso:iso/a.iso,media=cdrom"});
        assert_eq!(occupied_by_plan("create_vm", "qemu/700", params, &none), on("pve3", &["tank"]));
        let params = json!({"node": "pve3", "archive": "store:backup/vzdump-qemu-700-2026_01_01-00_00_00.vma", "storage": "tank"});
        assert_eq!(occupied_by_plan("restore_guest", "qemu/700", params, &none), on("pve3", &["tank"]));
    }

    #[test]
    fn what_is_done_when_it_is_answered_is_at_work_on_nothing() {
        let world = World { rights: all_rights(), ..World::default() };
        let params = json!({"type": "dir", "path": "/srv"});
        assert_eq!(occupied_by_plan("add_storage", "storage/tank", params, &world), Occupied::default());
    }
}
