//! Backup jobs: what is backed up when, and which guests and disks no job takes care of.
use serde_json::{Value, json};

use super::definitions::{change, row, settings, stored, text};
use super::{Route, data, nothing};
use crate::pve::sim::contract::PropertyString;
use crate::pve::sim::disks;
use crate::pve::sim::engine::{Call, State};
use crate::pve::sim::http::{Answer, Refusal, refuse};
use crate::pve::sim::world::{Config, Guest, GuestType};

pub(super) const ROUTES: &[Route] = &[
    ("GET", "/cluster/backup", list),
    ("POST", "/cluster/backup", create),
    ("GET", "/cluster/backup/{id}", read),
    ("PUT", "/cluster/backup/{id}", update),
    ("DELETE", "/cluster/backup/{id}", delete),
    ("GET", "/cluster/backup/{id}/included_volumes", included_volumes),
    ("GET", "/cluster/backup-info/not-backed-up", not_backed_up),
];

const JOBS: &str = "backupJobs";

fn shown(id: &str, job: &Config) -> Value {
    let mut row = row(job, "id", id);
    row["type"] = "vzdump".into();
    row
}

fn list(call: &mut Call<'_>) -> Answer {
    let rows: Vec<Value> = call.state.world.defined(JOBS).map(|(id, job)| shown(id, job)).collect();
    data(rows)
}

fn missing(id: &str) -> Refusal {
    Refusal::parameter("id", format!("No such job '{id}'"))
}

fn known<'a>(call: &'a Call<'_>) -> Result<&'a Config, Refusal> {
    let id = call.text("id");
    call.state.world.definition(JOBS, id).ok_or_else(|| missing(id))
}

fn read(call: &mut Call<'_>) -> Answer {
    data(shown(call.text("id"), known(call)?))
}

/// A job without an id gets one.
fn create(call: &mut Call<'_>) -> Answer {
    let made_up = || format!("backup-{}", &uuid::Uuid::new_v4().to_string()[..13]);
    let id = call.parameters.text("id").map_or_else(made_up, str::to_owned);
    call.state.demand_file_lock("jobs_cfg", "")?;
    if call.state.world.definition(JOBS, &id).is_some() {
        return refuse(format!("Job '{id}' already exists"));
    }
    let mut job = settings(call, "id");
    job.entry("enabled".to_owned()).or_insert_with(|| 1.into());
    let next = call.state.clock.seconds() / 86_400 * 86_400 + 86_400;
    job.insert("next-run".to_owned(), next.into());
    stored(call.state, JOBS).insert(id, job);
    nothing()
}

fn update(call: &mut Call<'_>) -> Answer {
    call.state.demand_file_lock("jobs_cfg", "")?;
    if change(call, JOBS, "id") { nothing() } else { Err(missing(call.text("id"))) }
}

fn delete(call: &mut Call<'_>) -> Answer {
    call.state.demand_file_lock("jobs_cfg", "")?;
    let id = call.text("id").to_owned();
    match stored(call.state, JOBS).remove(&id) {
        Some(_) => nothing(),
        None => Err(missing(&id)),
    }
}

fn names(job: &Config, key: &str, vmid: u32) -> bool {
    let list = job.get(key).map(|list| list.as_str().map_or_else(|| list.to_string(), str::to_owned));
    list.is_some_and(|list| list.split(',').any(|named| named.trim() == vmid.to_string()))
}

/// Whether a job takes care of a guest, wherever that is.
fn includes(state: &State, job: &Config, vmid: u32) -> bool {
    if let Some(pool) = text(job, "pool") {
        return state.world.pools.get(pool).is_some_and(|pool| pool.vms.contains(&vmid));
    }
    let all = job.get("all").is_some_and(|all| *all == 1);
    names(job, "vmid", vmid) || (all && !names(job, "exclude", vmid))
}

fn not_backed_up(call: &mut Call<'_>) -> Answer {
    let state = &*call.state;
    let covered = |vmid: u32| state.world.defined(JOBS).any(|(_, job)| includes(state, job, vmid));
    let guests = state.world.guests.iter().filter(|(vmid, _)| !covered(**vmid));
    let visible = guests.filter(|(vmid, _)| call.has(&format!("/vms/{vmid}"), "VM.Audit"));
    let rows: Vec<Value> = visible
        .map(|(vmid, guest)| json!({ "vmid": vmid, "name": guest.name(*vmid), "type": guest.kind.name() }))
        .collect();
    data(rows)
}

/// A job still names guests that are gone; nothing is known of those.
fn included_volumes(call: &mut Call<'_>) -> Answer {
    let (state, job) = (&*call.state, known(call)?);
    let present = state.world.guests.keys().copied().filter(|vmid| includes(state, job, *vmid));
    let named = text(job, "vmid").unwrap_or_default().split(',').filter_map(|vmid| vmid.trim().parse().ok());
    let gone = named.filter(|vmid| !state.world.guests.contains_key(vmid));
    let visible = present.chain(gone).filter(|vmid| call.has(&format!("/vms/{vmid}"), "VM.Audit"));
    let guest_row = |vmid: u32| match state.world.guests.get(&vmid) {
        Some(guest) => json!({
            "id": vmid, "name": guest.name(vmid), "type": guest.kind.name(), "children": volumes(guest),
        }),
        None => json!({ "id": vmid, "type": "unknown" }),
    };
    let children: Vec<Value> = visible.map(guest_row).collect();
    data(json!({ "children": children }))
}

fn volumes(guest: &Guest) -> Vec<Value> {
    let disks = disks::drives(&guest.config).filter(|(_, drive)| !disks::is_cdrom(drive));
    let row = |(key, drive): (&str, PropertyString)| {
        let (included, reason) = fate(guest.kind, key, &drive);
        json!({ "id": key, "name": drive.bare, "included": u8::from(included), "reason": reason })
    };
    disks.map(row).collect()
}

/// VMs' disks are backed up unless they say otherwise, containers' mount points only if they say so.
fn fate(kind: GuestType, key: &str, drive: &PropertyString) -> (bool, &'static str) {
    match (kind, drive.get("backup")) {
        (GuestType::Lxc, _) if key == "rootfs" => (true, "rootfs"),
        (GuestType::Lxc, _) if drive.bare.starts_with('/') => (false, "not a volume"),
        (GuestType::Qemu, None) | (_, Some("1")) => (true, "enabled"),
        _ => (false, "disabled"),
    }
}
