//! The audit log of an operator, as whoever comes later finds it.

use std::path::Path;

use proxmox_agent::audit::{compare, verify};
use serde_json::Value;

/// The records of a plan on an operator's volume. A line that was torn by a crash is no record.
pub(crate) fn records(volume: &Path, uid: &str) -> Vec<Value> {
    let segments = std::fs::read_dir(volume.join("audit")).into_iter().flatten();
    let text: String =
        segments.filter_map(|segment| std::fs::read_to_string(segment.unwrap().path()).ok()).collect();
    let records = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    records.filter(|record| record["planUid"] == uid).collect()
}

/// The nonce of each call that was announced.
pub(crate) fn announced(records: &[Value]) -> Vec<String> {
    let intents = records.iter().filter(|record| record["event"] == "intent");
    intents.filter_map(|record| record["intent"]["nonce"].as_str().map(str::to_owned)).collect()
}

/// What `proxmox-agent audit verify` finds wrong with the logs that these operators have left.
pub(crate) fn problems(volumes: &[&Path]) -> Vec<String> {
    let read = |volume: &&Path| verify(&volume.join("audit"), |_, _, _| Ok(()));
    let chains: Vec<_> = volumes.iter().map(read).collect::<Result<_, _>>().unwrap();
    let apart = chains.iter().flat_map(|chain| chain.problems.clone());
    let together = compare(&chains, &[]).unwrap();
    apart.chain(together).map(|problem| format!("its audit log does not verify: {problem}")).collect()
}
