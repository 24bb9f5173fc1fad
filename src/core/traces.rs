//! Whether an action was carried out, by what is there now: the natural key that the catalogue names for it.

use crate::catalog::NaturalKey;

use super::{observe::World, request::Request};

/// What the target itself tells of a call whose answer never came and whose task can't be found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Traces {
    /// It was carried out: this shows it.
    Done(String),
    /// It was not carried out, and Proxmox would refuse the second of two such calls: it may be sent again.
    NotDone(String),
    /// Nothing tells, for this reason.
    Unclear(String),
}

/// Reads them. `uid` is the plan's, which marks what it makes.
pub fn traces(request: &Request, world: &World, uid: &str) -> Traces {
    let _ = (world, uid);
    let key: NaturalKey = request.action.natural_key;
    Traces::Unclear(format!("it would be known by this: {}", key.described()))
}
