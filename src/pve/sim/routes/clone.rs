//! Cloning guests, fully or linked to a template.
use super::Route;
use crate::pve::sim::contract::PropertyString;
use crate::pve::sim::disks::{self, Feature};
use crate::pve::sim::engine::{Call, Run};
use crate::pve::sim::http::{Answer, Refusal, refuse};
use crate::pve::sim::world::{Config, Guest, GuestType, Storage};

pub(super) const ROUTES: &[Route] =
    &[("POST", "/nodes/{node}/qemu/{vmid}/clone", clone), ("POST", "/nodes/{node}/lxc/{vmid}/clone", clone)];

#[derive(Debug)]
struct Order {
    source_node: String,
    target_node: String,
    kind: GuestType,
    target: u32,
    full: bool,
    storage: Option<String>,
    format: Option<String>,
    /// What the clone's configuration will be, but for its disks.
    config: Config,
}

fn clone(call: &mut Call<'_>) -> Answer {
    let kind = call.guest_type();
    let target: u32 = call.parameters.number("newid").unwrap_or_default();
    demand_pool(call)?;
    demand_storage(call)?;
    call.state.demand_quorum()?;
    let guest = source_guest(call)?;
    call.demand_free_guest()?;
    guest.demand_unlocked().map_err(Refusal::Failed)?;
    if kind == GuestType::Lxc {
        demand_free_id(call, target)?;
    }
    let full = call.parameters.text("full").map_or(!guest.is_template(), |full| full == "1");
    let source = source_config(call, guest, full)?;
    demand_clonable(call, guest, source, full)?;
    demand_reachable_disks(call, source)?;
    demand_free_id(call, target)?;
    let target_node = call.parameters.text("target").unwrap_or(call.node()).to_owned();
    let order = Order {
        source_node: call.node().to_owned(),
        target_node: target_node.clone(),
        kind,
        target,
        full,
        storage: call.parameters.text("storage").map(str::to_owned),
        format: call.parameters.text("format").map(str::to_owned),
        config: clone_config(call, source, target),
    };
    reserve(call, &target_node, target);
    let task = if kind == GuestType::Qemu { "qmclone" } else { "vzclone" };
    let new = call.guest_task(task, move |run| {
        let mut made = Vec::new();
        copy(run, order, &mut made).map_err(|problem| {
            for volid in made {
                disks::free(run.state, &target_node, &volid);
            }
            super::create::abandon(run.state, target);
            format!("clone failed: {problem}")
        })
    });
    call.fork(new.undone_by(move |state| super::create::abandon(state, target)))
}

fn demand_pool(call: &Call<'_>) -> Result<(), Refusal> {
    match call.parameters.text("pool").filter(|pool| !call.state.world.pools.contains_key(*pool)) {
        Some(pool) => Err(Refusal::Forbidden(Some(format!("pool '{pool}' does not exist")))),
        None => Ok(()),
    }
}

/// A storage for the disks has to be usable on both nodes, and shared if there are two.
fn demand_storage(call: &Call<'_>) -> Result<(), Refusal> {
    let target = call.parameters.text("target").filter(|target| *target != call.node());
    if let Some(target) = target.filter(|target| !call.state.world.nodes.contains_key(*target)) {
        return refuse(format!("no such cluster node '{target}'"));
    }
    let Some(name) = call.parameters.text("storage") else {
        return Ok(());
    };
    let storage = disks::available(call.state, call.node(), name).map_err(Refusal::Failed)?;
    if call.guest_type() == GuestType::Qemu && !disks::content_types(storage).contains(&"images") {
        return Err(Refusal::parameter("storage", format!("storage '{name}' does not support vm images")));
    }
    if let Some(target) = target {
        disks::available(call.state, target, name).map_err(Refusal::Failed)?;
        if !storage.is_shared() {
            return refuse(format!("can't clone to non-shared storage '{name}'"));
        }
    }
    Ok(())
}

fn source_guest<'a>(call: &'a Call<'_>) -> Result<&'a Guest, Refusal> {
    let (node, vmid) = (call.node(), call.vmid());
    call.guest().map_err(|refusal| match call.guest_type() {
        GuestType::Qemu => {
            Refusal::Failed(format!("unable to find configuration file for VM {vmid} on node '{node}'"))
        }
        GuestType::Lxc => refusal,
    })
}

fn demand_free_id(call: &Call<'_>, target: u32) -> Result<(), Refusal> {
    let Some(taken) = call.state.world.guests.get(&target) else {
        return Ok(());
    };
    refuse(match call.guest_type() {
        GuestType::Qemu => format!("unable to create VM {target}: config file already exists"),
        GuestType::Lxc => {
            format!("{} {target} already exists on node '{}'", taken.kind.short(), taken.node)
        }
    })
}

/// The configuration that is cloned: the present one, or that of a snapshot.
fn source_config<'a>(call: &Call<'_>, guest: &'a Guest, full: bool) -> Result<&'a Config, Refusal> {
    let source = match call.parameters.text("snapname") {
        None => &guest.config,
        Some(name) => {
            let found = guest.snapshots.get(name);
            &found.ok_or_else(|| Refusal::Failed(format!("snapshot '{name}' does not exist")))?.config
        }
    };
    for option in ["storage", "format"] {
        if !full && call.parameters.has(option) {
            return refuse(format!("parameter '{option}' not allowed for linked clones"));
        }
    }
    Ok(source)
}

fn demand_clonable(call: &Call<'_>, guest: &Guest, source: &Config, full: bool) -> Result<(), Refusal> {
    let of_snapshot = call.parameters.has("snapname");
    if full && guest.kind == GuestType::Lxc && guest.is_running() && !of_snapshot {
        return refuse("Full clone of a running container is only possible from a snapshot");
    }
    let feature = if full { Feature::Copy } else { Feature::Clone };
    let Some((key, volid)) = disks::drive_without(call.state, source, feature, of_snapshot) else {
        return Ok(());
    };
    let mode = if full { "Full" } else { "Linked" };
    let snapshot = if of_snapshot { "a snapshot of " } else { "" };
    refuse(match guest.kind {
        GuestType::Qemu => format!("{mode} clone feature is not supported for {snapshot}'{volid}' ({key})"),
        GuestType::Lxc => format!("{mode} clone feature for '{volid}' is not available"),
    })
}

/// The caller has to be allowed to fill the storages, and another node can only take over what lies on shared ones.
fn demand_reachable_disks(call: &Call<'_>, source: &Config) -> Result<(), Refusal> {
    let wanted = call.parameters.text("storage");
    let mut all_shared = true;
    for (_, drive) in disks::drives(source) {
        let Some((own, _)) = drive.bare.split_once(':') else {
            continue;
        };
        let moves = !disks::is_cdrom(&drive) || disks::is_cloud_init(&drive);
        let storage = wanted.filter(|_| moves).unwrap_or(own);
        if moves {
            call.demand(&format!("/storage/{storage}"), "Datastore.AllocateSpace")?;
        }
        all_shared &= call.state.world.storages.get(storage).is_some_and(Storage::is_shared);
    }
    let target = call.parameters.text("target").filter(|target| *target != call.node());
    match target.filter(|_| !all_shared) {
        None => Ok(()),
        Some(target) => {
            let short = call.guest_type().short();
            refuse(format!("can't clone {short} to node '{target}' ({short} uses local storage)"))
        }
    }
}

fn clone_config(call: &Call<'_>, source: &Config, target: u32) -> Config {
    let mut config = source.clone();
    config.retain(|key, _| {
        !matches!(key.as_str(), "lock" | "template" | "parent" | "vmstate") && !disks::is_unused_key(key)
    });
    if let Some(description) = call.parameters.text("description") {
        config.insert("description".to_owned(), description.into());
    }
    let kind = call.guest_type();
    match kind {
        GuestType::Qemu => name_machine(call, &mut config),
        GuestType::Lxc => {
            let name = call.parameters.text("hostname").map_or_else(|| format!("CT{target}"), str::to_owned);
            config.insert("hostname".to_owned(), name.into());
        }
    }
    super::identity::renew_cards(&mut config, kind);
    config
}

fn name_machine(call: &Call<'_>, config: &mut Config) {
    let present = config.get("name").and_then(serde_json::Value::as_str).map(str::to_owned);
    let usual = || format!("Copy-of-VM-{}", present.unwrap_or_else(|| call.vmid().to_string()));
    let name = call.parameters.text("name").map_or_else(usual, str::to_owned);
    config.insert("name".to_owned(), name.into());
    super::identity::renew_identity(config);
}

/// The clone's number shows at once, locked, with a description that says what it is.
fn reserve(call: &mut Call<'_>, node: &str, target: u32) {
    let mut config = Config::from([("lock".to_owned(), "clone".into())]);
    if call.guest_type() == GuestType::Qemu {
        config.insert("description".to_owned(), " qmclone temporary file".into());
    }
    call.state.world.guests.insert(target, Guest::new(call.guest_type(), node, config));
    if let Some(pool) = call.parameters.text("pool").and_then(|pool| call.state.world.pools.get_mut(pool)) {
        pool.vms.insert(target);
    }
}

fn copy(run: &mut Run<'_>, order: Order, made: &mut Vec<String>) -> Result<(), String> {
    let drives: Vec<(String, PropertyString)> =
        disks::drives(&order.config).map(|(key, drive)| (key.to_owned(), drive)).collect();
    let mut config = order.config.clone();
    for (key, drive) in drives {
        if !disks::is_cdrom(&drive) || disks::is_cloud_init(&drive) {
            let copied = copy_drive(run, &order, &key, drive)?;
            made.push(copied.bare.clone());
            config.insert(key, copied.to_string().into());
        }
    }
    let Order { target_node, kind, target, .. } = order;
    let guest = run.state.guest_mut(&target_node, kind, target)?;
    *guest = Guest::new(kind, &target_node, config);
    Ok(())
}

/// Drives that are the machine's own are always copied, even by a linked clone.
fn copy_drive(
    run: &mut Run<'_>,
    order: &Order,
    key: &str,
    mut drive: PropertyString,
) -> Result<PropertyString, String> {
    let Order { source_node, target_node, kind, target, full, storage, format, .. } = order;
    let bytes = disks::drive_bytes(run.state, source_node, &drive);
    let (home, is_cloud_init) =
        (drive.bare.split(':').next().unwrap_or_default().to_owned(), disks::is_cloud_init(&drive));
    let content = if is_cloud_init { "cloudinit" } else { disks::content_of(*kind) };
    if *full || is_cloud_init || key == "tpmstate0" {
        run.say(format!("create full clone of drive {key} ({})", drive.bare));
        let wanted = storage.clone().unwrap_or(home);
        let suffix = drive.bare.rsplit_once('.').map(|(_, suffix)| suffix.to_owned());
        let format = format.clone().or(suffix);
        let made =
            disks::allocate(run.state, target_node, &wanted, *target, bytes, format.as_deref(), content)?;
        run.say(made.log);
        drive.bare = made.volid;
    } else {
        run.say(format!("create linked clone of drive {key} ({})", drive.bare));
        drive.bare = disks::link(run.state, source_node, &drive.bare, *target, content)?;
    }
    drive.set("size", &disks::format_size(bytes));
    Ok(drive)
}
