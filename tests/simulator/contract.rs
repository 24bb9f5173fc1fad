//! The check of a call before it is sent, held against what a genuine Proxmox VE said about the same call.
use std::collections::{BTreeMap, BTreeSet};

use proxmox_agent::catalog::contract::{Contract, Release};
use serde_json::Value;

use super::recording::{self, Exchange};

/// What only the state of the cluster tells to be wrong, though Proxmox blames a parameter.
const REFUSED_FOR_THEIR_MEANING: [&str; 8] = [
    "nextid-taken",
    "put-delete-and-set",
    "put-delete-unknown-key",
    "put-running-bad-bridge",
    "skiplock-as-token",
    "task-other-node-path",
    "vm-fw-rule-bad",
    "vzdump-no-vm",
];

/// The parameters of a recorded call, if all of them are text; how lists and files are sent is another matter.
fn parameters(exchange: &Exchange) -> Option<BTreeMap<String, String>> {
    let given = [&exchange.request.query, &exchange.request.form];
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    let pairs = given.into_iter().flatten().flatten();
    pairs.map(|(name, value)| Some((name.clone(), text(value)?))).collect()
}

/// The recorded calls to the API that were sent as forms, with their parameters.
fn calls() -> Vec<(String, Exchange, BTreeMap<String, String>)> {
    let all = recording::NAMES.into_iter().flat_map(|name| {
        recording::exchanges(&format!("recordings/{name}"))
            .into_iter()
            .map(move |exchange| (name.to_owned(), exchange))
    });
    let plain = all.filter(|(_, exchange)| {
        let below = exchange.request.path.strip_prefix("/api2/json/");
        below.is_some_and(|below| !below.is_empty()) && exchange.request.body_text.is_none()
    });
    plain.filter_map(|(name, exchange)| parameters(&exchange).map(|given| (name, exchange, given))).collect()
}

fn refused(exchange: &Exchange, given: &BTreeMap<String, String>) -> BTreeSet<String> {
    let path = exchange.request.path.strip_prefix("/api2/json").unwrap();
    let path = path.replace("%3A", ":").replace("%2F", "/").replace("%40", "@").replace("%21", "!");
    let problems = Contract::of(Release::V9_2).check(&exchange.request.method, &path, given);
    let top = |name: String| name.split('.').next().unwrap().to_owned();
    problems.into_iter().map(|problem| problem.parameter.map_or("-".to_owned(), top)).collect()
}

#[test]
fn what_a_genuine_proxmox_took_passes_the_check() {
    let mut wrong = vec![];
    let mut seen = 0;
    for (name, exchange, given) in calls() {
        if exchange.response.status == 200 {
            seen += 1;
            let problems = refused(&exchange, &given);
            if !problems.is_empty() {
                wrong.push(format!("{name} {} {}: {problems:?}", exchange.seq, exchange.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(seen > 200, "{seen}");
}

#[test]
fn what_a_genuine_proxmox_refused_for_its_form_is_refused_for_the_same_parameters() {
    let mut wrong = vec![];
    let mut seen = 0;
    for (name, exchange, given) in calls() {
        let body = exchange.response.body.as_ref();
        let errors = body.and_then(|body| body["errors"].as_object());
        if let Some(errors) = errors.filter(|_| exchange.response.status == 400) {
            seen += 1;
            let theirs: BTreeSet<String> = errors.keys().cloned().collect();
            let ours = refused(&exchange, &given);
            let for_meaning = REFUSED_FOR_THEIR_MEANING.contains(&exchange.name.as_str());
            if (ours == theirs) == for_meaning {
                wrong.push(format!("{name} {}: {ours:?} instead of {theirs:?} {errors:?}", exchange.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(seen > 20, "{seen}");
}
