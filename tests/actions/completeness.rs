//! Nothing is left out: each action, each kind of target, each condition.

use std::collections::BTreeMap;

use proxmox_agent::catalog::{TargetKind, actions};

use crate::book::{CONDITIONS, Condition, DOMAINS, Entry, entries};

#[test]
fn every_action_that_changes_something_meets_every_condition_or_a_reason_why_not() {
    let mut entries: BTreeMap<String, Vec<Entry>> = BTreeMap::new();
    for entry in DOMAINS.iter().flat_map(|domain| self::entries(domain)) {
        entries.entry(entry.action.clone()).or_default().push(entry);
    }
    let mut missing = Vec::new();
    for action in actions().filter(|action| !action.is_read()) {
        let own = entries.remove(action.name).unwrap_or_default();
        for condition in CONDITIONS {
            if !own.iter().any(|entry| entry.conditions.contains_key(condition)) {
                missing.push(format!("{}: {condition}", action.name));
            }
        }
        let kinds: Vec<TargetKind> = own.iter().map(|entry| entry.target().kind()).collect();
        let unseen = action.target.iter().filter(|kind| !kinds.contains(kind));
        missing.extend(unseen.map(|kind| format!("{}: a target such as {}", action.name, kind.example())));
    }
    assert!(missing.is_empty(), "no case for\n{}", missing.join("\n"));
}

#[test]
fn what_the_files_say_is_a_condition_and_a_reason_is_a_sentence() {
    for entry in DOMAINS.iter().flat_map(|domain| entries(domain)) {
        for (condition, case) in &entry.conditions {
            assert!(CONDITIONS.contains(&condition.as_str()), "{}: {condition}", entry.name());
            if let Condition::Never(why) = case {
                assert!(why.split(' ').count() >= 3, "{} {condition}: {why}", entry.name());
                assert_ne!(condition, "success", "{}", entry.name());
            }
        }
        assert!(!entry.cases("success").is_empty(), "{}", entry.name());
    }
}
