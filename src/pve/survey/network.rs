use std::collections::BTreeMap;

use serde::Deserialize;

use crate::{
    core::observe::{Interface, Network, Rights, Sdn, Seen, Vnet, Zone},
    pve::ReadError,
};

use super::{
    lookout::Lookout,
    settings::{Row, flag, list, settings},
    sight::{Sight, hidden, whole, whole_on},
};

/// Where an interface says what it is made of.
const PORTS: [&str; 4] = ["bridge_ports", "slaves", "ovs_ports", "vlan-raw-device"];

pub(super) async fn network(
    lookout: &Lookout<'_>,
    rights: &Rights,
    node: Option<&str>,
) -> Result<Seen<Network>, ReadError> {
    let Some(node) = node else {
        return Ok(Seen::Unknown { why: "the network can't be seen: no node is named".to_owned() });
    };
    let what = format!("the network of node {node}");
    if !rights.holds(&format!("/nodes/{node}"), "Sys.Audit") {
        let why = format!("{what} can't all be seen: the token lacks Sys.Audit on /nodes/{node}");
        return Ok(Seen::Unknown { why });
    }
    let read = lookout.get_whole_on::<Vec<Row>>(node, "network", &[]).await;
    whole_on(
        node,
        &what,
        read.map(|answer| Network {
            interfaces: answer.data.into_iter().map(|row| interface(settings(row))).collect(),
            waiting: answer.changes.filter(|changes| !changes.trim().is_empty()),
        }),
    )
}

fn interface(mut settings: BTreeMap<String, String>) -> Interface {
    let addresses = ["cidr", "cidr6"].into_iter().filter_map(|key| settings.get(key).cloned());
    Interface {
        addresses: addresses.collect(),
        name: settings.remove("iface").unwrap_or_default(),
        kind: settings.get("type").cloned().unwrap_or_default(),
        active: flag(&settings, "active"),
        gateway: settings.get("gateway").or(settings.get("gateway6")).cloned(),
        ports: PORTS.into_iter().flat_map(|key| list(&settings, key)).collect(),
        settings,
    }
}

#[derive(Deserialize)]
struct ZoneRow {
    zone: String,
    state: Option<String>,
}

#[derive(Deserialize)]
struct VnetRow {
    vnet: String,
    zone: Option<String>,
    state: Option<String>,
    #[serde(default)]
    pending: Pending,
}

/// What has not been applied stands aside.
#[derive(Default, Deserialize)]
struct Pending {
    zone: Option<String>,
}

pub(super) async fn sdn(lookout: &Lookout<'_>, rights: &Rights) -> Result<Seen<Sdn>, ReadError> {
    const WHAT: &str = "the virtual networks";
    let needed = Sight::below(&["SDN.Audit", "SDN.Allocate"], "/sdn/zones");
    if let Some(why) = hidden(WHAT, rights, &[needed]) {
        return Ok(Seen::Unknown { why });
    }
    whole(WHAT, read_sdn(lookout).await)
}

async fn read_sdn(lookout: &Lookout<'_>) -> Result<Sdn, ReadError> {
    let pending = [("pending", "1".to_owned())];
    let (zones, vnets): (Vec<ZoneRow>, Vec<VnetRow>) = futures::try_join!(
        lookout.get("/cluster/sdn/zones", &pending),
        lookout.get("/cluster/sdn/vnets", &pending)
    )?;
    Ok(Sdn {
        zones: zones.into_iter().map(|row| Zone { id: row.zone, waiting: row.state }).collect(),
        vnets: vnets
            .into_iter()
            .map(|row| Vnet {
                id: row.vnet,
                zone: row.zone.or(row.pending.zone).unwrap_or_default(),
                waiting: row.state,
            })
            .collect(),
    })
}
