//! What stands on a node's interface, and which interfaces a waiting change is about.

use std::collections::BTreeSet;

use crate::core::observe::{Interface, Network};

/// An interface and everything that is built on it: bonds, VLANs, bridges.
pub(super) fn with_dependents<'a>(name: &'a str, network: &'a Network) -> BTreeSet<&'a str> {
    let mut all = BTreeSet::from([name]);
    loop {
        let more =
            network.interfaces.iter().filter(|interface| all.iter().any(|below| stands_on(interface, below)));
        let more: Vec<&str> = more.map(|interface| interface.name.as_str()).collect();
        let before = all.len();
        all.extend(more);
        if all.len() == before {
            return all;
        }
    }
}

fn stands_on(interface: &Interface, below: &str) -> bool {
    let raw = interface.settings.get("vlan-raw-device").is_some_and(|raw| raw == below);
    let tagged = interface.name.strip_prefix(below).is_some_and(|rest| rest.starts_with('.'));
    raw || tagged || interface.ports.iter().any(|port| port == below)
}

/// The interfaces that a waiting change touches, from the difference of `/etc/network/interfaces` that Proxmox shows.
pub(super) fn changed(difference: &str) -> BTreeSet<&str> {
    let mut current = None;
    let mut changed = BTreeSet::new();
    for line in difference.lines().filter(|line| !line.starts_with("+++") && !line.starts_with("---")) {
        let is_change = line.starts_with(['+', '-']);
        let text = line.get(1..).unwrap_or_default().trim();
        match text.split_once(' ') {
            Some(("iface", rest)) => current = rest.split(' ').next(),
            Some(("auto", name)) if is_change => {
                changed.insert(name.trim());
            }
            _ => {}
        }
        if is_change && !text.is_empty() {
            changed.extend(current);
        }
    }
    changed
}

/// The lines of a difference that say something, on one line.
pub(super) fn shown(difference: &str) -> String {
    let lines = difference.lines().filter(|line| !line.starts_with("+++") && !line.starts_with("---"));
    let lines: Vec<&str> = lines.filter(|line| line.starts_with(['+', '-']) && line.len() > 1).collect();
    lines.join("; ")
}
