use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::{
    core::observe::Rights,
    pve::{Client, ReadError},
};

type Given = BTreeMap<String, BTreeMap<String, Value>>;

/// What the client's own token may do: everything that is given to it, and what holds at these paths.
pub(super) async fn rights(client: &Client, places: &BTreeSet<String>) -> Result<Rights, ReadError> {
    const PATH: &str = "/access/permissions";
    let given: Given = client.get(PATH, &[]).await?;
    let given = given.into_iter().map(|(path, privileges)| {
        let privileges = privileges.into_iter().map(|(name, below)| (name, below == 1 || below == "1"));
        (path, privileges.collect())
    });
    let mut exact = BTreeMap::new();
    for place in places {
        let held: Given = client.get(PATH, &[("path", place.clone())]).await?;
        let held = held.into_values().flat_map(BTreeMap::into_keys).collect();
        exact.insert(place.clone(), held);
    }
    Ok(Rights::new(given.collect(), exact))
}
