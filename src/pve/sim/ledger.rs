//! The ledger of every mutation that arrived: the oracle for "at most once".
//!
//! An entry is written when the request has been *received*, before anything acts on it, and completed when it is
//! known what became of it. Reading requests and logins are not mutations.
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use serde::Serialize;

use super::contract::{Given, Parameters};

const HIDDEN: &str = "<hidden>";

/// One mutation that was received.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LedgerEntry {
    /// The order of arrival, from 1.
    pub seq: u64,
    /// When it arrived, by the simulation's clock.
    pub time: String,
    /// The token or user that asked; empty where nobody was recognised.
    pub who: String,
    /// The HTTP method.
    pub method: String,
    /// The path below `/api2/json`.
    pub path: String,
    /// Query and body parameters, with secrets hidden.
    pub params: BTreeMap<String, String>,
    /// What became of it.
    pub outcome: Outcome,
    /// The status that the API itself gave, also where the answer never left; none where it was not asked.
    pub status: Option<u16>,
    /// The task that the mutation started.
    pub upid: Option<String>,
    /// What the client got.
    pub delivery: Delivery,
}

/// What became of a mutation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    /// It has been received and its end is not known yet.
    Received,
    /// The API accepted and executed it.
    Executed,
    /// The API refused it: nothing changed.
    Refused,
    /// A fault kept it from the API: nothing changed.
    NotExecuted,
}

/// What the client got to see of the outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Delivery {
    /// The answer, or its end is not known yet.
    Answered,
    /// A broken connection.
    Lost,
    /// The answer, too late.
    Late,
    /// Another answer than the API gave.
    Replaced,
}

#[derive(Debug, Default)]
pub(super) struct Ledger {
    entries: Vec<LedgerEntry>,
    file: Option<File>,
}

impl Ledger {
    pub(super) fn open(path: Option<&Path>) -> std::io::Result<Self> {
        let file = path.map(|path| File::options().create(true).append(true).open(path)).transpose()?;
        Ok(Self { entries: Vec::new(), file })
    }

    pub(super) fn entries(&self) -> Vec<LedgerEntry> {
        self.entries.clone()
    }

    pub(super) fn receive(
        &mut self,
        time: String,
        who: &str,
        method: &str,
        path: &str,
        parameters: &Parameters,
    ) -> u64 {
        let entry = LedgerEntry {
            seq: self.entries.len() as u64 + 1,
            time,
            who: who.to_owned(),
            method: method.to_owned(),
            path: path.to_owned(),
            params: visible(parameters),
            outcome: Outcome::Received,
            status: None,
            upid: None,
            delivery: Delivery::Answered,
        };
        self.append(&entry);
        self.entries.push(entry);
        self.entries.len() as u64
    }

    pub(super) fn complete(&mut self, seq: u64, complete: impl FnOnce(&mut LedgerEntry)) {
        let Some(entry) = self.entries.iter_mut().find(|entry| entry.seq == seq) else {
            return;
        };
        complete(entry);
        let entry = entry.clone();
        self.append(&entry);
    }

    fn append(&mut self, entry: &LedgerEntry) {
        let Some(file) = &mut self.file else { return };
        let written = serde_json::to_string(entry)
            .map_err(std::io::Error::from)
            .and_then(|line| writeln!(file, "{line}"));
        if let Err(error) = written {
            tracing::error!(%error, seq = entry.seq, "failed to write to the ledger file; the ledger in memory is complete");
        }
    }
}

fn visible(parameters: &Parameters) -> BTreeMap<String, String> {
    let shown = |name: &str| {
        if matches!(name, "password" | "cipassword" | "secret" | "encryption-key" | "ssh-public-keys") {
            return HIDDEN.to_owned();
        }
        match parameters.get(name) {
            Some(Given::Text(text)) => text.clone(),
            Some(Given::List(items)) => items.join(","),
            Some(Given::Object) | None => String::new(),
        }
    };
    parameters.names().map(|name| (name.to_owned(), shown(name))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_holds_a_line_for_the_arrival_and_one_for_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.jsonl");
        let mut ledger = Ledger::open(Some(&path)).unwrap();
        let seq = ledger.receive("now".into(), "root@pam", "POST", "/pools", &Parameters::default());
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 1);
        ledger.complete(seq, |entry| entry.outcome = Outcome::Executed);
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 2);
        assert!(text.lines().last().unwrap().contains("\"outcome\":\"executed\""));
    }

    #[test]
    fn secrets_are_hidden() {
        let mut parameters = Parameters::default();
        parameters.add("password", "tops3cret".into());
        let mut ledger = Ledger::default();
        ledger.receive("now".into(), "", "POST", "/nodes/pve1/lxc", &parameters);
        assert_eq!(ledger.entries()[0].params["password"], HIDDEN);
    }
}
