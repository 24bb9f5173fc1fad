//! Making guests, and turning them into templates.
use super::config::{NewDrives, attach, check_drives, config_keys, demand_keys, normalise};
use super::{Route, nothing};
use crate::pve::sim::disks;
use crate::pve::sim::engine::{Call, NewTask, Run, State};
use crate::pve::sim::http::{Answer, Refusal, refuse};
use crate::pve::sim::world::{Config, Guest, GuestType, HaResource, Power};

pub(super) const ROUTES: &[Route] = &[
    ("POST", "/nodes/{node}/qemu", create),
    ("POST", "/nodes/{node}/lxc", create),
    ("POST", "/nodes/{node}/qemu/{vmid}/template", template_vm),
    ("POST", "/nodes/{node}/lxc/{vmid}/template", template_container),
];

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
    demand_allocation(call)?;
    // A container's number is judged before anything else that is asked of it, a VM's after.
    if kind == GuestType::Lxc {
        demand_new_id(call.state, kind, vmid)?;
    }
    let mut given = config_keys(call, kind);
    demand_keys(call, kind, vmid, given.iter().copied().filter(|(key, _)| *key != "unprivileged"))?;
    let rootfs = default_rootfs(call, &given);
    if let Some(rootfs) = &rootfs {
        given.push(("rootfs", rootfs));
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
    let node = order.node.clone();
    let new = call.guest_task(task, move |run| {
        let (node, short) = (order.node.clone(), kind.short());
        build(run, order).map_err(|problem| {
            abandon(run.state, &node, vmid);
            format!("unable to create {short} {vmid} - {problem}")
        })
    });
    call.fork(new.undone_by(move |state| abandon(state, &node, vmid)))
}

/// Whoever may allocate in the pool may also make the guest that goes into it.
fn demand_allocation(call: &Call<'_>) -> Result<(), Refusal> {
    if let Some(pool) = call.parameters.text("pool") {
        if !call.state.world.pools.contains_key(pool) {
            return Err(Refusal::Forbidden(Some(format!("pool '{pool}' does not exist"))));
        }
        if call.has(&format!("/pool/{pool}"), "VM.Allocate") {
            return Ok(());
        }
    }
    if call.has(&format!("/vms/{}", call.vmid()), "VM.Allocate") {
        Ok(())
    } else {
        Err(Refusal::Forbidden(None))
    }
}

fn demand_new_id(state: &State, kind: GuestType, vmid: u32) -> Result<(), Refusal> {
    let Some(guest) = state.world.guests.get(&vmid) else {
        return Ok(());
    };
    let taken = format!("{} {vmid} already exists on node '{}'", guest.kind.short(), guest.node);
    refuse(match kind {
        GuestType::Qemu => format!("unable to create VM {vmid} - {taken}"),
        GuestType::Lxc => taken,
    })
}

/// A container that names only a storage gets a root disk of four GiB there.
fn default_rootfs(call: &Call<'_>, given: &[(&str, &str)]) -> Option<String> {
    if call.guest_type() == GuestType::Qemu || given.iter().any(|(key, _)| *key == "rootfs") {
        return None;
    }
    Some(format!("{}:4", call.parameters.text("storage").unwrap_or("local")))
}

/// The number is taken from the moment at which the request is accepted.
fn reserve(state: &mut State, order: &Order) {
    let config = Config::from([("lock".to_owned(), "create".into())]);
    state.world.guests.insert(order.vmid, Guest::new(order.kind, &order.node, config));
    if let Some(pool) = order.pool.as_ref().and_then(|pool| state.world.pools.get_mut(pool)) {
        pool.vms.insert(order.vmid);
    }
}

pub(super) fn abandon(state: &mut State, node: &str, vmid: u32) {
    disks::free_all_of(state, node, vmid);
    state.world.guests.remove(&vmid);
    for pool in state.world.pools.values_mut() {
        pool.vms.remove(&vmid);
    }
}

fn build(run: &mut Run<'_>, order: Order) -> Result<(), String> {
    let Order { node, kind, vmid, mut given, start, ha_managed, template, .. } = order;
    let drives = NewDrives { node: &node, kind, vmid };
    let keys: Vec<String> = given.keys().filter(|key| disks::is_drive_key(key)).cloned().collect();
    let mut made = Vec::new();
    for key in keys {
        let text = given[&key].as_str().unwrap_or_default().to_owned();
        let mut log = Vec::new();
        let attached = attach(run.state, &drives, &key, &text, &mut log);
        made.append(&mut log);
        given.insert(key, attached?.into());
    }
    run.log.append(&mut made);
    if let Some(template) = &template {
        unpack(run, &node, template)?;
    }
    complete(&mut given, kind, vmid, template.as_deref(), run.state.clock.seconds());
    let guest = run.state.guest_mut(&node, kind, vmid)?;
    *guest = Guest::new(kind, &node, given);
    if start {
        run.say("Execute autostart");
        let now = run.state.clock.seconds();
        run.state.guest_mut(&node, kind, vmid)?.set_power(Power::Running, now);
    }
    if ha_managed {
        run.state.world.ha.insert(format!("{}:{vmid}", kind.ha_prefix()), HaResource::default());
    }
    Ok(())
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
fn make_base(state: &mut State, node: &str, kind: GuestType, vmid: u32, key: &str, volid: &str) {
    let base = volid.replacen(&format!("vm-{vmid}-disk"), &format!("base-{vmid}-disk"), 1);
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
