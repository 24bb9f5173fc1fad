//! What a request takes of which storage, as far as that is known before.

use std::collections::BTreeMap;

use crate::catalog::Changes;

use super::{
    measure::bytes,
    observe::{Guest, World, disks_in, names_disk},
    request::Request,
};

/// Space on a storage, as its node sees it; 0 bytes where nobody can tell how much it will be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Demand {
    pub storage: String,
    pub node: Option<String>,
    pub bytes: u64,
}

pub fn demands(request: &Request, world: &World) -> Vec<Demand> {
    let changes = request.action.changes();
    let guest = world.guest();
    let node =
        request.text("destination").or(guest.map(|guest| guest.node.as_str())).or(request.text("node"));
    let mut taken = allocated(request);
    match (changes, guest) {
        (Some(Changes::DiskSize), Some(guest)) => grown(request, guest, &mut taken),
        (Some(Changes::DiskStorage), Some(guest)) => {
            let moves = |key: &str| Some(key) == request.text("disk");
            copied(request, guest, moves, &mut taken);
        }
        (Some(Changes::NewGuest(_)), Some(guest)) if request.flag("full") || !guest.template => {
            copied(request, guest, |key| !key.starts_with("unused"), &mut taken);
        }
        _ => {
            for name in ["storage", "stateStorage"] {
                *taken.entry(request.text(name).unwrap_or_default().to_owned()).or_default() += 0;
            }
        }
    }
    taken.remove("");
    let demand = |(storage, bytes)| Demand { storage, node: node.map(str::to_owned), bytes };
    taken.into_iter().map(demand).collect()
}

/// New disks are written `storage:32`, in GiB.
fn allocated(request: &Request) -> BTreeMap<String, u64> {
    let params = request.params.iter().filter(|(name, _)| names_disk(name));
    let disks = disks_in(&params.map(|(name, value)| (name.clone(), value.to_wire())).collect());
    let mut taken = BTreeMap::new();
    for disk in disks.iter().filter(|disk| !disk.is_cdrom) {
        let gib = disk.volume.split_once(':').and_then(|(_, size)| size.parse::<u32>().ok());
        if let Some(gib) = gib {
            add(&mut taken, disk.storage(), u64::from(gib) << 30);
        }
    }
    taken
}

fn grown(request: &Request, guest: &Guest, taken: &mut BTreeMap<String, u64>) {
    let disk = guest.disks().into_iter().find(|disk| Some(disk.key.as_str()) == request.text("disk"));
    let (Some(disk), Some(size)) = (disk, request.text("size")) else { return };
    let now = disk.size.as_deref().and_then(bytes).unwrap_or_default();
    let more = match size.strip_prefix('+') {
        Some(more) => bytes(more),
        None => bytes(size).map(|size| size.saturating_sub(now)),
    };
    add(taken, disk.storage(), more.unwrap_or_default());
}

/// Disks that are written once more, on the storage that is named or on their own.
fn copied(request: &Request, guest: &Guest, which: impl Fn(&str) -> bool, taken: &mut BTreeMap<String, u64>) {
    for disk in guest.disks().iter().filter(|disk| !disk.is_cdrom && which(&disk.key)) {
        let storage = request.text("storage").unwrap_or(disk.storage());
        add(taken, storage, disk.size.as_deref().and_then(bytes).unwrap_or_default());
    }
}

fn add(taken: &mut BTreeMap<String, u64>, storage: &str, bytes: u64) {
    let sum = taken.entry(storage.to_owned()).or_default();
    *sum = sum.saturating_add(bytes);
}
