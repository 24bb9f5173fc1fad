//! What the reading actions show.

use std::collections::BTreeSet;

use crate::{
    catalog::{Name, Reading, Target},
    core::observe::{Found, Met, Query, Readout, Rights, Seen},
    pve::{Client, ReadError},
};

use super::{inventory, lookout::Lookout, nodes, rights, sight::hidden, storages, target, tasks, volumes};

/// Reads what an action shows, at most so many of what there may be thousands of.
pub async fn read(client: &Client, reading: Reading, query: &Query, most: u32) -> Result<Readout, ReadError> {
    let lookout = &Lookout::new(client);
    let rights = rights::rights(lookout, &BTreeSet::new()).await?;
    let mut unseen = Vec::new();
    let found = match (reading, &query.target) {
        (Reading::Inventory, Target::Inventory(scope)) => {
            unseen.extend(hidden("the guests", &rights, &[inventory::SIGHT]));
            let listed = inventory::listed(lookout).await?;
            Found::Inventory(*scope, listed.into_iter().map(|listed| listed.row).collect())
        }
        (Reading::Tasks, Target::Node(node)) => {
            unseen.extend(tasks::others_are_hidden(&rights, node.as_str()));
            Found::Tasks(tasks::latest(lookout, node.as_str(), most).await?)
        }
        (Reading::Storage, Target::Storage(storage)) => {
            let (found, missing) = look_into(lookout, &rights, storage).await?;
            unseen.extend(missing);
            found
        }
        (Reading::Nodes, _) => match nodes::nodes(lookout, &rights).await? {
            Seen::Known(nodes) => Found::Nodes(nodes),
            Seen::Partly { why, .. } | Seen::Unknown { why } => {
                unseen.push(why);
                Found::Nothing
            }
            Seen::NotAsked => Found::Nothing,
        },
        (Reading::Rights, _) => Found::Rights(rights),
        (Reading::Guest, _) => match target::target(lookout, query).await? {
            Met::Guest(guest) => Found::Guest(guest),
            _ => Found::Nothing,
        },
        _ => Found::Nothing,
    };
    Ok(Readout { found, unseen })
}

/// A storage with its settings, its free space and what lies on it.
async fn look_into(
    lookout: &Lookout<'_>,
    rights: &Rights,
    name: &Name,
) -> Result<(Found, Vec<String>), ReadError> {
    let storages = storages::with_space(lookout).await?;
    let Some(storage) = storages.into_iter().find(|storage| storage.id == name.as_str()) else {
        return Ok((Found::Nothing, vec![]));
    };
    let volumes = volumes::gather(lookout, &storage).await?;
    let unseen = volumes::hidden_from(rights).into_iter().chain(volumes.missing).collect();
    Ok((Found::Storage(storage, volumes.seen), unseen))
}
