//! Growing disks. A VM's resize is judged by its worker, a container's before there is one.
use super::{Answer, Call, GuestType, Refusal, refuse};
use crate::pve::sim::contract::PropertyString;
use crate::pve::sim::disks;
use crate::pve::sim::engine::State;

pub(super) fn vm(call: &mut Call<'_>) -> Answer {
    let (node, vmid) = (call.node().to_owned(), call.vmid());
    let (disk, size) = (call.text("disk").to_owned(), call.text("size").to_owned());
    let digest = call.parameters.text("digest").map(str::to_owned);
    // The worker asks for it, and tells it as its end.
    let may_grow = demand_space(call, &disk);
    let new = call.guest_task("resize", move |run| {
        let guest = run.state.guest(&node, GuestType::Qemu, vmid)?;
        if digest.is_some_and(|digest| digest != guest.digest()) {
            return Err("checksum mismatch (file change by other user?)".to_owned());
        }
        guest.demand_unlocked()?;
        let text = guest.text(&disk).ok_or_else(|| format!("disk '{disk}' does not exist"))?;
        if disks::is_cdrom(&PropertyString::parse(text)) {
            return Err("you can't resize a cdrom".to_owned());
        }
        if let Err(Refusal::Forbidden(Some(lacking))) = may_grow {
            return Err(format!("403 Permission check failed ({lacking})"));
        }
        let (old, new) = sizes(run.state, &node, text, &size)?;
        if new < old {
            return Err("shrinking disks is not supported".to_owned());
        }
        grow(run.state, &node, GuestType::Qemu, vmid, &disk, new)
    });
    call.fork(new)
}

pub(super) fn container(call: &mut Call<'_>) -> Answer {
    let (node, vmid) = (call.node().to_owned(), call.vmid());
    let disk = call.text("disk").to_owned();
    call.demand_free_guest()?;
    let guest = call.guest()?;
    if call.parameters.text("digest").is_some_and(|digest| digest != guest.digest()) {
        return refuse("detected modified configuration - file changed by other user? Try again.");
    }
    guest.demand_unlocked().map_err(Refusal::Failed)?;
    let Some(text) = guest.text(&disk) else {
        return refuse(format!("no such mountpoint '{disk}'"));
    };
    demand_space(call, &disk)?;
    let (old, new) = sizes(call.state, &node, text, call.text("size")).map_err(Refusal::Failed)?;
    if new < old {
        return refuse("unable to shrink disk size");
    }
    if new == old {
        return refuse("disk is already at specified size");
    }
    let task = call.guest_task("resize", move |run| {
        run.say("Image resized.");
        grow(run.state, &node, GuestType::Lxc, vmid, &disk, new)
    });
    call.fork(task)
}

/// More space is taken of the storage that the disk is on.
fn demand_space(call: &Call<'_>, disk: &str) -> Result<(), Refusal> {
    let drive = call.guest().ok().and_then(|guest| guest.text(disk)).unwrap_or_default();
    match PropertyString::parse(drive).bare.split_once(':') {
        Some((storage, _)) => call.demand(&format!("/storage/{storage}"), "Datastore.AllocateSpace"),
        None => Ok(()),
    }
}

/// The present size and the wanted one, of which `+5G` is relative.
fn sizes(state: &State, node: &str, drive: &str, wanted: &str) -> Result<(u64, u64), String> {
    let old = disks::drive_bytes(state, node, &PropertyString::parse(drive));
    let (by, text) = match wanted.strip_prefix('+') {
        Some(text) => (old, text),
        None => (0, wanted),
    };
    let size = disks::parse_size(text).ok_or_else(|| format!("invalid size string '{wanted}'"))?;
    Ok((old, by + size))
}

fn grow(
    state: &mut State,
    node: &str,
    kind: GuestType,
    vmid: u32,
    disk: &str,
    bytes: u64,
) -> Result<(), String> {
    let guest = state.guest_mut(node, kind, vmid)?;
    let mut drive = PropertyString::parse(guest.text(disk).unwrap_or_default());
    drive.set("size", &disks::format_size(bytes));
    guest.config.insert(disk.to_owned(), drive.to_string().into());
    disks::set_size(state, node, &drive);
    Ok(())
}
