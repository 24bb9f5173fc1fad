//! A guest that goes for good, or whose disks are overwritten by a backup.

use crate::{
    api::Risk,
    core::{
        measure::{age, size},
        observe::{Guest, Volume},
    },
};

use super::{
    Ask, Radius,
    clones::hit_clones,
    uses::{self, uses},
};

pub(super) fn look(ask: Ask<'_>, found: &mut Radius) {
    let guests = found.seen(&ask.world.guests).map(Vec::as_slice).unwrap_or_default();
    let volumes = found.seen(&ask.world.volumes).map(Vec::as_slice).unwrap_or_default();
    let bonds = bonds(ask, found);
    let Some(guest) = ask.world.guest() else { return };
    found.hits.extend(bonds);
    for disk in guest.disks().iter().filter(|disk| !disk.is_cdrom) {
        found
            .hit(&guest.reference, format!("loses its disk {} ({})", disk.key, disk.volume))
            .detail(disk.size.clone().unwrap_or_default());
    }
    for snapshot in &guest.snapshots {
        let taken = snapshot.taken_at.map(|at| format!("{} old", age(ask.now, at)));
        found
            .hit(&guest.reference, format!("loses its snapshot {}", snapshot.name))
            .detail(taken.unwrap_or_default());
    }
    for volume in own_volumes(guest, volumes) {
        hit_clones(&volume, Some(guest.reference.vmid), volumes, guests, found);
        borrowers(&volume, guest, guests, found);
    }
    if ask.request.flag("destroyUnreferencedDisks") {
        unreferenced(guest, volumes, found);
    }
}

/// What stands on storages for a guest, in its settings or by its number.
fn own_volumes(guest: &Guest, volumes: &[Volume]) -> Vec<String> {
    let named = uses(guest).into_iter().filter(|of| !of.disk.is_cdrom && of.content() != "snippets");
    let named = named.map(|of| of.disk.volume);
    let numbered = volumes.iter().filter(|volume| belongs(volume, guest)).map(|volume| volume.id.clone());
    let mut all: Vec<String> = named.chain(numbered).collect();
    all.sort();
    all.dedup();
    all
}

fn belongs(volume: &Volume, guest: &Guest) -> bool {
    volume.vmid == Some(guest.reference.vmid) && ["images", "rootdir"].contains(&volume.content.as_str())
}

/// Proxmox removes what carries the guest's number, whoever else has it in his settings.
fn borrowers(volume: &str, owner: &Guest, guests: &[Guest], found: &mut Radius) {
    let others = guests.iter().filter(|guest| guest.reference != owner.reference);
    for of in others.flat_map(uses::uses).filter(|of| of.disk.volume == volume) {
        let effect = format!("has {volume} of {} as its {} and {}", owner.reference, of.role(), of.without());
        found.hit(&of.guest.reference, effect).raises(of.risk());
    }
}

fn unreferenced(guest: &Guest, volumes: &[Volume], found: &mut Radius) {
    let named: Vec<String> = uses(guest).into_iter().map(|of| of.disk.volume).collect();
    for volume in volumes.iter().filter(|volume| belongs(volume, guest) && !named.contains(&volume.id)) {
        found
            .hit(&format!("volume/{}", volume.id), "stands in no settings and goes with the guest")
            .detail(size(volume.size))
            .raises(Risk::Critical);
    }
}

/// Whoever counts on the guest by its number. A guest that is restored keeps them.
fn bonds(ask: Ask<'_>, found: &mut Radius) -> Vec<super::Hit> {
    let world = ask.world;
    let ha = found.seen(&world.ha);
    let replication = found.seen(&world.replication).map(Vec::as_slice).unwrap_or_default();
    let jobs = found.seen(&world.backup_jobs).map(Vec::as_slice).unwrap_or_default();
    let pools = found.seen(&world.pools).map(Vec::as_slice).unwrap_or_default();
    let rules = found.seen(&world.firewall).map(Vec::as_slice).unwrap_or_default();
    let acl = found.seen(&world.acl).map(Vec::as_slice).unwrap_or_default();
    let Some(guest) = world.guest().filter(|_| ask.is_gone()) else { return vec![] };
    let (reference, vmid, sid) = (guest.reference, guest.reference.vmid, guest.reference.sid());
    let mut bonds = Radius::default();
    let resources = ha.map(|ha| ha.resources.as_slice()).unwrap_or_default();
    for resource in resources.iter().filter(|resource| resource.sid == sid) {
        bonds.hit(&reference, format!("is kept {} by HA as {sid}", resource.state)).raises(Risk::High);
    }
    let named = ha.map(|ha| ha.rules.as_slice()).unwrap_or_default();
    for rule in named.iter().filter(|rule| rule.resources.contains(&sid)) {
        bonds.hit(&format!("ha-rule/{}", rule.id), format!("loses {reference}")).raises(Risk::High);
    }
    for job in replication.iter().filter(|job| job.guest == Some(vmid)) {
        let effect = format!("no longer copies {reference} to {}", job.target);
        bonds.hit(&format!("replication/{}", job.id), effect).raises(Risk::High);
    }
    for job in jobs.iter().filter(|job| job.guests.contains(&vmid)) {
        bonds.hit(&format!("backup-job/{}", job.id), format!("no longer saves {reference}"));
    }
    for pool in pools.iter().filter(|pool| pool.guests.contains(&vmid)) {
        bonds.hit(&format!("pool/{}", pool.id), format!("loses its member {reference}"));
    }
    for entry in acl {
        let effect = format!("loses the role {} on {}", entry.role, entry.path);
        bonds.hit(&format!("user/{}", entry.who), effect);
    }
    if !rules.is_empty() {
        bonds.hit(&reference, "loses its firewall rules").detail(format!("{} rules", rules.len()));
    }
    bonds.hits
}
