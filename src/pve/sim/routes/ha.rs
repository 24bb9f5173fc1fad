//! High availability: resources, their state, and requests to the manager.
use serde_json::{Map, Value, json};

use super::{Route, data, nothing};
use crate::pve::sim::contract::Release;
use crate::pve::sim::engine::{Call, NewTask, State};
use crate::pve::sim::http::{Answer, Refusal, refuse};
use crate::pve::sim::world::{GuestType, HaResource, Power, sha1_hex};

pub(super) const ROUTES: &[Route] = &[
    ("GET", "/cluster/ha/resources", list),
    ("POST", "/cluster/ha/resources", create),
    ("GET", "/cluster/ha/resources/{sid}", read),
    ("PUT", "/cluster/ha/resources/{sid}", update),
    ("DELETE", "/cluster/ha/resources/{sid}", delete),
    ("POST", "/cluster/ha/resources/{sid}/migrate", ask_to_move),
    ("POST", "/cluster/ha/resources/{sid}/relocate", ask_to_move),
    ("GET", "/cluster/ha/status/current", status),
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

fn create(call: &mut Call<'_>) -> Answer {
    let sid = full_sid(call);
    let kind = sid.split(':').next().unwrap_or_default();
    let guest = guest_of(&sid).and_then(|vmid| call.state.world.guests.get(&vmid));
    if guest.is_none_or(|guest| guest.kind.ha_prefix() != kind) {
        return refuse(format!("resource '{sid}' does not exist in cluster"));
    }
    call.state.demand_quorum()?;
    if call.state.world.ha.contains_key(&sid) {
        return refuse(format!("create resource failed: resource ID '{sid}' already defined"));
    }
    let mut config: crate::pve::sim::world::Config = settings(call).collect();
    config.entry("state".to_owned()).or_insert_with(|| "started".into());
    let state = config["state"].as_str().unwrap_or_default().to_owned();
    call.state.world.ha.insert(sid.clone(), HaResource { config, crm_state: Some(QUEUED.to_owned()) });
    follow(call.state, &sid, &state);
    nothing()
}

fn update(call: &mut Call<'_>) -> Answer {
    super::ha_groups::demand_known_group(call)?;
    let sid = full_sid(call);
    let changes: Vec<_> = settings(call).collect();
    let removed = call.parameters.list("delete");
    let Some(resource) = call.state.world.ha.get_mut(&sid) else {
        return refuse(format!("no such resource '{sid}'"));
    };
    resource.config.retain(|key, _| !removed.contains(key));
    resource.config.extend(changes);
    let state = resource.config.get("state").and_then(Value::as_str).map(str::to_owned);
    follow(call.state, &sid, state.as_deref().unwrap_or("started"));
    nothing()
}

fn delete(call: &mut Call<'_>) -> Answer {
    let sid = full_sid(call);
    match call.state.world.ha.remove(&sid) {
        Some(_) => nothing(),
        None => refuse(format!("cannot delete service '{sid}', not HA managed!")),
    }
}

/// The request is only passed on: nodes that do not exist are accepted too.
fn ask_to_move(call: &mut Call<'_>) -> Answer {
    let sid = full_sid(call);
    if !call.state.world.ha.contains_key(&sid) {
        return Err(Refusal::parameter("sid", format!("'{sid}' is not HA managed")));
    }
    let node = call.text("node").to_owned();
    if call.state.world.nodes.get(&node).is_some_and(|node| node.online)
        && let Some(guest) = guest_of(&sid).and_then(|vmid| call.state.world.guests.get_mut(&vmid))
    {
        guest.node.clone_from(&node);
    }
    data(json!({ "sid": sid, "requested-node": node }))
}

/// What `hastart` and `hastop` tasks write down for the manager.
pub(super) fn request_state(state: &mut State, kind: GuestType, vmid: u32, wanted: &str) {
    let sid = format!("{}:{vmid}", kind.ha_prefix());
    if let Some(resource) = state.world.ha.get_mut(&sid) {
        resource.config.insert("state".to_owned(), wanted.into());
    }
    follow(state, &sid, wanted);
}

/// The manager brings the guest into the requested state by tasks of its own.
fn follow(state: &mut State, sid: &str, wanted: &str) {
    let Some((vmid, guest)) = guest_of(sid).and_then(|vmid| Some((vmid, state.world.guests.get(&vmid)?)))
    else {
        return;
    };
    let (node, kind) = (guest.node.clone(), guest.kind);
    let (task, power) = match (wanted, kind) {
        ("started" | "enabled", GuestType::Qemu) => ("qmstart", Power::Running),
        ("started" | "enabled", GuestType::Lxc) => ("vzstart", Power::Running),
        ("stopped" | "disabled", GuestType::Qemu) => ("qmshutdown", Power::Stopped),
        ("stopped" | "disabled", GuestType::Lxc) => ("vzshutdown", Power::Stopped),
        _ => return,
    };
    let home = node.clone();
    let new = NewTask::guest(&node, task, vmid, "root@pam", move |run| {
        run.say("task started by HA resource agent");
        set_manager_state(run.state, kind, vmid, None);
        if !is_still_wanted(run.state, kind, vmid, power) {
            return Ok(());
        }
        let now = run.state.clock.seconds();
        let guest = run.state.guest_mut(&home, kind, vmid)?;
        if guest.is_running() != (power == Power::Running) {
            guest.set_power(power, now);
        }
        Ok(())
    });
    state.fork(new);
}

/// By the time the manager gets to it, something else may have been requested.
fn is_still_wanted(state: &State, kind: GuestType, vmid: u32, power: Power) -> bool {
    let resource = state.world.ha.get(&format!("{}:{vmid}", kind.ha_prefix()));
    let runs = |state: &Value| matches!(state.as_str(), Some("started" | "enabled"));
    let requested = resource.map(|resource| resource.config.get("state").is_none_or(runs));
    requested == Some(power == Power::Running)
}

/// What the manager reports while it is busy with a guest; nothing when the guest is as requested.
pub(super) fn set_manager_state(state: &mut State, kind: GuestType, vmid: u32, busy: Option<&str>) {
    if let Some(resource) = state.world.ha.get_mut(&format!("{}:{vmid}", kind.ha_prefix())) {
        resource.crm_state = busy.map(str::to_owned);
    }
}

/// The state that lists show: of a guest that is still queued, the one that was requested.
pub(super) fn manager_state(state: &State, kind: GuestType, vmid: u32) -> Option<String> {
    let resource = state.world.ha.get(&format!("{}:{vmid}", kind.ha_prefix()))?;
    let requested = resource.config.get("state").and_then(Value::as_str).unwrap_or("started");
    let busy = resource.crm_state.clone().filter(|state| state != QUEUED);
    Some(busy.unwrap_or_else(|| requested.to_owned()))
}

/// The manager has not taken notice of the resource yet.
const QUEUED: &str = "queued";

fn is_queued(resource: &HaResource) -> bool {
    resource.crm_state.as_deref() == Some(QUEUED)
}

pub(super) fn state_of_guest(state: &State, kind: GuestType, vmid: u32) -> Value {
    let resource = state.world.ha.get(&format!("{}:{vmid}", kind.ha_prefix()));
    match resource {
        None => json!({ "managed": 0 }),
        Some(resource) if is_queued(resource) => json!({ "managed": 1, "state": null }),
        Some(_) => json!({ "managed": 1, "state": manager_state(state, kind, vmid) }),
    }
}

fn status(call: &mut Call<'_>) -> Answer {
    let state = &*call.state;
    let now = state.clock.now();
    let stamp = now.strftime("%a %b %e %H:%M:%S %Y").to_string();
    let master = state.local_node();
    let quorate = u8::from(state.world.cluster.quorate);
    let mut rows = vec![
        json!({ "id": "quorum", "type": "quorum", "node": master, "quorate": quorate, "status": if quorate == 1 { "OK" } else { "No quorum!" } }),
    ];
    if !state.world.ha.is_empty() {
        rows.push(json!({ "id": "master", "type": "master", "node": master, "status": format!("{master} (active, {stamp})"), "timestamp": now.as_second() }));
    }
    let is_9 = call.operation.release == Release::V9_2;
    let (armed, word) = if state.world.ha.is_empty() {
        ("standby", "standby (CRM watchdog standby)")
    } else {
        ("armed", "armed (CRM watchdog active)")
    };
    if is_9 {
        rows.push(
            json!({ "id": "fencing", "type": "fencing", "node": master, "armed-state": armed, "status": word }),
        );
    }
    if !state.world.ha.is_empty() {
        let lrm = |name: &String| json!({ "id": format!("lrm:{name}"), "type": "lrm", "node": name, "status": format!("{name} (active, watchdog active, {stamp})"), "timestamp": now.as_second() });
        rows.extend(state.world.nodes.keys().map(lrm));
    }
    rows.extend(state.world.ha.iter().filter_map(|(sid, resource)| service_row(state, sid, resource)));
    data(rows)
}

fn service_row(state: &State, sid: &str, resource: &HaResource) -> Option<Value> {
    let vmid = guest_of(sid)?;
    let guest = state.world.guests.get(&vmid)?;
    let queued = is_queued(resource);
    let current = if queued { QUEUED.to_owned() } else { manager_state(state, guest.kind, vmid)? };
    let setting = |key: &str, usual: Value| resource.config.get(key).cloned().unwrap_or(usual);
    let mut row = json!({
        "id": format!("service:{sid}"),
        "type": "service",
        "sid": sid,
        "node": guest.node,
        "state": current,
        "request_state": setting("state", "started".into()),
        "max_restart": setting("max_restart", 1.into()),
        "max_relocate": setting("max_relocate", 1.into()),
        "status": format!("{sid} ({}, {current})", guest.node),
    });
    if state.contract.release == Release::V9_2 {
        row["failback"] = setting("failback", 1.into());
    }
    if !queued {
        row["crm_state"] = row["state"].clone();
    }
    for key in ["comment", "group"] {
        if let Some(value) = resource.config.get(key) {
            row[key] = value.clone();
        }
    }
    Some(row)
}
