//! Looks at everything that a judgement needs to know, and never takes for whole what may be short: Proxmox leaves out
//! what a token may not see without a word, so rights are looked at before lists are trusted.

mod access;
mod guest;
mod guests;
mod ha;
mod inventory;
mod jobs;
mod lookout;
mod migration;
mod network;
mod nodes;
mod pools;
mod readings;
mod rights;
mod settings;
mod sight;
mod storages;
mod target;
mod tasks;
#[cfg(test)]
mod tests;
mod volumes;

pub use readings::read;

use std::collections::BTreeSet;

use futures::try_join;

use crate::{
    catalog::{GuestRef, Section, Target},
    core::observe::{InventoryRow, Met, Query, Seen, World},
};

use super::{Client, ReadError};

use lookout::Lookout;

/// The version of Proxmox VE, such as `9.2.11`.
pub async fn version(client: &Client) -> Result<String, ReadError> {
    inventory::version(&Lookout::new(client)).await
}

/// The world as far as a query asks for it.
pub async fn look(client: &Client, query: &Query, places: &BTreeSet<String>) -> Result<World, ReadError> {
    let lookout = Lookout::new(client);
    let (version, target, rights) = try_join!(
        inventory::version(&lookout),
        target::target(&lookout, query),
        rights::rights(&lookout, places)
    )?;
    let (lookout, rights) = (&lookout, &rights);
    let guest = match &target {
        Met::Guest(guest) => Some(guest.as_ref()),
        _ => None,
    };
    let node = node_of(query, &target);
    let asked = |section| query.sections.contains(&section);
    let (nodes, guests, storages, volumes, ha, replication, backup_jobs, pools) = try_join!(
        when(asked(Section::Nodes), nodes::nodes(lookout, rights)),
        when(asked(Section::Guests), guests::guests(lookout, rights, query, guest)),
        when(asked(Section::Storages), storages::storages(lookout, rights)),
        when(asked(Section::Volumes), volumes::volumes(lookout, rights)),
        when(asked(Section::Ha), ha::ha(lookout, rights)),
        when(asked(Section::Replication), jobs::replication(lookout, rights)),
        when(asked(Section::BackupJobs), jobs::backup_jobs(lookout, rights)),
        when(asked(Section::Pools), pools::pools(lookout, rights)),
    )?;
    let (network, sdn, firewall, acl, migration, active_tasks) = try_join!(
        when(asked(Section::Network), network::network(lookout, rights, node)),
        when(asked(Section::Sdn), network::sdn(lookout, rights)),
        when(asked(Section::Firewall), access::firewall(lookout, &query.target, node)),
        when(asked(Section::Acl), access::acl(lookout, rights, &query.target)),
        when(asked(Section::Migration), migration::migration(lookout, query, guest)),
        when(asked(Section::ActiveTasks), tasks::active(lookout, rights, node)),
    )?;
    let rights = rights.clone();
    Ok(World {
        nodes,
        guests,
        storages,
        volumes,
        ha,
        replication,
        backup_jobs,
        pools,
        network,
        sdn,
        firewall,
        acl,
        migration,
        active_tasks,
        version,
        rights,
        target,
    })
}

/// A guest in the cluster's own list, if this token sees it there.
pub async fn listed(client: &Client, guest: GuestRef) -> Result<Option<InventoryRow>, ReadError> {
    let listed = inventory::listed(&Lookout::new(client)).await?;
    Ok(listed.into_iter().map(|listed| listed.row).find(|row| row.reference == guest))
}

/// The node that a request is about: the target itself, where the target is, or the one that is named.
fn node_of<'a>(query: &'a Query, target: &'a Met) -> Option<&'a str> {
    match (&query.target, target) {
        (Target::Node(node), _) => Some(node.as_str()),
        (_, Met::Guest(guest)) => Some(&guest.node),
        _ => query.node.as_deref(),
    }
}

async fn when<T>(
    is_asked: bool,
    look: impl Future<Output = Result<Seen<T>, ReadError>>,
) -> Result<Seen<T>, ReadError> {
    if is_asked { look.await } else { Ok(Seen::NotAsked) }
}
