use serde::Deserialize;

use crate::{
    core::observe::{Rights, Seen, Storage},
    pve::ReadError,
};

use super::{
    lookout::Lookout,
    settings::{Row, flag, list, settings},
    sight::{Sight, hidden, whole},
};

/// Storages whose volumes are the same from every node, although their settings do not say so.
const SHARED_KINDS: [&str; 9] =
    ["nfs", "cifs", "glusterfs", "cephfs", "rbd", "iscsi", "iscsidirect", "pbs", "esxi"];

/// What a storage is like from one node. The cluster's own list: no storage that hangs holds it up.
#[derive(Deserialize)]
struct Place {
    storage: String,
    node: String,
    #[serde(default)]
    status: String,
    disk: Option<u64>,
    maxdisk: Option<u64>,
}

/// The storages as they are defined, disabled ones too.
pub(super) async fn defined(lookout: &Lookout<'_>) -> Result<Vec<Storage>, ReadError> {
    let rows: Vec<Row> = lookout.get("/storage", &[]).await?;
    Ok(rows.into_iter().map(storage).collect())
}

fn storage(row: Row) -> Storage {
    let mut settings = settings(row);
    settings.remove("digest");
    let id = settings.remove("storage").unwrap_or_default();
    let kind = settings.get("type").cloned().unwrap_or_default();
    Storage {
        shared: flag(&settings, "shared") || SHARED_KINDS.contains(&kind.as_str()),
        content: list(&settings, "content"),
        nodes: list(&settings, "nodes"),
        free: Default::default(),
        id,
        kind,
        settings,
    }
}

pub(super) const SIGHT: Sight = Sight::below(&["Datastore.Audit", "Datastore.AllocateSpace"], "/storage");

pub(super) async fn storages(
    lookout: &Lookout<'_>,
    rights: &Rights,
) -> Result<Seen<Vec<Storage>>, ReadError> {
    const WHAT: &str = "the storages";
    if let Some(why) = hidden(WHAT, rights, &[SIGHT]) {
        return Ok(Seen::Unknown { why });
    }
    whole(WHAT, with_space(lookout).await)
}

pub(super) async fn with_space(lookout: &Lookout<'_>) -> Result<Vec<Storage>, ReadError> {
    let (mut storages, places) = futures::try_join!(defined(lookout), places(lookout))?;
    for storage in &mut storages {
        let free = places.iter().filter(|place| place.storage == storage.id && place.is_active());
        let free =
            free.filter_map(|place| Some((place.node.clone(), place.maxdisk?.saturating_sub(place.disk?))));
        storage.free = free.collect();
    }
    Ok(storages)
}

async fn places(lookout: &Lookout<'_>) -> Result<Vec<Place>, ReadError> {
    lookout.get("/cluster/resources", &[("type", "storage".to_owned())]).await
}

/// Where a storage can be looked into at this moment, by what the cluster's list says.
pub(super) async fn active_on(lookout: &Lookout<'_>, id: &str) -> Result<Vec<String>, ReadError> {
    let places = places(lookout).await?;
    let active = places.into_iter().filter(|place| place.storage == id && place.is_active());
    Ok(active.map(|place| place.node).collect())
}

impl Place {
    fn is_active(&self) -> bool {
        self.status == "available"
    }
}
