//! What rules say about where resources may be: near nodes, near each other, or apart.
use serde_json::Value;

use super::guest_of;
use super::rules::{RULES, list_of};
use crate::pve::sim::engine::State;
use crate::pve::sim::world::Config;

fn rules_about<'a>(state: &'a State, kind: &'a str, sid: &'a str) -> impl Iterator<Item = &'a Config> {
    state.world.defined(RULES).map(|(_, rule)| rule).filter(move |rule| {
        let is_on = rule.get("disable").is_none_or(|disabled| *disabled != 1);
        is_on
            && rule.get("type").is_some_and(|found| found == kind)
            && list_of(rule, "resources").contains(&sid)
    })
}

/// The other resources of the rules that keep this one together with others (`positive`) or apart (`negative`).
fn peers(state: &State, sid: &str, affinity: &str) -> Vec<String> {
    let rules = rules_about(state, "resource-affinity", sid)
        .filter(|rule| rule.get("affinity").and_then(Value::as_str).unwrap_or("positive") == affinity);
    let others = rules.flat_map(|rule| list_of(rule, "resources")).filter(|other| *other != sid);
    others.map(str::to_owned).collect()
}

/// The resources that come along.
pub(super) fn companions(state: &State, sid: &str) -> Vec<String> {
    peers(state, sid, "positive")
}

/// What keeps a resource from a node: resources that it is kept apart from, or a rule about nodes.
pub(super) fn blocking(state: &State, sid: &str, node: &str) -> Vec<(String, &'static str)> {
    let is_there = |other: &String| {
        let guest = guest_of(other).and_then(|vmid| state.world.guests.get(&vmid));
        guest.is_some_and(|guest| guest.node == node)
    };
    let apart = peers(state, sid, "negative").into_iter().filter(is_there);
    let mut blocking: Vec<_> = apart.map(|other| (other, "resource-affinity")).collect();
    if state.world.nodes.contains_key(node) && !is_allowed(state, sid, node) {
        blocking.push((sid.to_owned(), "node-affinity"));
    }
    blocking
}

fn names_node(rule: &Config, node: &str) -> bool {
    list_of(rule, "nodes").iter().any(|named| named.split(':').next() == Some(node))
}

/// Only strict rules forbid the other nodes.
fn is_allowed(state: &State, sid: &str, node: &str) -> bool {
    let mut strict = rules_about(state, "node-affinity", sid)
        .filter(|rule| rule.get("strict").is_some_and(|strict| *strict == 1));
    strict.all(|rule| names_node(rule, node))
}

/// Where the manager takes a resource whose node is gone.
pub(super) fn best_node(state: &State, sid: &str) -> Option<String> {
    let usable = state.world.nodes.iter().filter(|(_, node)| node.online && !node.maintenance);
    let possible: Vec<&String> =
        usable.map(|(name, _)| name).filter(|name| blocking(state, sid, name).is_empty()).collect();
    let preferred = possible.iter().find(|name| {
        let mut rules = rules_about(state, "node-affinity", sid);
        rules.any(|rule| names_node(rule, name))
    });
    preferred.or(possible.first()).map(|name| (*name).clone())
}
