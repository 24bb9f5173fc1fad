//! Points in time: a restore point that goes, and a guest that goes back to one.

use crate::{
    api::Risk,
    core::{
        measure::age,
        observe::{Guest, ReplicationJob, Snapshot, Storage, Volume},
    },
};

use super::{Ask, Radius, backups::backups_of};

pub(super) fn snapshot(ask: Ask<'_>, found: &mut Radius) {
    let volumes = found.seen(&ask.world.volumes);
    let replication = found.seen(&ask.world.replication);
    let Some((guest, name)) = ask.world.guest().zip(ask.request.text("snapshot")) else { return };
    let Some(snapshot) = guest.snapshot(name) else { return };
    let taken = snapshot.taken_at.map(|at| format!("{} old", age(ask.now, at))).unwrap_or_default();
    found.hit(&guest.reference, format!("loses its snapshot {name}")).detail(taken);
    if snapshot.with_memory {
        found.hit(&guest.reference, format!("loses the memory that snapshot {name} keeps"));
    }
    for child in guest.snapshots.iter().filter(|child| child.parent.as_deref() == Some(name)) {
        found.hit(&guest.reference, format!("has its snapshot {} resting on {name}", child.name));
    }
    if let Some(volumes) = volumes {
        last_restore_point(guest, name, volumes, found);
    }
    replicated(guest, replication, "and Proxmox refuses meanwhile", found);
}

fn last_restore_point(guest: &Guest, name: &str, volumes: &[Volume], found: &mut Radius) {
    let others = guest.snapshots.iter().any(|other| other.name != name);
    if !others && backups_of(guest.reference.vmid, volumes).is_empty() {
        found.hit(&guest.reference, "loses its last restore point").raises(Risk::Critical);
    }
}

pub(super) fn newer_data(ask: Ask<'_>, found: &mut Radius) {
    let volumes = found.seen(&ask.world.volumes).map(Vec::as_slice).unwrap_or_default();
    let storages = found.seen(&ask.world.storages).map(Vec::as_slice).unwrap_or_default();
    let replication = found.seen(&ask.world.replication);
    let Some(guest) = ask.world.guest() else { return };
    if let Some(archive) = ask.request.text("archive") {
        let saved = volumes.iter().find(|volume| volume.id == archive).and_then(|volume| volume.created_at);
        lost_since(ask, guest, &format!("backup {archive}"), saved, found);
    }
    if let Some(snapshot) = ask.request.text("snapshot").and_then(|name| guest.snapshot(name)) {
        lost_since(ask, guest, &format!("snapshot {}", snapshot.name), snapshot.taken_at, found);
        newer_snapshots(guest, snapshot, storages, found);
        added_since(guest, snapshot, found);
    }
    replicated(guest, replication, "and has to begin anew", found);
}

fn lost_since(ask: Ask<'_>, guest: &Guest, what: &str, when: Option<i64>, found: &mut Radius) {
    let detail =
        when.map_or("nobody knows how old it is".to_owned(), |at| format!("{} old", age(ask.now, at)));
    found
        .hit(&guest.reference, format!("loses everything written since {what}"))
        .detail(detail)
        .raises(Risk::Critical);
    if guest.is_running() {
        found.hit(&guest.reference, "is running and is stopped by force").raises(Risk::High);
    }
}

/// ZFS goes back to the latest snapshot only: what is newer has to go first.
fn newer_snapshots(guest: &Guest, to: &Snapshot, storages: &[Storage], found: &mut Radius) {
    let disks = guest.disks();
    let is_zfs =
        |id: &str| storages.iter().any(|storage| storage.id == id && storage.kind.starts_with("zfs"));
    let Some(zfs) = disks.iter().map(|disk| disk.storage()).filter(|id| is_zfs(id)).min() else { return };
    for newer in guest.snapshots.iter().filter(|other| is_newer(guest, other, to)) {
        let effect =
            format!("has to lose its newer snapshot {}: {zfs} goes back to the latest only", newer.name);
        found.hit(&guest.reference, effect).raises(Risk::High);
    }
}

fn is_newer(guest: &Guest, snapshot: &Snapshot, than: &Snapshot) -> bool {
    let taken_later = snapshot.taken_at.zip(than.taken_at).is_some_and(|(this, that)| this > that);
    let mut above = snapshot.parent.as_deref();
    // No chain is longer than the list, not even one that bites its own tail.
    for _ in 0..guest.snapshots.len() {
        match above {
            Some(name) if name == than.name => return snapshot.name != than.name,
            Some(name) => above = guest.snapshot(name).and_then(|parent| parent.parent.as_deref()),
            None => break,
        }
    }
    taken_later
}

/// Disks that the snapshot knows nothing of stay behind as unused.
fn added_since(guest: &Guest, snapshot: &Snapshot, found: &mut Radius) {
    if snapshot.config.is_empty() {
        return;
    }
    let then = crate::core::observe::disks_in(&snapshot.config);
    for disk in guest.disks().iter().filter(|disk| !disk.is_cdrom && !disk.key.starts_with("unused")) {
        if !then.iter().any(|old| old.volume == disk.volume) {
            let effect = format!("is left without its disk {}: it is newer than the snapshot", disk.key);
            found.hit(&guest.reference, effect).raises(Risk::High);
        }
    }
}

/// The copies of the guest on other nodes.
pub(super) fn replicated(
    guest: &Guest,
    jobs: Option<&Vec<ReplicationJob>>,
    effect: &str,
    found: &mut Radius,
) {
    for job in jobs.into_iter().flatten().filter(|job| job.guest == Some(guest.reference.vmid)) {
        found.hit(
            &format!("replication/{}", job.id),
            format!("copies {} to {} {effect}", guest.reference, job.target),
        );
    }
}
