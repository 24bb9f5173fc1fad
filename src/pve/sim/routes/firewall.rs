//! Firewall rules of guests: kept in their order and shown; no packet meets them.
use serde_json::{Map, Value, json};

use super::{Route, data, nothing};
use crate::pve::sim::contract::config_value;
use crate::pve::sim::engine::Call;
use crate::pve::sim::http::{Answer, Refusal, refuse};
use crate::pve::sim::world::sha1_hex;

pub(super) const ROUTES: &[Route] = &[
    ("GET", "/nodes/{node}/qemu/{vmid}/firewall/options", options),
    ("GET", "/nodes/{node}/lxc/{vmid}/firewall/options", options),
    ("GET", "/nodes/{node}/qemu/{vmid}/firewall/rules", list),
    ("GET", "/nodes/{node}/lxc/{vmid}/firewall/rules", list),
    ("POST", "/nodes/{node}/qemu/{vmid}/firewall/rules", create),
    ("POST", "/nodes/{node}/lxc/{vmid}/firewall/rules", create),
    ("DELETE", "/nodes/{node}/qemu/{vmid}/firewall/rules/{pos}", delete),
    ("DELETE", "/nodes/{node}/lxc/{vmid}/firewall/rules/{pos}", delete),
];

/// Where a world file keeps them, by guest.
const DEFINITIONS: &str = "firewallRules";
const RULES: &str = "rules";
const ACTIONS: [&str; 3] = ["ACCEPT", "DROP", "REJECT"];

/// A guest that does not exist has an empty file of rules, like one that has none.
fn rules(call: &Call<'_>) -> Vec<Value> {
    let of_guest = call.state.world.definitions.get(DEFINITIONS).and_then(|all| all.get(call.text("vmid")));
    let rules = of_guest.and_then(|file| file.get(RULES)).and_then(Value::as_array);
    rules.cloned().unwrap_or_default()
}

fn store(call: &mut Call<'_>, rules: Vec<Value>) {
    let vmid = call.text("vmid").to_owned();
    let all = call.state.world.definitions.entry(DEFINITIONS.to_owned()).or_default();
    all.entry(vmid).or_default().insert(RULES.to_owned(), rules.into());
}

fn digest(rules: &[Value]) -> String {
    sha1_hex(&rules.iter().map(Value::to_string).collect::<String>())
}

fn options(call: &mut Call<'_>) -> Answer {
    data(json!({ "digest": digest(&rules(call)) }))
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

/// The latest rule comes first, and is switched off unless it says otherwise.
fn create(call: &mut Call<'_>) -> Answer {
    let action = call.text("action");
    if call.text("type") != "group" && !ACTIONS.contains(&action) {
        return Err(Refusal::parameter("action", format!("unknown action '{action}'")));
    }
    let settings =
        call.parameters.texts().filter(|(name, _)| !matches!(*name, "node" | "vmid" | "digest" | "pos"));
    let mut rule: Map<String, Value> = settings
        .map(|(name, text)| (name.to_owned(), config_value(call.operation.parameter(name), text)))
        .collect();
    rule.entry("enable").or_insert_with(|| 0.into());
    let mut rules = rules(call);
    let position = call.parameters.number::<usize>("pos").unwrap_or_default().min(rules.len());
    rules.insert(position, Value::Object(rule));
    store(call, rules);
    nothing()
}

fn delete(call: &mut Call<'_>) -> Answer {
    let mut rules = rules(call);
    let position: usize = call.parameters.number("pos").unwrap_or_default();
    if position >= rules.len() {
        return refuse(format!("no rule at position {position}"));
    }
    rules.remove(position);
    store(call, rules);
    nothing()
}
