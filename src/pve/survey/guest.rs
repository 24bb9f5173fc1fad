use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::{
    core::observe::{Guest, Snapshot},
    pve::{Client, ReadError, client::segment, lenient},
};

use super::inventory::Listed;

/// The cluster's own list is up to ten seconds old.
#[derive(Deserialize)]
struct Current {
    status: String,
    qmpstatus: Option<String>,
    #[serde(default)]
    ha: Ha,
}

#[derive(Default, Deserialize)]
struct Ha {
    #[serde(default, deserialize_with = "lenient::flag")]
    managed: bool,
}

#[derive(Deserialize)]
struct SnapshotRow {
    #[serde(deserialize_with = "lenient::text")]
    name: String,
    parent: Option<String>,
    #[serde(default)]
    snaptime: Option<i64>,
    #[serde(default, deserialize_with = "lenient::flag")]
    vmstate: bool,
}

#[derive(Deserialize)]
struct Pending {
    key: String,
    pending: Option<Value>,
    #[serde(default)]
    delete: Option<Value>,
}

/// One guest as it is right now, with the settings that are in force and those that wait for the next start.
pub(super) async fn guest(client: &Client, listed: &Listed) -> Result<Guest, ReadError> {
    let (node, reference) = (&listed.row.node, listed.row.reference);
    let below = |what: &str| format!("/nodes/{}/{reference}/{what}", segment(node));
    let config: BTreeMap<String, Value> =
        client.get(&below("config"), &[("current", "1".to_owned())]).await?;
    let pending: Vec<Pending> = client.get(&below("pending"), &[]).await?;
    let snapshots: Vec<SnapshotRow> = client.get(&below("snapshot"), &[]).await?;
    let current: Current = client.get(&below("status/current"), &[]).await?;
    let mut config = settings(config);
    let digest =
        config.remove("digest").ok_or_else(|| client.misread(&below("config"), "it has no digest"))?;
    let flag = |name: &str| config.get(name).is_some_and(|value| value == "1");
    Ok(Guest {
        reference,
        node: node.clone(),
        name: config.get("name").or(config.get("hostname")).cloned().unwrap_or_default(),
        detail: current.qmpstatus.filter(|detail| *detail != current.status),
        status: current.status,
        smbios_uuid: config.get("smbios1").and_then(|smbios| uuid_of(smbios)),
        config_digest: digest,
        template: flag("template"),
        protected: flag("protection"),
        lock: config.get("lock").filter(|lock| !lock.is_empty()).cloned(),
        ha_managed: current.ha.managed,
        tags: tags(&config),
        pool: listed.pool.clone(),
        onboot: flag("onboot"),
        memory: memory(&config),
        pending: pending.into_iter().filter_map(waiting).collect(),
        // The entry that stands for the present is no snapshot.
        snapshots: snapshots.into_iter().filter(|row| row.name != "current").map(snapshot).collect(),
        config,
    })
}

fn snapshot(row: SnapshotRow) -> Snapshot {
    Snapshot {
        name: row.name,
        parent: row.parent,
        taken_at: row.snaptime,
        with_memory: row.vmstate,
        config: BTreeMap::new(),
    }
}

/// Numbers and flags as the text that Proxmox keeps them as.
pub(super) fn settings(config: BTreeMap<String, Value>) -> BTreeMap<String, String> {
    config.into_iter().filter_map(|(key, value)| Some((key, text(value)?))).collect()
}

fn text(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        Value::Bool(flag) => Some(u8::from(flag).to_string()),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// A setting that waits: the new value, or that it goes.
fn waiting(row: Pending) -> Option<(String, Option<String>)> {
    match (row.pending, row.delete) {
        (Some(value), _) => Some((row.key, text(value))),
        (None, Some(_)) => Some((row.key, None)),
        (None, None) => None,
    }
}

fn tags(config: &BTreeMap<String, String>) -> Vec<String> {
    let tags = config.get("tags").map(String::as_str).unwrap_or_default();
    tags.split([';', ',', ' ']).filter(|tag| !tag.is_empty()).map(str::to_owned).collect()
}

/// Settings count in MiB; both kinds of guest have 512 of them if nothing is said.
fn memory(config: &BTreeMap<String, String>) -> u64 {
    let set =
        config.get("memory").and_then(|memory| memory.trim_start_matches("current=").parse::<u64>().ok());
    set.unwrap_or(512) << 20
}

/// `uuid=...` among the comma-separated properties of `smbios1`.
fn uuid_of(smbios: &str) -> Option<String> {
    smbios.split(',').find_map(|property| property.trim().strip_prefix("uuid=")).map(str::to_lowercase)
}
