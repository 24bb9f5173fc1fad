//! Where a guest could be moved, and what would stay behind.
use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::{Route, data};
use crate::pve::sim::contract::PropertyString;
use crate::pve::sim::disks;
use crate::pve::sim::engine::{Call, State};
use crate::pve::sim::http::{Answer, Refusal};
use crate::pve::sim::world::{Config, Guest, Storage};

pub(super) const ROUTES: &[Route] = &[
    ("GET", "/nodes/{node}/qemu/{vmid}/migrate", of_machine),
    ("GET", "/nodes/{node}/lxc/{vmid}/migrate", of_container),
];

/// Storages of the guest's disks that a node may not use.
pub(super) fn missing_storages(state: &State, guest: &Guest, node: &str) -> BTreeSet<String> {
    let volumes = disks::referenced_volumes(&guest.config);
    let in_use = volumes.into_iter().filter(|(key, _)| !disks::is_unused_key(key));
    let names = in_use.filter_map(|(_, volid)| volid.split_once(':').map(|(name, _)| name.to_owned()));
    names.filter(|name| disks::available(state, node, name).is_err()).collect()
}

pub(super) fn is_local(state: &State, volid: &str) -> bool {
    let storage = volid.split_once(':').and_then(|(name, _)| state.world.storages.get(name));
    !storage.is_some_and(Storage::is_shared)
}

/// Devices of the node that the guest uses: those that are mapped to whatever a node has, and those that are not.
pub(super) fn node_devices(config: &Config) -> (Vec<String>, Vec<String>) {
    let stems = ["hostpci", "usb", "serial", "parallel"];
    let is_device = |key: &&String| stems.contains(&key.trim_end_matches(|c: char| c.is_ascii_digit()));
    let is_own = |value: &Value| {
        value
            .as_str()
            .is_some_and(|text| text != "socket" && !text.starts_with("spice") && text != "host=spice")
    };
    let used = config.iter().filter(|(key, value)| is_device(key) && is_own(value));
    let is_mapped = |value: &Value| {
        value.as_str().is_some_and(|text| PropertyString::parse(text).get("mapping").is_some())
    };
    let (mapped, plain): (Vec<_>, Vec<_>) = used.partition(|(_, value)| is_mapped(value));
    let keys = |devices: Vec<(&String, &Value)>| devices.into_iter().map(|(key, _)| key.clone()).collect();
    (keys(mapped), keys(plain))
}

fn demand_unlocked<'a>(call: &'a Call<'_>) -> Result<&'a Guest, Refusal> {
    call.state.demand_quorum()?;
    let guest = call.guest()?;
    guest.demand_unlocked().map_err(Refusal::Failed)?;
    Ok(guest)
}

fn of_machine(call: &mut Call<'_>) -> Answer {
    let guest = demand_unlocked(call)?;
    let state = &*call.state;
    let (mut allowed, mut judged) = (Vec::new(), Map::new());
    for name in state.world.nodes.keys().filter(|name| *name != call.node()) {
        let missing = missing_storages(state, guest, name);
        if missing.is_empty() {
            allowed.push(name.as_str());
        }
        let reasons = if missing.is_empty() { json!({}) } else { json!({ "unavailable_storages": missing }) };
        judged.insert(name.clone(), reasons);
    }
    let (mapped, local) = node_devices(&guest.config);
    let by_mapping: Map<String, Value> =
        mapped.iter().map(|key| (key.clone(), json!({ "name": mapping_of(guest, key) }))).collect();
    let mut row = json!({
        "running": u8::from(guest.is_running()), "allowed_nodes": allowed, "not_allowed_nodes": judged,
        "local_disks": local_disks(state, guest, call.node()), "local_resources": local,
        "mapped-resources": mapped, "mapped-resource-info": by_mapping, "has-dbus-vmstate": 1,
    });
    if call.state.is_ha_managed(guest.kind, call.vmid()) {
        row["dependent-ha-resources"] = json!([]);
    }
    data(row)
}

fn mapping_of(guest: &Guest, key: &str) -> Option<String> {
    PropertyString::parse(guest.text(key)?).get("mapping").map(str::to_owned)
}

/// Every volume that the guest names and that lies on one node only, in its snapshots too.
fn local_disks(state: &State, guest: &Guest, node: &str) -> Vec<Value> {
    let drives = |config: &Config| {
        let volumes = disks::referenced_volumes(config).into_iter();
        volumes
            .map(|(key, _)| (key.clone(), PropertyString::parse(config[&key].as_str().unwrap_or_default())))
            .collect::<Vec<_>>()
    };
    let mut rows: Vec<Value> = Vec::new();
    let of_snapshots = guest.snapshots.values().flat_map(|snapshot| drives(&snapshot.config));
    let attached = drives(&guest.config).into_iter().map(|drive| (drive, true));
    for ((key, drive), attached) in attached.chain(of_snapshots.map(|drive| (drive, false))) {
        let volid = &drive.bare;
        if !is_local(state, volid) || rows.iter().any(|row| row["volid"] == *volid) {
            continue;
        }
        let unused = disks::is_unused_key(&key);
        let mut row = json!({
            "volid": volid, "cdrom": u8::from(disks::is_cdrom(&drive)), "is_attached": u8::from(attached && !unused),
            "is_cloudinit": u8::from(disks::is_cloud_init(&drive)), "is_tpmstate": u8::from(key == "tpmstate0"),
            "is_unused": u8::from(unused), "is_vmstate": 0, "replicate": u8::from(drive.get("replicate") != Some("0")),
            "shared": 0,
        });
        if attached && !unused {
            row["drivename"] = key.into();
        }
        if let Some(volume) = disks::find(state, node, volid) {
            row["size"] = volume.size.into();
        }
        rows.push(row);
    }
    rows
}

fn of_container(call: &mut Call<'_>) -> Answer {
    let guest = demand_unlocked(call)?;
    let others: Vec<&String> = call.state.world.nodes.keys().filter(|name| *name != call.node()).collect();
    let mut row = json!({
        "running": u8::from(guest.is_running()), "allowed-nodes": others, "not-allowed-nodes": {},
    });
    if call.state.is_ha_managed(guest.kind, call.vmid()) {
        row["dependent-ha-resources"] = json!([]);
    }
    data(row)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_of_the_node_are_told_from_mapped_ones_and_from_sockets() {
        let config: Config = [
            ("hostpci0", "0000:01:00.0"),
            ("hostpci1", "mapping=gpu"),
            ("serial0", "socket"),
            ("usb0", "spice"),
            ("usb1", "host=1234:5678"),
        ]
        .map(|(key, text)| (key.to_owned(), text.into()))
        .into();
        let (mapped, local) = node_devices(&config);
        assert_eq!(mapped, ["hostpci1"]);
        assert_eq!(local, ["hostpci0", "usb1"]);
    }
}
