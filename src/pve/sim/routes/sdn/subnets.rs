//! Subnets of a network. Their ids begin with their zone: `z1-192.0.2.0-24`.
use super::{
    Answer, Call, Kind, Refusal, Route, create, data, delete, demand_network, network_path, read, rows, text,
    update,
};

pub(in super::super) const ROUTES: &[Route] = &[
    ("GET", "/cluster/sdn/vnets/{vnet}/subnets", list),
    ("POST", "/cluster/sdn/vnets/{vnet}/subnets", create_subnet),
    ("GET", "/cluster/sdn/vnets/{vnet}/subnets/{subnet}", read_subnet),
    ("PUT", "/cluster/sdn/vnets/{vnet}/subnets/{subnet}", update_subnet),
    ("DELETE", "/cluster/sdn/vnets/{vnet}/subnets/{subnet}", delete_subnet),
];

const SUBNETS: Kind = Kind { name: "subnets", id: "subnet", noun: "sdn subnet object" };

fn list(call: &mut Call<'_>) -> Answer {
    demand_sight(call)?;
    let own = rows(call, &SUBNETS)
        .into_iter()
        .filter(|(_, subnet, _)| text(subnet, "vnet").is_some_and(|network| network == call.text("vnet")));
    data(
        own.map(|(_, _, mut row)| {
            row["type"] = "subnet".into();
            row
        })
        .collect::<Vec<_>>(),
    )
}

fn demand_sight(call: &Call<'_>) -> Result<(), Refusal> {
    let path = network_path(call, call.text("vnet"));
    if call.rights().has_any(&path, &["SDN.Audit", "SDN.Allocate"]) {
        return Ok(());
    }
    Err(Refusal::Forbidden(Some(format!("{path}, SDN.Audit|SDN.Allocate"))))
}

fn create_subnet(call: &mut Call<'_>) -> Answer {
    let network = call.text("vnet").to_owned();
    demand_network(call, &network)?;
    let Some(zone) = call.state.world.definition("vnets", &network).and_then(|network| text(network, "zone"))
    else {
        return Err(Refusal::parameter("vnet", format!("vnet {network} does not exist")));
    };
    let id = format!("{zone}-{}", call.text("subnet").replace('/', "-"));
    create(call, &SUBNETS, id)
}

fn read_subnet(call: &mut Call<'_>) -> Answer {
    demand_sight(call)?;
    read(call, &SUBNETS)
}

fn update_subnet(call: &mut Call<'_>) -> Answer {
    demand_network(call, call.text("vnet"))?;
    update(call, &SUBNETS)
}

fn delete_subnet(call: &mut Call<'_>) -> Answer {
    demand_network(call, call.text("vnet"))?;
    let id = call.text("subnet").to_owned();
    delete(call, &SUBNETS, &id)
}
