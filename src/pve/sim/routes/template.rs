//! Turning guests into templates.
use super::{Route, nothing};
use crate::pve::sim::disks;
use crate::pve::sim::engine::{Call, NewTask, State};
use crate::pve::sim::http::{Answer, Refusal, refuse};
use crate::pve::sim::world::GuestType;

pub(super) const ROUTES: &[Route] = &[
    ("POST", "/nodes/{node}/qemu/{vmid}/template", template_vm),
    ("POST", "/nodes/{node}/lxc/{vmid}/template", template_container),
];

fn demand_convertible(call: &Call<'_>) -> Result<(), Refusal> {
    let guest = call.guest()?;
    call.demand_free_guest()?;
    guest.demand_unlocked().map_err(Refusal::Failed)?;
    let short = guest.kind.short();
    if !guest.snapshots.is_empty() {
        return refuse(format!("unable to create template, because {short} contains snapshots"));
    }
    if guest.is_template() {
        return refuse("you can't convert a template to a template");
    }
    if guest.is_running() {
        return refuse(format!("you can't convert a {short} to template if {short} is running"));
    }
    Ok(())
}

fn conversion(call: &Call<'_>, task: &'static str) -> NewTask {
    let (node, kind, vmid) = (call.node().to_owned(), call.guest_type(), call.vmid());
    call.guest_task(task, move |run| {
        for (key, volid) in disks::referenced_volumes(&run.state.guest(&node, kind, vmid)?.config.clone()) {
            make_base(run.state, &node, kind, vmid, &key, &volid);
        }
        let guest = run.state.guest_mut(&node, kind, vmid)?;
        guest.config.insert("template".to_owned(), 1.into());
        Ok(())
    })
}

/// Disks of templates are called `base` instead of `vm`.
pub(super) fn make_base(state: &mut State, node: &str, kind: GuestType, vmid: u32, key: &str, volid: &str) {
    let as_base = |text: &str| {
        let text = text.replacen(&format!("subvol-{vmid}-disk"), &format!("basevol-{vmid}-disk"), 1);
        text.replacen(&format!("vm-{vmid}-disk"), &format!("base-{vmid}-disk"), 1)
    };
    let base = as_base(volid);
    for volume in state.world.storages.values_mut().flat_map(|storage| &mut storage.volumes) {
        if volume.volid == volid {
            volume.volid.clone_from(&base);
        }
    }
    if let Ok(guest) = state.guest_mut(node, kind, vmid)
        && let Some(text) = guest.text(key).map(|text| text.replacen(volid, &base, 1))
    {
        guest.config.insert(key.to_owned(), text.into());
    }
}

fn template_vm(call: &mut Call<'_>) -> Answer {
    demand_convertible(call)?;
    let new = conversion(call, "qmtemplate");
    call.fork(new)
}

/// The worker runs all the same; its id is not told.
fn template_container(call: &mut Call<'_>) -> Answer {
    demand_convertible(call)?;
    let new = conversion(call, "vztemplate");
    call.state.fork(new);
    nothing()
}
