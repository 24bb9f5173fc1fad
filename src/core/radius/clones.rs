//! Linked clones: disks that can't be read without the base that they rest on.

use std::collections::BTreeSet;

use crate::{
    api::Risk,
    catalog::Vmid,
    core::observe::{Guest, Volume},
};

use super::{
    Radius,
    uses::{Use, uses},
};

/// Hits everyone but the owner whose disk rests on this volume.
pub(super) fn hit_clones(
    base: &str,
    owner: Option<Vmid>,
    volumes: &[Volume],
    guests: &[Guest],
    found: &mut Radius,
) {
    let foreign = |guest: &&Guest| Some(guest.reference.vmid) != owner;
    let uses: Vec<Use<'_>> = guests.iter().filter(foreign).flat_map(uses).collect();
    let listed = volumes.iter().filter(|volume| volume.vmid.is_none() || volume.vmid != owner);
    let listed = listed.filter(|volume| rests_on(volume, base)).map(|volume| volume.id.as_str());
    let named = uses.iter().map(|of| of.disk.volume.as_str()).filter(|volume| is_named_after(volume, base));
    let clones: BTreeSet<&str> = listed.chain(named).collect();
    for clone in clones {
        let users: Vec<&Use<'_>> = uses.iter().filter(|of| of.disk.volume == clone).collect();
        for user in &users {
            let effect =
                format!("has a linked clone of {base} as its {} and {}", user.role(), user.without());
            found.hit(&user.guest.reference, effect).raises(Risk::Critical);
        }
        if users.is_empty() {
            found
                .hit(&format!("volume/{clone}"), format!("is a linked clone of {base} and could not be read"))
                .raises(Risk::Critical);
        }
    }
}

/// Whether Proxmox lists a volume as resting on this one.
fn rests_on(volume: &Volume, base: &str) -> bool {
    let Some((storage, _)) = base.split_once(':') else { return false };
    let told = volume.parent.as_deref().is_some_and(|parent| {
        let on = parent.split_once(':').map_or(volume.storage.as_str(), |(storage, _)| storage);
        on == storage && image(parent) == image(base)
    });
    volume.id != base && (told || is_named_after(&volume.id, base))
}

/// `local-zfs:base-100-disk-0/vm-101-disk-0` carries its base in its name.
fn is_named_after(volume: &str, base: &str) -> bool {
    let (Some((on, name)), Some((storage, _))) = (volume.split_once(':'), base.split_once(':')) else {
        return false;
    };
    let Some((above, _)) = name.rsplit_once('/') else { return false };
    on == storage && volume != base && above.split('/').any(|part| part == image(base))
}

/// The name of an image, without its storage, its folder and its snapshot.
fn image(volume: &str) -> &str {
    let name = volume.split_once(':').map_or(volume, |(_, name)| name);
    let name = name.rsplit('/').next().unwrap_or_default();
    name.split('@').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_is_found_however_the_storage_writes_it() {
        let volume = |id: &str, parent: Option<&str>| Volume {
            id: id.into(),
            storage: id.split(':').next().unwrap().into(),
            parent: parent.map(str::to_owned),
            ..Volume::default()
        };
        for (id, parent, base) in [
            ("thin:vm-101-disk-0", Some("base-100-disk-0"), "thin:base-100-disk-0"),
            ("zfs:vm-101-disk-0", Some("base-100-disk-0@__base__"), "zfs:base-100-disk-0"),
            ("thin:vm-101-disk-0", Some("thin:base-100-disk-0"), "thin:base-100-disk-0"),
            ("zfs:base-100-disk-0/vm-101-disk-0", None, "zfs:base-100-disk-0"),
            ("dir:100/base-100-disk-0.qcow2/101/vm-101-disk-0.qcow2", None, "dir:100/base-100-disk-0.qcow2"),
            ("dir:101/a.qcow2", Some("../100/base-100-disk-0.qcow2"), "dir:100/base-100-disk-0.qcow2"),
        ] {
            assert!(rests_on(&volume(id, parent), base), "{id} on {base}");
        }
        assert!(!rests_on(&volume("thin:vm-101-disk-0", Some("base-100-disk-1")), "thin:base-100-disk-0"));
        assert!(!rests_on(&volume("other:vm-101-disk-0", Some("base-100-disk-0")), "thin:base-100-disk-0"));
        assert!(!rests_on(&volume("thin:base-100-disk-0", None), "thin:base-100-disk-0"));
    }
}
