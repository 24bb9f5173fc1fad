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
    let touches = |touch| request.action.touches(touch);
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::core::{
        observe::{Node, Seen, Storage},
        request::{normalise, tests::spec},
        testing::{guest, world_of},
    };

    fn cluster(votes: &[(&str, bool)]) -> Seen<Nodes> {
        let nodes = votes.iter().map(|(name, online)| Node {
            name: (*name).into(),
            online: *online,
            votes: 1,
            memory: Some((12 << 30, 16 << 30)),
            ..Node::default()
        });
        Seen::Known(Nodes { quorate: true, is_cluster: true, nodes: nodes.collect() })
    }

    fn told(action: &str, target: &str, params: Value, world: &World) -> Vec<String> {
        afterwards(&normalise("default", &spec(action, target, params)).unwrap(), world)
    }

    #[test]
    fn the_memory_that_is_left_is_that_of_the_node_where_the_guest_comes_to_run() {
        let mut met = Guest { memory: 1 << 30, ..guest("qemu/100") };
        let nodes = cluster(&[("pve1", true), ("pve2", true)]);
        let world = World { nodes, ..world_of(met.clone()) };
        let left = |node: &str| vec![format!("{node} would have 3 GiB of 16 GiB of memory left")];
        assert_eq!(told("start_guest", "qemu/100", json!({}), &world), left("pve1"));
        let to = json!({"destination": "pve2"});
        assert!(told("migrate_guest", "qemu/100", to.clone(), &world).is_empty(), "what is off takes none");
        met.status = "running".into();
        met.memory = 5 << 30;
        let world = World { nodes: world.nodes, ..world_of(met) };
        assert_eq!(told("migrate_guest", "qemu/100", to, &world), ["pve2 would lack 1 GiB of memory"]);
        assert!(told("start_guest", "qemu/100", json!({}), &world).is_empty(), "it runs already");
    }

    #[test]
    fn the_votes_that_are_left_are_counted() {
        let told = |nodes| told("reboot_node", "node/pve1", json!({}), &World { nodes, ..World::default() });
        let three = cluster(&[("pve1", true), ("pve2", true), ("pve3", true)]);
        assert_eq!(told(three), ["2 of 3 votes would be left, 2 are needed: quorate"]);
        let two = cluster(&[("pve1", true), ("pve2", true), ("pve3", false)]);
        assert_eq!(told(two), ["1 of 3 votes would be left, 2 are needed: no quorum"]);
    }

    #[test]
    fn the_space_that_is_left_counts_what_grows_and_what_is_copied() {
        let mut met = guest("qemu/100");
        met.config.insert("scsi0".into(), "thin:vm-100-disk-0,size=10G".into());
        let free = [("pve1".to_owned(), 8 << 30)].into();
        let storage = |id: &str| Storage {
            id: id.into(),
            free: std::collections::BTreeMap::clone(&free),
            ..Storage::default()
        };
        let storages = Seen::Known(vec![storage("thin"), storage("nfs")]);
        let world = World { storages, ..world_of(met) };
        for (action, params, line) in [
            ("resize_disk", json!({"disk": "scsi0", "size": "+5G"}), "thin would have 3 GiB free on pve1"),
            ("resize_disk", json!({"disk": "scsi0", "size": "12G"}), "thin would have 6 GiB free on pve1"),
            ("move_disk", json!({"disk": "scsi0", "storage": "nfs"}), "nfs would lack 2 GiB on pve1"),
            ("clone_guest", json!({"newid": 101, "full": true}), "thin would lack 2 GiB on pve1"),
            ("backup_guest", json!({"storage": "nfs"}), "nfs has 8 GiB free on pve1"),
        ] {
            assert_eq!(told(action, "qemu/100", params, &world), [line], "{action}");
        }
    }
}
