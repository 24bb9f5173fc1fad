//! Network cards of the target, and the virtual networks of all nodes.

use std::collections::BTreeSet;

use crate::{
    api::Risk,
    core::observe::{Guest, Network, Nic, Sdn, nics_in},
};

use super::{Ask, Radius};

pub(super) fn look(ask: Ask<'_>, found: &mut Radius) {
    let network = found.seen(&ask.world.network);
    let sdn = found.seen(&ask.world.sdn);
    let Some(guest) = ask.world.guest() else { return };
    let outage = if guest.is_running() { Risk::High } else { Risk::Medium };
    let params = ask.request.params.iter().map(|(name, value)| (name.clone(), value.to_wire()));
    let asked = nics_in(&params.collect());
    for old in guest.nics() {
        let bridge = old.bridge.as_deref().unwrap_or("no bridge");
        if ask.removed().any(|key| key == old.key) {
            found
                .hit(&guest.reference, format!("loses its network card {} on {bridge}", old.key))
                .raises(outage);
        } else if let Some(new) = asked.iter().find(|new| new.key == old.key) {
            changed(guest, &old, new, outage, found);
        }
    }
    for nic in &asked {
        has_bridge(guest, nic, network, sdn, found);
    }
}

fn changed(guest: &Guest, old: &Nic, new: &Nic, outage: Risk, found: &mut Radius) {
    let name = |nic: &Nic| nic.bridge.clone().unwrap_or("no bridge".to_owned());
    if old.bridge != new.bridge {
        let effect = format!("has its network card {} on {} instead of {}", old.key, name(new), name(old));
        found.hit(&guest.reference, effect).raises(outage);
    }
    if old.mac.is_some() && old.mac != new.mac {
        let effect = format!("has another MAC address on its network card {}", old.key);
        found.hit(&guest.reference, effect).raises(outage);
    }
}

/// Without its bridge a guest does not start, and on a running one the change fails half-way.
fn has_bridge(guest: &Guest, nic: &Nic, network: Option<&Network>, sdn: Option<&Sdn>, found: &mut Radius) {
    let (Some(bridge), Some(network), Some(sdn)) = (&nic.bridge, network, sdn) else { return };
    let is_there = network.interfaces.iter().any(|interface| interface.name == *bridge)
        || sdn.vnets.iter().any(|vnet| vnet.id == *bridge);
    if !is_there {
        let effect = format!("would not start with {}: there is no {bridge} on {}", nic.key, guest.node);
        found.hit(&guest.reference, effect).raises(Risk::High);
    }
}

pub(super) fn sdn(ask: Ask<'_>, found: &mut Radius) {
    let sdn = found.seen(&ask.world.sdn);
    let guests = found.seen(&ask.world.guests).map(Vec::as_slice).unwrap_or_default();
    let nodes = found.seen(&ask.world.nodes);
    for node in nodes.map(|nodes| nodes.nodes.as_slice()).unwrap_or_default() {
        found.hit(&format!("node/{}", node.name), "loads its network anew");
    }
    let Some(sdn) = sdn else { return };
    let zones = sdn.zones.iter().filter_map(|zone| Some((zone.id.as_str(), zone.waiting.as_deref()?)));
    let zones: BTreeSet<(&str, &str)> = zones.collect();
    for (zone, waiting) in &zones {
        found.hit(&format!("zone/{zone}"), format!("has a change waiting: {waiting}"));
    }
    for vnet in &sdn.vnets {
        let of_zone = zones.iter().find(|(zone, _)| *zone == vnet.zone).map(|(_, waiting)| *waiting);
        let waiting = vnet.waiting.as_deref();
        if let Some(waiting) = waiting {
            found.hit(&format!("vnet/{}", vnet.id), format!("has a change waiting: {waiting}"));
        }
        let change = if of_zone == Some("deleted") { of_zone } else { waiting.or(of_zone) };
        if let Some(change) = change {
            on_vnet(&vnet.id, change, guests, found);
        }
    }
}

fn on_vnet(vnet: &str, change: &str, guests: &[Guest], found: &mut Radius) {
    for guest in guests {
        for nic in guest.nics().iter().filter(|nic| nic.bridge.as_deref() == Some(vnet)) {
            let (effect, risk) = match change {
                "deleted" => (format!("loses its network card {} on {vnet}", nic.key), Risk::Critical),
                _ => (format!("has its network card {} on {vnet}, which is {change}", nic.key), Risk::High),
            };
            found.hit(&guest.reference, effect).raises(risk);
        }
    }
}
