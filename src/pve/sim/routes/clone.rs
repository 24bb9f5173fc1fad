//! Cloning guests, fully or linked to a template.
use super::Route;
use super::config::random_mac;
use crate::pve::sim::contract::PropertyString;
use crate::pve::sim::disks;
use crate::pve::sim::engine::{Call, Run, State};
use crate::pve::sim::http::{Answer, Refusal, refuse};
use crate::pve::sim::world::{Config, Guest, GuestType, Volume};

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
    let guest = source_guest(call)?;
    if let Some(taken) = call.state.world.guests.get(&target) {
        return refuse(match kind {
            GuestType::Qemu => format!("unable to create VM {target}: config file already exists"),
            GuestType::Lxc => {
                format!("{} {target} already exists on node '{}'", taken.kind.short(), taken.node)
            }
        });
    }
    call.demand_free_guest()?;
    guest.demand_unlocked().map_err(Refusal::Failed)?;
    let full = call.parameters.text("full").map_or(!guest.is_template(), |full| full == "1");
    demand_clonable(call, guest, full)?;
    let config = clone_config(call, guest, target)?;
    call.state.demand_quorum()?;
    let target_node = call.parameters.text("target").unwrap_or(call.node()).to_owned();
    let order = Order {
        source_node: call.node().to_owned(),
        target_node: target_node.clone(),
        kind,
        target,
        full,
        storage: call.parameters.text("storage").map(str::to_owned),
        format: call.parameters.text("format").map(str::to_owned),
        config,
    };
    reserve(call, &target_node, target);
    let task = if kind == GuestType::Qemu { "qmclone" } else { "vzclone" };
    let undo_node = target_node.clone();
    let new = call.guest_task(task, move |run| {
        copy(run, order).inspect_err(|_| super::create::abandon(run.state, &target_node, target))
    });
    call.fork(new.undone_by(move |state| super::create::abandon(state, &undo_node, target)))
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

fn demand_clonable(call: &Call<'_>, guest: &Guest, full: bool) -> Result<(), Refusal> {
    let name = call.parameters.text("snapname");
    if let Some(name) = name.filter(|name| !guest.snapshots.contains_key(*name)) {
        return refuse(format!("snapshot '{name}' does not exist"));
    }
    if !full && !guest.is_template() && name.is_none() {
        let drive = disks::boot_disk(&guest.config).unwrap_or_else(|| "scsi0".to_owned());
        return refuse(format!("Linked clone feature is not supported for drive '{drive}'"));
    }
    if let Some(storage) = call.parameters.text("storage") {
        if !full {
            return Err(Refusal::parameter("storage", "option not available for linked clones"));
        }
        call.demand(&format!("/storage/{storage}"), "Datastore.AllocateSpace")?;
        disks::available(call.state, call.node(), storage).map_err(Refusal::Failed)?;
    }
    demand_reachable_disks(call, guest)
}

/// Another node can only take over what lies on shared storage.
fn demand_reachable_disks(call: &Call<'_>, guest: &Guest) -> Result<(), Refusal> {
    let Some(target) = call.parameters.text("target").filter(|target| *target != call.node()) else {
        return Ok(());
    };
    if !call.state.world.nodes.contains_key(target) {
        return refuse(format!("no such cluster node '{target}'"));
    }
    let local = disks::referenced_volumes(&guest.config).into_iter().any(|(_, volid)| {
        let storage = volid.split_once(':').and_then(|(name, _)| call.state.world.storages.get(name));
        !storage.is_some_and(crate::pve::sim::world::Storage::is_shared)
    });
    if local {
        return refuse(format!(
            "can't clone {} to node '{target}' (VM uses local storage)",
            guest.kind.short()
        ));
    }
    Ok(())
}

fn clone_config(call: &Call<'_>, guest: &Guest, target: u32) -> Result<Config, Refusal> {
    let mut config = match call.parameters.text("snapname").and_then(|name| guest.snapshots.get(name)) {
        Some(snapshot) => snapshot.config.clone(),
        None => guest.config.clone(),
    };
    let name = guest.name(call.vmid());
    config.retain(|key, _| {
        !matches!(key.as_str(), "lock" | "template" | "protection" | "parent") && !disks::is_unused_key(key)
    });
    if let Some(description) = call.parameters.text("description") {
        config.insert("description".to_owned(), description.into());
    }
    match guest.kind {
        GuestType::Qemu => {
            let name =
                call.parameters.text("name").map_or_else(|| format!("Copy-of-VM-{name}"), str::to_owned);
            config.insert("name".to_owned(), name.into());
            config.insert("smbios1".to_owned(), format!("uuid={}", uuid::Uuid::new_v4()).into());
            config.insert("vmgenid".to_owned(), uuid::Uuid::new_v4().to_string().into());
        }
        GuestType::Lxc => {
            let name = call.parameters.text("hostname").map_or_else(|| format!("CT{target}"), str::to_owned);
            config.insert("hostname".to_owned(), name.into());
        }
    }
    for (_, value) in config.iter_mut().filter(|(key, _)| key.starts_with("net")) {
        let card = PropertyString::parse(value.as_str().unwrap_or_default());
        *value = fresh_card(card, guest.kind).into();
    }
    Ok(config)
}

/// Two cards with one address would fight over the network.
fn fresh_card(mut card: PropertyString, kind: GuestType) -> String {
    if kind == GuestType::Lxc {
        card.set("hwaddr", &random_mac());
        return card.to_string();
    }
    let text = card.to_string();
    if let Some(model) = text.split(['=', ',']).next() {
        card.set(model, &random_mac());
    }
    card.to_string()
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

fn copy(run: &mut Run<'_>, order: Order) -> Result<(), String> {
    let Order { source_node, target_node, kind, target, full, storage, format, mut config } = order;
    let drives: Vec<(String, PropertyString)> =
        disks::drives(&config).map(|(key, drive)| (key.to_owned(), drive)).collect();
    for (key, mut drive) in drives.into_iter().filter(|(_, drive)| !disks::is_cdrom(drive)) {
        let bytes = disks::drive_bytes(run.state, &source_node, &drive);
        let home = drive.bare.split(':').next().unwrap_or_default().to_owned();
        if full {
            run.say(format!("create full clone of drive {key} ({})", drive.bare));
            let wanted = storage.clone().unwrap_or(home);
            let suffix = drive.bare.rsplit_once('.').map(|(_, suffix)| suffix.to_owned());
            let content = if kind == GuestType::Lxc { "rootdir" } else { "images" };
            let format = format.clone().or(suffix);
            let made =
                disks::allocate(run.state, &target_node, &wanted, target, bytes, format.as_deref(), content)?;
            run.say(made.log);
            drive.bare = made.volid;
        } else {
            run.say(format!("create linked clone of drive {key} ({})", drive.bare));
            drive.bare = link(run.state, &target_node, &home, target, &drive.bare, bytes)?;
        }
        drive.set("size", &disks::format_size(bytes));
        config.insert(key, drive.to_string().into());
    }
    let guest = run.state.guest_mut(&target_node, kind, target)?;
    *guest = Guest::new(kind, &target_node, config);
    Ok(())
}

/// A linked clone's disk is a volume whose parent is the template's.
fn link(
    state: &mut State,
    node: &str,
    storage_name: &str,
    target: u32,
    base: &str,
    bytes: u64,
) -> Result<String, String> {
    let ctime = state.clock.seconds();
    let format = if base.ends_with(".qcow2") { "qcow2" } else { "raw" };
    let storage = disks::available(state, node, storage_name)?;
    let name = disks::new_name(storage_name, storage, target, "vm", format);
    let is_file = name.contains('/');
    // Linked volumes in folders name their base in front of their own name.
    let volid = match (is_file, base.split_once(':'), name.split_once(':')) {
        (true, Some((_, base_name)), Some((_, own))) => format!("{storage_name}:{base_name}/{own}"),
        _ => name,
    };
    let home = (!storage.is_shared()).then(|| node.to_owned());
    let volume = Volume {
        volid: volid.clone(),
        content: "images".to_owned(),
        format: format.to_owned(),
        size: bytes,
        node: home,
        used: Some(4096),
        ctime,
        vmid: Some(target),
        parent: Some(base.to_owned()),
        notes: None,
        protected: false,
    };
    if let Some(storage) = state.world.storages.get_mut(storage_name) {
        storage.volumes.push(volume);
    }
    Ok(volid)
}
