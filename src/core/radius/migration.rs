//! A guest that goes to another node.

use crate::{
    api::Risk,
    core::observe::{Guest, Ha, MigrationCheck, ReplicationJob},
};

use super::{
    Ask, Radius,
    node::{enough_memory, may_run_on},
    subject::of_resource,
};

pub(super) fn look(ask: Ask<'_>, found: &mut Radius) {
    let nodes = found.seen(&ask.world.nodes);
    let ha = found.seen(&ask.world.ha);
    let replication = found.seen(&ask.world.replication).map(Vec::as_slice).unwrap_or_default();
    let check = found.seen(&ask.world.migration);
    let Some((guest, to)) = ask.world.guest().zip(ask.request.text("destination")) else { return };
    if let Some(nodes) = nodes.filter(|_| guest.is_running()) {
        enough_memory(nodes, to, guest.memory, found);
    }
    if let Some(ha) = ha {
        rules(guest, to, ha, found);
    }
    if let Some(check) = check {
        checked(guest, to, check, found);
    }
    for job in replication.iter().filter(|job| job.guest == Some(guest.reference.vmid)) {
        copies(guest, to, job, found);
    }
    if guest.is_running() && ask.request.flag("restart") {
        found.hit(&guest.reference, "is stopped, and started there").raises(Risk::High);
    }
}

fn rules(guest: &Guest, to: &str, ha: &Ha, found: &mut Radius) {
    if !may_run_on(guest, to, ha) {
        found.hit(&guest.reference, format!("may not run on {to} by a rule of HA")).raises(Risk::Critical);
    }
    let sid = guest.reference.sid();
    for rule in
        ha.rules.iter().filter(|rule| rule.kind == "resource-affinity" && rule.resources.contains(&sid))
    {
        let apart = rule.settings.get("affinity").is_some_and(|affinity| affinity == "negative");
        for other in rule.resources.iter().filter(|other| **other != sid) {
            let there = ha
                .resources
                .iter()
                .any(|resource| resource.sid == *other && resource.node.as_deref() == Some(to));
            let (effect, risk) = match (apart, there) {
                (true, true) => {
                    (format!("is kept apart from {} by rule {}", guest.reference, rule.id), Risk::Critical)
                }
                (false, false) => (format!("moves along to {to} by rule {}", rule.id), Risk::Critical),
                _ => continue,
            };
            found.hit(&of_resource(other), effect).raises(risk);
        }
    }
}

/// What Proxmox itself says to it.
fn checked(guest: &Guest, to: &str, check: &MigrationCheck, found: &mut Radius) {
    for disk in &check.local_disks {
        found.hit(&guest.reference, format!("has to have its local disk {disk} copied"));
    }
    for device in &check.local_resources {
        found
            .hit(&guest.reference, format!("uses {device} of {}, which does not come along", guest.node))
            .raises(Risk::High);
    }
    for other in &check.moves_along {
        found.hit(&of_resource(other), format!("moves along to {to}")).raises(Risk::Critical);
    }
    let is_left_out = check.allowed_nodes.as_ref().is_some_and(|nodes| !nodes.iter().any(|node| node == to));
    if let Some(why) = check.refused_by.get(to) {
        found.hit(&format!("node/{to}"), format!("can't take it: {why}")).raises(Risk::High);
    } else if is_left_out {
        found.hit(&format!("node/{to}"), "is not among the nodes that can take it").raises(Risk::High);
    }
}

fn copies(guest: &Guest, to: &str, job: &ReplicationJob, found: &mut Radius) {
    let effect = if job.target == to {
        format!("copies {} to {} from then on", guest.reference, guest.node)
    } else {
        format!("copies {} to {} anew", guest.reference, job.target)
    };
    found.hit(&format!("replication/{}", job.id), effect);
}
