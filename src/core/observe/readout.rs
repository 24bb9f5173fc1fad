//! What a reading action found, as a bounded result that a person can read.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::{
    api::ReadResult,
    catalog::{GuestRef, InventoryScope, ParamValue},
    core::{measure::size, request::Request},
};

use super::{Guest, Node, Nodes, Rights, Storage, Volume};

/// As many rows as a status holds, and as long.
const MOST_ROWS: usize = 200;
const ROW_LENGTH: usize = 256;
const SUMMARY_LENGTH: usize = 512;
/// Settings whose values are nobody's business.
const SECRETS: [&str; 5] = ["cipassword", "sshkeys", "password", "keyring", "encryption-key"];

/// What was read, and what the token can't see of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Readout {
    pub found: Found,
    pub unseen: Vec<String>,
}

/// What was read.
#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    /// The target is gone, or can't be seen.
    Nothing,
    Inventory(InventoryScope, Vec<InventoryRow>),
    Nodes(Nodes),
    Guest(Box<Guest>),
    Tasks(Vec<TaskRow>),
    Storage(Storage, Vec<Volume>),
    Rights(Rights),
}

/// One guest in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InventoryRow {
    pub reference: GuestRef,
    pub node: String,
    pub name: String,
    pub status: String,
}

/// One task in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskRow {
    pub kind: String,
    pub id: String,
    pub user: String,
    /// Seconds since 1970.
    pub began_at: i64,
    /// How it ended, or that it runs.
    pub status: String,
}

/// How many rows a request asks for, where there may be thousands.
pub fn rows_wanted(request: &Request) -> u32 {
    match request.params.get("limit") {
        Some(ParamValue::Integer(limit)) => u32::try_from(*limit).unwrap_or(50),
        _ => 50,
    }
}

impl Readout {
    pub fn result(self) -> ReadResult {
        let (summary, rows) = match self.found {
            Found::Nothing => ("nothing is there that could be read".to_owned(), vec![]),
            Found::Inventory(scope, guests) => inventory(scope, guests),
            Found::Nodes(nodes) => of_nodes(&nodes),
            Found::Guest(guest) => of_guest(&guest),
            Found::Tasks(tasks) => of_tasks(&tasks),
            Found::Storage(storage, volumes) => of_storage(&storage, volumes),
            Found::Rights(rights) => of_rights(&rights),
        };
        let summary = std::iter::once(summary).chain(self.unseen).collect::<Vec<_>>().join("; ");
        ReadResult {
            summary: summary.chars().take(SUMMARY_LENGTH).collect(),
            omitted: u32::try_from(rows.len().saturating_sub(MOST_ROWS)).unwrap_or(u32::MAX),
            rows: rows
                .into_iter()
                .take(MOST_ROWS)
                .map(|row| row.chars().take(ROW_LENGTH).collect())
                .collect(),
        }
    }
}

fn inventory(scope: InventoryScope, mut guests: Vec<InventoryRow>) -> (String, Vec<String>) {
    let total = guests.len();
    let running = guests.iter().filter(|guest| guest.status == "running").count();
    if scope == InventoryScope::Running {
        guests.retain(|guest| guest.status == "running");
    }
    guests.sort_by_key(|guest| guest.reference.vmid);
    let row = |guest: &InventoryRow| {
        format!("{} {} on {}: {}", guest.reference, guest.name, guest.node, guest.status)
    };
    (format!("{total} guests, {running} running"), guests.iter().map(row).collect())
}

fn of_nodes(nodes: &Nodes) -> (String, Vec<String>) {
    let online = nodes.nodes.iter().filter(|node| node.online).count();
    let quorum = match (nodes.is_cluster, nodes.quorate) {
        (false, _) => "no cluster",
        (true, true) => "quorate",
        (true, false) => "not quorate",
    };
    let row = |node: &Node| {
        let state = if node.online { "online" } else { "offline" };
        let memory = node.memory.map_or_else(
            || "memory unknown".to_owned(),
            |(used, total)| format!("{} of {} memory used", size(used), size(total)),
        );
        format!("{}: {state}, {memory}", node.name)
    };
    let summary = format!("{} nodes, {online} online, {quorum}", nodes.nodes.len());
    (summary, nodes.nodes.iter().map(row).collect())
}

fn of_guest(guest: &Guest) -> (String, Vec<String>) {
    let mut rows = shown(&guest.config);
    for (key, value) in &guest.pending {
        let value = match value {
            Some(value) => hide(key, value),
            None => "(removed)",
        };
        rows.push(format!("waits for the next start: {key}: {value}"));
    }
    for snapshot in &guest.snapshots {
        let taken = snapshot.taken_at.map(moment).unwrap_or_default();
        let memory = if snapshot.with_memory { ", with memory" } else { "" };
        rows.push(format!("snapshot {}: {taken}{memory}", snapshot.name));
    }
    let state =
        guest.detail.as_ref().map_or(guest.status.clone(), |detail| format!("{} ({detail})", guest.status));
    let lock = guest.lock.as_ref().map(|lock| format!(", locked: {lock}")).unwrap_or_default();
    let ha = if guest.ha_managed { ", looked after by HA" } else { "" };
    (format!("{} {} on {}: {state}{lock}{ha}", guest.reference, guest.name, guest.node), rows)
}

fn of_tasks(tasks: &[TaskRow]) -> (String, Vec<String>) {
    let row = |task: &TaskRow| {
        let about = if task.id.is_empty() { String::new() } else { format!(" {}", task.id) };
        format!("{} {}{about} by {}: {}", moment(task.began_at), task.kind, task.user, task.status)
    };
    (format!("the latest {} tasks", tasks.len()), tasks.iter().map(row).collect())
}

fn of_storage(storage: &Storage, mut volumes: Vec<Volume>) -> (String, Vec<String>) {
    let mut rows = shown(&storage.settings);
    rows.extend(storage.free.iter().map(|(node, free)| format!("free on {node}: {}", size(*free))));
    volumes.sort_by(|a, b| (&a.id, &a.node).cmp(&(&b.id, &b.node)));
    rows.extend(volumes.iter().map(|volume| {
        let protected = if volume.protected { ", protected" } else { "" };
        let parent = volume.parent.as_ref().map(|parent| format!(", rests on {parent}")).unwrap_or_default();
        let of = if storage.shared { String::new() } else { format!(" on {}", volume.node) };
        format!("{}{of}: {}, {}{parent}{protected}", volume.id, volume.content, size(volume.size))
    }));
    (format!("storage {} ({}): {} volumes", storage.id, storage.kind, volumes.len()), rows)
}

fn of_rights(rights: &Rights) -> (String, Vec<String>) {
    let rows: Vec<String> = rights.given().map(|(path, held)| format!("{path}: {held}")).collect();
    (format!("rights on {} paths; those marked * do not hold below their path", rows.len()), rows)
}

fn shown(settings: &BTreeMap<String, String>) -> Vec<String> {
    settings.iter().map(|(key, value)| format!("{key}: {}", hide(key, value))).collect()
}

/// A setting's value as anybody may see it.
pub fn hide<'a>(key: &str, value: &'a str) -> &'a str {
    if SECRETS.contains(&key) { "(hidden)" } else { value }
}

fn moment(seconds: i64) -> String {
    Timestamp::from_second(seconds).map(|moment| moment.to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        catalog::{GuestKind, Vmid},
        core::testing::guest,
    };

    fn result(found: Found) -> ReadResult {
        Readout { found, unseen: vec![] }.result()
    }

    fn row(vmid: u32) -> InventoryRow {
        InventoryRow {
            reference: GuestRef { kind: GuestKind::Qemu, vmid: Vmid::new(vmid).unwrap() },
            node: "pve1".into(),
            name: "x".repeat(1000),
            status: if vmid.is_multiple_of(2) { "running" } else { "stopped" }.into(),
        }
    }

    #[test]
    fn an_inventory_that_is_too_long_says_how_much_was_cut() {
        let all = result(Found::Inventory(InventoryScope::All, (100..1100).map(row).collect()));
        assert_eq!(
            (all.rows.len(), all.omitted, all.summary.as_str()),
            (200, 800, "1000 guests, 500 running")
        );
        assert!(all.rows.iter().all(|row| row.chars().count() <= 256));
        let running = result(Found::Inventory(InventoryScope::Running, (100..110).map(row).collect()));
        assert_eq!((running.rows.len(), running.omitted), (5, 0));
    }

    #[test]
    fn what_the_token_can_not_see_stands_in_the_summary() {
        let unseen = vec!["the guests can't all be seen: the token lacks VM.Audit on /vms".to_owned()];
        let found = Found::Inventory(InventoryScope::All, vec![row(100)]);
        let summary = Readout { found, unseen: vec!["x".repeat(9000)] }.result().summary;
        assert_eq!(summary.chars().count(), 512);
        let found = Found::Inventory(InventoryScope::All, vec![row(100)]);
        let summary = Readout { found, unseen }.result().summary;
        assert_eq!(
            summary,
            "1 guests, 1 running; the guests can't all be seen: the token lacks VM.Audit on /vms"
        );
    }

    #[test]
    fn a_guest_is_shown_without_its_secrets() {
        let mut met = guest("qemu/100");
        for key in ["cipassword", "sshkeys", "name"] {
            met.config.insert(key.into(), "canary".into());
            met.pending.insert(key.into(), Some("canary".into()));
        }
        let rows = result(Found::Guest(Box::new(met))).rows;
        assert_eq!(rows.iter().filter(|row| row.contains("canary")).count(), 2, "{rows:?}");
        assert!(rows.contains(&"cipassword: (hidden)".to_owned()), "{rows:?}");
        assert!(rows.iter().any(|row| row.starts_with("snapshot before")), "{rows:?}");
    }
}
