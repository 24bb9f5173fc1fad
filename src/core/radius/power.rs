//! A guest that goes off or comes up.

use crate::{api::Risk, core::measure::size};

use super::{Ask, Radius};

pub(super) fn off(ask: Ask<'_>, found: &mut Radius) {
    let ha = found.seen(&ask.world.ha);
    let (Some(guest), Some(ha)) = (ask.world.guest(), ha) else { return };
    let managed = ha.resources.iter().find(|resource| resource.sid == guest.reference.sid());
    if let Some(resource) = managed {
        found.hit(&guest.reference, format!("is kept {} by HA", resource.state));
    }
}

pub(super) fn on(ask: Ask<'_>, found: &mut Radius) {
    let nodes = found.seen(&ask.world.nodes);
    let (Some(guest), Some(nodes)) = (ask.world.guest(), nodes) else { return };
    let Some(node) = nodes.called(&guest.node) else { return };
    let Some(free) = node.free_memory() else {
        found.unknown.push(format!("the memory of node {} can't be seen", node.name));
        return;
    };
    // What is paused holds its memory already.
    if !guest.is_running() && free < guest.memory {
        found
            .hit(
                &format!("node/{}", node.name),
                format!("has too little free memory for {}", guest.reference),
            )
            .detail(format!("{} free, {} needed", size(free), size(guest.memory)))
            .raises(Risk::High);
    }
}
