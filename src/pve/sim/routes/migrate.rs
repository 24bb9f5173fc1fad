//! Moving guests to another node.
use super::Route;
use super::precondition::{is_local, missing_storages, node_devices};
use crate::pve::sim::contract::PropertyString;
use crate::pve::sim::disks;
use crate::pve::sim::engine::{Call, NewTask, Run, State};
use crate::pve::sim::http::{Answer, Refusal, refuse};
use crate::pve::sim::world::{Guest, GuestType};

pub(super) const ROUTES: &[Route] = &[
    ("POST", "/nodes/{node}/qemu/{vmid}/migrate", migrate),
    ("POST", "/nodes/{node}/lxc/{vmid}/migrate", migrate),
];

const ABORTED: &str = "migration aborted";

#[derive(Debug)]
struct Journey {
    from: String,
    to: String,
    address: String,
    kind: GuestType,
    vmid: u32,
    storages: StorageMap,
    with_local_disks: bool,
    online: bool,
    restarts: bool,
}

/// Which storage takes the place of which on the other node: `tank`, `a:b,tank`, or `1` for the same ones.
#[derive(Debug, Default)]
struct StorageMap {
    default: Option<String>,
    entries: Vec<(String, String)>,
    identity: bool,
}

impl StorageMap {
    fn parse(text: &str) -> Self {
        let mut map = Self { identity: text.split(',').any(|item| item == "1"), ..Self::default() };
        for item in text.split(',').filter(|item| *item != "1") {
            match item.split_once(':') {
                Some((from, to)) => map.entries.push((from.to_owned(), to.to_owned())),
                None => map.default = Some(item.to_owned()),
            }
        }
        map
    }

    fn targets(&self) -> impl Iterator<Item = &String> {
        self.entries.iter().map(|(_, to)| to).chain(&self.default)
    }

    fn place_of<'a>(&'a self, storage: &'a str) -> &'a str {
        let entry = self.entries.iter().find(|(from, _)| from == storage).map(|(_, to)| to);
        entry.or(self.default.as_ref().filter(|_| !self.identity)).map_or(storage, String::as_str)
    }
}

fn migrate(call: &mut Call<'_>) -> Answer {
    let (node, kind, vmid) = (call.node().to_owned(), call.guest_type(), call.vmid());
    let target = call.text("target").to_owned();
    if target == node {
        return Err(Refusal::parameter("target", "target is local node."));
    }
    let Some(address) = call.state.world.nodes.get(&target).map(|node| node.ip.clone()) else {
        return refuse(format!("no such cluster node '{target}'"));
    };
    call.state.demand_quorum()?;
    let guest = call.guest()?;
    let (online, restarts) = (call.parameters.flag("online"), call.parameters.flag("restart"));
    if kind == GuestType::Qemu {
        call.demand_free_guest()?;
        guest.demand_unlocked().map_err(Refusal::Failed)?;
    }
    if guest.is_running() && !online && !restarts {
        return refuse(match kind {
            GuestType::Qemu => "can't migrate running VM without --online",
            GuestType::Lxc => "can't migrate running container without --online or --restart",
        });
    }
    let storages = storage_map(call, guest, &target)?;
    let with_local_disks = call.parameters.flag("with-local-disks");
    let from = node.clone();
    let journey =
        Journey { from, to: target, address, kind, vmid, storages, with_local_disks, online, restarts };
    if call.state.is_ha_managed(kind, vmid) {
        return hand_to_manager(call, journey);
    }
    let new = call.guest_task(task_type(kind), move |run| travel(run, journey));
    call.fork(new.marking(move |state| mark(state, &node, kind, vmid)))
}

/// Whether the other node has the storages that the guest needs there. Containers' are only looked for by the worker.
fn storage_map(call: &Call<'_>, guest: &Guest, target: &str) -> Result<StorageMap, Refusal> {
    let given = call.parameters.text("targetstorage").or(call.parameters.text("target-storage"));
    let map = given.map(StorageMap::parse).unwrap_or_default();
    if given.is_some() && !map.identity {
        call.demand(&format!("/vms/{}", call.vmid()), "VM.Config.Disk")?;
    }
    for storage in map.targets() {
        let found = disks::available(call.state, target, storage).map_err(Refusal::Failed)?;
        call.demand(&format!("/storage/{storage}"), "Datastore.AllocateSpace")?;
        let content = disks::content_of(guest.kind);
        if !disks::content_types(found).contains(&content) {
            let what = if content == "images" { "vm images" } else { "container directories" };
            return refuse(format!("storage '{storage}' does not support {what}"));
        }
    }
    let keeps_storages = given.is_none() || map.identity;
    match missing_storages(call.state, guest, target).first() {
        Some(missing) if keeps_storages && guest.kind == GuestType::Qemu => {
            refuse(format!("storage '{missing}' is not available on node '{target}'"))
        }
        _ => Ok(map),
    }
}

fn mark(state: &mut State, node: &str, kind: GuestType, vmid: u32) -> Result<Vec<u32>, String> {
    state.mark(node, kind, vmid, "migrate").map_err(|problem| match kind {
        GuestType::Qemu => problem,
        GuestType::Lxc => ABORTED.to_owned(),
    })
}

/// The manager moves the guest by a task of its own, some time after the request is done.
fn hand_to_manager(call: &mut Call<'_>, journey: Journey) -> Answer {
    let Journey { kind, vmid, .. } = journey;
    let line = format!("Requesting HA migration for {} {vmid} to node {}", kind.short(), journey.to);
    let new = NewTask::other(call.node(), "hamigrate", vmid.to_string(), &call.caller.id(), move |run| {
        run.say(line);
        super::ha::set_manager_state(run.state, kind, vmid, Some("migrate"));
        let (node, task) = (journey.from.clone(), task_type(kind));
        // The manager knows what moves, and by which way: with local disks, and containers by a restart.
        let journey = Journey { with_local_disks: true, restarts: kind == GuestType::Lxc, ..journey };
        let moving = NewTask::guest(&journey.from.clone(), task, vmid, "root@pam", move |run| {
            super::ha::set_manager_state(run.state, kind, vmid, None);
            travel(run, journey)
        });
        run.state.fork(moving.marking(move |state| mark(state, &node, kind, vmid)));
        Ok(())
    });
    call.fork(new)
}

fn task_type(kind: GuestType) -> &'static str {
    match kind {
        GuestType::Qemu => "qmigrate",
        GuestType::Lxc => "vzmigrate",
    }
}

fn travel(run: &mut Run<'_>, journey: Journey) -> Result<(), String> {
    let now = run.state.clock.now().strftime("%F %T").to_string();
    let Journey { to, address, kind, vmid, .. } = &journey;
    let short = kind.short();
    run.say(format!("{now} starting migration of {short} {vmid} to node '{to}' ({address})"));
    if let Err(problem) = demand_possible(run, &journey, &now) {
        run.say(format!("{now} ERROR: migration aborted (duration 00:00:00): {problem}"));
        return Err(ABORTED.to_owned());
    }
    carry_volumes(run, &journey, &now)?;
    let seconds = run.state.clock.seconds();
    let guest = run.state.guest_mut(&journey.from, journey.kind, journey.vmid)?;
    guest.node = journey.to;
    if journey.restarts && guest.is_running() {
        guest.started = seconds;
    }
    run.say(format!("{now} migration finished successfully (duration 00:00:01)"));
    Ok(())
}

fn demand_possible(run: &mut Run<'_>, journey: &Journey, now: &str) -> Result<(), String> {
    let Journey { from, to, kind, vmid, .. } = journey;
    let guest = run.state.guest(from, *kind, *vmid)?;
    if *kind == GuestType::Lxc && guest.is_running() && journey.online && !journey.restarts {
        return Err("lxc live migration is currently not implemented".to_owned());
    }
    let (_, devices) = node_devices(&guest.config);
    if !devices.is_empty() {
        return Err(format!("can't migrate VM which uses local devices: {}", devices.join(", ")));
    }
    if !run.state.world.nodes.get(to).is_some_and(|node| node.online) {
        return Err("Can't connect to destination address using public key".to_owned());
    }
    for (_, volid) in disks::referenced_volumes(&guest.config) {
        let storage = volid.split(':').next().unwrap_or_default();
        disks::available(run.state, to, journey.storages.place_of(storage))?;
    }
    let obstacles: Vec<(String, String)> = local_volumes(run.state, guest)
        .into_iter()
        .filter_map(|(key, drive)| {
            Some((drive.bare.clone(), obstacle(run.state, guest, journey, &key, &drive)?))
        })
        .collect();
    let found: Vec<String> =
        local_volumes(run.state, guest).into_iter().map(|(_, drive)| drive.bare).collect();
    for volid in found {
        run.say(format!("{now} found local disk '{volid}' (attached)"));
    }
    if obstacles.is_empty() {
        return Ok(());
    }
    for (volid, problem) in obstacles {
        run.say(format!("{now} can't migrate local disk '{volid}': {problem}"));
    }
    let problem =
        format!("Problem found while scanning volumes - can't migrate {} - check log", kind.short());
    run.say(format!("{now} ERROR: {problem}"));
    run.say(format!("{now} aborting phase 1 - cleanup resources"));
    Err(problem)
}

fn local_volumes(state: &State, guest: &Guest) -> Vec<(String, PropertyString)> {
    let volumes = disks::referenced_volumes(&guest.config).into_iter();
    let drive = |key: &str| PropertyString::parse(guest.text(key).unwrap_or_default());
    volumes.filter(|(_, volid)| is_local(state, volid)).map(|(key, _)| (key.clone(), drive(&key))).collect()
}

/// Why a local volume can't come along.
fn obstacle(
    state: &State,
    guest: &Guest,
    journey: &Journey,
    key: &str,
    drive: &PropertyString,
) -> Option<String> {
    let volid = &drive.bare;
    let runs = guest.is_running() && guest.kind == GuestType::Qemu;
    let is_snapshotted = super::move_disk::is_snapshotted(guest, volid);
    let keeps_snapshots = volid.ends_with(".qcow2")
        || state
            .world
            .storages
            .get(volid.split(':').next()?)
            .is_some_and(|storage| storage.kind() == "zfspool");
    let problem = if disks::is_cloud_init(drive) {
        return None;
    } else if disks::is_cdrom(drive) {
        "local cdrom image".to_owned()
    } else if disks::owner_of(volid) != Some(journey.vmid) {
        let owner = disks::owner_of(volid).map(|owner| owner.to_string()).unwrap_or_default();
        format!("owned by other VM (owner = VM {owner})")
    } else if is_snapshotted && runs {
        "online storage migration not possible if non-replicated snapshot exists".to_owned()
    } else if is_snapshotted && !keeps_snapshots {
        "non-migratable snapshot exists".to_owned()
    } else if disks::is_base(volid) && disks::is_base_in_use(state, volid) {
        "referenced by linked clone(s)".to_owned()
    } else if let Some(base) = disks::base_of(volid) {
        format!("can't migrate '{volid}' as it's a clone of '{base}'")
    } else if runs && !journey.with_local_disks && !disks::is_unused_key(key) {
        "can't live migrate attached local disks without with-local-disks option".to_owned()
    } else {
        return None;
    };
    Some(problem)
}

/// Local volumes lie on the other node afterwards; those that change their storage get another name.
fn carry_volumes(run: &mut Run<'_>, journey: &Journey, now: &str) -> Result<(), String> {
    let Journey { from, to, kind, vmid, storages, .. } = journey;
    let local = local_volumes(run.state, run.state.guest(from, *kind, *vmid)?);
    for (key, mut drive) in local {
        let old = drive.bare.clone();
        let storage = old.split(':').next().unwrap_or_default();
        let place = storages.place_of(storage);
        if place == storage {
            let volumes = run.state.world.storages.values_mut().flat_map(|storage| &mut storage.volumes);
            for volume in volumes.filter(|volume| volume.volid == old && volume.node.as_ref() == Some(from)) {
                volume.node = Some(to.clone());
            }
        } else {
            let bytes = disks::drive_bytes(run.state, from, &drive);
            let format = disks::find(run.state, from, &old).map(|volume| volume.format.clone());
            let content = if disks::is_cloud_init(&drive) { "cloudinit" } else { disks::content_of(*kind) };
            let made = disks::allocate(run.state, to, place, *vmid, bytes, format.as_deref(), content)?;
            disks::free(run.state, from, &old);
            drive.bare = made.volid;
            let value = if disks::is_unused_key(&key) { drive.bare.clone() } else { drive.to_string() };
            run.state.guest_mut(from, *kind, *vmid)?.config.insert(key, value.into());
        }
        run.say(format!("{now} volume '{old}' is '{}' on the target", drive.bare));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_storage_map_names_places() {
        let map = StorageMap::parse("a:b,tank");
        assert_eq!((map.place_of("a"), map.place_of("c")), ("b", "tank"));
        let same = StorageMap::parse("1");
        assert_eq!(same.place_of("a"), "a");
        assert_eq!(StorageMap::default().place_of("a"), "a");
    }
}
