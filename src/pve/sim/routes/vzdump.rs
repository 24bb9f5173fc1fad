//! Backups.
use serde_json::json;

use super::{Route, data};
use crate::pve::sim::disks;
use crate::pve::sim::engine::{Call, NewTask, Run, State};
use crate::pve::sim::http::{Answer, Refusal};
use crate::pve::sim::world::{GuestType, Volume};

pub(super) const ROUTES: &[Route] =
    &[("POST", "/nodes/{node}/vzdump", back_up), ("GET", "/nodes/{node}/vzdump/defaults", defaults)];

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
    let wanted: Vec<u32> = match (everything, of_pool) {
        (true, _) => world.guests.keys().copied().filter(here).collect(),
        (false, Some(members)) => members.iter().copied().filter(here).collect(),
        (false, None) => named.into_iter().filter(|vmid| !elsewhere(vmid)).collect(),
    };
    for vmid in &wanted {
        call.demand(&format!("/vms/{vmid}"), "VM.Backup")?;
    }
    if wanted.is_empty() {
        return data("OK");
    }
    let storage = call.parameters.text("storage").unwrap_or("local").to_owned();
    let id = if let [single] = wanted.as_slice() { single.to_string() } else { String::new() };
    let options = as_options(call);
    let (notes, protected) =
        (call.parameters.text("notes-template").map(str::to_owned), call.parameters.flag("protected"));
    let (to_mark, marked_node) = (wanted.clone(), node.clone());
    let new = NewTask::other(&node.clone(), "vzdump", id, &call.caller.id(), move |run| {
        work(run, &node, &wanted, &storage, &options, &(notes, protected))
    });
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

fn work(
    run: &mut Run<'_>,
    node: &str,
    vmids: &[u32],
    storage: &str,
    options: &str,
    marks: &(Option<String>, bool),
) -> Result<(), String> {
    if let Err(problem) = disks::available(run.state, node, storage) {
        return Err(format!(
            "could not activate storage '{storage}': {problem} could not get storage information for '{storage}': {problem}"
        ));
    }
    run.say(format!("INFO: starting new backup job: vzdump {options}"));
    let mut failed = false;
    for vmid in vmids {
        let now = run.state.clock.now().strftime("%F %T").to_string();
        match dump(run, node, *vmid, storage, marks) {
            Ok(()) => run.say(format!("INFO: Finished Backup of VM {vmid} (00:00:01)")),
            Err(problem) => {
                failed = true;
                run.say(format!("ERROR: Backup of VM {vmid} failed - {problem}"));
                run.say(format!("INFO: Failed at {now}"));
            }
        }
    }
    if failed {
        run.say("INFO: Backup job finished with errors");
        return Err("job errors".to_owned());
    }
    run.say("INFO: Backup job finished successfully");
    Ok(())
}

fn dump(
    run: &mut Run<'_>,
    node: &str,
    vmid: u32,
    storage: &str,
    marks: &(Option<String>, bool),
) -> Result<(), String> {
    let Some(guest) = run.state.world.guests.get(&vmid) else {
        return Err(format!("unable to find VM '{vmid}'"));
    };
    guest.demand_unlocked()?;
    let now = run.state.clock.now();
    let (word, suffix) = if guest.kind == GuestType::Qemu { ("qemu", "vma.zst") } else { ("lxc", "tar.zst") };
    let volid =
        format!("{storage}:backup/vzdump-{word}-{vmid}-{}.{suffix}", now.strftime("%Y_%m_%d-%H_%M_%S"));
    run.say(format!("INFO: Starting Backup of VM {vmid} ({word})"));
    let volume = Volume {
        volid,
        content: "backup".to_owned(),
        format: suffix.to_owned(),
        size: 1 << 20,
        node: None,
        used: None,
        ctime: now.as_second(),
        vmid: Some(vmid),
        parent: None,
        notes: marks.0.clone(),
        protected: marks.1,
    };
    let home =
        run.state.world.storages.get(storage).filter(|storage| !storage.is_shared()).map(|_| node.to_owned());
    if let Some(storage) = run.state.world.storages.get_mut(storage) {
        storage.volumes.push(Volume { node: home, ..volume });
    }
    Ok(())
}
