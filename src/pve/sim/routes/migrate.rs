//! Moving guests to another node.
use serde_json::{Map, Value, json};

use super::{Route, data};
use crate::pve::sim::disks;
use crate::pve::sim::engine::{Call, NewTask, Run, State};
use crate::pve::sim::http::{Answer, Refusal, refuse};
use crate::pve::sim::world::{Guest, GuestType, Storage};

pub(super) const ROUTES: &[Route] = &[
    ("GET", "/nodes/{node}/qemu/{vmid}/migrate", precheck),
    ("POST", "/nodes/{node}/qemu/{vmid}/migrate", migrate),
    ("POST", "/nodes/{node}/lxc/{vmid}/migrate", migrate),
];

#[derive(Debug)]
struct Journey {
    from: String,
    to: String,
    address: String,
    kind: GuestType,
    vmid: u32,
    with_local_disks: bool,
    restarts: bool,
}

fn local_disks(state: &State, guest: &Guest) -> Vec<(String, String)> {
    let is_local = |volid: &str| {
        let storage = volid.split_once(':').and_then(|(name, _)| state.world.storages.get(name));
        !storage.is_some_and(Storage::is_shared)
    };
    disks::referenced_volumes(&guest.config).into_iter().filter(|(_, volid)| is_local(volid)).collect()
}

/// Storages of the guest's disks that a node does not have.
fn missing_storages(state: &State, guest: &Guest, node: &str) -> Vec<String> {
    let volumes = disks::referenced_volumes(&guest.config);
    let names =
        volumes.iter().filter_map(|(_, volid)| volid.split_once(':').map(|(name, _)| name.to_owned()));
    let mut missing: Vec<String> =
        names.filter(|name| disks::available(state, node, name).is_err()).collect();
    missing.dedup();
    missing
}

fn precheck(call: &mut Call<'_>) -> Answer {
    let guest = call.guest()?;
    let state = &*call.state;
    let disk = |(key, volid): (String, String)| {
        let size = disks::find(state, call.node(), &volid).map_or(0, |volume| volume.size);
        json!({
            "drivename": key, "volid": volid, "size": size, "cdrom": 0, "is_attached": 1, "is_cloudinit": 0,
            "is_tpmstate": 0, "is_unused": u8::from(disks::is_unused_key(&key)), "is_vmstate": 0, "replicate": 1, "shared": 0,
        })
    };
    let local: Vec<Value> = local_disks(state, guest).into_iter().map(disk).collect();
    let others = state.world.nodes.iter().filter(|(name, node)| node.online && name.as_str() != call.node());
    let (mut allowed, mut refused) = (Vec::new(), Map::new());
    for (name, _) in others {
        let missing = missing_storages(state, guest, name);
        let asked = call.parameters.text("target") == Some(name.as_str());
        if missing.is_empty() {
            allowed.push(name.clone());
        }
        if asked || !missing.is_empty() {
            let reason =
                if missing.is_empty() { json!({}) } else { json!({ "unavailable_storages": missing }) };
            refused.insert(name.clone(), reason);
        }
    }
    data(json!({
        "running": u8::from(guest.is_running()), "allowed_nodes": allowed, "not_allowed_nodes": refused,
        "local_disks": local, "local_resources": [], "mapped-resources": [], "mapped-resource-info": {},
        "has-dbus-vmstate": 1,
    }))
}

fn migrate(call: &mut Call<'_>) -> Answer {
    let (node, kind, vmid) = (call.node().to_owned(), call.guest_type(), call.vmid());
    let target = call.text("target").to_owned();
    if target == node {
        return Err(Refusal::parameter("target", "target is local node."));
    }
    let Some(address) = call.state.world.nodes.get(&target).map(|node| node.ip.clone()) else {
        return refuse(format!("no such cluster node '{target}'"));
    };
    call.state.demand_quorum()?;
    let guest = call.guest()?;
    call.demand_free_guest()?;
    guest.demand_unlocked().map_err(Refusal::Failed)?;
    let online = call.parameters.flag("online") || call.parameters.flag("restart");
    if guest.is_running() && !online {
        return refuse(match kind {
            GuestType::Qemu => "can't migrate running VM without --online",
            GuestType::Lxc => "can't migrate running container without --online or --restart",
        });
    }
    demand_storages(call, guest, &target)?;
    let journey = Journey {
        from: node.clone(),
        to: target,
        address,
        kind,
        vmid,
        with_local_disks: call.parameters.flag("with-local-disks")
            || !guest.is_running()
            || kind == GuestType::Lxc,
        restarts: call.parameters.flag("restart"),
    };
    if call.state.is_ha_managed(kind, vmid) {
        return hand_to_manager(call, journey);
    }
    let new = call.guest_task(task_type(kind), move |run| travel(run, journey));
    let new = new.marking(move |state| state.mark(&node, kind, vmid, "migrate"));
    call.fork(new)
}

fn demand_storages(call: &Call<'_>, guest: &Guest, target: &str) -> Result<(), Refusal> {
    let mapped = call.parameters.text("targetstorage").or(call.parameters.text("target-storage"));
    match mapped {
        Some("1") | None => match missing_storages(call.state, guest, target).first() {
            Some(missing) => refuse(format!("storage '{missing}' is not available on node '{target}'")),
            None => Ok(()),
        },
        Some(storage) => {
            let storage = storage.split(':').next_back().unwrap_or(storage);
            disks::available(call.state, target, storage).map(|_| ()).map_err(Refusal::Failed)
        }
    }
}

/// The manager moves the guest by a task of its own, some time after the request is done.
fn hand_to_manager(call: &mut Call<'_>, journey: Journey) -> Answer {
    let Journey { kind, vmid, .. } = journey;
    let line = format!("Requesting HA migration for {} {vmid} to node {}", kind.short(), journey.to);
    let new = NewTask::other(call.node(), "hamigrate", vmid.to_string(), &call.caller.id(), move |run| {
        run.say(line);
        super::ha::set_manager_state(run.state, kind, vmid, Some("migrate"));
        let (node, task) = (journey.from.clone(), task_type(kind));
        let moving = NewTask::guest(&journey.from.clone(), task, vmid, "root@pam", move |run| {
            super::ha::set_manager_state(run.state, kind, vmid, None);
            travel(run, journey)
        });
        run.state.fork(moving.marking(move |state| state.mark(&node, kind, vmid, "migrate")));
        Ok(())
    });
    call.fork(new)
}

fn task_type(kind: GuestType) -> &'static str {
    match kind {
        GuestType::Qemu => "qmigrate",
        GuestType::Lxc => "vzmigrate",
    }
}

fn travel(run: &mut Run<'_>, journey: Journey) -> Result<(), String> {
    let Journey { from, to, address, kind, vmid, with_local_disks, restarts } = journey;
    let stamp = |run: &Run<'_>| run.state.clock.now().strftime("%F %T").to_string();
    let now = stamp(run);
    let short = kind.short();
    run.say(format!("{now} starting migration of {short} {vmid} to node '{to}' ({address})"));
    if !run.state.world.nodes.get(&to).is_some_and(|node| node.online) {
        run.say(format!("{now} ERROR: migration aborted (duration 00:00:00): Can't connect to destination address using public key"));
        return Err("migration aborted".to_owned());
    }
    let local = local_disks(run.state, run.state.guest(&from, kind, vmid)?);
    for (_, volid) in &local {
        run.say(format!("{now} found local disk '{volid}' (attached)"));
        if !with_local_disks {
            run.say(format!("{now} can't migrate local disk '{volid}': can't live migrate attached local disks without with-local-disks option"));
            run.say(format!(
                "{now} ERROR: Problem found while scanning volumes - can't migrate VM - check log"
            ));
            run.say(format!("{now} aborting phase 1 - cleanup resources"));
            run.say(format!("{now} ERROR: migration aborted (duration 00:00:00): Problem found while scanning volumes - can't migrate VM - check log"));
            return Err("migration aborted".to_owned());
        }
    }
    for volume in run.state.world.storages.values_mut().flat_map(|storage| &mut storage.volumes) {
        if local.iter().any(|(_, volid)| *volid == volume.volid)
            && volume.node.as_deref() == Some(from.as_str())
        {
            volume.node = Some(to.clone());
        }
    }
    let seconds = run.state.clock.seconds();
    let guest = run.state.guest_mut(&from, kind, vmid)?;
    guest.node = to;
    if restarts && guest.is_running() {
        guest.started = seconds;
    }
    run.say(format!("{now} migration finished successfully (duration 00:00:01)"));
    Ok(())
}
