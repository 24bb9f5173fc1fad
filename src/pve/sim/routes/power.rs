//! Starting and stopping.
use std::time::Duration;

use super::Route;
use crate::pve::sim::contract::PropertyString;
use crate::pve::sim::disks;
use crate::pve::sim::engine::{Call, NewTask, Run, State};
use crate::pve::sim::http::{Answer, Refusal, refuse};
use crate::pve::sim::world::{GuestType, Power};

pub(super) const ROUTES: &[Route] = &[
    ("POST", "/nodes/{node}/qemu/{vmid}/status/start", start),
    ("POST", "/nodes/{node}/qemu/{vmid}/status/stop", stop),
    ("POST", "/nodes/{node}/qemu/{vmid}/status/shutdown", shut_down),
    ("POST", "/nodes/{node}/qemu/{vmid}/status/reboot", reboot),
    ("POST", "/nodes/{node}/qemu/{vmid}/status/reset", reset),
    ("POST", "/nodes/{node}/lxc/{vmid}/status/start", start),
    ("POST", "/nodes/{node}/lxc/{vmid}/status/stop", stop),
    ("POST", "/nodes/{node}/lxc/{vmid}/status/shutdown", shut_down),
    ("POST", "/nodes/{node}/lxc/{vmid}/status/reboot", reboot),
];

const SHUTDOWN_TIMED_OUT: &str = "VM quit/powerdown failed - got timeout";

/// Which guest a worker is about.
#[derive(Debug, Clone)]
pub(super) struct Subject {
    pub(super) node: String,
    pub(super) kind: GuestType,
    pub(super) vmid: u32,
}

impl Subject {
    pub(super) fn of(call: &Call<'_>) -> Self {
        Self { node: call.node().to_owned(), kind: call.guest_type(), vmid: call.vmid() }
    }

    pub(super) fn set_power(&self, state: &mut State, power: Power) -> Result<(), String> {
        let now = state.clock.seconds();
        let guest = state.guest_mut(&self.node, self.kind, self.vmid)?;
        guest.set_power(power, now);
        if power == Power::Stopped {
            guest.apply_pending();
        }
        Ok(())
    }
}

fn is_running(call: &Call<'_>) -> bool {
    call.guest().is_ok_and(|guest| guest.is_running())
}

pub(super) fn demand_root_for_lock_override(call: &Call<'_>) -> Result<(), Refusal> {
    if call.parameters.flag("skiplock") && !call.caller.is_root() {
        return Err(Refusal::parameter("skiplock", "Only root may use this option."));
    }
    Ok(())
}

/// VMs that are not running are refused at once by most verbs; only starting and stopping are left to the worker.
pub(super) fn demand_running(call: &Call<'_>, word: &str) -> Result<(), Refusal> {
    if is_running(call) { Ok(()) } else { refuse(format!("{word} {} not running", call.vmid())) }
}

fn demand_not_paused(call: &Call<'_>) -> Result<(), Refusal> {
    if call.guest().is_ok_and(|guest| guest.status == Power::Paused) {
        return refuse("VM is paused - cannot shutdown");
    }
    Ok(())
}

/// For guests in the care of the HA manager, the worker only passes the wish on.
fn ask_manager(call: &mut Call<'_>, task: &'static str, verb: &str, state: &'static str) -> Option<Answer> {
    let subject = Subject::of(call);
    if !call.state.is_ha_managed(subject.kind, subject.vmid) {
        return None;
    }
    let line = format!("Requesting HA {verb} for {} {}", subject.kind.short(), subject.vmid);
    let new = NewTask::other(
        &subject.node.clone(),
        task,
        subject.vmid.to_string(),
        &call.caller.id(),
        move |run| {
            run.say(line);
            super::ha::request_state(run.state, subject.kind, subject.vmid, state);
            Ok(())
        },
    );
    Some(call.fork(new))
}

fn start(call: &mut Call<'_>) -> Answer {
    demand_root_for_lock_override(call)?;
    call.state.demand_quorum()?;
    if call.guest_type() == GuestType::Lxc && is_running(call) {
        return refuse(format!("CT {} already running", call.vmid()));
    }
    if let Some(answer) = ask_manager(call, "hastart", "start", "started") {
        return answer;
    }
    let subject = Subject::of(call);
    let skip_lock = call.parameters.flag("skiplock");
    let kind = if subject.kind == GuestType::Qemu { "qmstart" } else { "vzstart" };
    let new = call.guest_task(kind, move |run| work_start(run, &subject, skip_lock));
    call.fork(new)
}

pub(super) fn work_start(run: &mut Run<'_>, subject: &Subject, skip_lock: bool) -> Result<(), String> {
    let Subject { node, kind, vmid } = subject;
    let guest = run.state.guest(node, *kind, *vmid)?;
    if guest.is_template() {
        return Err(format!(
            "you can't start a {} if it's a template",
            guest.kind.short().to_lowercase().replace("ct", "CT")
        ));
    }
    let lock = guest.text("lock").map(str::to_owned);
    match lock.as_deref() {
        Some("suspended") => {
            run.say("Resuming suspended VM");
            run.state.unmark(*vmid);
            super::vm_state::discard(run.state, node, *vmid);
        }
        // A backup of a running VM has stopped it for its own purposes; starting means going on.
        Some("backup") if guest.is_running() => return Ok(()),
        _ if skip_lock => {}
        _ => guest.demand_unlocked()?,
    }
    let guest = run.state.guest(node, *kind, *vmid)?;
    if guest.is_running() {
        return Err(format!("VM {vmid} already running"));
    }
    begin(run.state, subject)
}

/// Starts a guest as part of another task.
pub(super) fn start_now(run: &mut Run<'_>, node: &str, kind: GuestType, vmid: u32) -> Result<(), String> {
    work_start(run, &Subject { node: node.to_owned(), kind, vmid }, false)
}

/// What the start itself needs: bridges and volumes that are there.
fn begin(state: &mut State, subject: &Subject) -> Result<(), String> {
    let guest = state.guest_mut(&subject.node, subject.kind, subject.vmid)?;
    guest.apply_pending();
    let config = guest.config.clone();
    let cards =
        config.iter().filter(|(key, _)| key.starts_with("net")).filter_map(|(_, value)| value.as_str());
    let bridges = state.world.nodes.get(&subject.node).map(|node| &node.bridges);
    for bridge in cards.filter_map(|card| PropertyString::parse(card).get("bridge").map(str::to_owned)) {
        if bridges.is_some_and(|known| !known.contains(&bridge)) {
            return Err(format!("bridge '{bridge}' does not exist"));
        }
    }
    for (_, drive) in disks::drives(&config).filter(|(_, drive)| drive.bare.contains(':')) {
        let storage = drive.bare.split(':').next().unwrap_or_default();
        disks::available(state, &subject.node, storage)?;
        if disks::find(state, &subject.node, &drive.bare).is_none() {
            return Err(format!("volume '{}' does not exist", drive.bare));
        }
    }
    if let Some(error) = state.guest(&subject.node, subject.kind, subject.vmid)?.start_error.clone() {
        return Err(error);
    }
    subject.set_power(state, Power::Running)
}

fn stop(call: &mut Call<'_>) -> Answer {
    demand_root_for_lock_override(call)?;
    let subject = Subject::of(call);
    if subject.kind == GuestType::Lxc {
        demand_running(call, "CT")?;
    }
    if let Some(answer) = ask_manager(call, "hastop", "stop", "stopped") {
        return answer;
    }
    if call.parameters.flag("overrule-shutdown") {
        let vmid = subject.vmid;
        call.state.interrupt(|task| task.guest == Some(vmid) && task.upid.kind.ends_with("shutdown"));
    }
    let skip_lock = call.parameters.flag("skiplock");
    let kind = if subject.kind == GuestType::Qemu { "qmstop" } else { "vzstop" };
    let new = call.guest_task(kind, move |run| {
        let guest = run.state.guest(&subject.node, subject.kind, subject.vmid)?;
        if !guest.is_running() {
            return Ok(());
        }
        if !skip_lock {
            guest.demand_unlocked()?;
        }
        subject.set_power(run.state, Power::Stopped)
    });
    call.fork(new)
}

fn shut_down(call: &mut Call<'_>) -> Answer {
    demand_root_for_lock_override(call)?;
    let force = call.parameters.flag("forceStop");
    let is_paused = call.guest().is_ok_and(|guest| guest.status == Power::Paused);
    if !force {
        demand_not_paused(call)?;
    }
    let subject = Subject::of(call);
    if subject.kind == GuestType::Lxc {
        demand_running(call, "CT")?;
    }
    if let Some(answer) = ask_manager(call, "hastop", "stop", "stopped") {
        return answer;
    }
    // What is paused is stopped at once, as it couldn't listen.
    let patience = timeout_if_ignored(call).filter(|_| !is_paused);
    let kind = if subject.kind == GuestType::Qemu { "qmshutdown" } else { "vzshutdown" };
    let new = call.guest_task(kind, move |run| {
        let guest = run.state.guest(&subject.node, subject.kind, subject.vmid)?;
        if !guest.is_running() {
            return Ok(());
        }
        guest.demand_unlocked()?;
        match (patience.is_some(), force) {
            (true, false) if subject.kind == GuestType::Qemu => {
                return Err(SHUTDOWN_TIMED_OUT.to_owned());
            }
            (true, false) => return Err("container did not stop".to_owned()),
            (true, true) => run.say("VM still running - terminating now with SIGTERM"),
            (false, _) => {}
        }
        subject.set_power(run.state, Power::Stopped)
    });
    call.fork(waiting(new, patience))
}

fn waiting(new: NewTask, patience: Option<Duration>) -> NewTask {
    match patience {
        Some(patience) => new.taking(patience),
        None => new,
    }
}

/// How long a worker waits for a guest that will not listen; nothing for a guest that does.
fn timeout_if_ignored(call: &Call<'_>) -> Option<Duration> {
    let guest = call.guest().ok()?;
    let deaf = guest.ignores_shutdown || (guest.kind == GuestType::Qemu && !disks::bootable(&guest.config));
    let usual = if guest.kind == GuestType::Qemu { 180 } else { 60 };
    let seconds = call.parameters.number("timeout").unwrap_or(usual);
    (deaf && guest.is_running()).then(|| Duration::from_secs(seconds))
}

fn reboot(call: &mut Call<'_>) -> Answer {
    demand_running(call, "VM")?;
    demand_not_paused(call)?;
    let subject = Subject::of(call);
    let patience = timeout_if_ignored(call);
    let kind = if subject.kind == GuestType::Qemu { "qmreboot" } else { "vzreboot" };
    let new = call.guest_task(kind, move |run| {
        run.state.guest(&subject.node, subject.kind, subject.vmid)?.demand_unlocked()?;
        if patience.is_some() {
            return Err(SHUTDOWN_TIMED_OUT.to_owned());
        }
        subject.set_power(run.state, Power::Stopped)?;
        if subject.kind == GuestType::Lxc {
            return begin(run.state, &subject);
        }
        // The event daemon notices that the VM is gone and starts it again in a task of its own.
        let again = subject.clone();
        let restart = NewTask::guest(&subject.node, "qmstart", subject.vmid, "root@pam", move |run| {
            work_start(run, &again, false)
        });
        run.state.fork(restart);
        Ok(())
    });
    call.fork(waiting(new, patience))
}

fn reset(call: &mut Call<'_>) -> Answer {
    demand_root_for_lock_override(call)?;
    demand_running(call, "VM")?;
    let subject = Subject::of(call);
    let new = call.guest_task("qmreset", move |run| {
        run.state.guest(&subject.node, subject.kind, subject.vmid)?.demand_unlocked()
    });
    call.fork(new)
}
