use futures::future::try_join_all;
use serde::Deserialize;

use crate::{
    catalog::{Vmid, path_segment},
    core::observe::{Rights, Seen, Storage, Volume},
    pve::{ReadError, lenient},
};

use super::{
    lookout::Lookout,
    nodes,
    settings::flag,
    sight::{Gathered, Sight, blind_on, hidden},
    storages,
};

const WHAT: &str = "what lies on the storages";
/// Whoever may allocate sees everything; for anybody else Proxmox goes by the owner of each disk and backup.
const ALL: Sight = Sight::below(&["Datastore.Allocate"], "/storage");
const EACH: [Sight; 4] = [
    Sight::below(&["Datastore.Audit"], "/storage"),
    Sight::below(&["Datastore.AllocateSpace"], "/storage"),
    Sight::below(&["VM.Backup"], "/vms"),
    Sight::below(&["VM.Config.Disk"], "/vms"),
];

#[derive(Deserialize)]
pub(super) struct Row {
    pub volid: String,
    #[serde(default)]
    pub content: String,
    #[serde(default)]
    pub format: String,
    #[serde(default)]
    vmid: Option<u32>,
    parent: Option<String>,
    #[serde(default)]
    size: u64,
    ctime: Option<i64>,
    #[serde(default, deserialize_with = "lenient::flag")]
    protected: bool,
    pub notes: Option<String>,
}

/// One storage as it is from one node.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub storage: String,
    pub node: String,
}

pub(super) async fn volumes(lookout: &Lookout<'_>, rights: &Rights) -> Result<Seen<Vec<Volume>>, ReadError> {
    if let Some(why) = hidden_from(rights) {
        return Ok(Seen::Unknown { why });
    }
    let storages = storages::defined(lookout).await?;
    // Nothing on a disabled storage can be reached, used or harmed.
    let enabled = storages.iter().filter(|storage| !flag(&storage.settings, "disable"));
    let gathered = try_join_all(enabled.map(|storage| gather(lookout, storage))).await?;
    Ok(Gathered::of(gathered).into_seen())
}

/// Why some of it may be left out.
pub(super) fn hidden_from(rights: &Rights) -> Option<String> {
    let needed: &[Sight] = if ALL.is_given(rights) { &[storages::SIGHT] } else { &EACH };
    hidden(WHAT, rights, needed)
}

/// Looks into one storage: from one node if it is shared, else from all that have it.
pub(super) async fn gather(lookout: &Lookout<'_>, storage: &Storage) -> Result<Gathered<Volume>, ReadError> {
    let mut gathered = Gathered::default();
    let places = places(lookout, storage, &mut gathered).await?;
    let contents = places.iter().map(async |place| match content(lookout, place).await {
        Ok(rows) => Ok(Ok(rows.into_iter().map(|row| row.volume(place)).collect::<Vec<_>>())),
        Err(error) => blind_on(&place.node, &on(&place.storage, &place.node), error).map(Err),
    });
    for content in try_join_all(contents).await? {
        gathered.add(content);
    }
    Ok(gathered)
}

/// The places to look at; the others are noted as missing.
async fn places(
    lookout: &Lookout<'_>,
    storage: &Storage,
    gathered: &mut Gathered<Volume>,
) -> Result<Vec<Place>, ReadError> {
    let (nodes, active) =
        futures::try_join!(nodes::rows(lookout), storages::active_on(lookout, &storage.id))?;
    let has_it = |node: &&nodes::Row| storage.nodes.is_empty() || storage.nodes.contains(&node.node);
    let place = |node: &str| Place { storage: storage.id.clone(), node: node.to_owned() };
    if storage.shared {
        let first = nodes.iter().filter(has_it).find(|node| node.is_online() && active.contains(&node.node));
        if first.is_none() {
            let why = format!("storage {} can't be seen: it is active on no node that is online", storage.id);
            gathered.missing.insert(why);
        }
        return Ok(first.into_iter().map(|node| place(&node.node)).collect());
    }
    let mut found = Vec::new();
    for node in nodes.iter().filter(has_it) {
        let why = match (node.is_online(), active.contains(&node.node)) {
            (true, true) => {
                found.push(place(&node.node));
                continue;
            }
            (true, false) => "it is not active there",
            (false, _) => "the node is offline",
        };
        gathered.missing.insert(format!("{} can't be seen: {why}", on(&storage.id, &node.node)));
    }
    Ok(found)
}

fn on(storage: &str, node: &str) -> String {
    format!("what lies on storage {storage} of node {node}")
}

pub(super) async fn content(lookout: &Lookout<'_>, place: &Place) -> Result<Vec<Row>, ReadError> {
    lookout.get_on(&place.node, &format!("storage/{}/content", path_segment(&place.storage)), &[]).await
}

impl Row {
    pub fn volume(self, place: &Place) -> Volume {
        Volume {
            id: self.volid,
            storage: place.storage.clone(),
            node: place.node.clone(),
            content: self.content,
            vmid: self.vmid.and_then(Vmid::new),
            parent: self.parent,
            size: self.size,
            created_at: self.ctime,
            protected: self.protected,
        }
    }
}
