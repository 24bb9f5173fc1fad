//! What the HA manager reports, and how it is armed and disarmed.
use serde_json::{Map, Value, json};

use super::manager::{QUEUED, is_queued, manager_state, requested};
use super::{guest_of, manager};
use crate::pve::sim::contract::Release;
use crate::pve::sim::engine::{Call, State};
use crate::pve::sim::http::Answer;
use crate::pve::sim::routes::{Route, data, nothing};
use crate::pve::sim::world::{HaResource, Node};

pub(in super::super) const ROUTES: &[Route] = &[
    ("GET", "/cluster/ha/status/current", current),
    ("GET", "/cluster/ha/status/manager_status", manager_status),
    ("POST", "/cluster/ha/status/arm-ha", arm),
    ("POST", "/cluster/ha/status/disarm-ha", disarm),
];

/// The manager has something to watch over.
fn is_active(state: &State) -> bool {
    !state.world.ha.is_empty() || state.world.cluster.ha_armed || state.world.cluster.ha_disarmed.is_some()
}

/// What was requested in the meantime is followed now.
fn arm(call: &mut Call<'_>) -> Answer {
    call.state.demand_quorum()?;
    call.state.world.cluster.ha_armed = true;
    if call.state.world.cluster.ha_disarmed.take().is_some() {
        for sid in call.state.world.ha.keys().cloned().collect::<Vec<_>>() {
            manager::follow(call.state, &sid);
        }
    }
    nothing()
}

fn disarm(call: &mut Call<'_>) -> Answer {
    call.state.demand_quorum()?;
    call.state.world.cluster.ha_disarmed = Some(call.text("resource-mode").to_owned());
    nothing()
}

fn stamp(state: &State) -> String {
    state.clock.now().strftime("%a %b %e %H:%M:%S %Y").to_string()
}

fn current(call: &mut Call<'_>) -> Answer {
    let state = &*call.state;
    let (master, quorate) = (state.local_node(), state.world.cluster.quorate);
    let word = if quorate { "OK" } else { "No quorum!" };
    let mut rows = vec![json!({
        "id": "quorum", "type": "quorum", "node": master, "quorate": u8::from(quorate), "status": word,
    })];
    if is_active(state) {
        rows.push(master_row(state, master));
    }
    if state.contract.release == Release::V9_2 {
        rows.push(fencing_row(state, master));
    }
    if is_active(state) {
        rows.extend(state.world.nodes.iter().map(|(name, node)| local_manager_row(state, name, node)));
    }
    rows.extend(state.world.ha.iter().filter_map(|(sid, resource)| service_row(state, sid, resource)));
    data(rows)
}

fn master_row(state: &State, master: &str) -> Value {
    let mode = state.world.cluster.ha_disarmed.as_deref();
    let mode = mode.map(|mode| format!(" - disarmed, resource mode: {mode}")).unwrap_or_default();
    json!({
        "id": "master", "type": "master", "node": master, "timestamp": state.clock.seconds(),
        "status": format!("{master} (active, {}){mode}", stamp(state)),
    })
}

fn fencing_row(state: &State, master: &str) -> Value {
    let mut row = json!({ "id": "fencing", "type": "fencing", "node": master });
    let (armed, status) = match &state.world.cluster.ha_disarmed {
        Some(mode) => {
            row["resource_mode"] = mode.as_str().into();
            ("disarmed", format!("disarmed, resource mode: {mode} (CRM watchdog released)"))
        }
        None if is_active(state) => ("armed", "armed (CRM watchdog active)".to_owned()),
        None => ("standby", "standby (CRM watchdog standby)".to_owned()),
    };
    row["armed-state"] = armed.into();
    row["status"] = status.into();
    row
}

/// What a node's own manager does: nothing as long as none of the resources is there.
fn mode_of(state: &State, name: &str, node: &Node) -> &'static str {
    let serves = state.world.ha.iter().any(|(sid, resource)| {
        let guest = guest_of(sid).and_then(|vmid| state.world.guests.get(&vmid));
        !is_queued(resource) && guest.is_some_and(|guest| guest.node == name)
    });
    match () {
        () if !node.online => "old timestamp - dead?, watchdog active",
        () if state.world.cluster.ha_disarmed.is_some() => "disarm mode, watchdog released",
        () if node.maintenance => "maintenance mode, watchdog standby",
        () if serves => "active, watchdog active",
        () => "idle, watchdog standby",
    }
}

fn local_manager_row(state: &State, name: &str, node: &Node) -> Value {
    json!({
        "id": format!("lrm:{name}"), "type": "lrm", "node": name, "timestamp": state.clock.seconds(),
        "status": format!("{name} ({}, {})", mode_of(state, name, node), stamp(state)),
    })
}

fn service_state(state: &State, resource: &HaResource, sid: &str) -> Option<String> {
    let vmid = guest_of(sid)?;
    let guest = state.world.guests.get(&vmid)?;
    if is_queued(resource) {
        return Some(QUEUED.to_owned());
    }
    match state.world.cluster.ha_disarmed.as_deref() {
        Some("ignore") => Some("ignored".to_owned()),
        Some(mode) => Some(mode.to_owned()),
        None => manager_state(state, guest.kind, vmid),
    }
}

fn service_row(state: &State, sid: &str, resource: &HaResource) -> Option<Value> {
    let guest = state.world.guests.get(&guest_of(sid)?)?;
    let current = service_state(state, resource, sid)?;
    let setting = |key: &str| resource.config.get(key).cloned().unwrap_or_else(|| 1.into());
    let mut row = json!({
        "id": format!("service:{sid}"),
        "type": "service",
        "sid": sid,
        "node": guest.node,
        "state": current,
        "request_state": requested(resource),
        "max_restart": setting("max_restart"),
        "max_relocate": setting("max_relocate"),
        "status": format!("{sid} ({}, {current})", guest.node),
    });
    if state.contract.release == Release::V9_2 {
        row["failback"] = setting("failback");
    }
    if !is_queued(resource) {
        row["crm_state"] = row["state"].clone();
    }
    for key in ["comment", "auto-rebalance", "group"] {
        if let Some(value) = resource.config.get(key) {
            row[key] = value.clone();
        }
    }
    Some(row)
}

/// The manager's own notes. A manager that never had anything to do has none.
fn manager_status(call: &mut Call<'_>) -> Answer {
    let state = &*call.state;
    let quorate = u8::from(state.world.cluster.quorate).to_string();
    let mut notes = json!({ "node_status": {} });
    let mut local_managers = Map::new();
    if is_active(state) {
        let online = |node: &Node| if node.online { "online" } else { "unknown" };
        let word = |node: &Node| if node.maintenance { "maintenance" } else { online(node) };
        let nodes = state.world.nodes.iter();
        let words: Map<String, Value> = nodes.map(|(name, node)| (name.clone(), word(node).into())).collect();
        notes = json!({
            "master_node": state.local_node(), "timestamp": state.clock.seconds(), "node_status": words,
            "service_status": services(state),
        });
        local_managers =
            state.world.nodes.iter().map(|(name, node)| local_manager(state, name, node)).collect();
    }
    let mut answer = json!({
        "manager_status": notes, "quorum": { "node": state.local_node(), "quorate": quorate },
    });
    if !local_managers.is_empty() {
        answer["lrm_status"] = local_managers.into();
    }
    data(answer)
}

fn services(state: &State) -> Map<String, Value> {
    let resources = state.world.ha.iter().filter(|(_, resource)| !is_queued(resource));
    let entry = |(sid, resource): (&String, &HaResource)| {
        let guest = state.world.guests.get(&guest_of(sid)?)?;
        let shown = service_state(state, resource, sid)?;
        let running = u8::from(guest.is_running());
        Some((sid.clone(), json!({ "node": guest.node, "state": shown, "running": running })))
    };
    resources.filter_map(entry).collect()
}

fn local_manager(state: &State, name: &str, node: &Node) -> (String, Value) {
    let active = mode_of(state, name, node).starts_with("active");
    let word = if active { "active" } else { "wait_for_agent_lock" };
    let mode = if node.maintenance { "maintenance" } else { "active" };
    (
        name.to_owned(),
        json!({ "mode": mode, "state": word, "timestamp": state.clock.seconds(), "results": {} }),
    )
}
