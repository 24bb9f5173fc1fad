//! Giving a disk to another guest.
use super::move_disk::{demand_digest, is_snapshotted};
use crate::pve::sim::contract::PropertyString;
use crate::pve::sim::disks;
use crate::pve::sim::engine::{Call, NewTask, Run, State};
use crate::pve::sim::http::{Answer, Refusal};
use crate::pve::sim::world::{Guest, GuestType};

#[derive(Debug, Clone)]
struct Gift {
    node: String,
    kind: GuestType,
    from: u32,
    disk: String,
    to: u32,
    /// Where the disk goes in the other guest.
    as_disk: String,
}

impl Gift {
    fn giver<'a>(&self, state: &'a State) -> Result<&'a Guest, String> {
        let short = self.kind.short();
        state.world.guests.get(&self.from).ok_or_else(|| format!("could not find {short} {}", self.from))
    }

    fn taker<'a>(&self, state: &'a State) -> Result<&'a Guest, String> {
        let word = if self.kind == GuestType::Qemu { "target VM" } else { "CT" };
        state.world.guests.get(&self.to).ok_or_else(|| format!("could not find {word} {}", self.to))
    }
}

pub(super) fn reassign(call: &mut Call<'_>, disk: &str, to: u32) -> Answer {
    let kind = call.guest_type();
    let parameter = if kind == GuestType::Qemu { "target-disk" } else { "target-volume" };
    call.demand(&format!("/vms/{to}"), "VM.Config.Disk")?;
    if kind == GuestType::Qemu && to == call.vmid() {
        let text = "must be different than source VMID to reassign disk";
        return Err(Refusal::parameter("target-vmid", text));
    }
    let as_disk = call.parameters.text(parameter).unwrap_or(disk).to_owned();
    let gift =
        Gift { node: call.node().to_owned(), kind, from: call.vmid(), disk: disk.to_owned(), to, as_disk };
    call.demand_free_guest()?;
    demand_givable(call.state, &gift).map_err(Refusal::Failed)?;
    demand_digest(call, "digest", gift.giver(call.state).map_err(Refusal::Failed)?)?;
    demand_digest(call, "target-digest", gift.taker(call.state).map_err(Refusal::Failed)?)?;
    let drive = call.guest()?.text(disk).map(PropertyString::parse).unwrap_or_default();
    let storage = drive.bare.split(':').next().unwrap_or_default();
    call.demand(&format!("/storage/{storage}"), "Datastore.AllocateSpace")?;
    let task = if kind == GuestType::Qemu { "qmmove" } else { "move_volume" };
    let id = format!("{}-{}>{}-{}", gift.from, gift.disk, gift.to, gift.as_disk);
    let mut new = NewTask::other(call.node(), task, id, &call.caller.id(), move |run| {
        demand_givable(run.state, &gift)?;
        work(run, &gift)
    });
    new.guest = Some(call.vmid());
    call.fork(new)
}

fn demand_givable(state: &State, gift: &Gift) -> Result<(), String> {
    let Gift { kind, from, disk, to, as_disk, .. } = gift;
    let (what, who) = match kind {
        GuestType::Qemu => ("Disk", "VM"),
        GuestType::Lxc => ("Volume", "CT"),
    };
    if *kind == GuestType::Lxc && (disk == "rootfs" || as_disk == "rootfs") {
        return Err("Cannot move to/from 'rootfs'".to_owned());
    }
    let (giver, taker) = (gift.giver(state)?, gift.taker(state)?);
    if giver.node != taker.node {
        let both = if *kind == GuestType::Qemu { "VMs" } else { "containers" };
        return Err(format!("Both {both} need to be on the same node ({} != {})", giver.node, taker.node));
    }
    giver.demand_unlocked()?;
    taker.demand_unlocked()?;
    if giver.is_template() || taker.is_template() {
        return Err(format!(
            "Can't move {}s from or to template {who}{}",
            what.to_lowercase(),
            plural(*kind)
        ));
    }
    let text =
        giver.text(disk).ok_or_else(|| format!("{what} '{disk}' for {who} '{from}' does not exist"))?;
    if taker.config.contains_key(as_disk) {
        return Err(format!(
            "Target {} key '{as_disk}' is already in use for {who} '{to}'",
            what.to_lowercase()
        ));
    }
    let drive = PropertyString::parse(text);
    if disks::is_cdrom(&drive) {
        return Err("CD drive contents can't be moved to another VM".to_owned());
    }
    if is_snapshotted(giver, &drive.bare) {
        return Err(format!("Can't move {} used by a snapshot to another {who}", what.to_lowercase()));
    }
    if giver.is_running() && !disks::is_unused_key(disk) {
        return Err(match kind {
            GuestType::Qemu => "Cannot move disk to another VM while the source VM is running - detach first",
            GuestType::Lxc => "Cannot move volumes of a running container",
        }
        .to_owned());
    }
    Ok(())
}

fn plural(kind: GuestType) -> &'static str {
    if kind == GuestType::Qemu { "s" } else { "" }
}

/// The volume gets a name of its new owner.
fn work(run: &mut Run<'_>, gift: &Gift) -> Result<(), String> {
    let Gift { node, kind, from, disk, to, as_disk } = gift;
    run.say(format!("reassign disk '{disk}' from VM '{from}' as '{as_disk}' to VM '{to}'"));
    let text = run.state.guest(node, *kind, *from)?.text(disk).unwrap_or_default().to_owned();
    let mut drive = PropertyString::parse(&text);
    drive.bare = disks::rename(run.state, node, &drive.bare, *to)?;
    let giver = run.state.guest_mut(node, *kind, *from)?;
    giver.config.remove(disk);
    if let Some(boot) = giver.text("boot").and_then(|boot| boot.strip_prefix("order=")) {
        let order: Vec<&str> = boot.split(';').filter(|device| device != disk).collect();
        let boot = if order.is_empty() { " ".to_owned() } else { format!("order={}", order.join(";")) };
        giver.config.insert("boot".to_owned(), boot.into());
    }
    run.say(format!("removing disk '{disk}' from VM '{from}' config"));
    let value = if disks::is_unused_key(as_disk) { drive.bare.clone() } else { drive.to_string() };
    run.state.guest_mut(node, *kind, *to)?.config.insert(as_disk.clone(), value.into());
    Ok(())
}
