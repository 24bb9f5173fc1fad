//! A volume that goes: a disk, an image or a backup.

use crate::{
    api::Risk,
    catalog::Target,
    core::{
        measure::age,
        observe::{Guest, Storage, Volume},
    },
};

use super::{Ask, Radius, backups::backups_of, clones::hit_clones, subject::numbered, uses::uses};

pub(super) fn look(ask: Ask<'_>, found: &mut Radius) {
    let guests = found.seen(&ask.world.guests).map(Vec::as_slice).unwrap_or_default();
    let volumes = found.seen(&ask.world.volumes).map(Vec::as_slice).unwrap_or_default();
    let storages = found.seen(&ask.world.storages).map(Vec::as_slice).unwrap_or_default();
    let Target::Volume(target) = &ask.request.target else { return };
    let near = |node: &str| is_same(node, ask, target.storage.as_str(), storages);
    let guests: Vec<Guest> = guests.iter().filter(|guest| near(&guest.node)).cloned().collect();
    let guests = guests.as_slice();
    for storage in same_place(target.storage.as_str(), storages) {
        let id = format!("{storage}:{}", target.name);
        for of in guests.iter().flat_map(uses).filter(|of| of.disk.volume == id) {
            let effect = format!("has {id} as its {} and {}", of.role(), of.without());
            found.hit(&of.guest.reference, effect).raises(of.risk());
        }
        hit_clones(&id, None, volumes, guests, found);
    }
    let is_it = |volume: &&Volume| volume.id == target.to_string() && near(&volume.node);
    let Some(volume) = volumes.iter().find(is_it) else { return };
    if volume.protected {
        found.hit(&ask.request.target, "is protected").raises(Risk::Critical);
    }
    if let Some(vmid) = volume.vmid.filter(|_| volume.content == "backup") {
        let subject = numbered(vmid, guests);
        lost_backup(ask, volume, &backups_of(vmid, volumes), &subject, found);
    }
}

/// Whether a volume of the same name on that node is the same one: only a shared storage is one and the same everywhere.
fn is_same(node: &str, ask: Ask<'_>, storage: &str, storages: &[Storage]) -> bool {
    let is_local = storages.iter().any(|known| known.id == storage && !known.shared);
    !is_local || ask.node().is_none_or(|own| own == node)
}

/// The storage, and all others that are the same folder, pool or export under another name.
fn same_place<'a>(id: &'a str, storages: &'a [Storage]) -> Vec<&'a str> {
    let place = |storage: &'a Storage| {
        const WHERE: [&str; 9] =
            ["path", "pool", "vgname", "thinpool", "server", "export", "share", "datastore", "namespace"];
        let named: Vec<Option<&String>> = WHERE.iter().map(|key| storage.settings.get(*key)).collect();
        named.iter().any(Option::is_some).then_some((storage.kind.as_str(), named))
    };
    let own = storages.iter().find(|storage| storage.id == id).and_then(place);
    let others = storages.iter().filter(|storage| storage.id != id && own.is_some() && place(storage) == own);
    others.map(|storage| storage.id.as_str()).chain([id]).collect()
}

fn lost_backup(ask: Ask<'_>, volume: &Volume, backups: &[&Volume], subject: &str, found: &mut Radius) {
    let taken = volume.created_at.map(|at| format!("{} old", age(ask.now, at))).unwrap_or_default();
    let remaining = backups.iter().filter(|backup| backup.id != volume.id).count();
    if remaining == 0 {
        found.hit(&subject, "loses its last backup").detail(taken).raises(Risk::Critical);
    } else {
        found.hit(&subject, "loses a backup").detail(format!("{taken}; {remaining} remain"));
    }
}
