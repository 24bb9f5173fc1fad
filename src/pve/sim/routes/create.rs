//! Making guests.
use std::collections::BTreeMap;

use super::Route;
use super::config::{NewDrives, attach, check_drives, config_keys, demand_keys, normalise};
use super::volume_access::demand_access_to;
use crate::pve::sim::contract::PropertyString;
use crate::pve::sim::disks;
use crate::pve::sim::engine::{Call, Run, State};
use crate::pve::sim::http::{Answer, Refusal, refuse};
use crate::pve::sim::world::{Config, Guest, GuestType, HaResource};

pub(super) const ROUTES: &[Route] =
    &[("POST", "/nodes/{node}/qemu", create), ("POST", "/nodes/{node}/lxc", create)];

/// The QEMU version that new VMs remember having been made with.
const QEMU_VERSION: &str = "10.0.2";

#[derive(Debug)]
struct Order {
    node: String,
    kind: GuestType,
    vmid: u32,
    given: Config,
    pool: Option<String>,
    start: bool,
    ha_managed: bool,
    template: Option<String>,
}

fn create(call: &mut Call<'_>) -> Answer {
    let (kind, vmid) = (call.guest_type(), call.vmid());
    if call.parameters.has("archive") || call.parameters.flag("restore") {
        return super::restore::restore(call);
    }
    demand_allocation(call)?;
    // A container's number is judged before anything else that is asked of it, a VM's after.
    if kind == GuestType::Lxc {
        demand_new_id(call.state, kind, vmid)?;
    }
    let mut given = config_keys(call, kind);
    demand_keys(call, kind, vmid, given.iter().copied().filter(|(key, _)| *key != "unprivileged"))?;
    let disks = container_disks(call, &given);
    given.retain(|(key, _)| !disks.contains_key(*key));
    given.extend(disks.iter().map(|(key, text)| (key.as_str(), text.as_str())));
    if let Some(template) = call.parameters.text("ostemplate") {
        demand_access_to(call, Some(vmid), template, "vztmpl")?;
    }
    check_drives(call, given.iter().copied())?;
    demand_new_id(call.state, kind, vmid)?;
    call.state.demand_quorum()?;
    let order = Order {
        node: call.node().to_owned(),
        kind,
        vmid,
        given: given
            .iter()
            .map(|(key, text)| ((*key).to_owned(), normalise(call, kind, key, text)))
            .collect(),
        pool: call.parameters.text("pool").map(str::to_owned),
        start: call.parameters.flag("start"),
        ha_managed: call.parameters.flag("ha-managed"),
        template: call.parameters.text("ostemplate").map(str::to_owned),
    };
    reserve(call.state, &order);
    let task = if kind == GuestType::Qemu { "qmcreate" } else { "vzcreate" };
    let new = call.guest_task(task, move |run| {
        let (node, short) = (order.node.clone(), kind.short());
        let mut made = Vec::new();
        build(run, order, &mut made).map_err(|problem| {
            for volid in made {
                disks::free(run.state, &node, &volid);
            }
            abandon(run.state, vmid);
            format!("unable to create {short} {vmid} - {problem}")
        })
    });
    call.fork(new.undone_by(move |state| abandon(state, vmid)))
}

/// Whoever may allocate in the pool may also make the guest that goes into it.
pub(super) fn demand_allocation(call: &Call<'_>) -> Result<(), Refusal> {
    if call.guest_type() == GuestType::Lxc
        && call.parameters.text("unprivileged") == Some("0")
        && !call.parameters.flag("restore")
    {
        call.demand("/", "Sys.Modify")?;
    }
    if call.parameters.flag("ha-managed") {
        call.demand("/", "Sys.Console")?;
    }
    if let Some(pool) = call.parameters.text("pool") {
        if !call.state.world.pools.contains_key(pool) {
            return Err(Refusal::Forbidden(Some(format!("pool '{pool}' does not exist"))));
        }
        if call.has(&format!("/pool/{pool}"), "VM.Allocate") {
            return Ok(());
        }
    }
    let path = format!("/vms/{}", call.vmid());
    // Whoever may back a guest up may also put a backup in its place.
    let replaces = call.parameters.flag("force") && call.guest().is_ok();
    if call.has(&path, "VM.Allocate") || (replaces && call.has(&path, "VM.Backup")) {
        Ok(())
    } else {
        Err(Refusal::Forbidden(None))
    }
}

pub(super) fn demand_new_id(state: &State, kind: GuestType, vmid: u32) -> Result<(), Refusal> {
    let Some(guest) = state.world.guests.get(&vmid) else {
        return Ok(());
    };
    let taken = format!("{} {vmid} already exists on node '{}'", guest.kind.short(), guest.node);
    refuse(match kind {
        GuestType::Qemu => format!("unable to create VM {vmid} - {taken}"),
        GuestType::Lxc => taken,
    })
}

/// A container's disks may be given as sizes alone; without any it gets a root disk of four GiB.
fn container_disks(call: &Call<'_>, given: &[(&str, &str)]) -> BTreeMap<String, String> {
    let storage = call.parameters.text("storage").unwrap_or("local");
    let on_storage = |size: &str| format!("{storage}:{size}");
    if call.guest_type() == GuestType::Qemu {
        return BTreeMap::new();
    }
    let sizes = given.iter().filter(|(key, text)| disks::is_drive_key(key) && text.parse::<f64>().is_ok());
    let mut disks: BTreeMap<String, String> =
        sizes.map(|(key, size)| ((*key).to_owned(), on_storage(size))).collect();
    if !given.iter().any(|(key, _)| *key == "rootfs") {
        disks.insert("rootfs".to_owned(), on_storage("4"));
    }
    disks
}

/// The number is taken from the moment at which the request is accepted.
fn reserve(state: &mut State, order: &Order) {
    let config = Config::from([("lock".to_owned(), "create".into())]);
    state.world.guests.insert(order.vmid, Guest::new(order.kind, &order.node, config));
    if let Some(pool) = order.pool.as_ref().and_then(|pool| state.world.pools.get_mut(pool)) {
        pool.vms.insert(order.vmid);
    }
}

pub(super) fn abandon(state: &mut State, vmid: u32) {
    state.world.guests.remove(&vmid);
    for pool in state.world.pools.values_mut() {
        pool.vms.remove(&vmid);
    }
}

fn build(run: &mut Run<'_>, order: Order, made: &mut Vec<String>) -> Result<(), String> {
    let Order { node, kind, vmid, mut given, start, ha_managed, template, .. } = order;
    make_drives(run, &NewDrives { node: &node, kind, vmid }, &mut given, made)?;
    if let Some(template) = &template {
        unpack(run, &node, template)?;
    }
    complete(&mut given, kind, vmid, template.as_deref(), run.state.clock.seconds());
    let guest = run.state.guest_mut(&node, kind, vmid)?;
    *guest = Guest::new(kind, &node, given);
    finish(run, &node, kind, vmid, start, ha_managed);
    Ok(())
}

/// Puts real volumes in the place of what drives ask for, and notes which of them are new.
pub(super) fn make_drives(
    run: &mut Run<'_>,
    drives: &NewDrives<'_>,
    config: &mut Config,
    made: &mut Vec<String>,
) -> Result<(), String> {
    let keys: Vec<String> = config.keys().filter(|key| disks::is_drive_key(key)).cloned().collect();
    for key in keys {
        let text = config[&key].as_str().unwrap_or_default().to_owned();
        let attached = attach(run.state, drives, &key, &text, &mut run.log)?;
        let (asked, present) = (PropertyString::parse(&text).bare, PropertyString::parse(&attached).bare);
        if asked != present && disks::owner_of(&present) == Some(drives.vmid) {
            made.push(present);
        }
        config.insert(key, attached.into());
    }
    Ok(())
}

/// What comes after a guest was made. That it can't be started is no reason to give it up.
pub(super) fn finish(
    run: &mut Run<'_>,
    node: &str,
    kind: GuestType,
    vmid: u32,
    start: bool,
    ha_managed: bool,
) {
    if ha_managed {
        run.say("Add as HA resource");
        let state = if start { "started" } else { "stopped" };
        let config = Config::from([("state".to_owned(), state.into())]);
        let resource = HaResource { config, ..HaResource::default() };
        run.state.world.ha.insert(format!("{}:{vmid}", kind.ha_prefix()), resource);
    }
    if start {
        run.say("Execute autostart");
        if let Err(problem) = super::power::start_now(run, node, kind, vmid) {
            run.say(problem);
        }
    }
}

fn unpack(run: &mut Run<'_>, node: &str, template: &str) -> Result<(), String> {
    if disks::find(run.state, node, template).is_none() {
        let problem = format!("volume '{template}' does not exist");
        run.say(problem.clone());
        return Err(problem);
    }
    let path = disks::path_of(run.state, template);
    run.say(format!("extracting archive '{path}'"));
    run.say("Total bytes read: 2017280 (2.0MiB, 78MiB/s)");
    run.say("Detected container architecture: amd64");
    Ok(())
}

/// What Proxmox adds to a configuration that leaves it out.
fn complete(config: &mut Config, kind: GuestType, vmid: u32, template: Option<&str>, now: i64) {
    let mut default = |key: &str, value: serde_json::Value| {
        config.entry(key.to_owned()).or_insert(value);
    };
    match kind {
        GuestType::Qemu => {
            default("meta", format!("creation-qemu={QEMU_VERSION},ctime={now}").into());
            default("smbios1", format!("uuid={}", uuid::Uuid::new_v4()).into());
            default("vmgenid", uuid::Uuid::new_v4().to_string().into());
            let order = disks::drive_order(config).join(";");
            let boot = if order.is_empty() { " ".to_owned() } else { format!("order={order}") };
            config.entry("boot".to_owned()).or_insert(boot.into());
        }
        GuestType::Lxc => {
            default("arch", "amd64".into());
            default("hostname", format!("CT{vmid}").into());
            default("memory", 512.into());
            default("swap", 512.into());
            default("unprivileged", 1.into());
            default("ostype", system_of(template.unwrap_or_default()).into());
        }
    }
}

fn system_of(template: &str) -> &'static str {
    let known = [
        "alpine",
        "archlinux",
        "centos",
        "debian",
        "devuan",
        "fedora",
        "gentoo",
        "nixos",
        "opensuse",
        "ubuntu",
    ];
    known.into_iter().find(|system| template.contains(system)).unwrap_or("unmanaged")
}
