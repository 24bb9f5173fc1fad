//! Looks at everything that a judgement needs to know.

mod guest;
mod inventory;
mod rights;

pub use inventory::{guests, version};

use std::collections::BTreeSet;

use crate::{
    catalog::{GuestRef, Target},
    core::observe::{Met, Query, World},
};

use super::{Client, ReadError};

/// The world as far as a query asks for it.
pub async fn look(client: &Client, query: &Query, places: &BTreeSet<String>) -> Result<World, ReadError> {
    Ok(World {
        version: version(client).await?,
        target: target(client, query).await?,
        rights: rights::rights(client, places).await?,
        ..World::default()
    })
}

async fn target(client: &Client, query: &Query) -> Result<Met, ReadError> {
    match &query.target {
        Target::Guest(reference) => met_guest(client, *reference).await,
        _ => Ok(Met::Nothing),
    }
}

async fn met_guest(client: &Client, reference: GuestRef) -> Result<Met, ReadError> {
    let listed = inventory::listed(client).await?;
    let Some(listed) = listed.into_iter().find(|listed| listed.row.reference == reference) else {
        return Ok(Met::Absent);
    };
    match guest::guest(client, &listed).await {
        Ok(guest) => Ok(Met::Guest(Box::new(guest))),
        // The list is up to ten seconds old: it has been deleted, or has just gone to another node.
        Err(error) if error.says_no_such_guest() => {
            Err(ReadError::Moving { guest: reference.to_string(), node: listed.row.node })
        }
        Err(error) => Err(error),
    }
}
