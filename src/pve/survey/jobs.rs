//! What Proxmox does by the clock: replication and backups.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::try_join_all;
use serde::Deserialize;

use crate::{
    catalog::{Vmid, path_segment},
    core::observe::{BackupJob, ReplicationJob, Rights, Seen},
    pve::{ReadError, lenient},
};

use super::{
    inventory,
    lookout::Lookout,
    nodes,
    settings::{Row, settings},
    sight::{Gathered, Sight, blind_on, hidden, whole},
};

#[derive(Deserialize)]
struct State {
    id: String,
    #[serde(default, deserialize_with = "lenient::maybe_number")]
    last_sync: Option<i64>,
    #[serde(default, deserialize_with = "lenient::maybe_number")]
    fail_count: Option<i64>,
}

#[derive(Deserialize)]
struct Included {
    children: Vec<IncludedGuest>,
}

#[derive(Deserialize)]
struct IncludedGuest {
    #[serde(deserialize_with = "lenient::number")]
    id: i64,
}

pub(super) async fn replication_rows(lookout: &Lookout<'_>) -> Result<Vec<Row>, ReadError> {
    lookout.get("/cluster/replication", &[]).await
}

pub(super) async fn replication(
    lookout: &Lookout<'_>,
    rights: &Rights,
) -> Result<Seen<Vec<ReplicationJob>>, ReadError> {
    if let Some(why) = hidden("the replication jobs", rights, &[inventory::SIGHT]) {
        return Ok(Seen::Unknown { why });
    }
    let rows = replication_rows(lookout).await?;
    let mut jobs: Vec<ReplicationJob> = rows.into_iter().map(|row| replication_job(settings(row))).collect();
    if jobs.iter().any(|job| job.source.is_none()) {
        add_sources(lookout, &mut jobs).await?;
    }
    let sources: BTreeSet<String> = jobs.iter().filter_map(|job| job.source.clone()).collect();
    let states = try_join_all(sources.iter().map(|node| states(lookout, node))).await?;
    let mut gathered = Gathered::default();
    for state in states {
        gathered.add(state);
    }
    let states: BTreeMap<String, State> =
        gathered.seen.into_iter().map(|state| (state.id.clone(), state)).collect();
    for job in &mut jobs {
        if let Some(state) = states.get(&job.id) {
            job.last_sync = state.last_sync.filter(|moment| *moment > 0);
            job.failures = state.fail_count.and_then(|count| u32::try_from(count).ok()).unwrap_or(0);
        }
    }
    Ok(Gathered { seen: jobs, missing: gathered.missing }.into_seen())
}

fn replication_job(mut settings: BTreeMap<String, String>) -> ReplicationJob {
    settings.remove("digest");
    ReplicationJob {
        id: settings.remove("id").unwrap_or_default(),
        guest: settings.get("guest").and_then(|guest| guest.parse().ok()).and_then(Vmid::new),
        source: settings.get("source").cloned(),
        target: settings.get("target").cloned().unwrap_or_default(),
        last_sync: None,
        failures: 0,
        settings,
    }
}

/// A job that names no source runs where its guest is.
async fn add_sources(lookout: &Lookout<'_>, jobs: &mut [ReplicationJob]) -> Result<(), ReadError> {
    let listed = inventory::listed(lookout).await?;
    for job in jobs.iter_mut().filter(|job| job.source.is_none()) {
        let guest = listed.iter().find(|listed| Some(listed.row.reference.vmid) == job.guest);
        job.source = guest.map(|listed| listed.row.node.clone());
    }
    Ok(())
}

async fn states(lookout: &Lookout<'_>, node: &str) -> Result<Result<Vec<State>, String>, ReadError> {
    let what = format!("the state of the replication jobs of node {node}");
    let nodes = nodes::rows(lookout).await?;
    if nodes.iter().any(|known| known.node == node && !known.is_online()) {
        return Ok(Err(format!("{what} can't be seen: the node is offline")));
    }
    match lookout.get_on(node, "replication", &[]).await {
        Ok(states) => Ok(Ok(states)),
        Err(error) => blind_on(node, &what, error).map(Err),
    }
}

pub(super) async fn backup_rows(lookout: &Lookout<'_>) -> Result<Vec<Row>, ReadError> {
    lookout.get("/cluster/backup", &[]).await
}

pub(super) async fn backup_jobs(
    lookout: &Lookout<'_>,
    rights: &Rights,
) -> Result<Seen<Vec<BackupJob>>, ReadError> {
    const WHAT: &str = "the backup jobs and what they save";
    if let Some(why) = hidden(WHAT, rights, &[Sight::at(&["Sys.Audit"], "/"), inventory::SIGHT]) {
        return Ok(Seen::Unknown { why });
    }
    whole(WHAT, read_backup_jobs(lookout).await)
}

async fn read_backup_jobs(lookout: &Lookout<'_>) -> Result<Vec<BackupJob>, ReadError> {
    let rows = backup_rows(lookout).await?;
    try_join_all(rows.into_iter().map(|row| backup_job(lookout, backup_settings(row)))).await
}

/// Without what changes by itself.
pub(super) fn backup_settings(row: Row) -> BTreeMap<String, String> {
    let mut settings = settings(row);
    settings.remove("next-run");
    settings
}

async fn backup_job(
    lookout: &Lookout<'_>,
    mut settings: BTreeMap<String, String>,
) -> Result<BackupJob, ReadError> {
    let id = settings.remove("id").unwrap_or_default();
    let path = format!("/cluster/backup/{}/included_volumes", path_segment(&id));
    let included: Included = lookout.get(&path, &[]).await?;
    let vmid = |guest: IncludedGuest| u32::try_from(guest.id).ok().and_then(Vmid::new);
    Ok(BackupJob {
        id,
        enabled: settings.get("enabled").is_none_or(|enabled| enabled != "0"),
        storage: settings.get("storage").cloned(),
        guests: included.children.into_iter().filter_map(vmid).collect(),
        settings,
    })
}
