//! A node that goes down, and all guests of a node at once.

use crate::{
    api::Risk,
    catalog::{Target, Touch, split_list},
    core::{
        measure::size,
        observe::{Guest, Ha, Node, Nodes, Storage},
        quorum::left_without,
    },
};

use super::{Ask, Radius, uses::uses};

pub(super) fn down(ask: Ask<'_>, found: &mut Radius) {
    let world = ask.world;
    let nodes = found.seen(&world.nodes);
    let guests = found.seen(&world.guests).map(Vec::as_slice).unwrap_or_default();
    let ha = found.seen(&world.ha);
    let storages = found.seen(&world.storages).map(Vec::as_slice).unwrap_or_default();
    let tasks = found.seen(&world.active_tasks).map(Vec::as_slice).unwrap_or_default();
    let Some(name) = ask.node() else { return };
    for guest in guests.iter().filter(|guest| guest.node == name && guest.is_running()) {
        goes_off(guest, ha, found);
    }
    for task in tasks {
        let of = if task.id.is_empty() { String::new() } else { format!(" of {}", task.id) };
        let effect = format!("has the task {}{of} by {} cut off", task.kind, task.user);
        found.hit(&format!("node/{name}"), effect).raises(Risk::Critical);
    }
    let Some(nodes) = nodes else { return };
    if left_without(name, nodes).is_some_and(|votes| !votes.quorate()) {
        found.hit("cluster/all", format!("has no quorum without {name}")).raises(Risk::Critical);
    }
    moved_by_ha(name, nodes, guests, ha, found);
    for storage in storages {
        out_of_reach(storage, name, nodes, guests, found);
    }
}

fn goes_off(guest: &Guest, ha: Option<&Ha>, found: &mut Radius) {
    let effect = match (is_managed(guest, ha), guest.onboot) {
        (true, _) => "goes off, and HA starts it elsewhere or when the node is back",
        (false, true) => "goes off until the node is back",
        (false, false) => "goes off, and nothing starts it when the node is back",
    };
    found.hit(&guest.reference, effect).raises(Risk::Critical);
}

fn is_managed(guest: &Guest, ha: Option<&Ha>) -> bool {
    let sid = guest.reference.sid();
    guest.ha_managed
        || ha.is_some_and(|ha| {
            ha.resources.iter().any(|resource| resource.sid == sid && resource.state == "started")
        })
}

/// The largest first, each to the node that has most: whom even that finds no room for.
fn moved_by_ha(down: &str, nodes: &Nodes, guests: &[Guest], ha: Option<&Ha>, found: &mut Radius) {
    let mut moved: Vec<&Guest> =
        guests.iter().filter(|guest| guest.node == down && guest.is_running()).collect();
    moved.retain(|guest| is_managed(guest, ha));
    moved.sort_by(|a, b| b.memory.cmp(&a.memory).then(a.reference.vmid.cmp(&b.reference.vmid)));
    let others = nodes.nodes.iter().filter(|node| node.online && node.name != down);
    let mut room: Vec<(&Node, u64)> = Vec::new();
    for node in others {
        match node.free_memory() {
            Some(free) => room.push((node, free)),
            None if !moved.is_empty() => {
                found.unknown.push(format!("the memory of node {} can't be seen", node.name));
            }
            None => {}
        }
    }
    for guest in moved {
        let allowed = |node: &Node| ha.is_none_or(|ha| may_run_on(guest, &node.name, ha));
        let best = room
            .iter_mut()
            .filter(|(node, _)| allowed(node))
            .max_by(|(a, most), (b, free)| most.cmp(free).then_with(|| b.name.cmp(&a.name)));
        match best {
            Some((_, free)) if *free >= guest.memory => *free -= guest.memory,
            _ => {
                found
                    .hit(&guest.reference, "finds no other node with the memory for it")
                    .detail(format!("{} needed", size(guest.memory)))
                    .raises(Risk::Critical);
            }
        }
    }
}

/// A strict rule keeps a guest to its nodes.
pub(super) fn may_run_on(guest: &Guest, node: &str, ha: &Ha) -> bool {
    let sid = guest.reference.sid();
    let strict = ha.rules.iter().filter(|rule| {
        rule.kind == "node-affinity"
            && rule.resources.contains(&sid)
            && rule.settings.get("strict").is_some_and(|strict| strict == "1")
            && rule.settings.get("disable").is_none_or(|disable| disable != "1")
    });
    strict.into_iter().all(|rule| super::ha::nodes_of(&rule.nodes).any(|allowed| allowed == node))
}

fn out_of_reach(storage: &Storage, name: &str, nodes: &Nodes, guests: &[Guest], found: &mut Radius) {
    let ip = nodes.called(name).and_then(|node| node.ip.as_deref());
    let server = storage.settings.get("server").map(String::as_str);
    let is_served = server.is_some() && (server == ip || server == Some(name));
    let is_only_here = storage.nodes.len() == 1 && storage.is_on(name);
    if is_only_here && !is_served {
        found.hit(&format!("storage/{}", storage.id), format!("is on {name} alone and out of reach"));
    }
    if !is_served {
        return;
    }
    found
        .hit(
            &format!("storage/{}", storage.id),
            format!("is served by {name} and out of reach for all nodes"),
        )
        .raises(Risk::Critical);
    for of in guests.iter().filter(|guest| guest.node != name).flat_map(uses) {
        if of.disk.storage() == storage.id && of.guest.is_running() {
            let effect = format!("has its {} on {}, which {name} serves", of.role(), storage.id);
            found.hit(&of.guest.reference, effect).raises(Risk::Critical);
        }
    }
}

pub(super) fn guests(ask: Ask<'_>, found: &mut Radius) {
    let nodes = found.seen(&ask.world.nodes);
    let guests = found.seen(&ask.world.guests).map(Vec::as_slice).unwrap_or_default();
    let ha = found.seen(&ask.world.ha);
    let destination = ask.request.text("destination");
    let comes_up = is_start(ask);
    for guest in meant(ask, guests) {
        let (effect, risk) = match destination {
            Some(to) => (format!("goes to {to}"), Risk::High),
            None if comes_up => ("starts".to_owned(), Risk::Medium),
            None if is_managed(guest, ha) => {
                ("goes off, and HA is told to keep it so".to_owned(), Risk::High)
            }
            None => ("goes off".to_owned(), Risk::High),
        };
        found.hit(&guest.reference, effect).raises(if is_important(guest) { Risk::Critical } else { risk });
        if let Some((to, _)) = destination.zip(ha).filter(|(to, ha)| !may_run_on(guest, to, ha)) {
            found
                .hit(&guest.reference, format!("may not run on {to} by a rule of HA"))
                .raises(Risk::Critical);
        }
    }
    let on = destination.or(ask.node().filter(|_| comes_up));
    let Some((nodes, on)) = nodes.zip(on) else { return };
    let needed: u64 = coming(ask, guests).iter().map(|guest| guest.memory).fold(0, u64::saturating_add);
    enough_memory(nodes, on, needed, found);
}

fn is_start(ask: Ask<'_>) -> bool {
    ask.request.action.touches(Touch::NodeBoot)
}

fn is_important(guest: &Guest) -> bool {
    guest.protected || super::stakes::is_production(guest)
}

/// Those of them that take memory where they come to.
pub(super) fn coming<'a>(ask: Ask<'_>, guests: &'a [Guest]) -> Vec<&'a Guest> {
    let moves = ask.request.text("destination").is_some();
    let comes = |guest: &&Guest| if moves { guest.is_running() } else { is_start(ask) };
    meant(ask, guests).into_iter().filter(comes).collect()
}

/// The guests that the request is about: those of the node, or those that it names; which run, or don't.
fn meant<'a>(ask: Ask<'_>, guests: &'a [Guest]) -> Vec<&'a Guest> {
    let named: Option<Vec<&str>> = ask.request.text("guests").map(|list| split_list(list).collect());
    let start = is_start(ask);
    let all = guests.iter().filter(|guest| match &ask.request.target {
        Target::Node(node) => guest.node == node.as_str(),
        _ => true,
    });
    let meant = all.filter(|guest| match &named {
        Some(named) => named.contains(&guest.reference.vmid.to_string().as_str()),
        None => !start || guest.onboot || ask.request.flag("force"),
    });
    let moves = ask.request.text("destination").is_some();
    meant.filter(|guest| !guest.template && (moves || guest.is_running() != start)).collect()
}

/// Whether what comes to a node finds its memory there.
pub(super) fn enough_memory(nodes: &Nodes, on: &str, needed: u64, found: &mut Radius) {
    let Some(node) = nodes.called(on) else { return };
    let Some(free) = node.free_memory() else {
        found.unknown.push(format!("the memory of node {on} can't be seen"));
        return;
    };
    if free < needed {
        found
            .hit(&format!("node/{on}"), "has too little free memory for what comes to it")
            .detail(format!("{} free, {} needed", size(free), size(needed)))
            .raises(Risk::Critical);
    }
}
