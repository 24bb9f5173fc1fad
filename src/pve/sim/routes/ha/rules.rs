//! Rules about where resources run. They are judged together with what they are about.
use serde_json::Value;

use crate::pve::sim::engine::{Call, State};
use crate::pve::sim::http::{Answer, Refusal, refuse};
use crate::pve::sim::routes::definitions::{change, demand_digest, digest, row, settings, stored, text};
use crate::pve::sim::routes::{Route, data, nothing};
use crate::pve::sim::world::Config;

pub(in super::super) const ROUTES: &[Route] = &[
    ("GET", "/cluster/ha/rules", list),
    ("POST", "/cluster/ha/rules", create),
    ("GET", "/cluster/ha/rules/{rule}", read),
    ("PUT", "/cluster/ha/rules/{rule}", update),
    ("DELETE", "/cluster/ha/rules/{rule}", delete),
];

pub(super) const RULES: &str = "haRules";
const NODE_AFFINITY: &str = "node-affinity";

/// A list that is written with commas.
pub(super) fn list_of<'a>(rule: &'a Config, key: &str) -> Vec<&'a str> {
    let items = text(rule, key).unwrap_or_default().split(',').map(str::trim);
    items.filter(|item| !item.is_empty()).collect()
}

fn shown(state: &State, id: &str, rule: &Config) -> Value {
    let mut row = row(rule, "rule", id);
    row["digest"] = digest(state, RULES).into();
    row
}

fn list(call: &mut Call<'_>) -> Answer {
    let (kind, resource) = (call.parameters.text("type"), call.parameters.text("resource"));
    let wanted = |rule: &Config| {
        kind.is_none_or(|kind| text(rule, "type") == Some(kind))
            && resource.is_none_or(|resource| list_of(rule, "resources").contains(&resource))
    };
    let rules = call.state.world.defined(RULES).filter(|(_, rule)| wanted(rule));
    let rows: Vec<Value> = rules.map(|(id, rule)| shown(call.state, id, rule)).collect();
    data(rows)
}

fn missing(id: &str) -> String {
    format!("no such ha rule '{id}'")
}

fn read(call: &mut Call<'_>) -> Answer {
    let id = call.text("rule");
    match call.state.world.definition(RULES, id) {
        Some(rule) => data(shown(call.state, id, rule)),
        None => refuse(missing(id)),
    }
}

fn create(call: &mut Call<'_>) -> Answer {
    const DOING: &str = "create ha rule failed: ";
    let (id, mut rule) = (call.text("rule").to_owned(), settings(call, "rule"));
    call.state.demand_quorum()?;
    demand_known(call.state, &rule, DOING)?;
    if call.state.world.definition(RULES, &id).is_some() {
        return refuse(format!("{DOING}HA rule '{id}' already defined"));
    }
    demand_feasible(call.state, &id, &rule, DOING)?;
    let last = call.state.world.defined(RULES).filter_map(|(_, rule)| rule.get("order")?.as_u64()).max();
    rule.insert("order".to_owned(), (last.unwrap_or_default() + 1).into());
    stored(call.state, RULES).insert(id, rule);
    nothing()
}

fn update(call: &mut Call<'_>) -> Answer {
    const DOING: &str = "update HA rules failed: ";
    let id = call.text("rule").to_owned();
    call.state.demand_quorum()?;
    demand_digest(call, &digest(call.state, RULES), DOING)?;
    let Some(mut rule) = call.state.world.definition(RULES, &id).cloned() else {
        return refuse(format!("{DOING}{}", missing(&id)));
    };
    rule.extend(settings(call, "rule"));
    demand_known(call.state, &rule, DOING)?;
    demand_feasible(call.state, &id, &rule, DOING)?;
    change(call, RULES, "rule");
    nothing()
}

fn delete(call: &mut Call<'_>) -> Answer {
    let id = call.text("rule").to_owned();
    call.state.demand_quorum()?;
    match stored(call.state, RULES).remove(&id) {
        Some(_) => nothing(),
        None => refuse(missing(&id)),
    }
}

/// Rules are about resources in the manager's care, and about nodes of the cluster.
fn demand_known(state: &State, rule: &Config, doing: &str) -> Result<(), Refusal> {
    let nodes = list_of(rule, "nodes")
        .into_iter()
        .filter(|node| !state.world.nodes.contains_key(node.split(':').next().unwrap_or_default()));
    let nodes: Vec<&str> = nodes.collect();
    if !nodes.is_empty() {
        return refuse(format!("{doing}cannot use non-existent node(s) {}.", nodes.join(", ")));
    }
    let resources = list_of(rule, "resources").into_iter().filter(|sid| !state.world.ha.contains_key(*sid));
    let resources: Vec<&str> = resources.collect();
    if !resources.is_empty() {
        return refuse(format!("{doing}cannot use unmanaged resource(s) {}.", resources.join(", ")));
    }
    Ok(())
}

fn demand_feasible(state: &State, id: &str, rule: &Config, doing: &str) -> Result<(), Refusal> {
    match problem(state, id, rule) {
        Some(why) => refuse(format!("{doing}400 Rule '{id}' is invalid.\nresources: {why}")),
        None => Ok(()),
    }
}

fn problem(state: &State, id: &str, rule: &Config) -> Option<String> {
    let resources = list_of(rule, "resources");
    if text(rule, "type") == Some(NODE_AFFINITY) {
        let others = state
            .world
            .defined(RULES)
            .filter(|(other, rule)| *other != id && text(rule, "type") == Some(NODE_AFFINITY));
        let taken: Vec<&str> = others.flat_map(|(_, rule)| list_of(rule, "resources")).collect();
        let twice = resources.iter().find(|sid| taken.contains(sid))?;
        return Some(format!("resource '{twice}' is already used in another node affinity rule"));
    }
    if resources.len() < 2 {
        return Some("rule is ineffective as there are less than two resources".to_owned());
    }
    let available = state.world.nodes.values().filter(|node| node.online).count();
    let keeps_apart = text(rule, "affinity") == Some("negative");
    (keeps_apart && resources.len() > available)
        .then(|| "rule defines more resources than available nodes".to_owned())
}

/// Takes a resource out of every rule; a rule about nothing else goes with it.
pub(super) fn forget(state: &mut State, sid: &str) {
    let rules = stored(state, RULES);
    rules.retain(|_, rule| list_of(rule, "resources") != [sid]);
    for rule in rules.values_mut() {
        let left: Vec<&str> = list_of(rule, "resources").into_iter().filter(|other| *other != sid).collect();
        let left = left.join(",");
        rule.insert("resources".to_owned(), left.into());
    }
}
