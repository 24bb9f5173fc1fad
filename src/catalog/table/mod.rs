//! Every action, one entry each, one file per domain.

mod backups;
mod changes;
mod creation;
mod ha;
mod jobs;
mod network;
mod nodes;
mod params;
mod pools;
mod power;
mod reads;
mod removal;
mod settings;
mod snapshots;
mod storage;
#[cfg(test)]
mod tests;

use super::Action;

/// Every action that a plan can ask for.
static TABLES: &[&[Action]] = &[
    reads::ACTIONS,
    power::ACTIONS,
    creation::ACTIONS,
    changes::ACTIONS,
    removal::ACTIONS,
    snapshots::ACTIONS,
    backups::ACTIONS,
    storage::ACTIONS,
    pools::ACTIONS,
    ha::ACTIONS,
    network::ACTIONS,
    nodes::ACTIONS,
    jobs::ACTIONS,
];

/// Every action that a plan can ask for, domain by domain.
pub fn actions() -> impl Iterator<Item = &'static Action> {
    TABLES.iter().copied().flatten()
}

/// The action of this name.
pub fn find(name: &str) -> Option<&'static Action> {
    actions().find(|action| action.name == name)
}
