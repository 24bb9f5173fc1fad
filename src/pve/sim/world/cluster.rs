//! What can be said about a cluster by looking at its definitions alone.
use super::model::{Config, Interfaces, Node};
use super::{Definitions, World};

/// The kinds of definitions that take effect only when the software-defined network is applied.
pub(in crate::pve::sim) const SDN_KINDS: [&str; 3] = ["zones", "vnets", "subnets"];

impl World {
    /// Whether the nodes that are up hold more than half of the votes.
    pub(in crate::pve::sim) fn has_majority(&self) -> bool {
        let votes = |online_only: bool| {
            let counted = self.nodes.values().filter(|node| node.online || !online_only);
            counted.map(|node| node.votes).sum::<u32>()
        };
        votes(true) * 2 > votes(false)
    }

    pub(in crate::pve::sim) fn defined(&self, kind: &str) -> impl Iterator<Item = (&String, &Config)> {
        self.definitions.get(kind).into_iter().flatten()
    }

    pub(in crate::pve::sim) fn definition(&self, kind: &str, id: &str) -> Option<&Config> {
        self.definitions.get(kind)?.get(id)
    }

    /// The software-defined network as it was defined, whether it is in force or not.
    pub(in crate::pve::sim) fn defined_sdn(&self) -> Definitions {
        let of_network = self.definitions.iter().filter(|(kind, _)| SDN_KINDS.contains(&kind.as_str()));
        of_network.map(|(kind, all)| (kind.clone(), all.clone())).collect()
    }
}

impl Node {
    /// A node whose interfaces nobody described has a card below its first bridge, which holds its address.
    pub(in crate::pve::sim) fn usual_network(&self) -> Interfaces {
        let mut network = Interfaces::new();
        for (position, bridge) in self.bridges.iter().enumerate() {
            let card = format!("eno{}", position + 1);
            let mut config = Config::from([
                ("type".to_owned(), "bridge".into()),
                ("autostart".to_owned(), 1.into()),
                ("bridge_ports".to_owned(), card.as_str().into()),
            ]);
            if position == 0 {
                config.insert("cidr".to_owned(), format!("{}/24", self.ip).into());
                config.insert("gateway".to_owned(), gateway_of(&self.ip).into());
            }
            network.insert(bridge.clone(), config);
            network.insert(card, Config::from([("type".to_owned(), "eth".into())]));
        }
        network
    }

    /// The bridges that guests can be plugged into: those of the node itself, and the vnets besides.
    pub(in crate::pve::sim) fn plug_bridges(&mut self, networks: Vec<String>) {
        let is_bridge = |config: &Config| {
            matches!(config.get("type").and_then(|kind| kind.as_str()), Some("bridge" | "OVSBridge"))
        };
        let own = self.network.iter().filter(|(_, config)| is_bridge(config)).map(|(name, _)| name.clone());
        self.bridges = own.chain(networks).collect();
    }

    /// Whether one of its interfaces holds the address at which the others reach it.
    pub(in crate::pve::sim) fn holds_its_address(&self) -> bool {
        let holds = |config: &Config| {
            let text = |key: &str| config.get(key).and_then(|value| value.as_str()).unwrap_or_default();
            text("cidr").split('/').next() == Some(&self.ip) || text("address") == self.ip
        };
        self.network.values().any(holds)
    }
}

fn gateway_of(ip: &str) -> String {
    ip.rsplit_once('.').map_or_else(|| ip.to_owned(), |(net, _)| format!("{net}.1"))
}
