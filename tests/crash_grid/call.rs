//! What passes a boundary, in words that mean the same in every run.

use http::{Method, request::Parts};

/// The two neighbours of the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Kubernetes,
    Proxmox,
}

/// What a call does at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    Connects,
    Reads,
    /// Reads for as long as both want to.
    Watches,
    Writes,
    /// Changes something on Proxmox.
    Mutates,
}

/// One call. Two calls with the same words are of the same kind: a run counts them.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) effect: Effect,
    pub(crate) words: String,
}

impl Call {
    pub(crate) fn of(side: Side, request: &Parts) -> Self {
        let segments: Vec<&str> =
            request.uri.path().split('/').filter(|segment| !segment.is_empty()).collect();
        match side {
            Side::Kubernetes => kubernetes(request, &segments),
            Side::Proxmox => proxmox(request, &segments),
        }
    }
}

fn kubernetes(request: &Parts, segments: &[&str]) -> Call {
    let rest = match segments {
        ["api", _, rest @ ..] | ["apis", _, _, rest @ ..] => rest,
        other => other,
    };
    let mut rest = match rest {
        ["namespaces", _, rest @ ..] if !rest.is_empty() => rest.to_vec(),
        rest => rest.to_vec(),
    };
    match rest.as_mut_slice() {
        // Its name is drawn by lot.
        ["events", ..] => rest.truncate(1),
        // Their names depend on what they are for, or all of them are read at once.
        [
            "leases"
            | "proxmoxactionapprovals"
            | "validatingadmissionpolicies"
            | "validatingadmissionpolicybindings",
            name,
            ..,
        ] => *name = "_",
        _ => {}
    }
    let watches =
        request.uri.query().is_some_and(|query| query.contains("watch=1") || query.contains("watch=true"));
    let (effect, verb) = match (&request.method, watches, rest.len()) {
        (_, true, _) => (Effect::Watches, "WATCH"),
        (&Method::GET, _, 1) => (Effect::Reads, "LIST"),
        (&Method::GET, ..) => (Effect::Reads, "GET"),
        (method, ..) => (Effect::Writes, method.as_str()),
    };
    Call { effect, words: format!("{verb} {}", rest.join("/")) }
}

fn proxmox(request: &Parts, segments: &[&str]) -> Call {
    let below = segments.strip_prefix(&["api2", "json"]).unwrap_or(segments);
    let path: Vec<&str> =
        below.iter().map(|segment| if segment.starts_with("UPID") { "UPID" } else { segment }).collect();
    let effect = if request.method == Method::GET { Effect::Reads } else { Effect::Mutates };
    Call { effect, words: format!("{} /{}", request.method, path.join("/")) }
}
