//! Worlds that differ from the sample in one thing.

use proxmox_agent::pve::sim::World;

const SAMPLE: &str = include_str!("../../src/pve/sim/sample-world.yaml");

/// Tasks of one type take so many seconds.
pub(crate) fn slow(task: &str, seconds: u32) -> World {
    World::from_yaml(&format!("{SAMPLE}\ntaskSeconds: {{{task}: {seconds}}}\n")).unwrap()
}
