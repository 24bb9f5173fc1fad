//! Nodes: the list, their status, their time.
use serde_json::{Value, json};

use super::{Route, data};
use crate::pve::sim::engine::State;
use crate::pve::sim::engine::{Call, NewTask};
use crate::pve::sim::http::{Answer, Refusal};
use crate::pve::sim::world::{Node, sha1_hex};

pub(super) const ROUTES: &[Route] = &[
    ("GET", "/nodes", list),
    ("GET", "/nodes/{node}/status", status),
    ("GET", "/nodes/{node}/time", time),
    ("GET", "/nodes/{node}/version", version),
    ("POST", "/nodes/{node}/services/{service}/restart", restart_service),
];

fn list(call: &mut Call<'_>) -> Answer {
    let (certificate, first) = (&call.state.certificate, call.state.world.nodes.keys().next());
    let row = |(name, node): (&String, &Node)| {
        let audited = call.has(&format!("/nodes/{name}"), "Sys.Audit");
        let mut row = node_row(call.state, name, node, audited);
        let shown = certificate.clone().filter(|_| Some(name) == first);
        row["ssl_fingerprint"] = shown.unwrap_or_else(|| fingerprint(name)).into();
        row
    };
    let rows: Vec<Value> = call.state.world.nodes.iter().map(row).collect();
    data(rows)
}

/// What everybody sees of a node, and what its auditors see besides.
pub(super) fn node_row(state: &State, name: &str, node: &Node, audited: bool) -> Value {
    let status = if node.online { "online" } else { "offline" };
    let mut row = json!({ "id": format!("node/{name}"), "node": name, "type": "node", "status": status });
    if audited && node.online {
        let numbers = json!({
            "cpu": 0.0125,
            "maxcpu": node.cpus,
            "mem": node.memory_used,
            "maxmem": node.memory,
            "disk": node.disk_used,
            "maxdisk": node.disk,
            "uptime": uptime(state, node),
            "level": "",
        });
        super::guests::extend(&mut row, numbers);
    }
    row
}

fn uptime(state: &State, node: &Node) -> i64 {
    match node.booted {
        Some(booted) => i64::try_from(booted.elapsed().as_secs()).unwrap_or_default(),
        None => node.uptime + i64::try_from(state.clock.ticks() / 100).unwrap_or_default(),
    }
}

/// Stable for a node's name, so that the list looks alike between runs.
fn fingerprint(name: &str) -> String {
    let text = sha1_hex(name) + &sha1_hex(&format!("{name}."));
    let pairs: Vec<&str> = (0..32).filter_map(|pair| text.get(pair * 2..pair * 2 + 2)).collect();
    pairs.join(":").to_uppercase()
}

fn known_node<'a>(call: &'a Call<'_>) -> Result<&'a Node, Refusal> {
    let found = call.state.world.nodes.get(call.node());
    found.ok_or_else(|| Refusal::Failed(format!("no such cluster node '{}'", call.node())))
}

fn status(call: &mut Call<'_>) -> Answer {
    let node = known_node(call)?;
    let cluster = &call.state.world.cluster;
    data(json!({
        "boot-info": { "mode": "legacy-bios" },
        "cpu": 0.0125,
        "cpuinfo": {
            "cores": node.cpus, "cpus": node.cpus, "family": "6", "flags": "fpu vme de pse", "hvm": "1",
            "mhz": "2000.000", "model": "Simulated Processor", "sockets": 1, "user_hz": 100, "vendor": "GenuineIntel",
        },
        "current-kernel": {
            "machine": "x86_64", "release": "6.18.0-1-pve", "sysname": "Linux", "version": "#1 SMP PREEMPT_DYNAMIC",
        },
        "idle": 0,
        "ksm": { "shared": 0 },
        "kversion": "Linux 6.18.0-1-pve #1 SMP PREEMPT_DYNAMIC",
        "loadavg": ["0.10", "0.12", "0.09"],
        "memory": {
            "available": node.memory.saturating_sub(node.memory_used),
            "free": node.memory.saturating_sub(node.memory_used),
            "total": node.memory,
            "used": node.memory_used,
        },
        "pveversion": format!("pve-manager/{}/{}", cluster.version, cluster.repoid),
        "rootfs": {
            "avail": node.disk.saturating_sub(node.disk_used),
            "free": node.disk.saturating_sub(node.disk_used),
            "total": node.disk,
            "used": node.disk_used,
        },
        "swap": { "free": 0, "total": 0, "used": 0 },
        "uptime": uptime(call.state, node),
        "wait": 0,
    }))
}

fn time(call: &mut Call<'_>) -> Answer {
    let node = known_node(call)?;
    let now = call.state.clock.seconds() + node.clock_ahead;
    data(json!({ "time": now, "localtime": now, "timezone": node.timezone }))
}

/// Nothing depends on a service here, so restarting one only leaves its task.
fn restart_service(call: &mut Call<'_>) -> Answer {
    let new =
        NewTask::other(call.node(), "srvrestart", call.text("service").to_owned(), &call.caller.id(), |_| {
            Ok(())
        });
    call.fork(new)
}

fn version(call: &mut Call<'_>) -> Answer {
    let cluster = &call.state.world.cluster;
    let release: Vec<&str> = cluster.version.split('.').take(2).collect();
    data(json!({ "version": cluster.version, "release": release.join("."), "repoid": cluster.repoid }))
}
