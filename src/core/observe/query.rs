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
