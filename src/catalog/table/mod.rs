//! Every action, one entry each, one file per domain.

mod params;
mod power;
mod reads;
mod removal;
mod snapshots;

use super::Action;

/// Every action that a plan can ask for.
static TABLES: &[&[Action]] = &[reads::ACTIONS, power::ACTIONS, snapshots::ACTIONS, removal::ACTIONS];

/// Every action that a plan can ask for, domain by domain.
pub fn actions() -> impl Iterator<Item = &'static Action> {
    TABLES.iter().copied().flatten()
}

/// The action of this name.
pub fn find(name: &str) -> Option<&'static Action> {
    actions().find(|action| action.name == name)
}
