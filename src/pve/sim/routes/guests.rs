//! Lists of guests and their present status.
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::{Route, data, index};
use crate::pve::sim::contract::PropertyString;
use crate::pve::sim::disks;
use crate::pve::sim::engine::{Call, State};
use crate::pve::sim::faults::seconds_of;
use crate::pve::sim::http::Answer;
use crate::pve::sim::world::{AgentState, Guest, GuestType, Power};

pub(super) const ROUTES: &[Route] = &[
    ("GET", "/nodes/{node}/qemu", list),
    ("GET", "/nodes/{node}/lxc", list),
    ("GET", "/nodes/{node}/qemu/{vmid}", |_| data(index(&VM_ENTRIES))),
    ("GET", "/nodes/{node}/lxc/{vmid}", |_| data(index(&CONTAINER_ENTRIES))),
    ("GET", "/nodes/{node}/qemu/{vmid}/status", |_| data(index(&STATUS_ENTRIES))),
    ("GET", "/nodes/{node}/lxc/{vmid}/status", |_| data(index(&STATUS_ENTRIES))),
    ("GET", "/nodes/{node}/qemu/{vmid}/status/current", current),
    ("GET", "/nodes/{node}/lxc/{vmid}/status/current", current),
    ("GET", "/nodes/{node}/lxc/{vmid}/interfaces", interfaces),
];

const VM_ENTRIES: [&str; 20] = [
    "config",
    "cloudinit",
    "pending",
    "status",
    "unlink",
    "vncproxy",
    "termproxy",
    "migrate",
    "resize",
    "move",
    "rrd",
    "rrddata",
    "monitor",
    "agent",
    "snapshot",
    "spiceproxy",
    "sendkey",
    "firewall",
    "mtunnel",
    "remote_migrate",
];
const CONTAINER_ENTRIES: [&str; 18] = [
    "config",
    "pending",
    "status",
    "vncproxy",
    "termproxy",
    "vncwebsocket",
    "spiceproxy",
    "migrate",
    "clone",
    "initlog",
    "rrd",
    "rrddata",
    "firewall",
    "snapshot",
    "resize",
    "interfaces",
    "mtunnel",
    "remote_migrate",
];
const STATUS_ENTRIES: [&str; 5] = ["current", "start", "stop", "shutdown", "migrate"];
const MIB: u64 = 1 << 20;

fn list(call: &mut Call<'_>) -> Answer {
    let kind = call.guest_type();
    let node = call.node();
    let visible = |(vmid, guest): &(&u32, &Guest)| {
        guest.kind == kind && guest.node == node && call.has(&format!("/vms/{vmid}"), "VM.Audit")
    };
    let full = call.parameters.flag("full");
    let row = |(&vmid, guest): (&u32, &Guest)| {
        let mut row = numbers(call.state, vmid, guest);
        if full && kind == GuestType::Qemu {
            row["qmpstatus"] = qmp_status(guest).into();
        }
        row
    };
    let rows: Vec<Value> = call.state.world.guests.iter().filter(visible).map(row).collect();
    data(rows)
}

pub(super) fn extend(row: &mut Value, more: Value) {
    if let (Value::Object(fields), Value::Object(more)) = (row, more) {
        fields.extend(more);
    }
}

pub(super) fn cpus(guest: &Guest) -> u64 {
    let sockets = guest.number("sockets").unwrap_or(1);
    match guest.kind {
        GuestType::Qemu => guest.number("vcpus").unwrap_or(sockets * guest.number("cores").unwrap_or(1)),
        GuestType::Lxc => guest.number("cores").unwrap_or(1),
    }
}

pub(super) fn max_memory(guest: &Guest) -> u64 {
    guest.number("memory").unwrap_or(512) * MIB
}

/// The size of the disk that a guest boots from.
pub(super) fn max_disk(guest: &Guest) -> u64 {
    let key = match guest.kind {
        GuestType::Lxc => Some("rootfs".to_owned()),
        GuestType::Qemu => disks::boot_disk(&guest.config),
    };
    let drive = key.and_then(|key| guest.text(&key).map(PropertyString::parse));
    drive.and_then(|drive| disks::parse_size(drive.get("size")?)).unwrap_or_default()
}

pub(super) fn power_name(power: Power) -> &'static str {
    if power == Power::Stopped { "stopped" } else { "running" }
}

fn qmp_status(guest: &Guest) -> &'static str {
    match guest.status {
        Power::Stopped => "stopped",
        Power::Running => "running",
        Power::Paused => "paused",
    }
}

/// The row that lists and status share.
fn numbers(state: &State, vmid: u32, guest: &Guest) -> Value {
    let mut row = json!({
        "vmid": vmid,
        "name": guest.name(vmid),
        "status": power_name(guest.status),
        "cpu": 0,
        "cpus": cpus(guest),
        "mem": 0,
        "maxmem": max_memory(guest),
        "disk": 0,
        "maxdisk": max_disk(guest),
        "netin": 0,
        "netout": 0,
        "uptime": guest.uptime_at(state.clock.seconds()),
    });
    match guest.kind {
        GuestType::Qemu => row["memhost"] = 0.into(),
        GuestType::Lxc => extend(&mut row, container_numbers(guest)),
    }
    for key in ["lock", "tags"] {
        if let Some(text) = guest.text(key) {
            row[key] = text.into();
        }
    }
    if guest.is_template() {
        row["template"] = 1.into();
    }
    if guest.kind == GuestType::Qemu && guest.config.contains_key("serial0") {
        row["serial"] = 1.into();
    }
    if guest.is_running() {
        extend(&mut row, running_numbers(vmid, guest.kind));
    }
    row
}

fn container_numbers(guest: &Guest) -> Value {
    let swap = guest.number("swap").unwrap_or(512) * MIB;
    json!({ "type": "lxc", "diskread": 0, "diskwrite": 0, "swap": 0, "maxswap": swap })
}

/// A container's pressure is passed on as the kernel writes it, as text.
fn running_numbers(vmid: u32, kind: GuestType) -> Value {
    let none = if kind == GuestType::Lxc { json!("0.00") } else { json!(0) };
    json!({
        "pid": 4000 + vmid,
        "pressurecpufull": none, "pressurecpusome": none,
        "pressureiofull": none, "pressureiosome": none,
        "pressurememoryfull": none, "pressurememorysome": none,
    })
}

fn current(call: &mut Call<'_>) -> Answer {
    let vmid = call.vmid();
    let guest = call.guest()?;
    let mut row = numbers(call.state, vmid, guest);
    row["ha"] = super::ha::state_of_guest(call.state, guest.kind, vmid);
    if guest.kind == GuestType::Qemu {
        row["qmpstatus"] = qmp_status(guest).into();
        if guest.text("agent").is_some_and(|agent| agent.starts_with('1') || agent.contains("enabled=1")) {
            row["agent"] = 1.into();
        }
        if guest.is_running() {
            extend(&mut row, running_machine(vmid, guest));
        }
    }
    data(row)
}

/// What QEMU itself reports; its truth values are real ones.
fn running_machine(vmid: u32, guest: &Guest) -> Value {
    let memory = max_memory(guest);
    let cards = guest.config.keys().filter_map(|key| key.strip_prefix("net"));
    let nics: Map<String, Value> =
        cards.map(|card| (format!("tap{vmid}i{card}"), json!({ "netin": 0, "netout": 0 }))).collect();
    let first = disks::drive_order(&guest.config).into_iter().next();
    let drives = disks::drives(&guest.config);
    let blocks: Map<String, Value> =
        drives.map(|(key, _)| (key.to_owned(), block_statistics(first.as_deref() == Some(key)))).collect();
    let mut row = json!({
        "balloon": memory,
        "ballooninfo": { "actual": memory, "max_mem": memory },
        "blockstat": blocks,
        "diskread": 0,
        "diskwrite": 0,
        "proxmox-support": {
            "backup-access-api": true, "backup-fleecing": true, "backup-max-workers": true,
            "pbs-dirty-bitmap": true, "pbs-dirty-bitmap-migration": true, "pbs-dirty-bitmap-savevm": true,
            "pbs-library-version": "1.5.2", "pbs-masterkey": true, "query-bitmap-info": true,
        },
        "running-machine": "pc-i440fx-10.0+pve1",
        "running-qemu": "10.0.2",
    });
    if !nics.is_empty() {
        row["nics"] = Value::Object(nics);
    }
    row
}

/// Only a drive that has been read from was ever idle.
fn block_statistics(booted_from: bool) -> Value {
    let mut row = json!({ "account_failed": true, "account_invalid": true, "timed_stats": [] });
    for what in ["flush", "rd", "wr", "unmap", "zone_append"] {
        row[format!("failed_{what}_operations")] = 0.into();
        row[format!("invalid_{what}_operations")] = 0.into();
        row[format!("{what}_operations")] = 0.into();
        row[format!("{what}_total_time_ns")] = 0.into();
        if what != "flush" {
            row[format!("{what}_bytes")] = 0.into();
            row[format!("{what}_merged")] = 0.into();
        }
    }
    if let Some(fields) = row.as_object_mut() {
        fields.insert("wr_highest_offset".to_owned(), 0.into());
        if booted_from {
            fields.insert("idle_time_ns".to_owned(), 1_000_000.into());
        }
    }
    row
}

/// The cluster's resource list shows what the statistics daemon saw some seconds ago.
pub(super) fn resource_row(state: &State, vmid: u32, guest: &Guest) -> Value {
    let lag = seconds_of(state.world.stats_seconds);
    let recent = |at: Option<Instant>| at.is_some_and(|at| at.elapsed() < lag);
    let kind = guest.kind.name();
    let mut row = json!({ "id": format!("{kind}/{vmid}"), "type": kind, "vmid": vmid, "node": guest.node, "status": "unknown" });
    if !recent(guest.observed.created) {
        let status = guest.observed.before.filter(|_| recent(guest.observed.changed)).unwrap_or(guest.status);
        let uptime = if status == Power::Stopped { 0 } else { guest.uptime_at(state.clock.seconds()) };
        let seen = json!({
            "name": guest.name(vmid), "status": power_name(status), "uptime": uptime,
            "template": u8::from(guest.is_template()),
            "cpu": 0, "maxcpu": cpus(guest), "mem": 0, "memhost": 0, "maxmem": max_memory(guest),
            "disk": 0, "maxdisk": max_disk(guest), "diskread": 0, "diskwrite": 0, "netin": 0, "netout": 0,
        });
        extend(&mut row, seen);
        if let Some(tags) = guest.text("tags") {
            row["tags"] = tags.into();
        }
    }
    if guest.kind == GuestType::Lxc
        && let Some(fields) = row.as_object_mut()
    {
        fields.remove("memhost");
    }
    if let Some(lock) = guest.text("lock") {
        row["lock"] = lock.into();
    }
    if let Some(state) = super::ha::manager_state(state, guest.kind, vmid) {
        row["hastate"] = state.into();
    }
    row
}

fn interfaces(call: &mut Call<'_>) -> Answer {
    let guest = call.guest()?;
    if !guest.is_running() {
        return super::nothing();
    }
    let card = |(position, (key, _)): (usize, (&String, &Value))| {
        let hardware = guest
            .text(key)
            .map(PropertyString::parse)
            .and_then(|net| net.get("hwaddr").map(str::to_lowercase));
        json!({ "name": format!("eth{position}"), "hwaddr": hardware, "hardware-address": hardware, "ip-addresses": [] })
    };
    let rows: Vec<Value> =
        guest.config.iter().filter(|(key, _)| key.starts_with("net")).enumerate().map(card).collect();
    data(rows)
}

/// Whether an agent would answer inside the guest.
pub(super) fn agent_answers(guest: &Guest) -> bool {
    guest.agent == AgentState::Running
}
