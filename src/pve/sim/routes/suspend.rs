//! Pausing, suspending to disk, and going on.
use super::power::{Subject, demand_root_for_lock_override, demand_running, work_start};
use super::{Route, vm_state};
use crate::pve::sim::engine::{Call, Run};
use crate::pve::sim::http::{Answer, Refusal, refuse};
use crate::pve::sim::world::{GuestType, Power};

pub(super) const ROUTES: &[Route] = &[
    ("POST", "/nodes/{node}/qemu/{vmid}/status/suspend", suspend),
    ("POST", "/nodes/{node}/qemu/{vmid}/status/resume", resume),
    ("POST", "/nodes/{node}/lxc/{vmid}/status/suspend", suspend),
    ("POST", "/nodes/{node}/lxc/{vmid}/status/resume", resume),
];

fn suspend(call: &mut Call<'_>) -> Answer {
    demand_root_for_lock_override(call)?;
    let subject = Subject::of(call);
    demand_running(call, subject.kind.short())?;
    let to_disk = call.parameters.flag("todisk");
    if to_disk {
        demand_suspendable(call)?;
    }
    let storage = call.parameters.text("statestorage").map(str::to_owned);
    let kind = match (subject.kind, to_disk) {
        (GuestType::Lxc, _) => "vzsuspend",
        (GuestType::Qemu, false) => "qmpause",
        (GuestType::Qemu, true) => "qmsuspend",
    };
    let new = call.guest_task(kind, move |run| {
        let guest = run.state.guest(&subject.node, subject.kind, subject.vmid)?;
        if guest.text("lock") != Some("backup") {
            guest.demand_unlocked()?;
        } else if to_disk {
            return Err("cannot suspend to disk during backup".to_owned());
        }
        if to_disk {
            return save_and_stop(run, &subject, storage.as_deref());
        }
        subject.set_power(run.state, Power::Paused)
    });
    call.fork(new)
}

fn demand_suspendable(call: &Call<'_>) -> Result<(), Refusal> {
    if call.state.is_ha_managed(GuestType::Qemu, call.vmid()) {
        return refuse("Cannot suspend HA managed VM to disk");
    }
    call.demand(&format!("/vms/{}", call.vmid()), "VM.Config.Disk")?;
    let guest = call.guest()?;
    if guest.config.keys().any(|key| key.starts_with("hostpci")) {
        return refuse(
            "cannot suspend VM to disk due to passed-through PCI device(s), which lack the possibility to save/restore their internal state",
        );
    }
    let usual = vm_state::storage_for(call.state, guest);
    let storage = call.parameters.text("statestorage").unwrap_or(&usual);
    call.demand(&format!("/storage/{storage}"), "Datastore.AllocateSpace")
}

fn save_and_stop(run: &mut Run<'_>, subject: &Subject, storage: Option<&str>) -> Result<(), String> {
    let suffix = format!("suspend-{}", run.state.clock.now().strftime("%F"));
    let saved = vm_state::save(run.state, &subject.node, subject.vmid, storage, &suffix)?;
    run.say("State saved, quitting");
    let now = run.state.clock.seconds();
    let guest = run.state.guest_mut(&subject.node, subject.kind, subject.vmid)?;
    guest.set_power(Power::Stopped, now);
    guest.config.extend(saved);
    guest.config.insert("lock".to_owned(), "suspended".into());
    Ok(())
}

fn resume(call: &mut Call<'_>) -> Answer {
    demand_root_for_lock_override(call)?;
    let subject = Subject::of(call);
    let guest = call.guest();
    let on_disk = guest.as_ref().is_ok_and(|guest| guest.text("lock") == Some("suspended"));
    match subject.kind {
        GuestType::Qemu if !on_disk => demand_running(call, "VM")?,
        GuestType::Lxc if guest.is_ok_and(|guest| guest.status == Power::Running) => {
            return refuse(format!("CT {} already running", subject.vmid));
        }
        _ => {}
    }
    let kind = if subject.kind == GuestType::Qemu { "qmresume" } else { "vzresume" };
    let new = call.guest_task(kind, move |run| {
        if on_disk {
            return work_start(run, &subject, false);
        }
        let guest = run.state.guest(&subject.node, subject.kind, subject.vmid)?;
        if guest.status != Power::Running && guest.text("lock") != Some("backup") {
            guest.demand_unlocked()?;
        }
        subject.set_power(run.state, Power::Running)
    });
    call.fork(new)
}
