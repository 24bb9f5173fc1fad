//! The software-defined network in force.
use super::State;
use crate::pve::sim::world::{Config, Definitions};

impl State {
    /// Puts a software-defined network into force: its networks are bridges on the nodes of their zones.
    pub(in crate::pve::sim) fn apply_sdn(&mut self, network: Definitions) {
        self.world.applied_sdn = Some(network);
        for name in self.world.nodes.keys().cloned().collect::<Vec<_>>() {
            self.plug_bridges(&name);
        }
    }

    pub(in crate::pve::sim) fn plug_bridges(&mut self, name: &str) {
        let applied = |kind: &str| self.world.applied_sdn.as_ref().and_then(|applied| applied.get(kind));
        let reaches = |zone: &Config| {
            let nodes = zone.get("nodes").and_then(|nodes| nodes.as_str()).unwrap_or_default();
            nodes.is_empty() || nodes.split(',').any(|node| node == name)
        };
        let zone_of =
            |network: &Config| network.get("zone").and_then(|zone| zone.as_str()).map(str::to_owned);
        let networks: Vec<String> = applied("vnets")
            .into_iter()
            .flatten()
            .filter(|(_, network)| {
                let zone = zone_of(network).and_then(|zone| applied("zones")?.get(&zone));
                zone.is_some_and(reaches)
            })
            .map(|(id, _)| id.clone())
            .collect();
        if let Some(node) = self.world.nodes.get_mut(name) {
            node.plug_bridges(networks);
        }
    }
}
