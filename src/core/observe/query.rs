use std::collections::BTreeSet;

use crate::catalog::{Existence, InventoryScope, Section, Target};

use crate::core::request::Request;

/// What has to be looked at to judge a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    pub target: Target,
    pub existence: Existence,
    /// The node that the request names, if it names one.
    pub node: Option<String>,
    /// Where the guest is to go, for a migration.
    pub destination: Option<String>,
    pub sections: BTreeSet<Section>,
}

impl Query {
    pub fn of(request: &Request) -> Self {
        let action = request.action;
        let node = request.text("node").map(str::to_owned);
        let touched = action.touches.iter().flat_map(|touch| touch.sections()).copied();
        Self {
            target: request.target.clone(),
            existence: action.existence,
            sections: touched.chain(needed_to_send(request, node.as_deref())).collect(),
            node,
            destination: request.text("destination").map(str::to_owned),
        }
    }

    /// All guests, in short.
    pub fn inventory() -> Self {
        Self {
            target: Target::Inventory(InventoryScope::All),
            existence: Existence::Given,
            node: None,
            destination: None,
            sections: BTreeSet::new(),
        }
    }
}

/// A change that belongs to no node is carried out by one all the same.
fn needed_to_send(request: &Request, node: Option<&str>) -> Option<Section> {
    let has_a_node = node.is_some() || matches!(request.target, Target::Guest(_) | Target::Node(_));
    (!has_a_node && !request.action.is_read()).then_some(Section::Nodes)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::core::request::{normalise, tests::spec};

    fn looks_at_the_nodes(action: &str, target: &str, params: Value) -> bool {
        let request = normalise("default", &spec(action, target, params)).unwrap();
        Query::of(&request).sections.contains(&Section::Nodes)
    }

    #[test]
    fn somebody_is_looked_for_to_carry_out_what_belongs_to_no_node() {
        assert!(looks_at_the_nodes("create_pool", "pool/web", json!({})));
        assert!(looks_at_the_nodes("add_storage", "storage/nas", json!({"type": "dir", "path": "/srv"})));
        assert!(!looks_at_the_nodes("create_snapshot", "qemu/100", json!({})));
        assert!(!looks_at_the_nodes("read_storage", "storage/nas", json!({})));
    }
}
