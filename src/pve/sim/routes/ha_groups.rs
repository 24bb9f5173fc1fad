//! HA groups, which bind resources to nodes up to release 8; since 9, rules do, and groups are refused.
use serde_json::{Value, json};

use super::{Route, data, nothing};
use crate::pve::sim::contract::{Release, config_value};
use crate::pve::sim::engine::Call;
use crate::pve::sim::http::{Answer, Refusal, refuse};
use crate::pve::sim::world::{Config, sha1_hex};

pub(super) const ROUTES: &[Route] = &[
    ("GET", "/cluster/ha/groups", list),
    ("POST", "/cluster/ha/groups", create),
    ("GET", "/cluster/ha/groups/{group}", read),
    ("PUT", "/cluster/ha/groups/{group}", update),
    ("DELETE", "/cluster/ha/groups/{group}", delete),
];

/// Their name among the definitions of a world file.
const KIND: &str = "haGroups";

fn demand_groups(call: &Call<'_>, doing: &str) -> Result<(), Refusal> {
    match call.operation.release {
        Release::V8_4 => Ok(()),
        Release::V9_2 => refuse(format!("cannot {doing}: ha groups have been migrated to rules")),
    }
}

/// Resources may only be changed to be in a group that exists.
pub(super) fn demand_known_group(call: &Call<'_>) -> Result<(), Refusal> {
    match call.parameters.text("group") {
        Some(group) if find(call, group).is_none() => refuse(format!("HA group '{group}' does not exist")),
        _ => Ok(()),
    }
}

fn find<'a>(call: &'a Call<'_>, group: &str) -> Option<&'a Config> {
    call.state.world.definitions.get(KIND)?.get(group)
}

fn digest(call: &Call<'_>) -> String {
    sha1_hex(&call.state.world.definitions.get(KIND).map(|all| format!("{all:?}")).unwrap_or_default())
}

fn shown(call: &Call<'_>, group: &str, definition: &Config) -> Value {
    let mut row = json!(definition);
    row["group"] = group.into();
    row["type"] = "group".into();
    row["digest"] = digest(call).into();
    row
}

fn list(call: &mut Call<'_>) -> Answer {
    demand_groups(call, "index groups")?;
    let all = call.state.world.definitions.get(KIND).into_iter().flatten();
    let rows: Vec<Value> = all.map(|(group, definition)| shown(call, group, definition)).collect();
    data(rows)
}

fn read(call: &mut Call<'_>) -> Answer {
    demand_groups(call, "read group")?;
    let group = call.text("group");
    match find(call, group) {
        Some(definition) => data(shown(call, group, definition)),
        None => refuse(format!("no such ha group '{group}'")),
    }
}

fn settings(call: &Call<'_>) -> Config {
    let keys =
        call.parameters.texts().filter(|(key, _)| !matches!(*key, "group" | "type" | "digest" | "delete"));
    keys.map(|(key, text)| (key.to_owned(), config_value(call.operation.parameter(key), text))).collect()
}

fn create(call: &mut Call<'_>) -> Answer {
    demand_groups(call, "create group")?;
    call.state.demand_quorum()?;
    let group = call.text("group").to_owned();
    if find(call, &group).is_some() {
        return refuse(format!("create ha group failed: ha group ID '{group}' already defined"));
    }
    let definition = settings(call);
    call.state.world.definitions.entry(KIND.to_owned()).or_default().insert(group, definition);
    nothing()
}

fn update(call: &mut Call<'_>) -> Answer {
    const DOING: &str = "update ha group failed: ";
    demand_groups(call, "update group")?;
    if call.parameters.text("digest").is_some_and(|given| given != digest(call)) {
        let text = "detected modified configuration - file changed by other user? Try again.";
        return refuse(format!("{DOING}{text}"));
    }
    let removed = call.parameters.list("delete");
    if removed.iter().any(|key| key == "nodes") {
        return refuse(format!("{DOING}unable to delete required option 'nodes'"));
    }
    let (group, changes) = (call.text("group").to_owned(), settings(call));
    let groups = call.state.world.definitions.entry(KIND.to_owned()).or_default();
    let Some(definition) = groups.get_mut(&group) else {
        return refuse(format!("{DOING}no such ha group '{group}'"));
    };
    definition.extend(changes);
    definition.retain(|key, _| !removed.contains(key));
    nothing()
}

fn delete(call: &mut Call<'_>) -> Answer {
    demand_groups(call, "delete group")?;
    let group = call.text("group").to_owned();
    let mut resources = call.state.world.ha.iter();
    let user =
        resources.find(|(_, resource)| resource.config.get("group").is_some_and(|used| *used == group));
    if let Some((sid, _)) = user {
        return refuse(format!("delete ha group failed: ha group is used by service '{sid}'"));
    }
    if let Some(groups) = call.state.world.definitions.get_mut(KIND) {
        groups.remove(&group);
    }
    nothing()
}
