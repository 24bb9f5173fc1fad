//! How interfaces are shown: as rows, and as the lines of their file.
use serde_json::{Map, Value, json};

use crate::pve::sim::world::{Config, Interfaces};

pub(super) fn list<'a>(
    planned: &Interfaces,
    active: &Interfaces,
    networks: impl Iterator<Item = &'a String>,
    wanted: Option<&str>,
) -> Vec<Value> {
    let interfaces = planned.iter().enumerate().filter(|(_, (_, config))| is_wanted(kind(config), wanted));
    let own = interfaces.map(|(position, (name, config))| {
        let mut row = details(position, config, active.contains_key(name));
        row["iface"] = name.as_str().into();
        row
    });
    let with_networks = matches!(wanted, Some("vnet" | "any_bridge" | "include_sdn"));
    let network = |name: &String| json!({ "iface": name, "type": "vnet", "active": 1 });
    own.chain(networks.filter(|_| with_networks).map(network)).collect()
}

fn kind(config: &Config) -> &str {
    config.get("type").and_then(Value::as_str).unwrap_or("unknown")
}

fn is_wanted(kind: &str, wanted: Option<&str>) -> bool {
    match wanted {
        None | Some("include_sdn") => true,
        Some("any_bridge" | "any_local_bridge") => matches!(kind, "bridge" | "OVSBridge"),
        Some(wanted) => kind == wanted,
    }
}

/// An interface with what follows from what was written down.
pub(super) fn details(position: usize, config: &Config, is_active: bool) -> Value {
    let mut row: Map<String, Value> = config.clone().into_iter().collect();
    for (suffix, family) in [("", "inet"), ("6", "inet6")] {
        complete_address(&mut row, suffix);
        let method = if row.contains_key(&format!("address{suffix}")) { "static" } else { "manual" };
        row.entry(format!("method{suffix}")).or_insert_with(|| method.into());
        if suffix.is_empty() || method == "static" {
            let families = row.entry("families").or_insert_with(|| json!([]));
            if let Some(families) =
                families.as_array_mut().filter(|families| !families.contains(&family.into()))
            {
                families.push(family.into());
            }
        }
    }
    row.entry("priority").or_insert_with(|| (position + 3).into());
    if kind(config) == "bridge" {
        row.entry("bridge_ports").or_insert_with(|| "".into());
        row.entry("bridge_stp").or_insert_with(|| "off".into());
        row.entry("bridge_fd").or_insert_with(|| "0".into());
    }
    if is_active {
        row.insert("active".to_owned(), 1.into());
        if kind(config) == "eth" {
            row.insert("exists".to_owned(), 1.into());
        }
    }
    Value::Object(row)
}

/// Addresses are written with their netmask or apart from it, and shown both ways.
fn complete_address(row: &mut Map<String, Value>, suffix: &str) {
    let text = |key: &str| {
        row.get(&format!("{key}{suffix}"))
            .map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned))
    };
    let (cidr, address, netmask) = (text("cidr"), text("address"), text("netmask"));
    let split = cidr.as_deref().and_then(|cidr| cidr.split_once('/'));
    let (address, netmask) = match (split, address, netmask) {
        (Some((address, netmask)), _, _) => (address.to_owned(), netmask.to_owned()),
        (None, Some(address), Some(netmask)) => (address, netmask),
        _ => return,
    };
    row.insert(format!("cidr{suffix}"), format!("{address}/{netmask}").into());
    row.insert(format!("address{suffix}"), address.into());
    row.insert(format!("netmask{suffix}"), netmask.into());
}

/// A new address in one notation replaces the old one in the other.
pub(super) fn forget_other_notation(config: &mut Config, changes: &Config) {
    for suffix in ["", "6"] {
        let (cidr, address) = (format!("cidr{suffix}"), format!("address{suffix}"));
        if changes.contains_key(&cidr) {
            config.remove(&address);
            config.remove(&format!("netmask{suffix}"));
        }
        if changes.contains_key(&address) {
            config.remove(&cidr);
        }
    }
}

/// The file of interfaces, by interface.
pub(super) fn stanzas(interfaces: &Interfaces) -> Vec<String> {
    let stanza = |(name, config): (&String, &Config)| {
        let mut lines = vec![];
        if config.get("autostart").is_some_and(|autostart| *autostart == 1) {
            lines.push(format!("auto {name}"));
        }
        let method =
            if config.contains_key("cidr") || config.contains_key("address") { "static" } else { "manual" };
        lines.push(format!("iface {name} inet {method}"));
        let settings = config.iter().filter(|(key, _)| !["type", "autostart"].contains(&key.as_str()));
        lines.extend(settings.map(|(key, value)| {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            format!("\t{} {value}", key.replace('_', "-").replace("cidr", "address"))
        }));
        lines.join("\n")
    };
    interfaces.iter().map(stanza).collect()
}

/// What goes and what comes, in the manner of a diff; empty if all stays.
pub(in super::super) fn difference(before: &[String], after: &[String]) -> String {
    let lines = |sign: char, stanzas: &[String], others: &[String]| {
        let changed = stanzas.iter().filter(|stanza| !others.contains(stanza));
        changed.flat_map(|stanza| stanza.lines()).map(|line| format!("{sign}{line}\n")).collect::<String>()
    };
    let changes = lines('-', before, after) + &lines('+', after, before);
    if changes.is_empty() {
        return changes;
    }
    format!("--- /etc/network/interfaces\n+++ /etc/network/interfaces.new\n{changes}")
}
