//! A world: everything a simulated cluster consists of, as it is written in a YAML file.
mod check;
mod cluster;
mod complete;
mod guest;
mod model;

use crate::catalog::contract::Release;

pub(super) use cluster::{Interfaces, Node};
pub(super) use guest::sha1_hex;
pub use model::World;
pub(super) use model::{
    AccessRule, AgentState, Config, Definitions, Download, Group, Guest, GuestType, HaResource, Pool, Power,
    Role, RunningTask, Snapshot, Storage, Token, User, Volume,
};

/// What is wrong with a world file, and where.
#[derive(Debug, thiserror::Error)]
pub enum WorldError {
    /// The text is not YAML, or has a field that no world has.
    #[error("failed to read the world: {0}; docs/simulated-proxmox.md describes every field")]
    Syntax(String),
    /// The text is well formed and contradicts itself.
    #[error("failed to read the world: {field}: {problem}")]
    Contradiction {
        /// The path of the field, such as `guests.100.node`.
        field: String,
        /// What does not fit.
        problem: String,
    },
}

impl World {
    /// Reads a world from YAML.
    ///
    /// # Errors
    /// Names the line of a malformed text, or the field that contradicts another.
    pub fn from_yaml(text: &str) -> Result<Self, WorldError> {
        let world: Self =
            serde_saphyr::from_str(text).map_err(|error| WorldError::Syntax(error.to_string()))?;
        check::contradictions(&world)?;
        Ok(world)
    }

    /// The release whose API its nodes speak.
    pub(super) fn release(&self) -> Release {
        // A version that no release fits is refused when the world is read.
        Release::of(&self.cluster.version).unwrap_or(Release::V9_2)
    }

    /// The example world that a newcomer starts with: three nodes, some guests, shared and local storage.
    pub fn sample() -> Self {
        // A test proves that the built-in file is sound, so the empty world never shows.
        Self::from_yaml(SAMPLE).unwrap_or_default()
    }
}

/// The text of the example world; it doubles as the documented example.
pub const SAMPLE: &str = include_str!("../sample-world.yaml");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_world_is_sound() {
        World::from_yaml(SAMPLE).unwrap();
    }

    #[test]
    fn the_sample_world_has_what_newcomers_are_promised() {
        let world = World::sample();
        assert_eq!(world.nodes.len(), 3);
        assert!(world.guests[&100].is_running());
        assert!(world.guests[&102].flag("protection"));
        assert!(world.guests[&9000].is_template());
    }

    #[test]
    fn the_documented_example_is_a_world() {
        let documented = include_str!("../../../../docs/simulated-proxmox.md");
        let example = documented.split("<!-- example -->").nth(1).unwrap();
        let yaml = example.split("```").nth(1).unwrap().strip_prefix("yaml").unwrap();
        let world = World::from_yaml(yaml).unwrap();
        assert_eq!(world.guests.len(), 2);
        assert_eq!(world.faults.len(), 1);
    }

    #[test]
    fn a_world_survives_being_shown() {
        let world = World::sample();
        let shown = serde_json::to_string(&world).unwrap();
        let again = World::from_yaml(&shown).unwrap();
        assert_eq!(serde_json::to_value(&again).unwrap(), serde_json::to_value(&world).unwrap());
    }
}
