//! The network interfaces of a node: what is changed waits in a second file until it is applied.
mod rows;

use super::{Route, data, nothing};
use crate::pve::sim::contract::config_value;
use crate::pve::sim::engine::{Call, NewTask, State};
use crate::pve::sim::http::{Answer, Refusal, Reply};
use crate::pve::sim::world::{Config, Interfaces, Node};

pub(super) use rows::difference;

pub(super) const ROUTES: &[Route] = &[
    ("GET", "/nodes/{node}/network", list),
    ("POST", "/nodes/{node}/network", create),
    ("PUT", "/nodes/{node}/network", apply),
    ("DELETE", "/nodes/{node}/network", revert),
    ("GET", "/nodes/{node}/network/{iface}", read),
    ("PUT", "/nodes/{node}/network/{iface}", update),
    ("DELETE", "/nodes/{node}/network/{iface}", delete),
];

fn node<'a>(call: &'a Call<'_>) -> Result<&'a Node, Refusal> {
    let found = call.state.world.nodes.get(call.node());
    found.ok_or_else(|| Refusal::Failed(format!("no such cluster node '{}'", call.node())))
}

/// The interfaces as they will be.
fn planned(node: &Node) -> &Interfaces {
    node.pending_network.as_ref().unwrap_or(&node.network)
}

/// The list shows what will be; that it isn't yet is told beside it.
fn list(call: &mut Call<'_>) -> Answer {
    let node = node(call)?;
    let networks = node.bridges.iter().filter(|bridge| !node.network.contains_key(*bridge));
    let rows = rows::list(planned(node), &node.network, networks, call.parameters.text("type"));
    match &node.pending_network {
        None => data(rows),
        Some(pending) => {
            let changes = difference(&rows::stanzas(&node.network), &rows::stanzas(pending));
            Ok(Reply::Changed { rows, changes })
        }
    }
}

fn missing() -> Refusal {
    Refusal::parameter("iface", "interface does not exist")
}

fn read(call: &mut Call<'_>) -> Answer {
    let node = node(call)?;
    let name = call.text("iface");
    let (position, (_, config)) =
        planned(node).iter().enumerate().find(|(_, (found, _))| *found == name).ok_or_else(missing)?;
    data(rows::details(position, config, node.network.contains_key(name)))
}

fn given(call: &Call<'_>) -> Config {
    let skipped = ["node", "iface", "delete"];
    let settings = call.parameters.texts().filter(|(name, _)| !skipped.contains(name));
    settings
        .map(|(name, text)| (name.to_owned(), config_value(call.operation.parameter(name), text)))
        .collect()
}

fn change_plan(call: &mut Call<'_>, change: impl FnOnce(&mut Interfaces)) -> Answer {
    let name = call.node().to_owned();
    if let Some(node) = call.state.world.nodes.get_mut(&name) {
        let mut plan = planned(node).clone();
        change(&mut plan);
        node.pending_network = Some(plan);
    }
    nothing()
}

/// A node has one way out.
fn demand_one_gateway(call: &Call<'_>) -> Result<(), Refusal> {
    let name = call.text("iface");
    for key in ["gateway", "gateway6"].into_iter().filter(|key| call.parameters.has(key)) {
        let other =
            planned(node(call)?).iter().find(|(found, config)| *found != name && config.contains_key(key));
        if let Some((other, _)) = other {
            let error = format!("Default gateway already exists on interface '{other}'.");
            return Err(Refusal::parameter(key, error));
        }
    }
    Ok(())
}

fn create(call: &mut Call<'_>) -> Answer {
    let name = call.text("iface").to_owned();
    if planned(node(call)?).contains_key(&name) {
        return Err(Refusal::parameter("iface", "interface already exists"));
    }
    demand_one_gateway(call)?;
    let config = given(call);
    change_plan(call, |plan| {
        plan.insert(name, config);
    })
}

fn update(call: &mut Call<'_>) -> Answer {
    let name = call.text("iface").to_owned();
    if !planned(node(call)?).contains_key(&name) {
        return Err(missing());
    }
    demand_one_gateway(call)?;
    let (changes, removed) = (given(call), call.parameters.list("delete"));
    change_plan(call, |plan| {
        let config = plan.entry(name).or_default();
        config.retain(|key, _| !removed.contains(key));
        rows::forget_other_notation(config, &changes);
        config.extend(changes);
    })
}

fn delete(call: &mut Call<'_>) -> Answer {
    let name = call.text("iface").to_owned();
    if !planned(node(call)?).contains_key(&name) {
        return Err(missing());
    }
    change_plan(call, |plan| {
        plan.remove(&name);
    })
}

fn revert(call: &mut Call<'_>) -> Answer {
    let name = call.node().to_owned();
    if let Some(node) = call.state.world.nodes.get_mut(&name) {
        node.pending_network = None;
    }
    nothing()
}

fn apply(call: &mut Call<'_>) -> Answer {
    node(call)?;
    let name = call.node().to_owned();
    Ok(Reply::Task(reload(call.state, &name, &call.caller.id())))
}

/// Starts the task in which a node reloads its network, and answers with it.
pub(super) fn reload(state: &mut State, node: &str, who: &str) -> String {
    let name = node.to_owned();
    let new = NewTask::other(node, "srvreload", "networking".to_owned(), who, move |run| {
        put_into_force(run.state, &name);
        Ok(())
    });
    state.fork(new)
}

/// Nothing is put back by itself: a node that no longer holds its own address is cut off from the others.
fn put_into_force(state: &mut State, name: &str) {
    let Some(node) = state.world.nodes.get_mut(name) else { return };
    let was_reachable = node.holds_its_address();
    if let Some(pending) = node.pending_network.take() {
        node.network = pending;
    }
    if was_reachable && !node.holds_its_address() {
        node.online = false;
    }
    state.plug_bridges(name);
    state.world.cluster.quorate = state.world.cluster.quorate && state.world.has_majority();
}
