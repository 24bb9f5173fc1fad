//! Firewall rules and options of the cluster, of nodes and of guests: kept in their order and shown; no packet meets them.
use serde_json::{Map, Value, json};

use super::definitions::{demand_digest, stored};
use super::{Route, data, nothing};
use crate::pve::sim::contract::config_value;
use crate::pve::sim::engine::Call;
use crate::pve::sim::http::{Answer, Refusal, refuse};
use crate::pve::sim::world::sha1_hex;

pub(super) const ROUTES: &[Route] = &[
    ("GET", "/cluster/firewall/options", options),
    ("PUT", "/cluster/firewall/options", change_options),
    ("GET", "/cluster/firewall/refs", references),
    ("GET", "/cluster/firewall/rules", list),
    ("POST", "/cluster/firewall/rules", create),
    ("GET", "/cluster/firewall/rules/{pos}", read),
    ("PUT", "/cluster/firewall/rules/{pos}", update),
    ("DELETE", "/cluster/firewall/rules/{pos}", delete),
    ("GET", "/nodes/{node}/firewall/options", options),
    ("PUT", "/nodes/{node}/firewall/options", change_options),
    ("GET", "/nodes/{node}/firewall/rules", list),
    ("POST", "/nodes/{node}/firewall/rules", create),
    ("GET", "/nodes/{node}/firewall/rules/{pos}", read),
    ("PUT", "/nodes/{node}/firewall/rules/{pos}", update),
    ("DELETE", "/nodes/{node}/firewall/rules/{pos}", delete),
    ("GET", "/nodes/{node}/qemu/{vmid}/firewall/options", options),
    ("PUT", "/nodes/{node}/qemu/{vmid}/firewall/options", change_options),
    ("GET", "/nodes/{node}/qemu/{vmid}/firewall/rules", list),
    ("POST", "/nodes/{node}/qemu/{vmid}/firewall/rules", create),
    ("GET", "/nodes/{node}/qemu/{vmid}/firewall/rules/{pos}", read),
    ("PUT", "/nodes/{node}/qemu/{vmid}/firewall/rules/{pos}", update),
    ("DELETE", "/nodes/{node}/qemu/{vmid}/firewall/rules/{pos}", delete),
    ("GET", "/nodes/{node}/lxc/{vmid}/firewall/options", options),
    ("PUT", "/nodes/{node}/lxc/{vmid}/firewall/options", change_options),
    ("GET", "/nodes/{node}/lxc/{vmid}/firewall/rules", list),
    ("POST", "/nodes/{node}/lxc/{vmid}/firewall/rules", create),
    ("GET", "/nodes/{node}/lxc/{vmid}/firewall/rules/{pos}", read),
    ("PUT", "/nodes/{node}/lxc/{vmid}/firewall/rules/{pos}", update),
    ("DELETE", "/nodes/{node}/lxc/{vmid}/firewall/rules/{pos}", delete),
];

/// Where a world file keeps the rules: by guest, by `node/<name>`, and under `cluster`.
const FILES: &str = "firewallRules";
const RULES: &str = "rules";
const OPTIONS: &str = "firewallOptions";
/// What rules can refer to by name; the aliases and address sets of the whole cluster.
const ALIASES: &str = "firewallAliases";
const SETS: &str = "firewallSets";
const ACTIONS: [&str; 3] = ["ACCEPT", "DROP", "REJECT"];
/// Parameters that are no part of a rule.
const DIRECTIONS: [&str; 6] = ["node", "vmid", "digest", "pos", "moveto", "delete"];

/// Whose firewall the path speaks of.
fn owner(call: &Call<'_>) -> String {
    match (call.parameters.text("vmid"), call.parameters.text("node")) {
        (Some(vmid), _) => vmid.to_owned(),
        (None, Some(node)) => format!("node/{node}"),
        (None, None) => "cluster".to_owned(),
    }
}

/// A guest that does not exist has an empty file of rules, like one that has none.
fn rules(call: &Call<'_>) -> Vec<Value> {
    let file = call.state.world.definition(FILES, &owner(call));
    file.and_then(|file| file.get(RULES)).and_then(Value::as_array).cloned().unwrap_or_default()
}

fn store(call: &mut Call<'_>, rules: Vec<Value>) {
    let owner = owner(call);
    stored(call.state, FILES).entry(owner).or_default().insert(RULES.to_owned(), rules.into());
}

fn digest(rules: &[Value]) -> String {
    sha1_hex(&rules.iter().map(Value::to_string).collect::<String>())
}

fn options(call: &mut Call<'_>) -> Answer {
    let mut shown = match call.state.world.definition(OPTIONS, &owner(call)) {
        Some(options) => json!(options),
        None => json!({}),
    };
    shown["digest"] = digest(&rules(call)).into();
    data(shown)
}

fn change_options(call: &mut Call<'_>) -> Answer {
    demand_digest(call, &digest(&rules(call)), "")?;
    let owner = owner(call);
    let changes: Vec<(String, Value)> = given(call).collect();
    let removed = call.parameters.list("delete");
    let options = stored(call.state, OPTIONS).entry(owner).or_default();
    options.retain(|key, _| !removed.contains(key));
    options.extend(changes);
    nothing()
}

fn references(call: &mut Call<'_>) -> Answer {
    let wanted = |kind: &str| call.parameters.text("type").is_none_or(|wanted| wanted == kind);
    let all = [("alias", ALIASES, ""), ("ipset", SETS, "+")].into_iter().filter(|(kind, _, _)| wanted(kind));
    let rows = all.flat_map(|(kind, definitions, sign)| {
        call.state.world.defined(definitions).map(move |(name, definition)| {
            let mut row = json!({
                "type": kind, "name": name, "scope": "dc", "ref": format!("{sign}dc/{name}"),
            });
            if let Some(comment) = definition.get("comment") {
                row["comment"] = comment.clone();
            }
            row
        })
    });
    data(rows.collect::<Vec<Value>>())
}

fn list(call: &mut Call<'_>) -> Answer {
    let mut rules = rules(call);
    let digest = digest(&rules);
    for (position, rule) in rules.iter_mut().enumerate() {
        rule["pos"] = position.into();
        rule["digest"] = digest.as_str().into();
    }
    data(rules)
}

fn position_in(call: &Call<'_>, rules: &[Value]) -> Result<usize, Refusal> {
    let position: usize = call.parameters.number("pos").unwrap_or_default();
    if position < rules.len() { Ok(position) } else { refuse(format!("no rule at position {position}")) }
}

fn read(call: &mut Call<'_>) -> Answer {
    let mut rules = rules(call);
    let digest = digest(&rules);
    let position = position_in(call, &rules)?;
    let mut rule = rules.swap_remove(position);
    rule["pos"] = position.into();
    rule["digest"] = digest.into();
    data(rule)
}

fn given(call: &Call<'_>) -> impl Iterator<Item = (String, Value)> {
    let settings = call.parameters.texts().filter(|(name, _)| !DIRECTIONS.contains(name));
    settings.map(|(name, text)| (name.to_owned(), config_value(call.operation.parameter(name), text)))
}

fn demand_action(rule: &Map<String, Value>) -> Result<(), Refusal> {
    let text = |key: &str| rule.get(key).and_then(Value::as_str).unwrap_or_default();
    let action = text("action");
    if text("type") != "group" && !ACTIONS.contains(&action) {
        return Err(Refusal::parameter("action", format!("unknown action '{action}'")));
    }
    Ok(())
}

/// The latest rule comes first whatever position it asks for, and is switched off unless it says otherwise.
fn create(call: &mut Call<'_>) -> Answer {
    let mut rule: Map<String, Value> = given(call).collect();
    demand_action(&rule)?;
    rule.entry("enable").or_insert_with(|| 0.into());
    let mut rules = rules(call);
    rules.insert(0, Value::Object(rule));
    store(call, rules);
    nothing()
}

/// A rule is either moved or changed: what else is said about one that moves goes unheard.
fn update(call: &mut Call<'_>) -> Answer {
    let mut rules = rules(call);
    demand_digest(call, &digest(&rules), "")?;
    let position = position_in(call, &rules)?;
    match call.parameters.number::<usize>("moveto").filter(|target| *target != position) {
        Some(target) => move_rule(&mut rules, position, target),
        None => change_rule(call, &mut rules[position])?,
    }
    store(call, rules);
    nothing()
}

/// The rule comes to stand before the one that is at the target position now.
fn move_rule(rules: &mut Vec<Value>, from: usize, target: usize) {
    let rule = rules.remove(from);
    let shifted = if target > from { target - 1 } else { target };
    rules.insert(shifted.min(rules.len()), rule);
}

fn change_rule(call: &Call<'_>, rule: &mut Value) -> Result<(), Refusal> {
    let removed = call.parameters.list("delete");
    let Some(fields) = rule.as_object_mut() else { return Ok(()) };
    fields.extend(given(call));
    fields.retain(|key, _| !removed.contains(key));
    demand_action(fields)
}

fn delete(call: &mut Call<'_>) -> Answer {
    let mut rules = rules(call);
    demand_digest(call, &digest(&rules), "")?;
    let position = position_in(call, &rules)?;
    rules.remove(position);
    store(call, rules);
    nothing()
}
