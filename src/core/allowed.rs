//! Whether the Proxmox that is there takes the call at all: its own schema, version by version.

use std::collections::BTreeMap;

use crate::catalog::contract::{Contract, Problem, Release};

use super::{call::Dispatch, denial::Denial, observe::World, request::Request};

/// As many problems as a message holds.
const MOST: usize = 8;

/// What Proxmox would refuse before it looks at anything.
pub(super) fn refused(request: &Request, world: &World, dispatch: &Dispatch) -> Option<Denial> {
    let release = match Release::of(&world.version) {
        Ok(release) => release,
        Err(error) => return Some(Denial { reason: "UnsupportedVersion", message: error.to_string() }),
    };
    let call = &dispatch.call;
    let mut params = call.params.clone();
    params.extend(call.secrets.keys().map(|name| (name.clone(), STAND_IN.to_owned())));
    let problems = Contract::of(release).check(call.method.as_str(), &call.path, &params);
    if problems.is_empty() {
        return None;
    }
    let spelled = spelling(request);
    let told: Vec<String> = problems.iter().take(MOST).map(|problem| words(problem, &spelled)).collect();
    let more = problems.len().saturating_sub(MOST);
    let more = if more == 0 { String::new() } else { format!("; and {more} more") };
    Some(Denial { reason: "InvalidParameters", message: format!("{}{more}", told.join("; ")) })
}

/// The value of a secret is not known before it is sent.
const STAND_IN: &str = "0123456789abcdef";

/// How the plan spells what Proxmox calls otherwise.
fn spelling(request: &Request) -> BTreeMap<String, String> {
    let kind = request.target.guest().map(|guest| guest.kind);
    let wire = |spelled: &String| request.action.param(spelled)?.wire_name(spelled, kind);
    request.params.keys().filter_map(|spelled| Some((wire(spelled)?, spelled.clone()))).collect()
}

fn words(problem: &Problem, spelled: &BTreeMap<String, String>) -> String {
    let text = problem.to_string();
    let parameter = problem.parameter.as_deref().unwrap_or_default();
    match spelled.get(parameter.split('.').next().unwrap_or_default()) {
        Some(spelled) => format!("spec.params.{spelled}: {text}"),
        None => text,
    }
}
