//! Snapshots: list, make, remove, roll back.
use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Route, data, index_by, nothing};
use crate::pve::sim::disks;
use crate::pve::sim::engine::{Call, State};
use crate::pve::sim::http::{Answer, Refusal, refuse};
use crate::pve::sim::world::{Guest, GuestType, Power, Snapshot};

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
const NOT_KEPT: [&str; 4] = ["lock", "template", "digest", "parent"];

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
    let description = call.parameters.text("description").map(str::to_owned);
    let with_memory = call.parameters.flag("vmstate");
    let task = if kind == GuestType::Qemu { "qmsnapshot" } else { "vzsnapshot" };
    let (marked_node, marked_name) = (node.clone(), name.clone());
    let new = call.guest_task(task, move |run| {
        let snaptime = run.state.clock.seconds();
        let guest = run.state.guest_mut(&node, kind, vmid)?;
        let vmstate = with_memory && guest.is_running();
        let lines = snapshot_lines(guest);
        let mut config = guest.config.clone();
        config.retain(|key, _| !NOT_KEPT.contains(&key.as_str()) && !disks::is_unused_key(key));
        let parent = guest.parent.replace(name.clone());
        let snapshot = Snapshot { description, snaptime, parent, vmstate, config };
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
    if disks::supports_snapshots(state, guest) {
        Ok(())
    } else {
        Err("snapshot feature is not available".to_owned())
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
        let removed = guest.snapshots.remove(&name).and_then(|snapshot| snapshot.parent);
        // Whatever came after it now comes after what it came after.
        let parents = guest.snapshots.values_mut().map(|snapshot| &mut snapshot.parent);
        let parents = parents.chain([&mut guest.parent]);
        for parent in parents.filter(|parent| parent.as_deref() == Some(name.as_str())) {
            parent.clone_from(&removed);
        }
        Ok(())
    });
    let new = new.marking(move |state| {
        let guest = state.guest_mut(&marked_node, kind, vmid)?;
        if !guest.snapshots.contains_key(&marked_name) {
            return Err(missing(&marked_name));
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
        let now = run.state.clock.seconds();
        let guest = run.state.guest_mut(&node, kind, vmid)?;
        let snapshot = guest.snapshots.get(&name).cloned().ok_or_else(|| missing(&name))?;
        guest.set_power(Power::Stopped, now);
        guest.pending.clear();
        guest.pending_delete.clear();
        guest.config = snapshot.config;
        guest.parent = Some(name);
        if snapshot.vmstate || start {
            guest.set_power(Power::Running, now);
        }
        Ok(())
    });
    let new = new.marking(move |state| {
        let guest = state.guest(&marked_node, kind, vmid)?;
        if !guest.snapshots.contains_key(&marked_name) {
            return Err(missing(&marked_name));
        }
        if guest.is_template() {
            return Err("you can't rollback if it's a template".to_owned());
        }
        state.mark(&marked_node, kind, vmid, "rollback")
    });
    call.fork(new)
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
