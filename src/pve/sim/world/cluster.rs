//! The cluster and its nodes, and what can be said about them by looking at their definitions alone.
use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::{Config, Definitions, World};

#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(in crate::pve::sim) struct Cluster {
    pub(in crate::pve::sim) name: Option<String>,
    pub(in crate::pve::sim) quorate: bool,
    pub(in crate::pve::sim) version: String,
    pub(in crate::pve::sim) repoid: String,
    pub(in crate::pve::sim) resolver_error: String,
    /// The options of the datacenter, such as `max_workers`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(in crate::pve::sim) options: Config,
    /// What the HA manager does with its resources while it is disarmed: `freeze` or `ignore`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::pve::sim) ha_disarmed: Option<String>,
    /// The HA manager has been armed although it has nothing to do.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(in crate::pve::sim) ha_armed: bool,
}

impl Default for Cluster {
    fn default() -> Self {
        Self {
            name: None,
            quorate: true,
            version: "9.2.11".to_owned(),
            repoid: "14a22df35955d97d".to_owned(),
            resolver_error: "Temporary failure in name resolution".to_owned(),
            options: Config::new(),
            ha_disarmed: None,
            ha_armed: false,
        }
    }
}

#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(in crate::pve::sim) struct Node {
    pub(in crate::pve::sim) online: bool,
    pub(in crate::pve::sim) ip: String,
    pub(in crate::pve::sim) cpus: u32,
    pub(in crate::pve::sim) memory: u64,
    pub(in crate::pve::sim) memory_used: u64,
    pub(in crate::pve::sim) disk: u64,
    pub(in crate::pve::sim) disk_used: u64,
    pub(in crate::pve::sim) uptime: i64,
    pub(in crate::pve::sim) bridges: Vec<String>,
    pub(in crate::pve::sim) timezone: String,
    /// By how many seconds its clock is ahead of all others.
    pub(in crate::pve::sim) clock_ahead: i64,
    pub(in crate::pve::sim) votes: u32,
    /// The HA manager keeps away from a node in maintenance.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(in crate::pve::sim) maintenance: bool,
    /// Where the node answers itself; any free port where it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::pve::sim) listen: Option<SocketAddr>,
    /// The interfaces, with the keys that the API shows; derived from `bridges` and `ip` where they are left out.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(in crate::pve::sim) network: Interfaces,
    /// The interfaces as they will be when the network is applied.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::pve::sim) pending_network: Option<Interfaces>,
    /// The moment from which its uptime counts again.
    #[serde(skip)]
    pub(in crate::pve::sim) booted: Option<tokio::time::Instant>,
}

/// Network interfaces by their name.
pub(in crate::pve::sim) type Interfaces = BTreeMap<String, Config>;

impl Default for Node {
    fn default() -> Self {
        Self {
            online: true,
            ip: "192.0.2.10".to_owned(),
            cpus: 8,
            memory: 64 << 30,
            memory_used: 6 << 30,
            disk: 100 << 30,
            disk_used: 9 << 30,
            uptime: 86_400,
            bridges: vec!["vmbr0".to_owned()],
            timezone: "Etc/UTC".to_owned(),
            clock_ahead: 0,
            votes: 1,
            maintenance: false,
            listen: None,
            network: Interfaces::new(),
            pending_network: None,
            booted: None,
        }
    }
}

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
