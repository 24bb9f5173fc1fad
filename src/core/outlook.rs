//! What can be said about a request before anybody looks at a cluster.

use crate::{
    api::Risk,
    catalog::{Call, contract::Release},
};

use super::{
    allowed::refused,
    call::{PlanIdentity, dispatch_for},
    hash::{NotCanonical, PlanHash},
    observe::{Node, Nodes, Seen, World},
    request::Request,
};

/// Stands for a node that only a look at the cluster tells.
const SOME_NODE: &str = "NODE";

/// A request as it looks from afar.
#[derive(Clone, Debug)]
pub struct Outlook {
    /// It can only rise.
    pub least_risk: Risk,
    /// What would be sent, as far as it does not depend on what is met; nothing for an action that only reads.
    pub call: Option<Call>,
    /// Why no release of Proxmox VE that is known would take the call, as the latest one puts it.
    pub refused: Option<String>,
}

/// Looks at a request alone.
pub fn outlook(request: &Request) -> Result<Outlook, NotCanonical> {
    let mut refusals: Vec<Option<String>> = Vec::new();
    let mut call = None;
    for release in Release::ALL {
        let world = nothing_seen(release);
        let Some(mut sent) = dispatch_for(request, &world, identity(&[0])?.as_ref())? else { break };
        refusals.push(refused(request, &world, &sent).map(|denial| denial.message));
        let of_another_plan = dispatch_for(request, &world, identity(&[1])?.as_ref())?;
        let others = of_another_plan.map(|dispatch| dispatch.call.params).unwrap_or_default();
        sent.call.params.retain(|name, value| others.get(name) == Some(value));
        call = Some(sent.call);
    }
    // Which release is there is not known: only what all of them refuse is wrong.
    let refused =
        refusals.into_iter().collect::<Option<Vec<String>>>().and_then(|all| all.into_iter().last());
    Ok(Outlook { least_risk: request.action.base_risk, call, refused })
}

fn nothing_seen(release: Release) -> World {
    let node = Node { name: SOME_NODE.to_owned(), online: true, ..Node::default() };
    World {
        version: release.name().to_owned(),
        nodes: Seen::Known(Nodes { nodes: vec![node], ..Nodes::default() }),
        ..World::default()
    }
}

/// Of some plan or other: what depends on it is found by comparing two.
struct Somebody {
    hash: PlanHash,
    uid: String,
}

impl Somebody {
    fn as_ref(&self) -> PlanIdentity<'_> {
        PlanIdentity { hash: &self.hash, uid: &self.uid }
    }
}

fn identity(seed: &[u8; 1]) -> Result<Somebody, NotCanonical> {
    Ok(Somebody { hash: PlanHash::of("no plan", seed)?, uid: format!("{:032}", seed[0]) })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::core::request::{normalise, tests::spec};

    fn of(action: &str, target: &str, params: serde_json::Value) -> Outlook {
        outlook(&normalise("default", &spec(action, target, params)).unwrap()).unwrap()
    }

    #[test]
    fn the_call_is_known_but_for_what_depends_on_the_target_and_the_plan() {
        let Outlook { call, refused, least_risk } =
            of("create_snapshot", "qemu/100", json!({"vmstate": true}));
        let call = call.unwrap();
        assert_eq!((call.to_string().as_str(), refused), ("POST /nodes/NODE/qemu/100/snapshot", None));
        assert_eq!(call.params.into_iter().collect::<Vec<_>>(), [("vmstate".to_owned(), "1".to_owned())]);
        assert_eq!(least_risk, Risk::Low);
    }

    #[test]
    fn reading_calls_nothing() {
        assert!(of("read_inventory", "inventory/all", json!({})).call.is_none());
    }

    #[test]
    fn what_every_release_refuses_is_known_before_anybody_asks_it() {
        let why =
            of("set_guest_config", "qemu/100", json!({"net0": "virtio,bridge=vmbr0,colour=red"})).refused;
        assert!(why.as_ref().is_some_and(|why| why.starts_with("spec.params.net0: ")), "{why:?}");
    }

    #[test]
    fn what_one_release_takes_is_not_refused() {
        let rule = json!({"resources": "vm:100,vm:101", "type": "resource-affinity", "affinity": "negative"});
        let request = normalise("default", &spec("create_ha_rule", "ha-rule/apart", rule));
        assert!(
            request.is_ok_and(|request| outlook(&request).is_ok_and(|outlook| outlook.refused.is_none()))
        );
    }
}
