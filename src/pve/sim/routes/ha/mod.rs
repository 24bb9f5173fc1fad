//! High availability: the resources in the manager's care, and requests to move them.
mod affinity;
pub(super) mod groups;
mod manager;
pub(super) mod rules;
pub(super) mod status;

use serde_json::{Map, Value, json};

use super::definitions::demand_digest;
use super::{Route, data, nothing};
use crate::pve::sim::engine::{Call, State};
use crate::pve::sim::http::{Answer, Refusal, refuse};
use crate::pve::sim::world::{Config, GuestType, HaResource, sha1_hex};

pub(super) use manager::{
    manager_state, recover, request_state, resources_served_by, set_manager_state, state_of_guest,
};

pub(super) const ROUTES: &[Route] = &[
    ("GET", "/cluster/ha/resources", list),
    ("POST", "/cluster/ha/resources", create),
    ("GET", "/cluster/ha/resources/{sid}", read),
    ("PUT", "/cluster/ha/resources/{sid}", update),
    ("DELETE", "/cluster/ha/resources/{sid}", delete),
    ("POST", "/cluster/ha/resources/{sid}/migrate", |call| ask_to_move(call, "migrate")),
    ("POST", "/cluster/ha/resources/{sid}/relocate", |call| ask_to_move(call, "relocate")),
];

/// A bare number means the guest of that number, whatever its type.
fn full_sid(call: &Call<'_>) -> String {
    let sid = call.text("sid");
    let Ok(vmid) = sid.parse::<u32>() else {
        return sid.to_owned();
    };
    let kind = call.state.world.guests.get(&vmid).map_or(GuestType::Qemu, |guest| guest.kind);
    format!("{}:{vmid}", kind.ha_prefix())
}

fn guest_of(sid: &str) -> Option<u32> {
    sid.split_once(':')?.1.parse().ok()
}

fn digest(state: &State) -> String {
    let text: String =
        state.world.ha.iter().map(|(sid, resource)| format!("{sid} {:?}\n", resource.config)).collect();
    sha1_hex(&text)
}

fn shown(call: &Call<'_>, sid: &str, resource: &HaResource) -> Value {
    let mut row: Map<String, Value> = resource.config.clone().into_iter().collect();
    row.insert("sid".to_owned(), sid.into());
    row.insert("type".to_owned(), sid.split(':').next().unwrap_or_default().into());
    row.insert("digest".to_owned(), digest(call.state).into());
    Value::Object(row)
}

fn list(call: &mut Call<'_>) -> Answer {
    let wanted = |sid: &str| call.parameters.text("type").is_none_or(|kind| sid.starts_with(kind));
    let resources = call.state.world.ha.iter().filter(|(sid, _)| wanted(sid));
    let rows: Vec<Value> = resources.map(|(sid, resource)| shown(call, sid, resource)).collect();
    data(rows)
}

fn read(call: &mut Call<'_>) -> Answer {
    let sid = full_sid(call);
    match call.state.world.ha.get(&sid) {
        Some(resource) => data(shown(call, &sid, resource)),
        None => refuse(format!("no such resource '{sid}'")),
    }
}

fn settings(call: &Call<'_>) -> impl Iterator<Item = (String, Value)> {
    let keys =
        call.parameters.texts().filter(|(key, _)| !matches!(*key, "sid" | "type" | "digest" | "delete"));
    keys.map(|(key, text)| {
        let property = call.operation.parameter(key);
        (key.to_owned(), crate::pve::sim::contract::config_value(property, text))
    })
}

/// Since rules took their place, resources are in no group.
fn demand_no_group(call: &Call<'_>) -> Result<(), Refusal> {
    if call.parameters.has("group") && groups::are_migrated(call) {
        return refuse("invalid parameter 'group': ha groups have been migrated to rules");
    }
    Ok(())
}

fn create(call: &mut Call<'_>) -> Answer {
    let sid = full_sid(call);
    let kind = sid.split(':').next().unwrap_or_default();
    let guest = guest_of(&sid).and_then(|vmid| call.state.world.guests.get(&vmid));
    if guest.is_none_or(|guest| guest.kind.ha_prefix() != kind) {
        return refuse(format!("resource '{sid}' does not exist in cluster"));
    }
    demand_no_group(call)?;
    call.state.demand_quorum()?;
    if call.state.world.ha.contains_key(&sid) {
        return refuse(format!("create resource failed: resource ID '{sid}' already defined"));
    }
    let mut config: Config = settings(call).collect();
    config.entry("state".to_owned()).or_insert_with(|| "started".into());
    call.state.world.ha.insert(sid.clone(), HaResource { config, crm_state: None });
    manager::take_on(call.state, &sid);
    nothing()
}

fn update(call: &mut Call<'_>) -> Answer {
    const DOING: &str = "update resource failed: ";
    let sid = full_sid(call);
    demand_no_group(call)?;
    groups::demand_known(call)?;
    call.state.demand_quorum()?;
    demand_digest(call, &digest(call.state), DOING)?;
    let changes: Vec<_> = settings(call).collect();
    let removed = call.parameters.list("delete");
    let Some(resource) = call.state.world.ha.get_mut(&sid) else {
        return refuse(format!("{DOING}no such resource '{sid}'"));
    };
    resource.config.retain(|key, _| !removed.contains(key));
    resource.config.extend(changes);
    manager::follow(call.state, &sid);
    nothing()
}

/// Rules forget the resource, unless they are to keep it.
fn delete(call: &mut Call<'_>) -> Answer {
    let sid = full_sid(call);
    if !call.state.world.ha.contains_key(&sid) {
        return refuse(format!("cannot delete service '{sid}', not HA managed!"));
    }
    call.state.demand_quorum()?;
    call.state.world.ha.remove(&sid);
    if call.parameters.text("purge") != Some("0") {
        rules::forget(call.state, &sid);
    }
    nothing()
}

/// The request is only passed on: nodes that do not exist are accepted too, and what rules forbid is said in a success.
fn ask_to_move(call: &mut Call<'_>, how: &'static str) -> Answer {
    let sid = full_sid(call);
    if !call.state.world.ha.contains_key(&sid) {
        return Err(Refusal::parameter("sid", format!("'{sid}' is not HA managed")));
    }
    call.state.demand_quorum()?;
    let node = call.text("node").to_owned();
    let blocking = affinity::blocking(call.state, &sid, &node);
    let companions = affinity::companions(call.state, &sid);
    let mut answer = json!({ "sid": sid, "requested-node": node });
    if !blocking.is_empty() {
        let rows = blocking.iter().map(|(sid, cause)| json!({ "sid": sid, "cause": cause }));
        answer["blocking-resources"] = rows.collect();
        return data(answer);
    }
    if !companions.is_empty() {
        answer["comigrated-resources"] = json!(companions);
    }
    for sid in std::iter::once(&sid).chain(&companions) {
        manager::send(call.state, sid, &node, how);
    }
    data(answer)
}
