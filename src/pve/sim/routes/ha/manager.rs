//! The HA manager: it brings guests into the requested state, and onto the requested node, by tasks of its own.
use serde_json::{Value, json};

use super::{affinity, guest_of};
use crate::pve::sim::engine::{NewTask, Run, State};
use crate::pve::sim::world::{GuestType, HaResource, Power};

/// The manager has not taken notice of the resource yet.
pub(super) const QUEUED: &str = "queued";
const WHO: &str = "root@pam";

/// What `hastart` and `hastop` tasks write down for the manager.
pub(in super::super) fn request_state(state: &mut State, kind: GuestType, vmid: u32, wanted: &str) {
    let sid = format!("{}:{vmid}", kind.ha_prefix());
    if let Some(resource) = state.world.ha.get_mut(&sid) {
        resource.config.insert("state".to_owned(), wanted.into());
    }
    follow(state, &sid);
}

pub(super) fn take_on(state: &mut State, sid: &str) {
    if let Some(resource) = state.world.ha.get_mut(sid) {
        resource.crm_state = Some(QUEUED.to_owned());
    }
    follow(state, sid);
}

pub(super) fn requested(resource: &HaResource) -> &str {
    resource.config.get("state").and_then(Value::as_str).unwrap_or("started")
}

/// The manager brings the guest into the requested state. While it is disarmed, it leaves everything as it is.
pub(super) fn follow(state: &mut State, sid: &str) {
    if state.world.cluster.ha_disarmed.is_some() {
        return;
    }
    let Some(wanted) = state.world.ha.get(sid).map(|resource| requested(resource).to_owned()) else { return };
    let Some((vmid, guest)) = guest_of(sid).and_then(|vmid| Some((vmid, state.world.guests.get(&vmid)?)))
    else {
        return;
    };
    let (node, kind) = (guest.node.clone(), guest.kind);
    if !is_up(state, &node) {
        return;
    }
    let (task, power) = match (wanted.as_str(), kind) {
        ("started" | "enabled", GuestType::Qemu) => ("qmstart", Power::Running),
        ("started" | "enabled", GuestType::Lxc) => ("vzstart", Power::Running),
        ("stopped" | "disabled", GuestType::Qemu) => ("qmshutdown", Power::Stopped),
        ("stopped" | "disabled", GuestType::Lxc) => ("vzshutdown", Power::Stopped),
        _ => return,
    };
    let home = node.clone();
    let new = NewTask::guest(&node, task, vmid, WHO, move |run| {
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

fn is_up(state: &State, node: &str) -> bool {
    state.world.nodes.get(node).is_some_and(|node| node.online)
}

/// By the time the manager gets to it, something else may have been requested.
fn is_still_wanted(state: &State, kind: GuestType, vmid: u32, power: Power) -> bool {
    let resource = state.world.ha.get(&format!("{}:{vmid}", kind.ha_prefix()));
    let requested = resource.map(|resource| matches!(requested(resource), "started" | "enabled"));
    requested == Some(power == Power::Running)
}

/// Moves the guest; what can't be reached is not tried. Relocating stops a running guest for the journey.
pub(super) fn send(state: &mut State, sid: &str, target: &str, how: &'static str) {
    let guest = guest_of(sid).and_then(|vmid| Some((vmid, state.world.guests.get(&vmid)?)));
    let Some((vmid, guest)) = guest.filter(|(_, guest)| guest.node != target) else { return };
    let (kind, from, target) = (guest.kind, guest.node.clone(), target.to_owned());
    if state.world.cluster.ha_disarmed.is_some() || !is_up(state, &from) || !is_up(state, &target) {
        return;
    }
    set_manager_state(state, kind, vmid, Some(how));
    let task = if kind == GuestType::Qemu { "qmigrate" } else { "vzmigrate" };
    let home = from.clone();
    let new = NewTask::guest(&from, task, vmid, WHO, move |run| {
        set_manager_state(run.state, kind, vmid, None);
        arrive(run, kind, vmid, &home, target, how == "relocate")
    });
    let home = from.clone();
    state.fork(new.marking(move |state| state.mark(&home, kind, vmid, "migrate")));
}

fn arrive(
    run: &mut Run<'_>,
    kind: GuestType,
    vmid: u32,
    from: &str,
    to: String,
    restarts: bool,
) -> Result<(), String> {
    if !is_up(run.state, &to) {
        return Err("migration aborted".to_owned());
    }
    let now = run.state.clock.seconds();
    let guest = run.state.guest_mut(from, kind, vmid)?;
    guest.node = to;
    if restarts && guest.is_running() {
        guest.started = now;
    }
    Ok(())
}

/// The resources that are to run and are on the node.
pub(in super::super) fn resources_served_by(state: &State, node: &str) -> Vec<String> {
    let is_served = |sid: &str, resource: &HaResource| {
        let guest = guest_of(sid).and_then(|vmid| state.world.guests.get(&vmid));
        guest.is_some_and(|guest| guest.node == node) && matches!(requested(resource), "started" | "enabled")
    };
    let served = state.world.ha.iter().filter(|(sid, resource)| is_served(sid, resource));
    served.map(|(sid, _)| sid.clone()).collect()
}

/// Their node is gone: they are taken up by others, as far as there is a quorum and rules allow it.
pub(in super::super) fn recover(state: &mut State, sids: &[String]) {
    if !state.world.cluster.quorate || state.world.cluster.ha_disarmed.is_some() {
        return;
    }
    for sid in sids {
        let Some(target) = affinity::best_node(state, sid) else { continue };
        if let Some(guest) = guest_of(sid).and_then(|vmid| state.world.guests.get_mut(&vmid)) {
            guest.node = target;
        }
        follow(state, sid);
    }
}

/// What the manager reports while it is busy with a guest; nothing when the guest is as requested.
pub(in super::super) fn set_manager_state(state: &mut State, kind: GuestType, vmid: u32, busy: Option<&str>) {
    if let Some(resource) = state.world.ha.get_mut(&format!("{}:{vmid}", kind.ha_prefix())) {
        resource.crm_state = busy.map(str::to_owned);
    }
}

/// The state that lists show: of a guest that is still queued, the one that was requested.
pub(in super::super) fn manager_state(state: &State, kind: GuestType, vmid: u32) -> Option<String> {
    let resource = state.world.ha.get(&format!("{}:{vmid}", kind.ha_prefix()))?;
    let busy = resource.crm_state.clone().filter(|state| state != QUEUED);
    Some(busy.unwrap_or_else(|| requested(resource).to_owned()))
}

pub(super) fn is_queued(resource: &HaResource) -> bool {
    resource.crm_state.as_deref() == Some(QUEUED)
}

pub(in super::super) fn state_of_guest(state: &State, kind: GuestType, vmid: u32) -> Value {
    let resource = state.world.ha.get(&format!("{}:{vmid}", kind.ha_prefix()));
    match resource {
        None => json!({ "managed": 0 }),
        Some(resource) if is_queued(resource) => json!({ "managed": 1, "state": null }),
        Some(_) => json!({ "managed": 1, "state": manager_state(state, kind, vmid) }),
    }
}
