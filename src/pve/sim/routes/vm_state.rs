//! The memory of a running VM as a volume: kept by a snapshot, or while the VM is suspended to disk.
use serde_json::Value;

use crate::pve::sim::disks;
use crate::pve::sim::engine::State;
use crate::pve::sim::world::{Config, Guest, GuestType};

/// What is kept along with the memory, so that the VM can go on as it was.
const MACHINE: &str = "pc-i440fx-10.0+pve1";
const KEYS: [&str; 3] = ["runningcpu", "runningmachine", "vmstate"];

/// Where the memory goes: as configured, else where the disks lie, best on shared storage.
pub(super) fn storage_for(state: &State, guest: &Guest) -> String {
    if let Some(configured) = guest.text("vmstatestorage") {
        return configured.to_owned();
    }
    let volumes = disks::referenced_volumes(&guest.config);
    let names = volumes.iter().filter_map(|(_, volid)| volid.split(':').next());
    let mut used: Vec<&str> = names.filter(|name| state.world.storages.contains_key(*name)).collect();
    used.sort_by_key(|name| !state.world.storages.get(*name).is_some_and(|storage| storage.is_shared()));
    used.first().map_or_else(|| "local".to_owned(), |name| (*name).to_owned())
}

/// Makes the volume; the answer is what the configuration says about it.
pub(super) fn save(
    state: &mut State,
    node: &str,
    vmid: u32,
    storage: Option<&str>,
    suffix: &str,
) -> Result<Config, String> {
    let guest = state.guest(node, GuestType::Qemu, vmid)?;
    let storage = storage.map_or_else(|| storage_for(state, guest), str::to_owned);
    // Memory changes while it is saved, so there is room for twice as much.
    let bytes = (guest.number("memory").unwrap_or(512) * 2 + 500) << 20;
    let volid = disks::allocate_state(state, node, &storage, vmid, suffix, bytes)?;
    let values = ["kvm64".into(), MACHINE.into(), Value::from(volid)];
    Ok(KEYS.iter().map(|key| (*key).to_owned()).zip(values).collect())
}

/// Takes what `save` added out of a configuration and frees the volume.
pub(super) fn discard(state: &mut State, node: &str, vmid: u32) {
    let Ok(guest) = state.guest_mut(node, GuestType::Qemu, vmid) else {
        return;
    };
    let volid = guest.text("vmstate").map(str::to_owned);
    guest.config.retain(|key, _| !KEYS.contains(&key.as_str()));
    if let Some(volid) = volid {
        disks::free(state, node, &volid);
    }
}

pub(super) fn is_state_key(key: &str) -> bool {
    KEYS.contains(&key)
}
