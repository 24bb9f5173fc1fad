//! The cases as they stand in the files of `tests/data/actions`.

use std::collections::BTreeMap;

use proxmox_agent::catalog::{Action, Target, find};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::worlds::{document, patch};

/// The files, one for each domain of the table.
pub(crate) const DOMAINS: [&str; 13] = [
    "power",
    "snapshots",
    "removal",
    "changes",
    "settings",
    "creation",
    "backups",
    "storage",
    "pools",
    "ha",
    "network",
    "nodes",
    "jobs",
];

/// What an action can meet. That the token lacks a right needs no file: it follows from the catalogue.
pub(crate) const CONDITIONS: [&str; 5] = ["success", "already", "refused", "locked", "vanished"];

/// One action on one target, and what becomes of it under each condition.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Entry {
    pub action: String,
    pub target: String,
    #[serde(default)]
    pub params: Value,
    /// Another world than the common one, for all its cases.
    #[serde(default)]
    pub world: Value,
    /// Rights that Proxmox does not ask for and that are needed all the same, with the reason.
    #[serde(default)]
    pub asked_for_too_much: BTreeMap<String, String>,
    /// Rights without which the target is not seen at all, with the reason.
    #[serde(default)]
    pub hidden_without: BTreeMap<String, String>,
    #[serde(flatten)]
    pub conditions: BTreeMap<String, Condition>,
}

/// What becomes of it, or why it can't come to that.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Condition {
    Never(String),
    Once(Box<Case>),
    More(Vec<Case>),
}

/// One way in which a condition is met.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    /// How the condition is met, where there are several ways.
    #[serde(default)]
    pub when: String,
    /// Where it has another one than the entry.
    pub target: Option<String>,
    /// More parameters, or others.
    #[serde(default)]
    pub params: Value,
    /// How the world is before it is looked at.
    #[serde(default)]
    pub world: Value,
    /// What happens to it after the judgement, before the call.
    #[serde(default)]
    pub between: Value,
    /// How it ends.
    pub ends: String,
    /// The call, if there is one and it is worth spelling out: its path by its method, and its parameters.
    pub sends: Option<Sends>,
    /// How the world differs afterwards.
    #[serde(default)]
    pub leaves: Value,
    /// How it differs from the one before when it has been taken back.
    #[serde(default)]
    pub undone: Value,
    /// How taking it back ends, if not well.
    pub undo_ends: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sends {
    pub call: String,
    #[serde(default)]
    pub with: Value,
}

impl Entry {
    pub fn action(&self) -> &'static Action {
        find(&self.action).unwrap_or_else(|| panic!("there is no action {}", self.action))
    }

    pub fn target(&self) -> Target {
        self.target.parse().unwrap_or_else(|error| panic!("{}: {error}", self.action))
    }

    pub fn name(&self) -> String {
        format!("{} {}", self.action, self.target)
    }

    /// The cases of a condition; none where it can't be met.
    pub fn cases(&self, condition: &str) -> Vec<&Case> {
        match self.conditions.get(condition) {
            Some(Condition::Once(case)) => vec![case],
            Some(Condition::More(cases)) => cases.iter().collect(),
            Some(Condition::Never(_)) | None => vec![],
        }
    }

    /// The world that the entry's cases begin with.
    pub fn world(&self, common: &Value) -> Value {
        let mut world = common.clone();
        patch(&mut world, &given(&self.world));
        world
    }
}

impl Case {
    /// The condition, and how it is met.
    pub fn name(&self, condition: &str) -> String {
        if self.when.is_empty() { condition.to_owned() } else { format!("{condition}: {}", self.when) }
    }

    pub fn params(&self, entry: &Entry) -> Value {
        let mut params = given(&entry.params);
        patch(&mut params, &given(&self.params));
        params
    }
}

/// What a file leaves out is empty.
pub(crate) fn given(value: &Value) -> Value {
    if value.is_null() { json!({}) } else { value.clone() }
}

pub(crate) fn entries(domain: &str) -> Vec<Entry> {
    let Value::Array(entries) = document(&format!("{domain}.yaml")) else {
        panic!("{domain}.yaml: is no list");
    };
    let entry = |entry: Value| {
        let name = format!("{} {}", entry["action"], entry["target"]);
        serde_json::from_value(entry).unwrap_or_else(|error| panic!("{domain}.yaml: {name}: {error}"))
    };
    entries.into_iter().map(entry).collect()
}
