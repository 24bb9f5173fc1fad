//! What HA looks after, and by which rules.

use crate::{
    api::Risk,
    catalog::{GuestRef, Target, split_list},
    core::observe::{Guest, Ha, HaRule, Nodes},
};

use super::{Ask, Radius, subject::of_resource};

/// Names of nodes, without the priorities of `pve1:2`.
pub(super) fn nodes_of(nodes: &[String]) -> impl Iterator<Item = &str> {
    nodes.iter().filter_map(|node| node.split(':').next())
}

pub(super) fn resource(ask: Ask<'_>, found: &mut Radius) {
    let ha = found.seen(&ask.world.ha);
    found.seen(&ask.world.guests);
    let nodes = found.seen(&ask.world.nodes);
    let (Some(guest), Some(ha)) = (ask.world.guest(), ha) else { return };
    let sid = guest.reference.sid();
    if ask.is_gone() {
        found.hit(&guest.reference, "is no longer started elsewhere when its node fails").raises(Risk::High);
    }
    power(guest, ask.request.text("state"), found);
    for rule in ha.rules.iter().filter(|rule| rule.resources.contains(&sid)) {
        let effect = if ask.is_gone() { "loses" } else { "names" };
        found.hit(&format!("ha-rule/{}", rule.id), format!("{effect} {}", guest.reference));
        for other in rule.resources.iter().filter(|other| **other != sid) {
            found.hit(&of_resource(other), format!("is placed with {} by rule {}", guest.reference, rule.id));
        }
        if let Some(nodes) = nodes.filter(|_| !ask.is_gone()) {
            online(rule, nodes, found);
        }
    }
}

/// HA makes it so, in its own time.
fn power(guest: &Guest, state: Option<&str>, found: &mut Radius) {
    match (state, guest.is_running()) {
        (Some("stopped" | "disabled"), true) => {
            found.hit(&guest.reference, "is stopped by HA").raises(Risk::High)
        }
        (Some("started"), false) => found.hit(&guest.reference, "is started by HA").raises(Risk::Medium),
        (Some("ignored"), _) => found
            .hit(&guest.reference, "is no longer started elsewhere when its node fails")
            .raises(Risk::High),
        _ => return,
    };
}

fn online(rule: &HaRule, nodes: &Nodes, found: &mut Radius) {
    for name in nodes_of(&rule.nodes).filter(|name| !nodes.called(name).is_some_and(|node| node.online)) {
        let effect = format!("is named by rule {} and not online", rule.id);
        found.hit(&format!("node/{name}"), effect).raises(Risk::High);
    }
}

pub(super) fn rule(ask: Ask<'_>, found: &mut Radius) {
    let ha = found.seen(&ask.world.ha);
    let guests = found.seen(&ask.world.guests).map(Vec::as_slice).unwrap_or_default();
    let nodes = found.seen(&ask.world.nodes);
    let Target::HaRule(id) = &ask.request.target else { return };
    let old = ha.and_then(|ha| ha.rules.iter().find(|rule| rule.id == id.as_str()));
    if ask.is_gone() || ask.request.flag("disable") {
        for sid in old.iter().flat_map(|rule| &rule.resources) {
            found.hit(&of_resource(sid), format!("is no longer placed by rule {id}")).raises(Risk::High);
        }
        return;
    }
    let new = becomes(ask, id.as_str(), old);
    if let Some(nodes) = nodes {
        online(&new, nodes, found);
    }
    placed(&new, guests, ha, found);
}

/// The rule as it will be.
fn becomes(ask: Ask<'_>, id: &str, old: Option<&HaRule>) -> HaRule {
    let mut rule = old.cloned().unwrap_or_default();
    id.clone_into(&mut rule.id);
    let list = |name| ask.request.text(name).map(|list| split_list(list).map(str::to_owned).collect());
    rule.resources = list("resources").unwrap_or(rule.resources);
    rule.nodes = list("nodes").unwrap_or(rule.nodes);
    if let Some(kind) = ask.request.text("type") {
        kind.clone_into(&mut rule.kind);
    }
    if let Some(affinity) = ask.request.text("affinity") {
        rule.settings.insert("affinity".to_owned(), affinity.to_owned());
    }
    rule
}

/// Whom HA would move to make the rule true.
fn placed(rule: &HaRule, guests: &[Guest], ha: Option<&Ha>, found: &mut Radius) {
    let known = |sid| guests.iter().find(|guest| Some(guest.reference) == GuestRef::of_sid(sid));
    let mut placed: Vec<(&String, &Guest)> =
        rule.resources.iter().filter_map(|sid| Some((sid, known(sid)?))).collect();
    placed.sort_by_key(|(sid, _)| *sid);
    let apart = rule.settings.get("affinity").is_some_and(|affinity| affinity == "negative");
    for (sid, guest) in &placed {
        let is_looked_after = ha.is_some_and(|ha| ha.resources.iter().any(|resource| resource.sid == **sid));
        let shares = placed.iter().any(|(other, on)| other != sid && on.node == guest.node);
        let strays = placed.iter().any(|(_, on)| on.node != guest.node);
        let moves = match rule.kind.as_str() {
            "resource-affinity" if apart => shares,
            "resource-affinity" => strays,
            _ => !rule.nodes.is_empty() && !nodes_of(&rule.nodes).any(|node| node == guest.node),
        };
        let (effect, risk) = match moves && is_looked_after {
            true => (format!("may be moved off {} by rule {}", guest.node, rule.id), Some(Risk::High)),
            false => (format!("is placed by rule {}", rule.id), None),
        };
        found.hit(&guest.reference, effect).raises = risk;
    }
}

pub(super) fn disarmed(ask: Ask<'_>, found: &mut Radius) {
    every_resource(ask, "is no longer started elsewhere when its node fails", found);
    found.seen(&ask.world.nodes);
}

pub(super) fn armed(ask: Ask<'_>, found: &mut Radius) {
    every_resource(ask, "is looked after by HA again", found);
    let nodes = found.seen(&ask.world.nodes).map(|nodes| nodes.nodes.as_slice()).unwrap_or_default();
    for node in nodes.iter().filter(|node| !node.online) {
        found.hit(&format!("node/{}", node.name), "is not online and may be fenced").raises(Risk::Critical);
    }
}

fn every_resource(ask: Ask<'_>, effect: &str, found: &mut Radius) {
    found.seen(&ask.world.guests);
    for resource in found.seen(&ask.world.ha).map(|ha| ha.resources.as_slice()).unwrap_or_default() {
        found.hit(&of_resource(&resource.sid), effect).raises(Risk::Critical);
    }
}
