//! The network of a node: a bridge that goes, and changes that are applied.

use std::collections::BTreeSet;

use crate::{
    api::Risk,
    catalog::Changes,
    core::observe::{Guest, Network, Nodes, nics_in},
};

use super::{Ask, Radius, interfaces};

pub(super) fn bridge(ask: Ask<'_>, found: &mut Radius) {
    let guests = found.seen(&ask.world.guests).map(Vec::as_slice).unwrap_or_default();
    let network = found.seen(&ask.world.network);
    let nodes = found.seen(&ask.world.nodes);
    let Some((node, iface)) = ask.node().zip(ask.request.text("iface")) else { return };
    let nothing = Network::default();
    let network = network.unwrap_or(&nothing);
    let lost = interfaces::with_dependents(iface, network);
    for above in lost.iter().filter(|name| **name != iface) {
        let effect = format!("stands on {iface} and goes with it");
        found.hit(&format!("interface/{node}/{above}"), effect).raises(Risk::High);
    }
    cut_off(node, &lost, guests, found);
    addresses(node, &lost, network, nodes, found);
    others_waiting(node, network, found);
}

pub(super) fn apply(ask: Ask<'_>, found: &mut Radius) {
    let guests = found.seen(&ask.world.guests).map(Vec::as_slice).unwrap_or_default();
    let network = found.seen(&ask.world.network);
    let nodes = found.seen(&ask.world.nodes);
    let (Some(node), Some(network)) = (ask.node(), network) else { return };
    if ask.request.action.changes() != Some(Changes::WaitingApplied) {
        return others_waiting(node, network, found);
    }
    let Some(waiting) = network.waiting.as_deref() else { return };
    let effect = format!("has all waiting changes applied: {}", interfaces::shown(waiting));
    found.hit(&format!("node/{node}"), effect);
    let changed = interfaces::changed(waiting);
    let hit: BTreeSet<&str> =
        changed.iter().flat_map(|name| interfaces::with_dependents(name, network)).collect();
    cut_off(node, &hit, guests, found);
    addresses(node, &hit, network, nodes, found);
}

/// Guests that lose their way to the network.
fn cut_off(node: &str, lost: &BTreeSet<&str>, guests: &[Guest], found: &mut Radius) {
    for guest in guests.iter().filter(|guest| guest.node == node) {
        let waiting = guest.pending.iter().filter_map(|(key, value)| Some((key.clone(), value.clone()?)));
        let cards = guest.nics().into_iter().chain(nics_in(&waiting.collect()));
        for (key, bridge) in cards.filter_map(|nic| Some((nic.key, nic.bridge?))) {
            if !lost.contains(bridge.as_str()) {
                continue;
            }
            let effect = match guest.is_running() {
                true => format!("loses its network card {key} on {bridge}"),
                false => format!("would not start with its network card {key} on {bridge}"),
            };
            found.hit(&guest.reference, effect).raises(Risk::Critical);
        }
    }
}

/// The node's own addresses: by one of them the cluster holds together and this token gets in.
fn addresses(
    node: &str,
    lost: &BTreeSet<&str>,
    network: &Network,
    nodes: Option<&Nodes>,
    found: &mut Radius,
) {
    let own = nodes.and_then(|nodes| nodes.called(node)).and_then(|node| node.ip.as_deref());
    for interface in network.interfaces.iter().filter(|interface| lost.contains(interface.name.as_str())) {
        for address in &interface.addresses {
            let bare = address.split('/').next();
            if own.is_some() && bare == own {
                let effect = format!("has its address within the cluster on {}: {address}", interface.name);
                found.hit(&format!("node/{node}"), effect).raises(Risk::Critical);
            } else {
                let effect = format!("has the address {address} on {}", interface.name);
                found.hit(&format!("node/{node}"), effect).raises(Risk::High);
            }
        }
        if let Some(gateway) = &interface.gateway {
            let effect = format!("has its way out on {}, by {gateway}", interface.name);
            found.hit(&format!("node/{node}"), effect).raises(Risk::High);
        }
    }
}

/// What somebody else has written down would be applied, or thrown away, along with this.
fn others_waiting(node: &str, network: &Network, found: &mut Radius) {
    if let Some(waiting) = &network.waiting {
        let effect = format!("has other changes waiting: {}", interfaces::shown(waiting));
        found.hit(&format!("node/{node}"), effect).raises(Risk::High);
    }
}
