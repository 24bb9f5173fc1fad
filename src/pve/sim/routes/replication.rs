//! Replication of guests' volumes to other nodes: the jobs, and how they are getting on.
use serde_json::{Map, Value};

use super::definitions::{change, demand_digest, digest, settings, stored, text};
use super::{Route, data, nothing};
use crate::pve::sim::engine::{Call, State};
use crate::pve::sim::faults::seconds_of;
use crate::pve::sim::http::{Answer, Refusal, refuse};
use crate::pve::sim::world::{Config, Guest};

pub(super) const ROUTES: &[Route] = &[
    ("GET", "/cluster/replication", list),
    ("POST", "/cluster/replication", create),
    ("GET", "/cluster/replication/{id}", read),
    ("PUT", "/cluster/replication/{id}", update),
    ("DELETE", "/cluster/replication/{id}", delete),
    ("GET", "/nodes/{node}/replication", list_states),
    ("GET", "/nodes/{node}/replication/{id}/status", read_state),
    ("POST", "/nodes/{node}/replication/{id}/schedule_now", run_now),
];

const JOBS: &str = "replicationJobs";
/// What a job is like at the moment, which is no part of its definition.
const STATE: [&str; 6] = ["last_sync", "last_try", "next_sync", "fail_count", "duration", "error"];

/// A job is named after its guest, with a number behind the dash.
fn guest_of(id: &str) -> u32 {
    id.split('-').next().and_then(|vmid| vmid.parse().ok()).unwrap_or_default()
}

fn guest_behind<'a>(state: &'a State, id: &str) -> Option<&'a Guest> {
    state.world.guests.get(&guest_of(id))
}

fn demand(call: &Call<'_>, id: &str, privilege: &str) -> Result<(), Refusal> {
    call.demand(&format!("/vms/{}", guest_of(id)), privilege)
}

fn known<'a>(call: &'a Call<'_>, id: &str) -> Result<&'a Config, Refusal> {
    let found = call.state.world.definition(JOBS, id);
    found.ok_or_else(|| Refusal::Failed(format!("no such replication job '{id}'")))
}

fn shown(state: &State, id: &str, job: &Config) -> Map<String, Value> {
    let mut row: Map<String, Value> = job
        .iter()
        .filter(|(key, _)| !STATE.contains(&key.as_str()))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    row.insert("id".to_owned(), id.into());
    row.insert("type".to_owned(), "local".into());
    row.insert("guest".to_owned(), guest_of(id).into());
    let number = id.rsplit('-').next().and_then(|number| number.parse::<u32>().ok());
    row.insert("jobnum".to_owned(), number.into());
    if let Some(guest) = guest_behind(state, id) {
        row.entry("source").or_insert_with(|| guest.node.as_str().into());
    }
    row
}

fn list(call: &mut Call<'_>) -> Answer {
    let visible = |id: &str| call.has(&format!("/vms/{}", guest_of(id)), "VM.Audit");
    let jobs = call.state.world.defined(JOBS).filter(|(id, _)| visible(id));
    let rows: Vec<Value> = jobs.map(|(id, job)| shown(call.state, id, job).into()).collect();
    data(rows)
}

fn read(call: &mut Call<'_>) -> Answer {
    let id = call.text("id");
    demand(call, id, "VM.Audit")?;
    let mut row = shown(call.state, id, known(call, id)?);
    row.insert("digest".to_owned(), digest(call.state, JOBS).into());
    data(row)
}

fn create(call: &mut Call<'_>) -> Answer {
    let id = call.text("id").to_owned();
    demand(call, &id, "VM.Replicate")?;
    call.state.demand_file_lock("replication_cfg", "")?;
    if call.state.world.definition(JOBS, &id).is_some() {
        return refuse(format!("replication job '{id}' already exists"));
    }
    let target = call.text("target");
    if !call.state.world.nodes.contains_key(target) {
        return refuse(format!("no such cluster node '{target}'"));
    }
    if guest_behind(call.state, &id).is_none() {
        return refuse(format!("no such guest '{}'", guest_of(&id)));
    }
    let mut job = settings(call, "id");
    job.remove("type");
    job.insert("last_sync".to_owned(), 0.into());
    stored(call.state, JOBS).insert(id.clone(), job);
    synchronise_later(call.state, id);
    nothing()
}

fn update(call: &mut Call<'_>) -> Answer {
    let id = call.text("id").to_owned();
    demand(call, &id, "VM.Replicate")?;
    known(call, &id)?;
    demand_digest(call, &digest(call.state, JOBS), "")?;
    call.state.demand_file_lock("replication_cfg", "")?;
    change(call, JOBS, "id");
    nothing()
}

/// The job is only marked; the node of its guest removes it, with what it has copied, when it gets to it.
fn delete(call: &mut Call<'_>) -> Answer {
    let id = call.text("id").to_owned();
    demand(call, &id, "VM.Replicate")?;
    known(call, &id)?;
    call.state.demand_file_lock("replication_cfg", "")?;
    if call.parameters.flag("force") {
        stored(call.state, JOBS).remove(&id);
        return nothing();
    }
    let how = if call.parameters.flag("keep") { "local" } else { "full" };
    if let Some(job) = stored(call.state, JOBS).get_mut(&id) {
        job.insert("remove_job".to_owned(), how.into());
    }
    remove_later(call.state, id);
    nothing()
}

fn remove_later(state: &mut State, id: String) {
    let delay = seconds_of(state.world.replication_seconds);
    state.happen_after(delay, move |state| {
        if can_run(state, &id) {
            stored(state, JOBS).remove(&id);
        } else {
            remove_later(state, id);
        }
    });
}

/// Jobs run on the node of their guest, if that is up. A guest that is gone keeps no job from being removed.
fn can_run(state: &State, id: &str) -> bool {
    let node = guest_behind(state, id).and_then(|guest| state.world.nodes.get(&guest.node));
    node.is_none_or(|node| node.online)
}

fn synchronise_later(state: &mut State, id: String) {
    let delay = seconds_of(state.world.replication_seconds);
    state.happen_after(delay, move |state| synchronise(state, &id));
}

/// A target that is down makes the job fail; it goes on counting until it succeeds again.
fn synchronise(state: &mut State, id: &str) {
    if !can_run(state, id) {
        return;
    }
    let now = state.clock.seconds();
    let target = state.world.definition(JOBS, id).and_then(|job| text(job, "target")).map(str::to_owned);
    let reachable = target.and_then(|target| state.world.nodes.get(&target)).is_some_and(|node| node.online);
    let Some(job) = stored(state, JOBS).get_mut(id) else { return };
    job.insert("last_try".to_owned(), now.into());
    if reachable {
        job.remove("error");
        job.insert("fail_count".to_owned(), 0.into());
        job.insert("last_sync".to_owned(), now.into());
    } else {
        let failed = job.get("fail_count").and_then(Value::as_u64).unwrap_or_default();
        job.insert("fail_count".to_owned(), (failed + 1).into());
        job.insert("error".to_owned(), "command 'ssh' failed: exit code 255".into());
    }
}

fn state_row(state: &State, id: &str, job: &Config, guest: &Guest) -> Value {
    let mut row = shown(state, id, job);
    for key in ["last_sync", "last_try", "fail_count"] {
        row.insert(key.to_owned(), job.get(key).cloned().unwrap_or_else(|| 0.into()));
    }
    row.insert("duration".to_owned(), job.get("duration").cloned().unwrap_or_else(|| 1.into()));
    let next = state.clock.seconds() / 900 * 900 + 900;
    row.insert("next_sync".to_owned(), job.get("next_sync").cloned().unwrap_or_else(|| next.into()));
    row.insert("vmtype".to_owned(), guest.kind.name().into());
    if let Some(error) = job.get("error") {
        row.insert("error".to_owned(), error.clone());
    }
    Value::Object(row)
}

/// The jobs whose guests are on the node at present.
fn list_states(call: &mut Call<'_>) -> Answer {
    let wanted: Option<u32> = call.parameters.number("guest");
    let state = &*call.state;
    let jobs = state.world.defined(JOBS).filter_map(|(id, job)| {
        let guest = guest_behind(state, id).filter(|guest| guest.node == call.node())?;
        let asked_for = wanted.is_none_or(|wanted| wanted == guest_of(id));
        let visible = call.has(&format!("/vms/{}", guest_of(id)), "VM.Audit");
        (asked_for && visible).then(|| state_row(state, id, job, guest))
    });
    let rows: Vec<Value> = jobs.collect();
    data(rows)
}

fn known_here<'a>(call: &'a Call<'_>, id: &str) -> Result<(&'a Config, &'a Guest), Refusal> {
    let job = known(call, id)?;
    let guest = guest_behind(call.state, id).filter(|guest| guest.node == call.node());
    guest.map(|guest| (job, guest)).ok_or_else(|| Refusal::Failed(format!("no such replication job '{id}'")))
}

fn read_state(call: &mut Call<'_>) -> Answer {
    let id = call.text("id");
    demand(call, id, "VM.Audit")?;
    let (job, guest) = known_here(call, id)?;
    data(state_row(call.state, id, job, guest))
}

fn run_now(call: &mut Call<'_>) -> Answer {
    let id = call.text("id").to_owned();
    demand(call, &id, "VM.Replicate")?;
    known_here(call, &id)?;
    synchronise_later(call.state, id);
    nothing()
}
