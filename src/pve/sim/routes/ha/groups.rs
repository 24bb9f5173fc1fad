//! Groups of nodes, which rules have replaced since version 9.
use serde_json::Value;

use crate::pve::sim::contract::Release;
use crate::pve::sim::engine::Call;
use crate::pve::sim::http::{Answer, Refusal, refuse};
use crate::pve::sim::routes::definitions::{change, digest, row, settings, stored};
use crate::pve::sim::routes::{Route, data, nothing};

pub(in super::super) const ROUTES: &[Route] = &[
    ("GET", "/cluster/ha/groups", list),
    ("POST", "/cluster/ha/groups", create),
    ("GET", "/cluster/ha/groups/{group}", read),
    ("PUT", "/cluster/ha/groups/{group}", update),
    ("DELETE", "/cluster/ha/groups/{group}", delete),
];

const GROUPS: &str = "haGroups";

/// A world may say that it is an older version.
pub(super) fn are_migrated(call: &Call<'_>) -> bool {
    call.operation.release == Release::V9_2
}

/// Resources may only be changed to be in a group that exists.
pub(super) fn demand_known(call: &Call<'_>) -> Result<(), Refusal> {
    match call.parameters.text("group") {
        Some(group) if call.state.world.definition(GROUPS, group).is_none() => {
            refuse(format!("HA group '{group}' does not exist"))
        }
        _ => Ok(()),
    }
}

fn demand_groups(call: &Call<'_>, verb: &str) -> Result<(), Refusal> {
    if are_migrated(call) {
        return refuse(format!("cannot {verb}: ha groups have been migrated to rules"));
    }
    Ok(())
}

fn shown(call: &Call<'_>, id: &str) -> Option<Value> {
    let mut row = row(call.state.world.definition(GROUPS, id)?, "group", id);
    row["type"] = "group".into();
    row["digest"] = digest(call.state, GROUPS).into();
    Some(row)
}

fn list(call: &mut Call<'_>) -> Answer {
    demand_groups(call, "index groups")?;
    let rows: Vec<Value> = call.state.world.defined(GROUPS).filter_map(|(id, _)| shown(call, id)).collect();
    data(rows)
}

fn missing(id: &str) -> Refusal {
    Refusal::Failed(format!("no such ha group '{id}'"))
}

fn read(call: &mut Call<'_>) -> Answer {
    demand_groups(call, "read group")?;
    let id = call.text("group");
    shown(call, id).map_or_else(|| Err(missing(id)), data)
}

fn create(call: &mut Call<'_>) -> Answer {
    demand_groups(call, "create group")?;
    let (id, mut group) = (call.text("group").to_owned(), settings(call, "group"));
    if call.state.world.definition(GROUPS, &id).is_some() {
        return refuse(format!("create ha group failed: ha group ID '{id}' already defined"));
    }
    group.remove("type");
    stored(call.state, GROUPS).insert(id, group);
    nothing()
}

fn update(call: &mut Call<'_>) -> Answer {
    demand_groups(call, "update group")?;
    if change(call, GROUPS, "group") { nothing() } else { Err(missing(call.text("group"))) }
}

fn delete(call: &mut Call<'_>) -> Answer {
    demand_groups(call, "delete group")?;
    let id = call.text("group").to_owned();
    let resources = &call.state.world.ha;
    if let Some((sid, _)) =
        resources.iter().find(|(_, resource)| resource.config.get("group") == Some(&id.as_str().into()))
    {
        return refuse(format!("delete ha group failed: ha group is used by service '{sid}'"));
    }
    match stored(call.state, GROUPS).remove(&id) {
        Some(_) => nothing(),
        None => Err(missing(&id)),
    }
}
