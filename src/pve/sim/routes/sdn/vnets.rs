//! Networks of a zone, which guests are plugged into like into a bridge.
use super::{
    Answer, Call, Kind, Refusal, Route, create, data, delete, demand_network, network_path, read, rows, text,
    update,
};

pub(in super::super) const ROUTES: &[Route] = &[
    ("GET", "/cluster/sdn/vnets", list),
    ("POST", "/cluster/sdn/vnets", create_network),
    ("GET", "/cluster/sdn/vnets/{vnet}", read_network),
    ("PUT", "/cluster/sdn/vnets/{vnet}", update_network),
    ("DELETE", "/cluster/sdn/vnets/{vnet}", delete_network),
];

const NETWORKS: Kind = Kind { name: "vnets", id: "vnet", noun: "sdn vnet object" };

fn list(call: &mut Call<'_>) -> Answer {
    let visible = |id: &str, zone: &str| {
        call.rights().has_any(&format!("/sdn/zones/{zone}/{id}"), &["SDN.Audit", "SDN.Allocate"])
    };
    let networks = rows(call, &NETWORKS);
    let seen =
        networks.into_iter().filter(|(id, network, _)| visible(id, text(network, "zone").unwrap_or("-")));
    data(
        seen.map(|(_, _, mut row)| {
            row["type"] = "vnet".into();
            row
        })
        .collect::<Vec<_>>(),
    )
}

fn demand_zone(call: &Call<'_>) -> Result<(), Refusal> {
    match call.parameters.text("zone") {
        Some(zone) if call.state.world.definition("zones", zone).is_none() => {
            Err(Refusal::parameter("zone", format!("zone {zone} does not exist.")))
        }
        _ => Ok(()),
    }
}

fn create_network(call: &mut Call<'_>) -> Answer {
    demand_zone(call)?;
    create(call, &NETWORKS, call.text("vnet").to_owned())
}

fn read_network(call: &mut Call<'_>) -> Answer {
    let path = network_path(call, call.text("vnet"));
    if !call.rights().has_any(&path, &["SDN.Audit", "SDN.Allocate"]) {
        return Err(Refusal::Forbidden(Some(format!("{path}, SDN.Audit|SDN.Allocate"))));
    }
    read(call, &NETWORKS)
}

fn update_network(call: &mut Call<'_>) -> Answer {
    demand_network(call, call.text("vnet"))?;
    demand_zone(call)?;
    update(call, &NETWORKS)
}

/// Whether guests are plugged in is not asked; subnets are in the way.
fn delete_network(call: &mut Call<'_>) -> Answer {
    let id = call.text("vnet").to_owned();
    demand_network(call, &id)?;
    if call.state.world.defined("subnets").any(|(_, subnet)| text(subnet, "vnet") == Some(&id)) {
        return Err(Refusal::parameter("vnet", "Can't delete vnet if subnets exists"));
    }
    delete(call, &NETWORKS, &id)
}
