//! Contradictions that no YAML schema sees.
use super::{Config, World, WorldError};
use crate::catalog::contract::Release;

pub(super) fn contradictions(world: &World) -> Result<(), WorldError> {
    if world.nodes.is_empty() {
        return refuse("nodes", "a world needs at least one node");
    }
    nodes_speak_a_known_api(world)?;
    guests_live_on_nodes(world)?;
    volumes_belong_to_their_storage(world)?;
    snapshots_have_parents(world)?;
    rules_name_existing_roles(world)?;
    ha_resources_are_guests(world)?;
    ha_rules_are_about_managed_resources(world)?;
    replication_jobs_lead_somewhere(world)?;
    running_tasks_are_on_nodes(world)
}

fn refuse(field: &str, problem: &str) -> Result<(), WorldError> {
    Err(WorldError::Contradiction { field: field.to_owned(), problem: problem.to_owned() })
}

fn nodes_speak_a_known_api(world: &World) -> Result<(), WorldError> {
    match Release::of(&world.cluster.version) {
        Ok(_) => Ok(()),
        Err(unsupported) => refuse("cluster.version", &unsupported.to_string()),
    }
}

fn guests_live_on_nodes(world: &World) -> Result<(), WorldError> {
    for (vmid, guest) in &world.guests {
        if !(100..=999_999_999).contains(vmid) {
            return refuse(&format!("guests.{vmid}"), "a guest id is a number from 100 to 999999999");
        }
        if !world.nodes.contains_key(&guest.node) {
            return refuse(&format!("guests.{vmid}.node"), &format!("there is no node '{}'", guest.node));
        }
    }
    Ok(())
}

fn volumes_belong_to_their_storage(world: &World) -> Result<(), WorldError> {
    for (name, storage) in &world.storages {
        for volume in &storage.volumes {
            if !volume.volid.starts_with(&format!("{name}:")) {
                let problem = format!("volume '{}' does not start with '{name}:'", volume.volid);
                return refuse(&format!("storages.{name}.volumes"), &problem);
            }
        }
    }
    Ok(())
}

fn snapshots_have_parents(world: &World) -> Result<(), WorldError> {
    for (vmid, guest) in &world.guests {
        let parents = guest.snapshots.values().map(|snapshot| &snapshot.parent).chain([&guest.parent]);
        for parent in parents.flatten() {
            if !guest.snapshots.contains_key(parent) {
                let problem = format!("parent '{parent}' is not among them");
                return refuse(&format!("guests.{vmid}.snapshots"), &problem);
            }
        }
    }
    Ok(())
}

fn rules_name_existing_roles(world: &World) -> Result<(), WorldError> {
    for rule in &world.acl {
        if !world.roles.contains_key(&rule.role) && !crate::pve::sim::access::is_built_in_role(&rule.role) {
            return refuse("acl", &format!("there is no role '{}'", rule.role));
        }
    }
    Ok(())
}

fn running_tasks_are_on_nodes(world: &World) -> Result<(), WorldError> {
    for task in &world.tasks {
        if !world.nodes.contains_key(&task.node) {
            return refuse("tasks", &format!("there is no node '{}'", task.node));
        }
    }
    Ok(())
}

fn ha_resources_are_guests(world: &World) -> Result<(), WorldError> {
    let known = |sid: &str| {
        let (kind, vmid) = sid.split_once(':')?;
        world.guests.get(&vmid.parse().ok()?).filter(|guest| guest.kind.ha_prefix() == kind)
    };
    match world.ha.keys().find(|sid| known(sid).is_none()) {
        Some(sid) => refuse(&format!("ha.{sid}"), "there is no such guest; write vm:<vmid> or ct:<vmid>"),
        None => Ok(()),
    }
}

fn named<'a>(definition: &'a Config, key: &str) -> impl Iterator<Item = &'a str> {
    let text = definition.get(key).and_then(|value| value.as_str()).unwrap_or_default();
    text.split(',').map(str::trim).filter(|item| !item.is_empty())
}

fn ha_rules_are_about_managed_resources(world: &World) -> Result<(), WorldError> {
    for (id, rule) in world.defined("haRules") {
        let field = |name: &str| format!("definitions.haRules.{id}.{name}");
        if let Some(sid) = named(rule, "resources").find(|sid| !world.ha.contains_key(*sid)) {
            return refuse(&field("resources"), &format!("'{sid}' is not among the HA resources"));
        }
        let mut nodes = named(rule, "nodes").map(|node| node.split(':').next().unwrap_or_default());
        if let Some(node) = nodes.find(|node| !world.nodes.contains_key(*node)) {
            return refuse(&field("nodes"), &format!("there is no node '{node}'"));
        }
    }
    Ok(())
}

fn replication_jobs_lead_somewhere(world: &World) -> Result<(), WorldError> {
    for (id, job) in world.defined("replicationJobs") {
        let guest = id.split('-').next().and_then(|vmid| vmid.parse().ok());
        let field = format!("definitions.replicationJobs.{id}");
        if !guest.is_some_and(|vmid: u32| world.guests.contains_key(&vmid)) {
            return refuse(&field, "a job is called <vmid>-<number>, after a guest that exists");
        }
        if !named(job, "target").any(|node| world.nodes.contains_key(node)) {
            return refuse(&format!("{field}.target"), "a job needs a node of the cluster as its target");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn error_of(yaml: &str) -> String {
        World::from_yaml(yaml).unwrap_err().to_string()
    }

    #[test]
    fn a_world_without_nodes_is_refused() {
        assert!(error_of("nodes: {}").contains("at least one node"));
    }

    #[test]
    fn a_guest_on_a_missing_node_is_refused_by_name() {
        let text = error_of("nodes: {pve1: {}}\nguests: {100: {type: qemu, node: pve9}}");
        assert!(text.contains("guests.100.node"), "{text}");
    }

    #[test]
    fn a_version_whose_api_is_not_known_is_refused_with_those_that_are() {
        let text = error_of("cluster: {version: 7.4-17}\nnodes: {pve1: {}}");
        assert!(text.contains("cluster.version: Proxmox VE `7.4-17` is not supported"), "{text}");
    }

    #[test]
    fn a_version_may_be_written_without_quotes() {
        let world = World::from_yaml("cluster: {version: 8.4}\nnodes: {pve1: {}}").unwrap();
        assert_eq!(world.release(), Release::V8_4);
    }

    #[test]
    fn a_misspelled_field_is_refused_with_its_line() {
        let text = error_of("nodes:\n  pve1:\n    onlin: true\n");
        assert!(text.contains("onlin") && text.contains('3'), "{text}");
    }

    #[test]
    fn what_protects_a_guest_that_does_not_exist_is_refused_by_name() {
        let text = error_of("nodes: {pve1: {}}\nha: {'vm:100': {}}");
        assert!(text.contains("ha.vm:100"), "{text}");
        let text = error_of("nodes: {pve1: {}}\ndefinitions: {replicationJobs: {100-0: {target: pve1}}}");
        assert!(text.contains("replicationJobs.100-0"), "{text}");
        let rule = "definitions: {haRules: {r1: {type: node-affinity, resources: 'vm:100', nodes: pve1}}}";
        let text = error_of(&format!("nodes: {{pve1: {{}}}}\n{rule}"));
        assert!(text.contains("haRules.r1.resources"), "{text}");
    }

    #[test]
    fn a_snapshot_whose_parent_is_missing_is_refused() {
        let text = error_of("nodes: {pve1: {}}\nguests: {100: {type: qemu, node: pve1, parent: gone}}");
        assert!(text.contains("guests.100.snapshots"), "{text}");
    }
}
