use std::collections::{BTreeMap, BTreeSet};

use futures::future::try_join_all;

use crate::{
    catalog::Section,
    core::observe::{Guest, Query, Rights, Seen, Snapshot},
    pve::ReadError,
};

use super::{
    guest,
    inventory::{self, Listed},
    lookout::Lookout,
    nodes,
    sight::{Gathered, blind_on, hidden},
};

/// All guests with their settings; the target is taken as it was met.
pub(super) async fn guests(
    lookout: &Lookout<'_>,
    rights: &Rights,
    query: &Query,
    target: Option<&Guest>,
) -> Result<Seen<Vec<Guest>>, ReadError> {
    if let Some(why) = hidden("the guests", rights, &[inventory::SIGHT]) {
        return Ok(Seen::Unknown { why });
    }
    let (listed, nodes) = futures::try_join!(inventory::listed(lookout), nodes::rows(lookout))?;
    let down: BTreeSet<&str> =
        nodes.iter().filter(|node| !node.is_online()).map(|node| node.node.as_str()).collect();
    let (away, there): (Vec<Listed>, Vec<Listed>) =
        listed.into_iter().partition(|listed| down.contains(listed.row.node.as_str()));
    let with_snapshots = query.sections.contains(&Section::SnapshotConfigs);
    let looks = there.iter().map(async |listed| match one(lookout, listed, with_snapshots, target).await {
        Ok(guest) => Ok(Ok([guest])),
        Err(error) => {
            let what = format!("the settings of {}", listed.row.reference);
            blind_on(&listed.row.node, &what, error).map(Err)
        }
    });
    let mut gathered = Gathered::default();
    for look in try_join_all(looks).await? {
        gathered.add(look);
    }
    gathered.missing.extend(of_nodes_that_are_down(&away));
    Ok(gathered.into_seen())
}

/// One sentence for each node, not for each guest.
fn of_nodes_that_are_down(away: &[Listed]) -> Vec<String> {
    const MOST: usize = 10;
    let mut by_node: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for listed in away {
        by_node.entry(&listed.row.node).or_default().insert(listed.row.reference.to_string());
    }
    let words = |(node, guests): (&str, BTreeSet<String>)| {
        let more = guests.len().saturating_sub(MOST);
        let named = guests.into_iter().take(MOST).collect::<Vec<_>>().join(", ");
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        format!("the settings of {named}{more} can't be seen: node {node} is offline")
    };
    by_node.into_iter().map(words).collect()
}

async fn one(
    lookout: &Lookout<'_>,
    listed: &Listed,
    with_snapshots: bool,
    target: Option<&Guest>,
) -> Result<Guest, ReadError> {
    let mut guest = match target.filter(|target| target.reference == listed.row.reference) {
        Some(target) => target.clone(),
        None => guest::neighbour(lookout, listed).await?,
    };
    if with_snapshots {
        guest.snapshots = guest::snapshots(lookout, listed).await?;
        try_join_all(guest.snapshots.iter_mut().map(|snapshot| look_into(lookout, listed, snapshot))).await?;
    }
    Ok(guest)
}

async fn look_into(lookout: &Lookout<'_>, listed: &Listed, snapshot: &mut Snapshot) -> Result<(), ReadError> {
    snapshot.config = guest::snapshot_config(lookout, listed, &snapshot.name).await?;
    Ok(())
}
