//! The audit log of an operator, as whoever comes later finds it.

use std::path::Path;

use serde_json::Value;

/// The records of a plan. A line that was torn by a crash is no record.
pub(crate) fn records(files: &Path, uid: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(files.join("audit/00000001.jsonl")).unwrap_or_default();
    let records = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    records.filter(|record| record["planUid"] == uid).collect()
}

/// The nonce of each call that was announced.
pub(crate) fn announced(records: &[Value]) -> Vec<String> {
    let intents = records.iter().filter(|record| record["event"] == "intent");
    intents.filter_map(|record| record["intent"]["nonce"].as_str().map(str::to_owned)).collect()
}
