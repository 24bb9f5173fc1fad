//! Zones: groups of networks, on some or all nodes.
use super::{Answer, Call, Kind, Refusal, Route, create, data, delete, read, refuse, rows, text, update};

pub(in super::super) const ROUTES: &[Route] = &[
    ("GET", "/cluster/sdn/zones", list),
    ("POST", "/cluster/sdn/zones", |call| create(call, &ZONES, call.text("zone").to_owned())),
    ("GET", "/cluster/sdn/zones/{zone}", |call| read(call, &ZONES)),
    ("PUT", "/cluster/sdn/zones/{zone}", |call| update(call, &ZONES)),
    ("DELETE", "/cluster/sdn/zones/{zone}", delete_zone),
];

const ZONES: Kind = Kind { name: "zones", id: "zone", noun: "sdn zone object" };
const SOURCE: &str = "/usr/share/perl5/PVE/Network/SDN/Zones/Plugin.pm line 96";

fn list(call: &mut Call<'_>) -> Answer {
    let visible =
        |id: &str| call.rights().has_any(&format!("/sdn/zones/{id}"), &["SDN.Audit", "SDN.Allocate"]);
    let wanted = call.parameters.text("type");
    let zones = rows(call, &ZONES).into_iter().filter(|(id, zone, _)| {
        visible(id) && wanted.is_none_or(|wanted| text(zone, "type") == Some(wanted))
    });
    data(zones.map(|(_, _, row)| row).collect::<Vec<_>>())
}

fn delete_zone(call: &mut Call<'_>) -> Answer {
    let id = call.text("zone").to_owned();
    demand_unused(call, &id)?;
    delete(call, &ZONES, &id)
}

fn demand_unused(call: &Call<'_>, zone: &str) -> Result<(), Refusal> {
    match call.state.world.defined("vnets").find(|(_, network)| text(network, "zone") == Some(zone)) {
        Some((network, _)) => refuse(format!(
            "delete sdn zone object failed: zone {zone} is used by vnet {network} at {SOURCE}."
        )),
        None => Ok(()),
    }
}
