//! From a request to the one call that carries it out.

use std::collections::BTreeMap;

use crate::catalog::{Call, GuestRef, Operation, ParamValue, Target};

use super::{
    hash::{NotCanonical, PlanHash},
    request::Request,
};

/// The call for a guest on this node, or `None` for an action that only reads.
pub fn call_for(request: &Request, node: &str, plan: PlanIdentity<'_>) -> Result<Option<Call>, NotCanonical> {
    let (Operation::GuestCall { method, path, .. }, Target::Guest(guest)) =
        (&request.action.operation, request.target)
    else {
        return Ok(None);
    };
    let snapshot = snapshot_name(request, plan)?;
    let mut params = wire_params(request);
    if request.action.name == "create_snapshot" {
        params.insert("snapname".to_owned(), snapshot.clone());
        params.insert("description".to_owned(), marked_description(request, plan.uid));
    }
    let starts_task = !request.action.task_types(guest.kind).is_empty();
    Ok(Some(Call { method: *method, path: full_path(guest, node, path, &snapshot), params, starts_task }))
}

/// What tells a plan from every other plan, the next one for the same request included.
#[derive(Clone, Copy, Debug)]
pub struct PlanIdentity<'a> {
    pub hash: &'a PlanHash,
    pub uid: &'a str,
}

/// The snapshot that the request is about: the one it names, else one that can be found again and told from others.
fn snapshot_name(request: &Request, plan: PlanIdentity<'_>) -> Result<String, NotCanonical> {
    if let Some(name) = request.text("snapshot") {
        return Ok(name.to_owned());
    }
    let identity = PlanHash::of("the plan's identity", &[&plan.hash.to_string(), plan.uid])?;
    Ok(format!("h{}", identity.short()))
}

fn full_path(guest: GuestRef, node: &str, path: &str, snapshot: &str) -> String {
    let tail = path.replace("{snapshot}", snapshot);
    format!("/nodes/{node}/{guest}{tail}")
}

fn wire_params(request: &Request) -> BTreeMap<String, String> {
    let wire_name = |name: &str| request.action.params.iter().find(|param| param.name == name)?.wire;
    request
        .params
        .iter()
        .filter_map(|(name, value): (_, &ParamValue)| Some((wire_name(name)?.to_owned(), value.to_wire())))
        .collect()
}

fn marked_description(request: &Request, plan_uid: &str) -> String {
    let marker = format!("proxmox-agent plan {plan_uid}");
    match request.text("description") {
        Some(text) if !text.is_empty() => format!("{text}\n{marker}"),
        _ => marker,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::core::request::{normalise, tests::spec};

    fn call(action: &str, target: &str, params: serde_json::Value) -> Call {
        let request = normalise("default", &spec(action, target, params)).unwrap();
        let hash = PlanHash::of("a test", &1).unwrap();
        call_for(&request, "pve1", PlanIdentity { hash: &hash, uid: "uid-1" }).unwrap().unwrap()
    }

    #[test]
    fn parameters_are_spelled_as_proxmox_spells_them() {
        let call = call("delete_guest", "lxc/200", json!({"destroyUnreferencedDisks": true, "purge": false}));
        assert_eq!(call.to_string(), "DELETE /nodes/pve1/lxc/200");
        assert!(call.starts_task);
        assert_eq!(
            call.params,
            [("destroy-unreferenced-disks", "1"), ("purge", "0")].map(|(k, v)| (k.into(), v.into())).into()
        );
    }

    #[test]
    fn a_snapshot_carries_the_plan_that_made_it() {
        let call = call("create_snapshot", "qemu/100", json!({"description": "before the upgrade"}));
        assert_eq!(call.params["description"], "before the upgrade\nproxmox-agent plan uid-1");
        assert!(call.params["snapname"].starts_with('h') && call.params["snapname"].len() == 13);
    }

    #[test]
    fn the_same_request_made_again_takes_a_snapshot_of_its_own() {
        let request = normalise("default", &spec("create_snapshot", "qemu/100", json!({}))).unwrap();
        let hash = PlanHash::of("a test", &1).unwrap();
        let name = |uid| snapshot_name(&request, PlanIdentity { hash: &hash, uid }).unwrap();
        assert_eq!(name("uid-1"), name("uid-1"));
        assert_ne!(name("uid-1"), name("uid-2"));
    }

    #[test]
    fn a_snapshot_that_is_named_stands_in_the_path_and_nowhere_else() {
        let call = call("rollback_snapshot", "qemu/100", json!({"snapshot": "before", "start": true}));
        assert_eq!(call.to_string(), "POST /nodes/pve1/qemu/100/snapshot/before/rollback");
        assert_eq!(call.params, [("start".into(), "1".into())].into());
    }
}
