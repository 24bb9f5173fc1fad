//! Moving a disk to another storage, or to another guest.
use super::Route;
use crate::pve::sim::contract::PropertyString;
use crate::pve::sim::disks;
use crate::pve::sim::engine::{Call, Run, State};
use crate::pve::sim::http::{Answer, Refusal, refuse};
use crate::pve::sim::world::{Guest, GuestType};

pub(super) const ROUTES: &[Route] = &[
    ("POST", "/nodes/{node}/qemu/{vmid}/move_disk", move_disk),
    ("POST", "/nodes/{node}/lxc/{vmid}/move_volume", move_disk),
];

#[derive(Debug, Clone)]
struct Move {
    node: String,
    kind: GuestType,
    vmid: u32,
    disk: String,
    storage: String,
    format: Option<String>,
    delete: bool,
}

fn move_disk(call: &mut Call<'_>) -> Answer {
    let kind = call.guest_type();
    let key = if kind == GuestType::Qemu { "disk" } else { "volume" };
    let disk = call.text(key).to_owned();
    match (call.parameters.text("storage"), call.parameters.number::<u32>("target-vmid")) {
        (Some(_), Some(_)) if kind == GuestType::Lxc => {
            refuse("either set storage or target-vmid, but not both")
        }
        (Some(_), Some(_)) => Err(both("either set 'storage' or 'target-vmid', but not both")),
        (None, None) => Err(both("both 'storage' and 'target-vmid' missing, either needs to be set")),
        (None, Some(target)) => super::reassign::reassign(call, &disk, target),
        (Some(storage), None) => {
            let wanted = Move {
                node: call.node().to_owned(),
                kind,
                vmid: call.vmid(),
                disk,
                storage: storage.to_owned(),
                format: call.parameters.text("format").map(str::to_owned),
                delete: call.parameters.flag("delete"),
            };
            to_storage(call, wanted)
        }
    }
}

fn both(text: &str) -> Refusal {
    Refusal::Parameters(["storage", "target-vmid"].map(|name| (name.to_owned(), text.to_owned())).into())
}

fn to_storage(call: &mut Call<'_>, wanted: Move) -> Answer {
    call.demand(&format!("/storage/{}", wanted.storage), "Datastore.AllocateSpace")?;
    call.demand_free_guest()?;
    demand_digest(call, "digest", call.guest()?)?;
    demand_content(call.state, &wanted)?;
    demand_movable(call.state, &wanted).map_err(Refusal::Failed)?;
    let task = if wanted.kind == GuestType::Qemu { "qmmove" } else { "move_volume" };
    let new = call.guest_task(task, move |run| {
        demand_movable(run.state, &wanted)?;
        work(run, &wanted).map_err(|problem| match wanted.kind {
            GuestType::Qemu => format!("storage migration failed: {problem}"),
            GuestType::Lxc => problem,
        })
    });
    call.fork(new)
}

pub(super) fn demand_digest(call: &Call<'_>, parameter: &str, guest: &Guest) -> Result<(), Refusal> {
    match call.parameters.text(parameter).filter(|digest| !digest.is_empty()) {
        Some(digest) if digest != guest.digest() => {
            refuse("detected modified configuration - file changed by other user? Try again.")
        }
        _ => Ok(()),
    }
}

fn demand_content(state: &State, wanted: &Move) -> Result<(), Refusal> {
    let found = disks::available(state, &wanted.node, &wanted.storage).map_err(Refusal::Failed)?;
    if wanted.kind == GuestType::Qemu && !disks::content_types(found).contains(&"images") {
        let text = format!("storage '{}' does not support vm images", wanted.storage);
        return Err(Refusal::parameter("storage", text));
    }
    Ok(())
}

fn demand_movable(state: &State, wanted: &Move) -> Result<(), String> {
    let Move { node, kind, vmid, disk, storage, format, delete } = wanted;
    let guest = state.guest(node, *kind, *vmid)?;
    guest.demand_unlocked()?;
    let what = if *kind == GuestType::Qemu { "disk" } else { "volume" };
    if *kind == GuestType::Lxc && guest.is_running() {
        return Err("cannot move volumes of a running container".to_owned());
    }
    if *kind == GuestType::Lxc && disks::is_unused_key(disk) {
        return Err(format!(
            "cannot move volume '{disk}', only configured volumes can be moved to another storage"
        ));
    }
    let text = guest.text(disk).ok_or_else(|| format!("{what} '{disk}' does not exist"))?;
    let drive = PropertyString::parse(text);
    if disks::is_cdrom(&drive) && !disks::is_cloud_init(&drive) {
        return Err("you can't move a cdrom".to_owned());
    }
    let present = disks::find(state, node, &drive.bare).map(|volume| volume.format.clone());
    let same_format = format.is_none() || present.is_none() || *format == present;
    if *kind == GuestType::Qemu && drive.bare.starts_with(&format!("{storage}:")) && same_format {
        return Err("you can't move to the same storage with same format".to_owned());
    }
    if *delete && is_snapshotted(guest, &drive.bare) {
        return Err(format!("you can't move a {what} with snapshots and delete the source"));
    }
    Ok(())
}

pub(super) fn is_snapshotted(guest: &Guest, volid: &str) -> bool {
    let names_it = |config| disks::referenced_volumes(config).iter().any(|(_, named)| named == volid);
    guest.snapshots.values().any(|snapshot| names_it(&snapshot.config))
}

fn work(run: &mut Run<'_>, wanted: &Move) -> Result<(), String> {
    let Move { node, kind, vmid, disk, storage, format, delete } = wanted;
    let guest = run.state.guest(node, *kind, *vmid)?;
    let mut drive = PropertyString::parse(guest.text(disk).unwrap_or_default());
    let (old, is_template) = (drive.bare.clone(), guest.is_template());
    let bytes = disks::drive_bytes(run.state, node, &drive);
    let home = old.split(':').next().unwrap_or_default();
    run.say(format!("copying volume '{old}' from current storage '{home}' to target storage '{storage}'"));
    let suffix = old.rsplit_once('.').map(|(_, suffix)| suffix.to_owned());
    let format = format.clone().or(suffix);
    let content = if disks::is_cloud_init(&drive) { "cloudinit" } else { disks::content_of(*kind) };
    let made = disks::allocate(run.state, node, storage, *vmid, bytes, format.as_deref(), content)?;
    run.say(made.log);
    drive.bare = made.volid;
    drive.set("size", &disks::format_size(made.bytes));
    let guest = run.state.guest_mut(node, *kind, *vmid)?;
    guest.config.insert(disk.clone(), drive.to_string().into());
    if *delete {
        run.say(format!("removing source volume '{old}' after successful copy"));
        disks::free(run.state, node, &old);
    } else if let Some(key) = disks::keep_unused(guest, &old) {
        run.say(format!("adding source volume '{old}' as '{key}' to config"));
    }
    if is_template {
        super::template::make_base(run.state, node, *kind, *vmid, disk, &drive.bare);
    }
    Ok(())
}
