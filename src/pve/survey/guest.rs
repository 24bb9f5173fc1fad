use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::{
    catalog::path_segment,
    core::observe::{Guest, Snapshot},
    pve::{ReadError, lenient},
};

use super::{
    inventory::Listed,
    lookout::Lookout,
    settings::{Row, flag, list, settings, text},
};

/// The cluster's own list is up to ten seconds old.
#[derive(Deserialize)]
struct Current {
    status: String,
    qmpstatus: Option<String>,
    #[serde(default, deserialize_with = "lenient::maybe_number")]
    uptime: Option<i64>,
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
    #[serde(default, deserialize_with = "lenient::text")]
    description: String,
    parent: Option<String>,
    #[serde(default, deserialize_with = "lenient::maybe_number")]
    snaptime: Option<i64>,
    #[serde(default, deserialize_with = "lenient::flag")]
    vmstate: bool,
}

#[derive(Deserialize)]
struct Pending {
    key: String,
    value: Option<Value>,
    pending: Option<Value>,
    delete: Option<Value>,
}

/// The target as it is right now, with the settings that are in force and those that wait for the next start.
pub(super) async fn target(lookout: &Lookout<'_>, listed: &Listed) -> Result<Guest, ReadError> {
    let (mut guest, current, snapshots) =
        futures::try_join!(neighbour(lookout, listed), current(lookout, listed), snapshots(lookout, listed))?;
    guest.detail = current.qmpstatus.filter(|detail| *detail != current.status);
    guest.status = current.status;
    guest.uptime = current.uptime;
    guest.lock = guest.config.get("lock").filter(|lock| !lock.is_empty()).cloned();
    guest.ha_managed = current.ha.managed;
    guest.snapshots = snapshots;
    Ok(guest)
}

/// Any other guest: what the cluster's list tells of it, and its settings. One request tells those in force and those
/// that wait.
pub(super) async fn neighbour(lookout: &Lookout<'_>, listed: &Listed) -> Result<Guest, ReadError> {
    let row = &listed.row;
    let rows: Vec<Pending> = ask(lookout, listed, "pending").await?;
    let mut config = BTreeMap::new();
    let mut pending = BTreeMap::new();
    for Pending { key, value, pending: new, delete } in rows {
        if let Some(value) = value.and_then(text) {
            config.insert(key.clone(), value);
        }
        if new.is_some() || delete.is_some() {
            pending.insert(key, new.and_then(text));
        }
    }
    let digest = config
        .remove("digest")
        .ok_or_else(|| lookout.misread(&path(listed, "pending"), "the configuration has no digest"))?;
    Ok(Guest {
        reference: row.reference,
        node: row.node.clone(),
        name: config.get("name").or(config.get("hostname")).cloned().unwrap_or_default(),
        status: row.status.clone(),
        detail: None,
        uptime: None,
        smbios_uuid: config.get("smbios1").and_then(|smbios| uuid_of(smbios)),
        config_digest: digest,
        template: flag(&config, "template"),
        protected: flag(&config, "protection"),
        lock: listed.lock.clone(),
        ha_managed: listed.ha_managed,
        tags: list(&config, "tags"),
        pool: listed.pool.clone(),
        onboot: flag(&config, "onboot"),
        memory: memory(&config),
        config,
        pending,
        snapshots: vec![],
    })
}

async fn current(lookout: &Lookout<'_>, listed: &Listed) -> Result<Current, ReadError> {
    ask(lookout, listed, "status/current").await
}

pub(super) async fn snapshots(lookout: &Lookout<'_>, listed: &Listed) -> Result<Vec<Snapshot>, ReadError> {
    let rows: Vec<SnapshotRow> = ask(lookout, listed, "snapshot").await?;
    // The entry that stands for the present is no snapshot.
    Ok(rows.into_iter().filter(|row| row.name != "current").map(snapshot).collect())
}

fn snapshot(row: SnapshotRow) -> Snapshot {
    Snapshot {
        name: row.name,
        description: row.description,
        parent: row.parent,
        taken_at: row.snaptime,
        with_memory: row.vmstate,
        config: BTreeMap::new(),
    }
}

pub(super) async fn snapshot_config(
    lookout: &Lookout<'_>,
    listed: &Listed,
    name: &str,
) -> Result<BTreeMap<String, String>, ReadError> {
    let row: Row = ask(lookout, listed, &format!("snapshot/{}/config", path_segment(name))).await?;
    Ok(settings(row))
}

async fn ask<T: serde::de::DeserializeOwned>(
    lookout: &Lookout<'_>,
    listed: &Listed,
    what: &str,
) -> Result<T, ReadError> {
    let row = &listed.row;
    match lookout.get_on(&row.node, &format!("{}/{what}", row.reference), &[]).await {
        // The list was right a moment ago: the guest has been deleted since, or has just gone to another node.
        Err(error) if error.says_no_such_guest() => {
            Err(ReadError::Moving { guest: row.reference.to_string(), node: row.node.clone() })
        }
        answer => answer,
    }
}

fn path(listed: &Listed, what: &str) -> String {
    format!("/nodes/{}/{}/{what}", listed.row.node, listed.row.reference)
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
