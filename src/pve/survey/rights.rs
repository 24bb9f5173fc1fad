use std::collections::{BTreeMap, BTreeSet};

use futures::future::try_join_all;
use serde_json::Value;

use crate::{core::observe::Rights, pve::ReadError};

use super::{access, lookout::Lookout};

const PATH: &str = "/access/permissions";

type Given = BTreeMap<String, BTreeMap<String, Value>>;

/// What the client's own token may do: everything that is given to it, and what holds at these paths.
pub(super) async fn rights(lookout: &Lookout<'_>, places: &BTreeSet<String>) -> Result<Rights, ReadError> {
    let (mut given, exact, acl) = futures::try_join!(
        given(lookout),
        try_join_all(places.iter().map(|place| held(lookout, place))),
        access::rows(lookout)
    )?;
    // Where a token is shut out Proxmox leaves out the path: nothing but the list of who has which role there tells.
    for row in acl {
        given.entry(row.path).or_default();
    }
    Ok(Rights::new(given, exact.into_iter().collect()))
}

async fn given(lookout: &Lookout<'_>) -> Result<BTreeMap<String, BTreeMap<String, bool>>, ReadError> {
    let given: Given = lookout.get(PATH, &[]).await?;
    let given = given.into_iter().map(|(path, privileges)| {
        let privileges = privileges.into_iter().map(|(name, below)| (name, below == 1 || below == "1"));
        (path, privileges.collect())
    });
    Ok(given.collect())
}

async fn held(lookout: &Lookout<'_>, place: &str) -> Result<(String, BTreeSet<String>), ReadError> {
    let held: Given = lookout.get(PATH, &[("path", place.to_owned())]).await?;
    Ok((place.to_owned(), held.into_values().flat_map(BTreeMap::into_keys).collect()))
}
