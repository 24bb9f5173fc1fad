//! Storages: their definition, and their state on a node.
use serde_json::{Map, Value, json};

use super::{Route, data, index, nothing};
use crate::pve::sim::contract::config_value;
use crate::pve::sim::disks;
use crate::pve::sim::engine::{Call, State};
use crate::pve::sim::http::{Answer, Refusal, refuse};
use crate::pve::sim::world::{Config, Storage, sha1_hex};

pub(super) const ROUTES: &[Route] = &[
    ("GET", "/storage", list),
    ("POST", "/storage", create),
    ("GET", "/storage/{storage}", read),
    ("PUT", "/storage/{storage}", update),
    ("DELETE", "/storage/{storage}", delete),
    ("GET", "/nodes/{node}/storage", node_list),
    ("GET", "/nodes/{node}/storage/{storage}", |_| data(index(&ENTRIES))),
    ("GET", "/nodes/{node}/storage/{storage}/status", node_status),
    ("GET", "/nodes/{node}/storage/{storage}/prunebackups", |_| data(Value::Array(Vec::new()))),
];

const ENTRIES: [&str; 11] = [
    "content",
    "download-url",
    "file-restore",
    "import-metadata",
    "identity",
    "oci-registry-pull",
    "prunebackups",
    "rrd",
    "rrddata",
    "status",
    "upload",
];

/// Without these a storage of its type can't be defined.
fn required_options(kind: &str) -> &'static [&'static str] {
    match kind {
        "dir" | "btrfs" => &["path"],
        "nfs" => &["export", "server"],
        "cifs" => &["server", "share"],
        "lvm" => &["vgname"],
        "lvmthin" => &["thinpool", "vgname"],
        "zfspool" => &["pool"],
        "pbs" => &["datastore", "server", "username"],
        "iscsi" | "iscsidirect" => &["portal", "target"],
        _ => &[],
    }
}

fn digest(state: &State) -> String {
    let lines = state.world.storages.iter().map(|(name, storage)| format!("{name} {:?}\n", storage.config));
    sha1_hex(&lines.collect::<String>())
}

fn definition(state: &State, name: &str, storage: &Storage) -> Value {
    let mut row: Map<String, Value> = storage.config.clone().into_iter().collect();
    row.insert("storage".to_owned(), name.into());
    row.insert("digest".to_owned(), digest(state).into());
    Value::Object(row)
}

fn may_see(call: &Call<'_>, name: &str) -> bool {
    let wanted =
        ["Datastore.Audit", "Datastore.Allocate", "Datastore.AllocateSpace", "Datastore.AllocateTemplate"];
    call.rights().has_any(&format!("/storage/{name}"), &wanted)
}

fn list(call: &mut Call<'_>) -> Answer {
    let kind = call.parameters.text("type");
    let visible = |(name, storage): &(&String, &Storage)| {
        may_see(call, name) && kind.is_none_or(|kind| kind == storage.kind())
    };
    let storages = call.state.world.storages.iter().filter(visible);
    let rows: Vec<Value> = storages.map(|(name, storage)| definition(call.state, name, storage)).collect();
    data(rows)
}

fn read(call: &mut Call<'_>) -> Answer {
    let name = call.text("storage");
    match call.state.world.storages.get(name) {
        Some(storage) => data(definition(call.state, name, storage)),
        None => refuse(format!("storage '{name}' does not exist")),
    }
}

fn settings(call: &Call<'_>) -> Config {
    let given = call
        .parameters
        .texts()
        .filter(|(key, _)| !matches!(*key, "storage" | "digest" | "delete" | "password"));
    given.map(|(key, text)| (key.to_owned(), config_value(call.operation.parameter(key), text))).collect()
}

fn create(call: &mut Call<'_>) -> Answer {
    const DOING: &str = "create storage failed: ";
    let (name, kind) = (call.text("storage").to_owned(), call.text("type").to_owned());
    let mut config = settings(call);
    if let Some(missing) = required_options(&kind).iter().find(|option| !config.contains_key(**option)) {
        return refuse(format!("missing value for required option '{missing}'"));
    }
    call.state.demand_file_lock("storage_cfg", DOING)?;
    if call.state.world.storages.contains_key(&name) {
        return refuse(format!("{DOING}storage ID '{name}' already defined"));
    }
    config.entry("content".to_owned()).or_insert_with(|| "images,rootdir".into());
    let (total, used) = disk_of_node(call.state);
    // What lies there is not the definition's: it comes and goes with it, and stays where it is.
    let volumes = call.state.undefined.remove(&name).unwrap_or_default();
    call.state.world.storages.insert(name.clone(), Storage { config, total, used, volumes });
    data(json!({ "storage": name, "type": kind }))
}

/// A folder is as large as the file system of the node it lies on.
fn disk_of_node(state: &State) -> (u64, u64) {
    state.world.nodes.get(state.local_node()).map_or((0, 0), |node| (node.disk, node.disk_used))
}

fn update(call: &mut Call<'_>) -> Answer {
    const DOING: &str = "update storage failed: ";
    let name = call.text("storage").to_owned();
    call.state.demand_file_lock("storage_cfg", DOING)?;
    let digest = digest(call.state);
    let (changes, removed) = (settings(call), call.parameters.list("delete"));
    let expected = call.parameters.text("digest").map(str::to_owned);
    let Some(storage) = call.state.world.storages.get_mut(&name) else {
        return refuse(format!("{DOING}storage '{name}' does not exist"));
    };
    if expected.is_some_and(|expected| expected != digest) {
        return refuse(format!(
            "{DOING}detected modified configuration - file changed by other user? Try again."
        ));
    }
    storage.config.retain(|key, _| !removed.contains(key));
    storage.config.extend(changes);
    let kind = storage.kind().to_owned();
    data(json!({ "storage": name, "type": kind }))
}

fn delete(call: &mut Call<'_>) -> Answer {
    const DOING: &str = "delete storage failed: ";
    let name = call.text("storage").to_owned();
    call.state.demand_file_lock("storage_cfg", DOING)?;
    let rests_on_it = |storage: &Storage| {
        storage.text("base").and_then(|base| base.split_once(':')).is_some_and(|(base, _)| base == name)
    };
    if call.state.world.storages.values().any(rests_on_it) {
        return refuse(format!("{DOING}can't remove storage - storage is used as base of another storage"));
    }
    match call.state.world.storages.remove(&name) {
        Some(storage) => {
            call.state.undefined.insert(name, storage.volumes);
            nothing()
        }
        None => refuse(format!("{DOING}storage '{name}' does not exist")),
    }
}

fn state_on_node(storage: &Storage, node: &str) -> Value {
    let enabled = !storage.flag("disable") && disks::is_on_node(storage, node);
    let mut row = json!({
        "type": storage.kind(),
        "content": storage.text("content").unwrap_or("images,rootdir"),
        "shared": u8::from(storage.is_shared()),
        "enabled": u8::from(enabled),
        "active": u8::from(enabled),
        "total": 0, "used": 0, "avail": 0,
    });
    if enabled {
        row["total"] = storage.total.into();
        row["used"] = storage.used.into();
        row["avail"] = storage.total.saturating_sub(storage.used).into();
    }
    row
}

fn node_list(call: &mut Call<'_>) -> Answer {
    let contents = call.parameters.list("content");
    let only_enabled = call.parameters.flag("enabled");
    let wanted = |(name, storage): &(&String, &Storage)| {
        let named = call.parameters.text("storage").is_none_or(|wanted| wanted == name.as_str());
        let holds = disks::content_types(storage);
        let fits = contents.is_empty() || contents.iter().any(|content| holds.contains(&content.as_str()));
        let enabled = !storage.flag("disable") && disks::is_on_node(storage, call.node());
        let at_target =
            call.parameters.text("target").is_none_or(|target| disks::is_on_node(storage, target));
        may_see(call, name) && named && fits && at_target && (enabled || !only_enabled)
    };
    let row = |(name, storage): (&String, &Storage)| {
        let mut row = state_on_node(storage, call.node());
        row["storage"] = name.as_str().into();
        if row["active"] == 1 && storage.total > 0 {
            row["used_fraction"] = (storage.used as f64 / storage.total as f64).into();
        }
        row
    };
    let rows: Vec<Value> = call.state.world.storages.iter().filter(wanted).map(row).collect();
    data(rows)
}

fn node_status(call: &mut Call<'_>) -> Answer {
    match call.state.world.storages.get(call.text("storage")) {
        Some(storage) => data(state_on_node(storage, call.node())),
        None => Err(Refusal::parameter("storage", "No such storage.")),
    }
}
