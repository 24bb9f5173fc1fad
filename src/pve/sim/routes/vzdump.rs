//! Backups.
use serde_json::json;

use super::archive::Job;
use super::volume_access::demand_access_to;
use super::{Route, data};
use crate::pve::sim::disks;
use crate::pve::sim::engine::{Call, NewTask, State};
use crate::pve::sim::http::{Answer, Refusal, refuse};
use crate::pve::sim::world::GuestType;

pub(super) const ROUTES: &[Route] = &[
    ("POST", "/nodes/{node}/vzdump", back_up),
    ("GET", "/nodes/{node}/vzdump/defaults", defaults),
    ("GET", "/nodes/{node}/vzdump/extractconfig", extract_config),
];

fn defaults(_: &mut Call<'_>) -> Answer {
    data(json!({
        "all": 0, "bwlimit": 0, "compress": "0", "dumpdir": "/var/lib/vz/dump", "fleecing": { "enabled": 0 },
        "ionice": 7, "lockwait": 180, "mailnotification": "always", "mode": "snapshot", "notification-mode": "auto",
        "performance": { "max-workers": 16, "pbs-entries-max": 1_048_576 }, "pigz": 0, "prune-backups": "keep-all=1",
        "quiet": 0, "remove": 1, "stdexcludes": 1, "stop": 0, "stopwait": 10, "storage": "local", "zstd": 1,
    }))
}

/// Guests that live on another node are skipped; if none is left, the answer is a plain "OK".
fn back_up(call: &mut Call<'_>) -> Answer {
    let node = call.node().to_owned();
    let everything = call.parameters.flag("all");
    let named: Vec<u32> = call.parameters.list("vmid").iter().filter_map(|vmid| vmid.parse().ok()).collect();
    let pool = call.parameters.text("pool").map(str::to_owned);
    if named.is_empty() && !everything && pool.is_none() {
        return Err(Refusal::parameter("vmid", "property is missing"));
    }
    let world = &call.state.world;
    let of_pool = pool.and_then(|pool| world.pools.get(&pool)).map(|pool| &pool.vms);
    let here = |vmid: &u32| world.guests.get(vmid).is_some_and(|guest| guest.node == node);
    let elsewhere = |vmid: &u32| world.guests.get(vmid).is_some_and(|guest| guest.node != node);
    let excluded = call.parameters.list("exclude");
    let wanted: Vec<u32> = match (everything, of_pool) {
        (true, _) => {
            let kept = |vmid: &u32| here(vmid) && !excluded.contains(&vmid.to_string());
            world.guests.keys().copied().filter(kept).collect()
        }
        (false, Some(members)) => members.iter().copied().filter(here).collect(),
        (false, None) => named.into_iter().filter(|vmid| !elsewhere(vmid)).collect(),
    };
    for vmid in &wanted {
        call.demand(&format!("/vms/{vmid}"), "VM.Backup")?;
    }
    if wanted.is_empty() {
        return data("OK");
    }
    let job = Job::of(call, wanted.clone());
    call.demand(&format!("/storage/{}", job.storage), "Datastore.AllocateSpace")?;
    let id = if let [single] = wanted.as_slice() { single.to_string() } else { String::new() };
    let options = as_options(call);
    let (to_mark, marked_node) = (wanted, node.clone());
    let new = NewTask::other(&node, "vzdump", id, &call.caller.id(), move |run| job.work(run, &options));
    let new = new.marking(move |state| Ok(mark_all(state, &marked_node, &to_mark)));
    call.fork(new)
}

/// Guests that something else has marked are left alone; their backup will fail.
fn mark_all(state: &mut State, node: &str, vmids: &[u32]) -> Vec<u32> {
    let kinds: Vec<(u32, GuestType)> =
        vmids.iter().filter_map(|vmid| Some((*vmid, state.world.guests.get(vmid)?.kind))).collect();
    kinds
        .into_iter()
        .filter_map(|(vmid, kind)| state.mark(node, kind, vmid, "backup").ok())
        .flatten()
        .collect()
}

fn as_options(call: &Call<'_>) -> String {
    let node = format!("--node {}", call.node());
    let vmids = call.parameters.list("vmid").join(" ");
    let others = call.parameters.texts().filter(|(name, _)| !matches!(*name, "node" | "vmid"));
    let options = others.map(|(name, value)| format!("--{name} {value}"));
    std::iter::once(vmids)
        .chain([node])
        .chain(options)
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

/// The configuration that a backup holds, as the text of its file.
fn extract_config(call: &mut Call<'_>) -> Answer {
    let volid = call.text("volume");
    demand_access_to(call, None, volid, "backup")?;
    if let Some(owner) = disks::owner_of(volid) {
        call.demand(&format!("/vms/{owner}"), "VM.Backup")?;
    }
    let Some(backup) = disks::find(call.state, call.node(), volid) else {
        return refuse(format!("volume '{volid}' does not exist"));
    };
    let line = |(key, value): (&String, &serde_json::Value)| {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        format!("{key}: {text}\n")
    };
    data(backup.config.iter().map(line).collect::<String>())
}
