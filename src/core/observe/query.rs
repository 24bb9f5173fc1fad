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
        Self {
            target: request.target.clone(),
            existence: action.existence,
            node: request.text("node").map(str::to_owned),
            destination: request.text("destination").map(str::to_owned),
            sections: action.touches.iter().flat_map(|touch| touch.sections()).copied().collect(),
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
