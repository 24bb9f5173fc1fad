//! The cluster as a whole: resources, status, the next free number.
use serde_json::{Value, json};

use super::guests::{extend, resource_row};
use super::{Route, data};
use crate::pve::sim::disks;
use crate::pve::sim::engine::Call;
use crate::pve::sim::http::{Answer, Refusal, refuse};
use crate::pve::sim::world::Storage;

pub(super) const ROUTES: &[Route] = &[
    ("GET", "/cluster/resources", resources),
    ("GET", "/cluster/status", status),
    ("GET", "/cluster/nextid", next_id),
    ("GET", "/cluster/config/nodes", members),
    ("GET", "/cluster/options", options),
    ("GET", "/cluster/ceph/status", |_| refuse("binary not installed: /usr/bin/ceph-mon")),
];

fn resources(call: &mut Call<'_>) -> Answer {
    let kind = call.parameters.text("type");
    let wants = |name: &str| kind.is_none_or(|kind| kind == name);
    let mut rows = Vec::new();
    if kind.is_none() {
        rows.extend(pool_rows(call));
    }
    if wants("vm") {
        rows.extend(guest_rows(call));
    }
    if wants("node") {
        rows.extend(node_rows(call));
    }
    if wants("storage") {
        rows.extend(storage_rows(call));
    }
    if wants("sdn") {
        rows.extend(network_rows(call));
    }
    data(rows)
}

fn pool_rows(call: &Call<'_>) -> Vec<Value> {
    let visible =
        |name: &&String| call.rights().has_any(&format!("/pool/{name}"), &["Pool.Audit", "Pool.Allocate"]);
    let row = |name: &String| json!({ "id": format!("/pool/{name}"), "pool": name, "type": "pool" });
    call.state.world.pools.keys().filter(visible).map(row).collect()
}

fn guest_rows(call: &Call<'_>) -> Vec<Value> {
    let world = &call.state.world;
    let visible = world.guests.iter().filter(|(vmid, _)| call.has(&format!("/vms/{vmid}"), "VM.Audit"));
    let row = |(vmid, guest): (&u32, &crate::pve::sim::world::Guest)| {
        let mut row = resource_row(call.state, *vmid, guest);
        if !is_up(call, &guest.node) {
            forget_statistics(&mut row, &["id", "type", "vmid", "node", "hastate", "lock"]);
        }
        if let Some((pool, _)) = world.pools.iter().find(|(_, pool)| pool.vms.contains(vmid)) {
            row["pool"] = pool.as_str().into();
        }
        row
    };
    visible.map(row).collect()
}

fn is_up(call: &Call<'_>, node: &str) -> bool {
    call.state.world.nodes.get(node).is_some_and(|node| node.online)
}

/// Nobody reports on what is on a node that is down; only what the cluster itself knows is left.
fn forget_statistics(row: &mut Value, known: &[&str]) {
    if let Some(fields) = row.as_object_mut() {
        fields.retain(|name, _| known.contains(&name.as_str()));
        fields.insert("status".to_owned(), "unknown".into());
    }
}

fn node_rows(call: &Call<'_>) -> Vec<Value> {
    let row = |(name, node): (&String, &crate::pve::sim::world::Node)| {
        let audited = call.has(&format!("/nodes/{name}"), "Sys.Audit");
        let mut row = super::nodes::node_row(call.state, name, node, audited);
        if audited && node.online {
            let state = if node.maintenance { "maintenance" } else { "online" };
            extend(&mut row, json!({ "cgroup-mode": 2, "hastate": state }));
        }
        row
    };
    call.state.world.nodes.iter().map(row).collect()
}

fn storage_rows(call: &Call<'_>) -> Vec<Value> {
    let mut rows = Vec::new();
    for (name, storage) in &call.state.world.storages {
        let visible = call
            .rights()
            .has_any(&format!("/storage/{name}"), &["Datastore.Audit", "Datastore.AllocateSpace"]);
        if !visible || storage.flag("disable") {
            continue;
        }
        let nodes = call.state.world.nodes.keys().filter(|node| disks::is_on_node(storage, node));
        rows.extend(nodes.map(|node| {
            let mut row = storage_row(node, name, storage);
            if !is_up(call, node) {
                let known = ["id", "type", "storage", "node", "plugintype", "content", "shared"];
                forget_statistics(&mut row, &known);
            }
            row
        }));
    }
    rows
}

/// Every node that is up has the zone of its own bridges.
fn network_rows(call: &Call<'_>) -> Vec<Value> {
    let applied = call.state.world.applied_sdn.as_ref().and_then(|applied| applied.get("zones"));
    let zones = applied.into_iter().flatten().map(|(zone, _)| zone.as_str());
    let visible: Vec<&str> = std::iter::once("localnetwork")
        .chain(zones)
        .filter(|zone| {
            call.rights().has_any(&format!("/sdn/zones/{zone}"), &["SDN.Audit", "SDN.Use", "SDN.Allocate"])
        })
        .collect();
    let row = |node: &String, zone: &str| {
        json!({
            "id": format!("network/{node}/zone/{zone}"), "type": "network", "network-type": "zone",
            "network": zone, "node": node, "status": "ok",
        })
    };
    let online = call.state.world.nodes.iter().filter(|(_, node)| node.online);
    online.flat_map(|(name, _)| visible.iter().map(move |zone| row(name, zone))).collect()
}

pub(super) fn storage_row(node: &str, name: &str, storage: &Storage) -> Value {
    json!({
        "id": format!("storage/{node}/{name}"),
        "type": "storage",
        "storage": name,
        "node": node,
        "status": "available",
        "plugintype": storage.kind(),
        "content": storage.text("content").unwrap_or("images,rootdir"),
        "shared": u8::from(storage.is_shared()),
        "disk": storage.used,
        "maxdisk": storage.total,
    })
}

fn status(call: &mut Call<'_>) -> Answer {
    let world = &call.state.world;
    let mut rows = Vec::new();
    if let Some(name) = &world.cluster.name {
        rows.push(json!({
            "id": "cluster", "type": "cluster", "name": name, "nodes": world.nodes.len(),
            "quorate": u8::from(world.cluster.quorate), "version": world.nodes.len(),
        }));
    }
    let local = call.state.local_node();
    for (position, (name, node)) in world.nodes.iter().enumerate() {
        let nodeid = if world.cluster.name.is_some() { position + 1 } else { 0 };
        rows.push(json!({
            "id": format!("node/{name}"), "type": "node", "name": name, "nodeid": nodeid, "ip": node.ip,
            "level": "", "local": u8::from(name == local), "online": u8::from(node.online),
        }));
    }
    data(rows)
}

fn members(call: &mut Call<'_>) -> Answer {
    let world = &call.state.world;
    if world.cluster.name.is_none() {
        return data(Value::Array(Vec::new()));
    }
    let row = |(position, (name, node)): (usize, (&String, &crate::pve::sim::world::Node))| {
        json!({
            "name": name, "node": name, "nodeid": (position + 1).to_string(), "quorum_votes": node.votes.to_string(),
            "ring0_addr": node.ip,
        })
    };
    let rows: Vec<Value> = world.nodes.iter().enumerate().map(row).collect();
    data(rows)
}

/// Who may not look at all of them sees what the web interface needs.
fn options(call: &mut Call<'_>) -> Answer {
    let shown = call.state.world.cluster.options.iter();
    let audits = call.has("/", "Sys.Audit");
    let mut shown: serde_json::Map<String, Value> = shown
        .filter(|(name, _)| audits || ["console", "tag-style"].contains(&name.as_str()))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    shown.insert("allowed-tags".to_owned(), json!([]));
    data(shown)
}

/// The number comes as text.
fn next_id(call: &mut Call<'_>) -> Answer {
    let guests = &call.state.world.guests;
    if let Some(vmid) = call.parameters.number::<u32>("vmid") {
        if guests.contains_key(&vmid) {
            return Err(Refusal::parameter("vmid", format!("VM {vmid} already exists")));
        }
        return data(vmid.to_string());
    }
    match (100..1_000_000).find(|vmid| !guests.contains_key(vmid)) {
        Some(free) => data(free.to_string()),
        None => refuse("unable to get any free VMID in range [100, 1000000]"),
    }
}
