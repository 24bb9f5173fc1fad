//! A storage that goes, and space that is taken on one.

use std::collections::BTreeSet;

use crate::{
    api::Risk,
    catalog::Target,
    core::{
        measure::size,
        observe::{Guest, Storage, Volume},
        space::{Demand, demands},
    },
};

use super::{Ask, Radius, subject::numbered, uses::uses};

pub(super) fn look(ask: Ask<'_>, found: &mut Radius) {
    let world = ask.world;
    let guests = found.seen(&world.guests).map(Vec::as_slice).unwrap_or_default();
    let volumes = found.seen(&world.volumes).map(Vec::as_slice).unwrap_or_default();
    let storages = found.seen(&world.storages).map(Vec::as_slice).unwrap_or_default();
    let replication = found.seen(&world.replication).map(Vec::as_slice).unwrap_or_default();
    let jobs = found.seen(&world.backup_jobs).map(Vec::as_slice).unwrap_or_default();
    let nodes = found.seen(&world.nodes);
    let Target::Storage(id) = &ask.request.target else { return };
    let id = id.as_str();
    let users = users(id, guests, found);
    for volume in volumes.iter().filter(|volume| volume.storage == id && volume.content != "backup") {
        orphan(volume, guests, &users, found);
    }
    only_backups(id, volumes, guests, found);
    for job in jobs.iter().filter(|job| job.storage.as_deref() == Some(id)) {
        found
            .hit(&format!("backup-job/{}", job.id), format!("can't write to {id} any more"))
            .raises(Risk::High);
    }
    for job in replication.iter().filter(|job| job.guest.is_some_and(|vmid| has_user(vmid, guests, &users))) {
        let effect = format!("can't copy what lies on {id} any more");
        found.hit(&format!("replication/{}", job.id), effect).raises(Risk::High);
    }
    let rests = |storage: &&Storage| {
        storage.settings.get("base").is_some_and(|base| base.split(':').next() == Some(id))
    };
    for storage in storages.iter().filter(rests) {
        found.hit(&format!("storage/{}", storage.id), format!("rests on {id}")).raises(Risk::Critical);
    }
    let own = storages.iter().find(|storage| storage.id == id);
    for node in nodes.map(|nodes| nodes.nodes.as_slice()).unwrap_or_default() {
        if own.is_none_or(|storage| storage.is_on(&node.name)) {
            found.hit(&format!("node/{}", node.name), format!("has no storage {id} any more"));
        }
    }
}

/// Hits every guest that has something there, and tells which they are.
fn users(id: &str, guests: &[Guest], found: &mut Radius) -> BTreeSet<String> {
    let mut users = BTreeSet::new();
    for of in guests.iter().flat_map(uses).filter(|of| of.disk.storage() == id) {
        let effect = format!("has its {} on it ({}) and {}", of.role(), of.disk.volume, of.without());
        found.hit(&of.guest.reference, effect).raises(of.risk());
        users.insert(of.guest.reference.to_string());
    }
    users
}

fn has_user(vmid: crate::catalog::Vmid, guests: &[Guest], users: &BTreeSet<String>) -> bool {
    users.contains(&numbered(vmid, guests))
}

/// A disk of a guest whose settings don't name it.
fn orphan(volume: &Volume, guests: &[Guest], users: &BTreeSet<String>, found: &mut Radius) {
    let Some(vmid) = volume.vmid else { return };
    if !has_user(vmid, guests, users) {
        let effect = format!("has {} there, which its settings don't name", volume.id);
        found.hit(&numbered(vmid, guests), effect).raises(Risk::High);
    }
}

fn only_backups(id: &str, volumes: &[Volume], guests: &[Guest], found: &mut Radius) {
    let saved = |there: bool| -> BTreeSet<_> {
        let backups = volumes.iter().filter(|volume| volume.content == "backup");
        backups.filter(|backup| (backup.storage == id) == there).filter_map(|backup| backup.vmid).collect()
    };
    let (here, elsewhere) = (saved(true), saved(false));
    for vmid in &here {
        let subject = numbered(*vmid, guests);
        if elsewhere.contains(vmid) {
            found.hit(&subject, "has backups there, and others elsewhere");
        } else {
            found.hit(&subject, "has its only backups there").raises(Risk::Critical);
        }
    }
}

/// What is taken has to fit, on a storage that the node has.
pub(super) fn space(ask: Ask<'_>, found: &mut Radius) {
    let Some(storages) = found.seen(&ask.world.storages) else { return };
    for Demand { storage, node, bytes } in demands(ask.request, ask.world) {
        let Some(known) = storages.iter().find(|known| known.id == storage) else {
            found.hit(&format!("storage/{storage}"), "is not there").raises(Risk::High);
            continue;
        };
        let Some(node) = node else { continue };
        if !known.is_on(&node) {
            found.hit(&format!("storage/{storage}"), format!("is not on {node}")).raises(Risk::High);
        }
        if let Some(free) = known.free.get(&node).filter(|free| **free < bytes) {
            found
                .hit(&format!("storage/{storage}"), format!("has too little free space on {node}"))
                .detail(format!("{} free, {} needed", size(*free), size(bytes)))
                .raises(Risk::High);
        }
    }
}
