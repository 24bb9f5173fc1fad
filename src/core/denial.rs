//! What can't be, can't be approved either.

use crate::catalog::{Changes, Existence};

use super::{
    observe::{Guest, Met, World},
    request::Request,
};

/// A plan that can't be carried out, whoever approves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// One word for programs.
    pub reason: &'static str,
    /// A sentence for people, beginning with the field.
    pub message: String,
}

/// There is no such target, or none that the token may see.
pub const TARGET_NOT_FOUND: &str = "TargetNotFound";

pub(super) fn denial(request: &Request, world: &World) -> Option<Denial> {
    existence(request, world).or_else(|| node(request, world)).or_else(|| snapshot(request, world.guest()?))
}

/// The token lacks what the action needs.
pub(super) fn lacking(request: &Request, missing: &[String]) -> Denial {
    let message = format!(
        "the token of environment {} lacks {}; grant it to the token, and to its user if privileges are separated",
        request.environment,
        missing.join(", ")
    );
    Denial { reason: "MissingPrivileges", message }
}

fn existence(request: &Request, world: &World) -> Option<Denial> {
    let target = &request.target;
    match (request.action.existence, &world.target) {
        (Existence::Exists, Met::Absent) => {
            let message = format!(
                "spec.target: there is no {target} in environment {}, or its token may not see it{}",
                request.environment,
                if target.guest().is_some() { " (VM.Audit)" } else { "" }
            );
            Some(Denial { reason: TARGET_NOT_FOUND, message })
        }
        (Existence::Absent, Met::Guest(_) | Met::Object(_)) => {
            let message =
                format!("spec.target: {target} exists already in environment {}", request.environment);
            Some(Denial { reason: "TargetExists", message })
        }
        _ => None,
    }
}

/// The node that a request names has to be there.
fn node(request: &Request, world: &World) -> Option<Denial> {
    let nodes = &world.nodes.known()?.nodes;
    let named = |param| request.text(param).map(|node| (param, node));
    let (param, node) = named("node")
        .into_iter()
        .chain(named("destination"))
        .find(|(_, node)| !nodes.iter().any(|known| known.name == *node && known.online))?;
    let known: Vec<&str> = nodes.iter().filter(|node| node.online).map(|node| node.name.as_str()).collect();
    let message = format!("spec.params.{param}: there is no node `{node}` online; {} are", known.join(", "));
    Some(Denial { reason: "NodeNotFound", message })
}

fn snapshot(request: &Request, guest: &Guest) -> Option<Denial> {
    let named = request.text("snapshot")?;
    let reference = guest.reference;
    let is_added = request.action.changes() == Some(Changes::SnapshotAdded);
    match (is_added, guest.snapshot(named).is_some()) {
        (true, true) => Some(Denial {
            reason: "SnapshotExists",
            message: format!("spec.params.snapshot: {reference} already has a snapshot `{named}`"),
        }),
        (true, false) | (false, true) => None,
        (false, false) => Some(Denial {
            reason: "SnapshotNotFound",
            message: format!(
                "spec.params.snapshot: {reference} has no snapshot `{named}`; {}",
                listed(guest)
            ),
        }),
    }
}

fn listed(guest: &Guest) -> String {
    if guest.snapshots.is_empty() {
        return "it has none".to_owned();
    }
    let shown: Vec<&str> = guest.snapshots.iter().take(10).map(|snapshot| snapshot.name.as_str()).collect();
    format!("it has {}", shown.join(", "))
}
