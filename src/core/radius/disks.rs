//! Disks of the target that are detached, replaced, moved or frozen.

use crate::{
    api::Risk,
    core::observe::{Disk, Guest, Storage, Volume, disks_in, names_disk},
};

use super::{Ask, Radius, clones::hit_clones, time::replicated, uses::boots_from};

/// What `delete` and new values do to disks.
pub(super) fn settings(ask: Ask<'_>, found: &mut Radius) {
    let volumes = found.seen(&ask.world.volumes).map(Vec::as_slice).unwrap_or_default();
    let storages = found.seen(&ask.world.storages);
    let replication = found.seen(&ask.world.replication);
    let Some(guest) = ask.world.guest() else { return };
    let asked = asked(ask);
    let mut touched = !asked.is_empty();
    for disk in guest.disks() {
        let new = asked.iter().find(|new| new.key == disk.key);
        if ask.removed().any(|key| key == disk.key) {
            touched = true;
            removed(ask, guest, &disk, volumes, found);
        } else if let Some(new) = new.filter(|new| new.volume != disk.volume) {
            replaced(guest, &disk, new, found);
        } else if is_emptied(ask, &disk) {
            touched = true;
            detached(guest, &disk, found);
        }
    }
    for disk in &asked {
        reachable(guest, disk.storage(), storages, found);
    }
    if touched {
        replicated(guest, replication, "with all its disks", found);
    }
}

/// The disks that the request sets.
fn asked(ask: Ask<'_>) -> Vec<Disk> {
    let params = ask.request.params.iter().filter(|(name, _)| names_disk(name));
    disks_in(&params.map(|(name, value)| (name.clone(), value.to_wire())).collect())
}

/// Set to something that holds no volume, such as `none`.
fn is_emptied(ask: Ask<'_>, disk: &Disk) -> bool {
    ask.request.params.contains_key(&disk.key) && !asked(ask).iter().any(|new| new.key == disk.key)
}

fn removed(ask: Ask<'_>, guest: &Guest, disk: &Disk, volumes: &[Volume], found: &mut Radius) {
    let Disk { key, volume, .. } = disk;
    if disk.is_cdrom || !(key.starts_with("unused") || ask.request.flag("force")) {
        return detached(guest, disk, found);
    }
    found.hit(&guest.reference, format!("loses its disk {key} ({volume}) for good")).raises(Risk::Critical);
    let keepers = guest
        .snapshots
        .iter()
        .filter(|snapshot| disks_in(&snapshot.config).iter().any(|d| d.volume == *volume));
    for snapshot in keepers {
        let effect = format!("could not go back to snapshot {}, which needs {volume}", snapshot.name);
        found.hit(&guest.reference, effect).raises(Risk::Critical);
    }
    hit_clones(volume, Some(guest.reference.vmid), volumes, &[], found);
    would_boot(guest, disk, found);
}

fn detached(guest: &Guest, disk: &Disk, found: &mut Radius) {
    let Disk { key, volume, .. } = disk;
    if disk.is_cdrom {
        found.hit(&guest.reference, format!("is left without the CD in {key} ({volume})"));
        return;
    }
    let effect = format!("is left without its disk {key} ({volume}), which is kept as unused");
    found.hit(&guest.reference, effect).raises(Risk::High);
    would_boot(guest, disk, found);
}

fn replaced(guest: &Guest, old: &Disk, new: &Disk, found: &mut Radius) {
    let effect = format!("has {} instead of {} as {}", new.volume, old.volume, old.key);
    let hit = found.hit(&guest.reference, effect);
    if !old.is_cdrom {
        hit.raises(Risk::High);
        would_boot(guest, old, found);
    }
}

fn would_boot(guest: &Guest, disk: &Disk, found: &mut Radius) {
    if boots_from(guest, &disk.key) {
        found
            .hit(&guest.reference, format!("would not boot from {} any more", disk.key))
            .raises(Risk::Critical);
    }
}

/// The storage has to be where the guest is.
fn reachable(guest: &Guest, storage: &str, storages: Option<&Vec<Storage>>, found: &mut Radius) {
    let Some(storages) = storages else { return };
    let known = storages.iter().find(|known| known.id == storage);
    if known.is_none_or(|known| !known.is_on(&guest.node)) {
        found
            .hit(
                &format!("storage/{storage}"),
                format!("is not on {}, where {} is", guest.node, guest.reference),
            )
            .raises(Risk::High);
    }
}

/// A disk that moves or grows.
pub(super) fn place(ask: Ask<'_>, found: &mut Radius) {
    let volumes = found.seen(&ask.world.volumes).map(Vec::as_slice).unwrap_or_default();
    let storages = found.seen(&ask.world.storages);
    let Some((guest, key)) = ask.world.guest().zip(ask.request.text("disk")) else { return };
    let Some(disk) = guest.disks().into_iter().find(|disk| disk.key == key) else { return };
    let to = ask.request.text("storage");
    for snapshot in &guest.snapshots {
        found.hit(&guest.reference, format!("has snapshot {} of its disks", snapshot.name));
    }
    if let Some(storage) = to {
        reachable(guest, storage, storages, found);
        if ask.request.flag("delete") {
            hit_clones(&disk.volume, Some(guest.reference.vmid), volumes, &[], found);
            let effect = format!("loses the old copy of {key} ({}) once the new one is there", disk.volume);
            found.hit(&guest.reference, effect).raises(Risk::High);
        }
    } else {
        let effect = format!("has its disk {key} ({}) grown, which can't be taken back", disk.volume);
        found.hit(&guest.reference, effect);
    }
}

pub(super) fn template(ask: Ask<'_>, found: &mut Radius) {
    found.seen(&ask.world.volumes);
    let replication = found.seen(&ask.world.replication);
    let Some(guest) = ask.world.guest() else { return };
    for disk in guest.disks().iter().filter(|disk| !disk.is_cdrom) {
        let effect = format!("can't write to its disk {} ({}) any more", disk.key, disk.volume);
        found.hit(&guest.reference, effect);
    }
    replicated(guest, replication, "as it is then", found);
}
