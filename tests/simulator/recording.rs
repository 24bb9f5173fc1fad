//! Recordings of a genuine Proxmox VE, and what is known about replaying them.
use std::collections::BTreeMap;
use std::path::Path;

use proxmox_agent::pve::sim::World;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The recordings, in the order in which they are reported.
pub(crate) const NAMES: [&str; 5] =
    ["02-verify", "04-qemu-lifecycle", "07-storage-pool-ha-misc", "09-lxc", "13-two-node-cluster"];

#[derive(Debug, Deserialize)]
pub(crate) struct Exchange {
    pub(crate) name: String,
    pub(crate) seq: u32,
    pub(crate) request: Request,
    pub(crate) response: Recorded,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: Option<serde_json::Map<String, Value>>,
    pub(crate) form: Option<serde_json::Map<String, Value>>,
    pub(crate) body_text: Option<String>,
    #[serde(default)]
    pub(crate) headers: Vec<(String, String)>,
}

/// An answer: of the genuine Proxmox, or of ours.
#[derive(Debug, Deserialize)]
pub(crate) struct Recorded {
    pub(crate) status: u16,
    pub(crate) reason: String,
    pub(crate) body: Option<Value>,
    pub(crate) body_text: Option<String>,
}

/// What is done from outside of the API before an exchange.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Outside {
    pub(crate) slow_tasks: Option<f64>,
    pub(crate) world: Option<Value>,
}

/// Exchanges that may be answered otherwise, for one reason.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Difference {
    pub(crate) reason: String,
    /// Whether they differ depends on the moment: they may also agree.
    #[serde(default)]
    pub(crate) timing: bool,
    /// By recording, the numbers and names of the exchanges.
    pub(crate) exchanges: BTreeMap<String, BTreeMap<u32, String>>,
}

/// A file of `tests/data`.
pub(crate) fn read(file: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(file)).unwrap()
}

pub(crate) fn yaml<T: DeserializeOwned>(file: &str) -> T {
    serde_saphyr::from_str(&read(file)).unwrap()
}

/// A recording is named by its folder and the beginning of its file's name.
pub(crate) fn exchanges(recording: &str) -> Vec<Exchange> {
    read(&format!("{recording}.jsonl")).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

pub(crate) fn world(recording: &str) -> World {
    World::from_yaml(&read(&format!("{recording}.world.yaml"))).unwrap()
}

/// What is done from outside while a recording of the folder is replayed.
pub(crate) fn outside(folder: &str, recording: &str) -> BTreeMap<u32, Outside> {
    let mut all = yaml::<BTreeMap<String, BTreeMap<u32, Outside>>>(&format!("{folder}/outside.yaml"));
    all.remove(recording).unwrap_or_default()
}

pub(crate) fn differences() -> Vec<Difference> {
    yaml("recordings/differences.yaml")
}
