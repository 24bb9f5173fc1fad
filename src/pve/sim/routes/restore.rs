//! Restoring backups, as a new guest or over a present one.
use super::config::{NewDrives, check_drives, config_keys, demand_keys, normalise};
use super::create::{demand_allocation, demand_new_id, finish, make_drives};
use super::identity::{renew_cards, renew_identity};
use super::volume_access::demand_access_to;
use crate::pve::sim::contract::PropertyString;
use crate::pve::sim::disks;
use crate::pve::sim::engine::{Call, Run, State};
use crate::pve::sim::http::{Answer, Refusal, refuse};
use crate::pve::sim::world::{Config, Guest, GuestType};

#[derive(Debug)]
struct Order {
    node: String,
    kind: GuestType,
    vmid: u32,
    archive: String,
    storage: Option<String>,
    /// Keys that take the place of those in the backup.
    given: Config,
    unique: bool,
    start: bool,
    ha_managed: bool,
}

pub(super) fn restore(call: &mut Call<'_>) -> Answer {
    let (kind, vmid) = (call.guest_type(), call.vmid());
    call.state.demand_quorum()?;
    let replaces = call.parameters.flag("force") && call.guest().is_ok();
    if kind == GuestType::Lxc {
        demand_replaceable_container(call, replaces)?;
    }
    if let Some(storage) = call.parameters.text("storage") {
        call.demand(&format!("/storage/{storage}"), "Datastore.AllocateSpace")?;
        disks::available(call.state, call.node(), storage).map_err(Refusal::Failed)?;
    }
    demand_allocation(call)?;
    let archive = archive_of(call).to_owned();
    let given = config_keys(call, kind);
    if let Some((key, _)) = given.iter().find(|(key, _)| kind == GuestType::Qemu && disks::is_drive_key(key))
    {
        return Err(Refusal::parameter(key, "option conflicts with option 'archive'"));
    }
    demand_access_to(call, Some(vmid), &archive, "backup")?;
    demand_keys(call, kind, vmid, given.iter().copied().filter(|(key, _)| *key != "unprivileged"))?;
    check_drives(call, given.iter().copied())?;
    let order = Order {
        node: call.node().to_owned(),
        kind,
        vmid,
        archive,
        storage: call.parameters.text("storage").map(str::to_owned),
        given: given
            .iter()
            .map(|(key, text)| ((*key).to_owned(), normalise(call, kind, key, text)))
            .collect(),
        unique: call.parameters.flag("unique"),
        start: call.parameters.flag("start"),
        ha_managed: call.parameters.flag("ha-managed"),
    };
    reserve(call, replaces)?;
    let task = if kind == GuestType::Qemu { "qmrestore" } else { "vzrestore" };
    let new = call.guest_task(task, move |run| work(run, order));
    call.fork(new.undone_by(move |state| state.unmark(vmid)))
}

fn archive_of<'a>(call: &'a Call<'_>) -> &'a str {
    call.text(if call.guest_type() == GuestType::Qemu { "archive" } else { "ostemplate" })
}

/// A container that is to be replaced is judged at once, a VM by its worker.
fn demand_replaceable_container(call: &Call<'_>, replaces: bool) -> Result<(), Refusal> {
    if !replaces {
        return demand_new_id(call.state, GuestType::Lxc, call.vmid());
    }
    let guest = call.guest()?;
    if guest.is_running() {
        return refuse("can't overwrite running container");
    }
    if guest.flag("protection") {
        return refuse(format!("unable to restore CT {} - protection mode enabled", call.vmid()));
    }
    Ok(())
}

/// The number is taken, or the present guest marked, when the request is accepted.
fn reserve(call: &mut Call<'_>, replaces: bool) -> Result<(), Refusal> {
    let (kind, vmid) = (call.guest_type(), call.vmid());
    let doing = format!("unable to restore {} {vmid} -", kind.short());
    if replaces {
        call.demand_free_guest()?;
        let node = call.node().to_owned();
        let marked = call.state.mark(&node, kind, vmid, "create");
        return marked.map(|_| ()).map_err(|problem| Refusal::Failed(format!("{doing} {problem}")));
    }
    if let Some(taken) = call.state.world.guests.get(&vmid) {
        let short = taken.kind.short();
        return refuse(format!("{doing} {short} {vmid} already exists on node '{}'", taken.node));
    }
    let config = Config::from([("lock".to_owned(), "create".into())]);
    let guest = Guest::new(kind, call.node(), config);
    call.state.world.guests.insert(vmid, guest);
    if let Some(pool) = call.parameters.text("pool").and_then(|pool| call.state.world.pools.get_mut(pool)) {
        pool.vms.insert(vmid);
    }
    Ok(())
}

/// A restore that fails leaves behind what it has come to; only the mark goes.
fn work(run: &mut Run<'_>, order: Order) -> Result<(), String> {
    let (kind, vmid) = (order.kind, order.vmid);
    let doing = format!("unable to restore {} {vmid} -", kind.short());
    let result = demand_replaceable(run.state, &order).and_then(|()| unpack(run, order));
    run.state.unmark(vmid);
    result.map_err(|problem| format!("{doing} {problem}"))
}

fn demand_replaceable(state: &State, order: &Order) -> Result<(), String> {
    let guest = state.guest(&order.node, order.kind, order.vmid)?;
    match order.kind {
        _ if guest.flag("protection") => Err("protection mode enabled".to_owned()),
        GuestType::Qemu if guest.is_running() => Err("vm is running".to_owned()),
        GuestType::Lxc if guest.is_running() => Err("can't overwrite running container".to_owned()),
        _ => Ok(()),
    }
}

fn unpack(run: &mut Run<'_>, order: Order) -> Result<(), String> {
    let Order { node, kind, vmid, archive, storage, given, unique, start, ha_managed } = order;
    let Some(backup) = disks::find(run.state, &node, &archive) else {
        return Err(format!("volume '{archive}' does not exist"));
    };
    let mut config = backup.config.clone();
    config.retain(|key, _| !disks::is_unused_key(key) && !matches!(key.as_str(), "lock" | "parent"));
    config.extend(given);
    ask_for_disks(&mut config, storage.as_deref());
    run.say(format!("restoring '{archive}'"));
    let mut made = Vec::new();
    let drives = NewDrives { node: &node, kind, vmid };
    if let Err(problem) = make_drives(run, &drives, &mut config, &mut made) {
        for volid in made {
            disks::free(run.state, &node, &volid);
        }
        return Err(problem);
    }
    if kind == GuestType::Qemu {
        // A restored machine is another generation of itself, and only another machine if it is to be unique.
        if unique {
            renew_identity(&mut config);
        } else if let Some(generation) = config.get_mut("vmgenid") {
            *generation = uuid::Uuid::new_v4().to_string().into();
        }
    }
    if unique {
        renew_cards(&mut config, kind);
    }
    replace(run.state, &node, kind, vmid, config)?;
    finish(run, &node, kind, vmid, start, ha_managed);
    Ok(())
}

/// Disks come back in their size, on the storage that is asked for or on the one that they were on. What was no disk of
/// the guest's own, such as a CD, is only named again.
fn ask_for_disks(config: &mut Config, storage: Option<&str>) {
    for (key, value) in config.iter_mut().filter(|(key, _)| disks::is_drive_key(key)) {
        let mut drive = PropertyString::parse(value.as_str().unwrap_or_default());
        let Some((home, _)) = drive.bare.split_once(':').filter(|(_, name)| name.parse::<f64>().is_err())
        else {
            continue;
        };
        if disks::is_cdrom(&drive) && !disks::is_cloud_init(&drive) {
            continue;
        }
        let storage = storage.unwrap_or(home).to_owned();
        if disks::is_cloud_init(&drive) {
            drive.bare = format!("{storage}:cloudinit");
        } else {
            let size = drive.get("size").and_then(disks::parse_size).unwrap_or_default();
            let suffix = drive.bare.rsplit_once('.').map(|(_, suffix)| suffix.to_owned());
            drive.bare = format!("{storage}:{}", size as f64 / f64::from(1 << 30));
            if let Some(suffix) = suffix.filter(|_| key != "rootfs" && !key.starts_with("mp")) {
                drive.set("format", &suffix);
            }
        }
        *value = drive.to_string().into();
    }
}

/// The disks of the replaced guest go, and its snapshots with them; its detached disks stay detached.
fn replace(state: &mut State, node: &str, kind: GuestType, vmid: u32, config: Config) -> Result<(), String> {
    let guest = state.guest(node, kind, vmid)?;
    let old = disks::referenced_volumes(&guest.config);
    let own = old.into_iter().filter(|(_, volid)| disks::owner_of(volid) == Some(vmid));
    let (unused, attached): (Vec<_>, Vec<_>) =
        own.partition(|(key, _)| disks::is_unused_key(key) && kind == GuestType::Qemu);
    for (_, volid) in attached {
        disks::free(state, node, &volid);
    }
    let guest = state.guest_mut(node, kind, vmid)?;
    *guest = Guest::new(kind, node, config);
    for (_, volid) in unused {
        disks::keep_unused(guest, &volid);
    }
    let is_template = guest.is_template();
    let volumes = disks::referenced_volumes(&guest.config);
    for (key, volid) in volumes.into_iter().filter(|_| is_template) {
        super::template::make_base(state, node, kind, vmid, &key, &volid);
    }
    Ok(())
}
