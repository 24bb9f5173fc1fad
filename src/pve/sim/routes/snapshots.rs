//! Snapshots: list, make, remove, roll back.
use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Route, data, index_by, nothing, vm_state};
use crate::pve::sim::contract::PropertyString;
use crate::pve::sim::disks::{self, Feature};
use crate::pve::sim::engine::{Call, State};
use crate::pve::sim::http::{Answer, Refusal, refuse};
use crate::pve::sim::world::{Config, Guest, GuestType, Power, Snapshot};

pub(super) const ROUTES: &[Route] = &[
    ("GET", "/nodes/{node}/qemu/{vmid}/snapshot", list),
    ("GET", "/nodes/{node}/lxc/{vmid}/snapshot", list),
    ("POST", "/nodes/{node}/qemu/{vmid}/snapshot", create),
    ("POST", "/nodes/{node}/lxc/{vmid}/snapshot", create),
    ("GET", "/nodes/{node}/qemu/{vmid}/snapshot/{snapname}", |_| {
        data(index_by("cmd", &["rollback", "config"]))
    }),
    ("GET", "/nodes/{node}/lxc/{vmid}/snapshot/{snapname}", |_| {
        data(index_by("cmd", &["rollback", "config"]))
    }),
    ("DELETE", "/nodes/{node}/qemu/{vmid}/snapshot/{snapname}", delete),
    ("DELETE", "/nodes/{node}/lxc/{vmid}/snapshot/{snapname}", delete),
    ("POST", "/nodes/{node}/qemu/{vmid}/snapshot/{snapname}/rollback", roll_back),
    ("POST", "/nodes/{node}/lxc/{vmid}/snapshot/{snapname}/rollback", roll_back),
    ("GET", "/nodes/{node}/qemu/{vmid}/snapshot/{snapname}/config", read),
    ("GET", "/nodes/{node}/lxc/{vmid}/snapshot/{snapname}/config", read),
    ("PUT", "/nodes/{node}/qemu/{vmid}/snapshot/{snapname}/config", describe),
    ("PUT", "/nodes/{node}/lxc/{vmid}/snapshot/{snapname}/config", describe),
];

/// Keys that are no part of what a snapshot keeps.
const NOT_KEPT: [&str; 6] = ["lock", "template", "digest", "parent", "description", "vmstate"];

fn list(call: &mut Call<'_>) -> Answer {
    let guest = call.guest()?;
    let mut rows: Vec<Value> =
        guest.snapshots.iter().map(|(name, snapshot)| row(guest.kind, name, snapshot)).collect();
    let mut current = json!({
        "name": "current",
        "description": "You are here!",
        "digest": guest.digest(),
        "running": u8::from(guest.is_running()),
    });
    if let Some(parent) = &guest.parent {
        current["parent"] = parent.as_str().into();
    }
    rows.push(current);
    data(rows)
}

fn row(kind: GuestType, name: &str, snapshot: &Snapshot) -> Value {
    let description = snapshot.description.clone().unwrap_or_default();
    let mut row = json!({ "name": name, "snaptime": snapshot.snaptime, "description": description });
    if kind == GuestType::Qemu {
        row["vmstate"] = u8::from(snapshot.vmstate).into();
    }
    if let Some(parent) = &snapshot.parent {
        row["parent"] = parent.as_str().into();
    }
    row
}

fn missing(name: &str) -> String {
    format!("snapshot '{name}' does not exist")
}

fn create(call: &mut Call<'_>) -> Answer {
    let (node, kind, vmid) = (call.node().to_owned(), call.guest_type(), call.vmid());
    let name = call.text("snapname").to_owned();
    let reserved = if kind == GuestType::Qemu { ["current", "pending"] } else { ["current", "vzdump"] };
    if reserved.contains(&name.as_str()) {
        return refuse(format!("unable to use snapshot name '{name}' (reserved name)"));
    }
    if kind == GuestType::Qemu {
        call.guest()?;
    }
    let description = call.parameters.text("description").map(str::to_owned);
    let with_memory = call.parameters.flag("vmstate");
    let task = if kind == GuestType::Qemu { "qmsnapshot" } else { "vzsnapshot" };
    let (marked_node, marked_name) = (node.clone(), name.clone());
    let new = call.guest_task(task, move |run| {
        let vmstate = with_memory && run.state.guest(&node, kind, vmid)?.is_running();
        let saved =
            if vmstate { vm_state::save(run.state, &node, vmid, None, &name)? } else { Config::new() };
        let snaptime = run.state.clock.seconds();
        let guest = run.state.guest_mut(&node, kind, vmid)?;
        let lines = snapshot_lines(guest);
        let mut config = guest.config.clone();
        config.retain(|key, _| !NOT_KEPT.contains(&key.as_str()) && !disks::is_unused_key(key));
        config.extend(saved);
        let parent = guest.parent.replace(name.clone());
        let snapshot = Snapshot { description, snaptime, parent, vmstate, config, age_seconds: None };
        guest.snapshots.insert(name, snapshot);
        if kind == GuestType::Qemu {
            run.log.extend(lines);
        }
        Ok(())
    });
    let new = new.marking(move |state| {
        demand_snapshot_possible(state, state.guest(&marked_node, kind, vmid)?, &marked_name)?;
        state.mark(&marked_node, kind, vmid, "snapshot")
    });
    call.fork(new)
}

fn snapshot_lines(guest: &Guest) -> Vec<String> {
    let disks = disks::drives(&guest.config).filter(|(_, drive)| !disks::is_cdrom(drive));
    disks.map(|(key, drive)| format!("snapshotting '{key}' ({})", drive.bare)).collect()
}

fn demand_snapshot_possible(state: &State, guest: &Guest, name: &str) -> Result<(), String> {
    guest.demand_unlocked()?;
    if guest.is_template() {
        return Err("you can't take a snapshot if it's a template".to_owned());
    }
    if guest.snapshots.contains_key(name) {
        return Err(format!("snapshot name '{name}' already used"));
    }
    match disks::drive_without(state, &guest.config, Feature::Snapshot, false) {
        None => Ok(()),
        Some(_) => Err("snapshot feature is not available".to_owned()),
    }
}

fn delete(call: &mut Call<'_>) -> Answer {
    let (node, kind, vmid) = (call.node().to_owned(), call.guest_type(), call.vmid());
    let name = call.text("snapname").to_owned();
    let force = call.parameters.flag("force");
    let task = if kind == GuestType::Qemu { "qmdelsnapshot" } else { "vzdelsnapshot" };
    let (marked_node, marked_name) = (node.clone(), name.clone());
    let new = call.guest_task(task, move |run| {
        let guest = run.state.guest_mut(&node, kind, vmid)?;
        let snapshot = guest.snapshots.remove(&name).unwrap_or_default();
        let removed = snapshot.parent;
        // Whatever came after it now comes after what it came after.
        let parents = guest.snapshots.values_mut().map(|snapshot| &mut snapshot.parent);
        let parents = parents.chain([&mut guest.parent]);
        for parent in parents.filter(|parent| parent.as_deref() == Some(name.as_str())) {
            parent.clone_from(&removed);
        }
        // Disks that only this snapshot named are nobody's now, but they are still there.
        for (_, volid) in disks::referenced_volumes(&snapshot.config) {
            if disks::owner_of(&volid) == Some(vmid) {
                disks::keep_unused(guest, &volid);
            }
        }
        if let Some(memory) = snapshot.config.get("vmstate").and_then(Value::as_str) {
            disks::free(run.state, &node, memory);
        }
        Ok(())
    });
    let new = new.marking(move |state| {
        let guest = state.guest_mut(&marked_node, kind, vmid)?;
        if !guest.snapshots.contains_key(&marked_name) {
            return Err(missing(&marked_name));
        }
        if guest.is_template() {
            return Err("you can't delete a snapshot if vm is a template".to_owned());
        }
        // A removal that was interrupted may be taken up again by force.
        if force && guest.text("lock") == Some("snapshot-delete") {
            return Ok(vec![vmid]);
        }
        state.mark(&marked_node, kind, vmid, "snapshot-delete")
    });
    call.fork(new)
}

fn roll_back(call: &mut Call<'_>) -> Answer {
    let (node, kind, vmid) = (call.node().to_owned(), call.guest_type(), call.vmid());
    let name = call.text("snapname").to_owned();
    let start = call.parameters.flag("start");
    if start {
        call.demand(&format!("/vms/{vmid}"), "VM.PowerMgmt")?;
    }
    let task = if kind == GuestType::Qemu { "qmrollback" } else { "vzrollback" };
    let (marked_node, marked_name) = (node.clone(), name.clone());
    let new = call.guest_task(task, move |run| {
        go_back(run.state, &node, kind, vmid, &name)?;
        if start && !run.state.guest(&node, kind, vmid)?.is_running() {
            super::power::start_now(run, &node, kind, vmid)?;
        }
        Ok(())
    });
    let new = new.marking(move |state| {
        let guest = state.guest(&marked_node, kind, vmid)?;
        if !guest.snapshots.contains_key(&marked_name) {
            return Err(missing(&marked_name));
        }
        if guest.is_template() {
            return Err("you can't rollback if vm is a template".to_owned());
        }
        demand_most_recent(state, guest, &marked_name)?;
        state.mark(&marked_node, kind, vmid, "rollback")
    });
    call.fork(new)
}

/// ZFS can only go back to the last of a volume's snapshots.
fn demand_most_recent(state: &State, guest: &Guest, name: &str) -> Result<(), String> {
    let is_newer = |snapshot: &Snapshot| snapshot.snaptime > guest.snapshots[name].snaptime;
    for (_, volid) in disks::referenced_volumes(&guest.snapshots[name].config) {
        let storage = volid.split(':').next().and_then(|name| state.world.storages.get(name));
        let names_it = |snapshot: &Snapshot| {
            disks::referenced_volumes(&snapshot.config).iter().any(|(_, named)| *named == volid)
        };
        let newer = guest.snapshots.values().any(|snapshot| is_newer(snapshot) && names_it(snapshot));
        if newer && storage.is_some_and(|storage| storage.kind() == "zfspool") {
            return Err(format!("can't rollback, '{name}' is not most recent snapshot on '{volid}'"));
        }
    }
    Ok(())
}

/// The guest is stopped, and is as it was. Disks that came later stay as unused ones, with the description.
fn go_back(state: &mut State, node: &str, kind: GuestType, vmid: u32, name: &str) -> Result<(), String> {
    let now = state.clock.seconds();
    let guest = state.guest_mut(node, kind, vmid)?;
    let snapshot = guest.snapshots.get(name).cloned().ok_or_else(|| missing(name))?;
    guest.set_power(Power::Stopped, now);
    guest.pending.clear();
    guest.pending_delete.clear();
    let stays = |key: &str| disks::is_unused_key(key) || key == "description";
    let mut config = snapshot.config;
    config.retain(|key, _| !vm_state::is_state_key(key));
    let left = std::mem::replace(&mut guest.config, config);
    guest.parent = Some(name.to_owned());
    for (key, volid) in disks::referenced_volumes(&left) {
        if !disks::is_unused_key(&key) && disks::owner_of(&volid) == Some(vmid) {
            disks::keep_unused(guest, &volid);
        }
    }
    guest.config.extend(left.into_iter().filter(|(key, _)| stays(key)));
    if snapshot.vmstate {
        guest.set_power(Power::Running, now);
    }
    let drives: Vec<PropertyString> = disks::drives(&guest.config).map(|(_, drive)| drive).collect();
    for drive in drives {
        disks::set_size(state, node, &drive);
    }
    Ok(())
}

fn known(snapshots: &BTreeMap<String, Snapshot>, name: &str) -> Result<Snapshot, Refusal> {
    snapshots.get(name).cloned().ok_or_else(|| Refusal::Failed(missing(name)))
}

fn read(call: &mut Call<'_>) -> Answer {
    let snapshot = known(&call.guest()?.snapshots, call.text("snapname"))?;
    let mut config = snapshot.config;
    config.insert("snaptime".to_owned(), snapshot.snaptime.into());
    if let Some(description) = snapshot.description {
        config.insert("description".to_owned(), description.into());
    }
    if let Some(parent) = snapshot.parent {
        config.insert("parent".to_owned(), parent.into());
    }
    data(config.into_iter().collect::<serde_json::Map<_, _>>())
}

fn describe(call: &mut Call<'_>) -> Answer {
    let name = call.text("snapname").to_owned();
    let description = call.parameters.text("description").map(str::to_owned);
    call.demand_free_guest()?;
    let guest = call.guest_mut()?;
    guest.demand_unlocked().map_err(Refusal::Failed)?;
    known(&guest.snapshots, &name)?;
    if let (Some(snapshot), Some(text)) = (guest.snapshots.get_mut(&name), description) {
        snapshot.description = Some(text);
    }
    nothing()
}
