//! How things stand when it is done, where that matters.

use crate::catalog::{Target, Touch};

use super::{
    measure::size,
    observe::{Guest, Nodes, World},
    quorum::left_without,
    radius::starting,
    request::Request,
    space::demands,
};

pub(super) fn afterwards(request: &Request, world: &World) -> Vec<String> {
    let touches = |touch: Touch| request.action.touches.contains(&touch);
    let mut told = Vec::new();
    if let Some(nodes) = world.nodes.known() {
        told.extend(memory(request, world, nodes));
        if let Target::Node(node) = &request.target
            && touches(Touch::Node)
        {
            told.extend(quorum(node.as_str(), nodes));
        }
    }
    if touches(Touch::Space) || touches(Touch::DiskPlace) {
        told.extend(space(request, world));
    }
    told
}

/// What is left of a node's memory when all of it has come up there.
fn memory(request: &Request, world: &World, nodes: &Nodes) -> Option<String> {
    let coming: Vec<&Guest> = starting(request, world);
    let on = request.text("destination").or(coming.first().map(|guest| guest.node.as_str()))?;
    let node = nodes.called(on)?;
    let (_, all) = node.memory?;
    let needed = coming.iter().map(|guest| guest.memory).fold(0, u64::saturating_add);
    let free = node.free_memory()?;
    (!coming.is_empty()).then(|| match free.checked_sub(needed) {
        Some(left) => format!("{on} would have {} of {} of memory left", size(left), size(all)),
        None => format!("{on} would lack {} of memory", size(needed - free)),
    })
}

fn quorum(node: &str, nodes: &Nodes) -> Option<String> {
    let votes = left_without(node, nodes)?;
    let verdict = if votes.quorate() { "quorate" } else { "no quorum" };
    Some(format!(
        "{} of {} votes would be left, {} are needed: {verdict}",
        votes.left,
        votes.all,
        votes.needed()
    ))
}

fn space(request: &Request, world: &World) -> Vec<String> {
    let storages = world.storages.known().map(Vec::as_slice).unwrap_or_default();
    let left = demands(request, world).into_iter().filter_map(|demand| {
        let node = demand.node?;
        let free = *storages.iter().find(|storage| storage.id == demand.storage)?.free.get(&node)?;
        Some(match (demand.bytes, free.checked_sub(demand.bytes)) {
            (0, _) => format!("{} has {} free on {node}", demand.storage, size(free)),
            (_, Some(left)) => format!("{} would have {} free on {node}", demand.storage, size(left)),
            (_, None) => format!("{} would lack {} on {node}", demand.storage, size(demand.bytes - free)),
        })
    });
    left.collect()
}
