//! What of a storage stands in the settings of a guest, and what becomes of the guest without it.

use std::collections::BTreeMap;

use crate::{
    api::Risk,
    catalog::{GuestKind, contract::PropertyString, split_list},
    core::observe::{Disk, Guest, disks_in},
};

/// A volume in the settings of a guest.
#[derive(Clone, Debug)]
pub(super) struct Use<'a> {
    pub guest: &'a Guest,
    pub place: Place<'a>,
    pub disk: Disk,
}

/// Which settings they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place<'a> {
    /// In force.
    Present,
    /// Waiting for the next start.
    Waiting,
    Snapshot(&'a str),
}

/// Every volume that a guest's settings name.
pub(super) fn uses(guest: &Guest) -> Vec<Use<'_>> {
    let waiting: BTreeMap<String, String> =
        guest.pending.iter().filter_map(|(key, value)| Some((key.clone(), value.clone()?))).collect();
    let mut all: Vec<(Place<'_>, Disk)> = Vec::new();
    let mut add = |place, config: &BTreeMap<String, String>| {
        all.extend(disks_in(config).into_iter().chain(files_in(config)).map(|disk| (place, disk)));
    };
    add(Place::Present, &guest.config);
    add(Place::Waiting, &waiting);
    for snapshot in &guest.snapshots {
        add(Place::Snapshot(&snapshot.name), &snapshot.config);
    }
    all.into_iter().map(|(place, disk)| Use { guest, place, disk }).collect()
}

/// Hook scripts and cloud-init files: without them a guest does not start either.
fn files_in(config: &BTreeMap<String, String>) -> Vec<Disk> {
    let named = |key: &'static str| config.get(key).into_iter().map(move |value| (key, value.as_str()));
    let file = |key: &str, volume: &str| Disk {
        key: key.to_owned(),
        volume: volume.to_owned(),
        size: None,
        is_cdrom: false,
    };
    let settings = named("hookscript").chain(named("cicustom"));
    settings
        .flat_map(|(key, value)| {
            let parts = PropertyString::parse(value);
            let volumes = parts.values().filter(|volume| volume.contains(':'));
            volumes.map(|volume| file(key, volume)).collect::<Vec<_>>()
        })
        .collect()
}

impl Use<'_> {
    /// What it is to the guest.
    pub fn role(&self) -> String {
        let key = &self.disk.key;
        let role = match self.kind() {
            Kind::Boot => format!("boot disk {key}"),
            Kind::Attached => format!("disk {key}"),
            Kind::Cd => format!("CD in {key}"),
            Kind::Unused => format!("unused disk {key}"),
            Kind::Memory => "saved memory".to_owned(),
            Kind::File => format!("file for {key}"),
        };
        match self.place {
            Place::Present => role,
            Place::Waiting => format!("{role} from its next start on"),
            Place::Snapshot(name) => format!("{role} in snapshot {name}"),
        }
    }

    /// What becomes of the guest without it.
    pub fn without(&self) -> String {
        match (self.place, self.kind()) {
            (Place::Snapshot(name), _) => format!("could not go back to snapshot {name}"),
            (_, Kind::Boot) => "would not boot".to_owned(),
            (_, Kind::Attached | Kind::Cd | Kind::File) => "would not start".to_owned(),
            (_, Kind::Unused | Kind::Memory) => "would lose it".to_owned(),
        }
    }

    /// The risk of taking it away.
    pub fn risk(&self) -> Risk {
        match (self.place, self.kind()) {
            (Place::Present | Place::Waiting, Kind::Boot | Kind::Attached) => Risk::Critical,
            _ => Risk::High,
        }
    }

    /// What a storage has to take for it.
    pub fn content(&self) -> &'static str {
        match self.kind() {
            Kind::Cd => "iso",
            Kind::File => "snippets",
            _ if self.guest.reference.kind == GuestKind::Lxc => "rootdir",
            _ => "images",
        }
    }

    fn kind(&self) -> Kind {
        let key = self.disk.key.as_str();
        match key {
            _ if self.disk.is_cdrom || key == "cdrom" => Kind::Cd,
            "vmstate" => Kind::Memory,
            "hookscript" | "cicustom" => Kind::File,
            _ if key.starts_with("unused") => Kind::Unused,
            _ if boots_from(self.guest, key) => Kind::Boot,
            _ => Kind::Attached,
        }
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Boot,
    Attached,
    Cd,
    Unused,
    Memory,
    File,
}

/// Whether a guest boots from the disk of this name. Where its settings don't say, it may be any.
pub(super) fn boots_from(guest: &Guest, key: &str) -> bool {
    if guest.reference.kind == GuestKind::Lxc {
        return key == "rootfs";
    }
    let is_part = ["efidisk", "tpmstate", "unused"].iter().any(|part| key.starts_with(part));
    let boot = guest.config.get("boot").map(|boot| PropertyString::parse(boot));
    let order = boot.as_ref().and_then(|boot| boot.get("order"));
    match (order, guest.config.get("bootdisk")) {
        (Some(order), _) => split_list(order).any(|device| device == key),
        (None, Some(bootdisk)) => bootdisk == key,
        (None, None) => !is_part,
    }
}
