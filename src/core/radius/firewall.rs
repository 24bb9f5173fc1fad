//! Who is let through, and who is locked out.

use std::collections::BTreeMap;

use crate::{
    api::Risk,
    catalog::{ParamValue, Target},
};

use super::{Ask, Radius};

pub(super) fn look(ask: Ask<'_>, found: &mut Radius) {
    let rules = found.seen(&ask.world.firewall).map(Vec::as_slice).unwrap_or_default();
    let target = &ask.request.target;
    // A wrong rule of a guest locks its users out; one of a node or the cluster locks out whoever could mend it.
    let lock_out = if matches!(target, Target::Guest(_)) { Risk::High } else { Risk::Critical };
    if !ask.is_gone() {
        let asked = ask.request.params.iter().map(|(name, value)| (name.clone(), value.to_wire())).collect();
        if is_on(&asked) && blocks(&asked) {
            found.hit(target, format!("shuts out: {}", words(&asked))).raises(lock_out);
        }
        if !rules.is_empty() {
            found.hit(target, "has its other rules moved down by one");
        }
        return;
    }
    let Some(ParamValue::Integer(position)) = ask.request.params.get("position") else { return };
    for rule in rules.iter().filter(|rule| i64::from(rule.position) == *position) {
        let settings = &rule.settings;
        let (effect, risk) = match (is_on(settings), blocks(settings)) {
            (false, _) => ("loses a rule that is not in force", None),
            (true, true) => ("no longer shuts out", Some(Risk::High)),
            (true, false) => ("no longer lets through", Some(lock_out)),
        };
        found.hit(target, format!("{effect}: {}", words(settings))).raises = risk;
    }
    if rules.iter().any(|rule| i64::from(rule.position) > *position) {
        found.hit(target, "has its later rules moved up by one");
    }
}

fn is_on(settings: &BTreeMap<String, String>) -> bool {
    settings.get("enable").is_some_and(|enable| enable == "1")
}

fn blocks(settings: &BTreeMap<String, String>) -> bool {
    settings.get("action").is_some_and(|action| ["DROP", "REJECT"].contains(&action.to_uppercase().as_str()))
}

/// A rule as it is read in a list.
fn words(settings: &BTreeMap<String, String>) -> String {
    let shown = ["type", "action", "macro", "proto", "source", "dest", "sport", "dport", "iface"];
    let words = shown.iter().filter_map(|name| Some(format!("{name}={}", settings.get(*name)?)));
    words.collect::<Vec<_>>().join(" ")
}
