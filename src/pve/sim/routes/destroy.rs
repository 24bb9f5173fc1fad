//! Deleting guests.
use super::Route;
use crate::pve::sim::disks;
use crate::pve::sim::engine::{Call, State};
use crate::pve::sim::http::{Answer, Refusal, refuse};
use crate::pve::sim::world::{GuestType, Power};

pub(super) const ROUTES: &[Route] =
    &[("DELETE", "/nodes/{node}/qemu/{vmid}", delete), ("DELETE", "/nodes/{node}/lxc/{vmid}", delete)];

fn delete(call: &mut Call<'_>) -> Answer {
    let (node, kind, vmid) = (call.node().to_owned(), call.guest_type(), call.vmid());
    let purge = call.parameters.flag("purge");
    let force = kind == GuestType::Lxc && call.parameters.flag("force");
    if call.parameters.flag("skiplock") && !call.caller.is_root() {
        return Err(Refusal::parameter("skiplock", "Only root may use this option."));
    }
    demand_deletable(call, kind, vmid, purge, force)?;
    let skip_lock = call.parameters.flag("skiplock");
    let task = if kind == GuestType::Qemu { "qmdestroy" } else { "vzdestroy" };
    let new = call.guest_task(task, move |run| {
        if !run.state.world.cluster.quorate {
            return Err("cluster not ready - no quorum?".to_owned());
        }
        let guest = run.state.guest(&node, kind, vmid)?;
        // A suspended VM is as good as a stopped one here.
        if guest.text("lock") != Some("suspended") && !skip_lock {
            guest.demand_unlocked()?;
        }
        demand_no_linked_clones(run.state, &disks::referenced_volumes(&guest.config))?;
        if purge {
            run.say(format!("purging {} {vmid} from related configurations..", kind.short()));
        }
        remove(run.state, &node, kind, vmid, purge);
        Ok(())
    });
    call.fork(new)
}

fn demand_deletable(
    call: &Call<'_>,
    kind: GuestType,
    vmid: u32,
    purge: bool,
    force: bool,
) -> Result<(), Refusal> {
    let guest = call.guest()?;
    let short = kind.short();
    if guest.flag("protection") {
        return refuse(format!("can't remove {short} {vmid} - protection mode enabled"));
    }
    if call.state.world.ha.contains_key(&format!("{}:{vmid}", kind.ha_prefix())) && !purge {
        return refuse(format!(
            "unable to remove {short} {vmid} - used in HA resources and purge parameter not set."
        ));
    }
    if kind == GuestType::Lxc {
        guest.demand_unlocked().map_err(Refusal::Failed)?;
    }
    if guest.status != Power::Stopped && !force {
        return refuse(match kind {
            GuestType::Qemu => format!("VM {vmid} is running - destroy failed"),
            GuestType::Lxc => format!("unable to destroy CT {vmid} - container is running"),
        });
    }
    Ok(())
}

fn demand_no_linked_clones(state: &State, volumes: &[(String, String)]) -> Result<(), String> {
    for (_, volid) in volumes {
        let mut all = state.world.storages.values().flat_map(|storage| &storage.volumes);
        if all.any(|volume| volume.parent.as_deref() == Some(volid)) {
            return Err(format!("base volume '{volid}' is still in use by linked cloned"));
        }
    }
    Ok(())
}

/// With the guest go its disks, its access rules and its place in pools.
fn remove(state: &mut State, node: &str, kind: GuestType, vmid: u32, purge: bool) {
    super::create::abandon(state, node, vmid);
    state.world.acl.retain(|rule| rule.path != format!("/vms/{vmid}"));
    if purge {
        state.world.ha.remove(&format!("{}:{vmid}", kind.ha_prefix()));
    }
}
