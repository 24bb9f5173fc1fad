//! The target, as it is met. Lists tell whether it is there: unlike errors, they mean the same in every version.

use std::collections::BTreeMap;

use futures::future::try_join_all;

use crate::{
    catalog::{Existence, GuestRef, Name, Target, VolumeId, path_segment},
    core::observe::{Met, Object, Query},
    pve::ReadError,
};

use super::{
    guest, ha, inventory, jobs,
    lookout::Lookout,
    nodes, pools,
    settings::{Row, settings},
    storages, volumes,
};

pub(super) async fn target(lookout: &Lookout<'_>, query: &Query) -> Result<Met, ReadError> {
    match &query.target {
        Target::Inventory(_) | Target::Cluster => Ok(Met::Nothing),
        Target::Guest(reference) if query.existence == Existence::Absent => free(lookout, *reference).await,
        Target::Guest(reference) => met_guest(lookout, *reference).await,
        Target::Node(node) => met_node(lookout, node).await,
        Target::Storage(storage) => {
            let rows: Vec<Row> = lookout.get("/storage", &[]).await?;
            Ok(met(rows.into_iter().map(settings), "storage", storage))
        }
        Target::Pool(pool) => met_pool(lookout, pool).await,
        Target::HaRule(rule) => {
            let rows = ha::rules(lookout).await?.unwrap_or_default();
            Ok(met(rows.into_iter().map(settings), "rule", rule))
        }
        Target::BackupJob(job) => {
            let rows = jobs::backup_rows(lookout).await?;
            Ok(met(rows.into_iter().map(jobs::backup_settings), "id", job))
        }
        Target::Replication(job) => met_replication(lookout, job).await,
        Target::Volume(volume) => met_volume(lookout, query, volume).await,
    }
}

async fn met_guest(lookout: &Lookout<'_>, reference: GuestRef) -> Result<Met, ReadError> {
    let listed = inventory::listed(lookout).await?;
    match listed.iter().find(|listed| listed.row.reference == reference) {
        Some(listed) => Ok(Met::Guest(Box::new(guest::target(lookout, listed).await?))),
        None => Ok(Met::Absent),
    }
}

/// Numbers are given once in a cluster, to guests of both kinds, and Proxmox tells of one that is taken even if the token
/// may not see by whom.
async fn free(lookout: &Lookout<'_>, wanted: GuestRef) -> Result<Met, ReadError> {
    let taken: Result<serde_json::Value, _> =
        lookout.get("/cluster/nextid", &[("vmid", wanted.vmid.to_string())]).await;
    match taken {
        Ok(_) => return Ok(Met::Absent),
        Err(ReadError::BadParameters { errors, .. })
            if errors.get("vmid").is_some_and(|text| text.contains("already exists")) => {}
        Err(error) => return Err(error),
    }
    let listed = inventory::listed(lookout).await?;
    match listed.iter().find(|listed| listed.row.reference.vmid == wanted.vmid) {
        Some(listed) => Ok(Met::Guest(Box::new(guest::target(lookout, listed).await?))),
        None => Ok(Met::Object(Object::default())),
    }
}

async fn met_node(lookout: &Lookout<'_>, name: &Name) -> Result<Met, ReadError> {
    let nodes = nodes::rows(lookout).await?;
    let node = nodes.into_iter().find(|node| node.node == name.as_str());
    Ok(node.map_or(Met::Absent, |node| {
        Met::Object(Object {
            settings: BTreeMap::from([("node".to_owned(), node.node), ("status".to_owned(), node.status)]),
            digest: None,
        })
    }))
}

async fn met_pool(lookout: &Lookout<'_>, id: &Name) -> Result<Met, ReadError> {
    let pools = pools::rows(lookout).await?;
    let rows = pools.into_iter().map(|pool| {
        let comment = pool.comment.map(|comment| ("comment".to_owned(), comment));
        BTreeMap::from_iter(comment.into_iter().chain([("poolid".to_owned(), pool.poolid)]))
    });
    Ok(met(rows, "poolid", id))
}

/// Only the job itself tells its digest.
async fn met_replication(lookout: &Lookout<'_>, id: &Name) -> Result<Met, ReadError> {
    let rows = jobs::replication_rows(lookout).await?;
    if !rows.iter().any(|row| row.get("id").is_some_and(|known| known == id.as_str())) {
        return Ok(Met::Absent);
    }
    let row: Row = lookout.get(&format!("/cluster/replication/{}", path_segment(id.as_str())), &[]).await?;
    Ok(met([settings(row)].into_iter(), "id", id))
}

/// Looks on the node that the request names, or else on all that have the storage.
async fn met_volume(lookout: &Lookout<'_>, query: &Query, id: &VolumeId) -> Result<Met, ReadError> {
    let storages = storages::defined(lookout).await?;
    let Some(storage) = storages.iter().find(|storage| storage.id == id.storage.as_str()) else {
        return Ok(Met::Absent);
    };
    let mut nodes = match &query.node {
        Some(node) => vec![node.clone()],
        None => storages::active_on(lookout, &storage.id).await?,
    };
    if storage.shared {
        nodes.truncate(1);
    }
    let looks = nodes.into_iter().map(async |node| {
        let place = volumes::Place { storage: storage.id.clone(), node };
        let rows = volumes::content(lookout, &place).await?;
        let found = rows.into_iter().find(|row| row.volid == id.to_string());
        Ok::<_, ReadError>(found.map(|row| volume_settings(row, &place)))
    });
    let found = try_join_all(looks).await?.into_iter().flatten().next();
    Ok(found.map_or(Met::Absent, |settings| Met::Object(Object { settings, digest: None })))
}

fn volume_settings(row: volumes::Row, place: &volumes::Place) -> BTreeMap<String, String> {
    let (format, notes) = (row.format.clone(), row.notes.clone());
    let volume = row.volume(place);
    let settings = [
        ("node", Some(volume.node)),
        ("content", Some(volume.content)),
        ("format", Some(format)),
        ("size", Some(volume.size.to_string())),
        ("vmid", volume.vmid.map(|vmid| vmid.to_string())),
        ("parent", volume.parent),
        ("ctime", volume.created_at.map(|moment| moment.to_string())),
        ("protected", volume.protected.then(|| "1".to_owned())),
        ("notes", notes),
    ];
    settings.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect()
}

/// The row of this id, if there is one.
fn met(rows: impl Iterator<Item = BTreeMap<String, String>>, key: &str, id: &Name) -> Met {
    let mut rows = rows;
    match rows.find(|row| row.get(key).is_some_and(|known| known == id.as_str())) {
        Some(mut settings) => {
            let digest = settings.remove("digest");
            Met::Object(Object { settings, digest })
        }
        None => Met::Absent,
    }
}
