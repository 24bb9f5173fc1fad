use std::{collections::BTreeMap, path::PathBuf};

use clap::Args;
use jiff::Timestamp;
use serde_json::Value;

use crate::{
    audit::verify,
    cli::{
        Failure,
        plan::{Output, print},
        render::printable,
    },
    core::audit::{AuditEvent, AuditRecord},
};

#[derive(Debug, Args)]
pub(super) struct Show {
    /// Folders of audit logs.
    #[arg(required = true)]
    folders: Vec<PathBuf>,
    /// Only what is about plans of this name.
    #[arg(long)]
    plan: Option<String>,
    /// Only what is about this environment.
    #[arg(long)]
    environment: Option<String>,
    #[arg(short, long)]
    namespace: Option<String>,
    /// Only what happened at this moment or later, such as 2026-11-21T00:00:00Z.
    #[arg(long)]
    since: Option<Timestamp>,
    /// Only calls that were announced and of which no end is on record. Give the folders of all replicas.
    #[arg(long)]
    open: bool,
    /// `json` prints the lines as they are kept.
    #[arg(short, long, value_enum, default_value = "text")]
    output: Output,
}

impl Show {
    /// Of one log line by line, of several by time.
    pub(super) fn run(self) -> Result<(), Failure> {
        let mut kept: Vec<(Timestamp, String)> = Vec::new();
        let mut problems = 0;
        let mut calls = Calls::default();
        for folder in &self.folders {
            let chain = verify(folder, |_, stamp, line| {
                let record: AuditRecord = serde_json::from_slice(line)?;
                if !self.is_wanted(&record) {
                    return Ok(());
                }
                let shown = match self.output {
                    Output::Json => format!("{}\n", String::from_utf8_lossy(line)),
                    Output::Text => format!("{}\n", printable(&told(stamp.sequence, &record))),
                };
                if self.open {
                    calls.add(&record, stamp.time, shown);
                    return Ok(());
                }
                if self.folders.len() > 1 {
                    kept.push((stamp.time, shown));
                    return Ok(());
                }
                print(&shown).map_err(std::io::Error::other)
            })?;
            problems += chain.problems.len();
        }
        kept.extend(calls.open());
        kept.sort_by_key(|(time, _)| *time);
        for (_, shown) in kept {
            print(&shown)?;
        }
        if problems > 0 {
            eprintln!("note: not everything here is as it was written: run `proxmox-agent audit verify`");
        }
        Ok(())
    }

    fn is_wanted(&self, record: &AuditRecord) -> bool {
        let is = |wanted: &Option<String>, found: &str| wanted.as_ref().is_none_or(|wanted| wanted == found);
        is(&self.plan, &record.plan)
            && is(&self.environment, &record.environment)
            && is(&self.namespace, &record.namespace)
            && self.since.is_none_or(|since| record.time >= since)
    }
}

/// The last call of each plan, and the last attempt of each that has ended.
#[derive(Default)]
struct Calls {
    announced: BTreeMap<String, (i64, Timestamp, String)>,
    ended: BTreeMap<String, i64>,
}

impl Calls {
    fn add(&mut self, record: &AuditRecord, time: Timestamp, shown: String) {
        let (uid, attempt) = (&record.plan_uid, record.attempt.unwrap_or_default());
        match record.event {
            AuditEvent::Intent if self.announced.get(uid).is_none_or(|(last, ..)| *last < attempt) => {
                self.announced.insert(uid.clone(), (attempt, time, shown));
            }
            AuditEvent::Ended => {
                let last = self.ended.entry(uid.clone()).or_default();
                *last = attempt.max(*last);
            }
            _ => {}
        }
    }

    /// An attempt that another one followed is known to have done nothing, or somebody has decided about it.
    fn open(self) -> impl Iterator<Item = (Timestamp, String)> {
        let Self { announced, ended } = self;
        let is_open = move |uid: &String, attempt: i64| ended.get(uid).is_none_or(|last| *last < attempt);
        announced
            .into_iter()
            .filter(move |(uid, (attempt, ..))| is_open(uid, *attempt))
            .map(|(_, (_, time, shown))| (time, shown))
    }
}

fn told(sequence: u64, record: &AuditRecord) -> String {
    let word = |value: Value| value.as_str().unwrap_or_default().to_owned();
    let event = serde_json::to_value(record.event).map(word).unwrap_or_default();
    let about = match (record.plan.as_str(), &record.refused) {
        ("", Some(refused)) => format!("{} {}{}", refused.kind, refused.name, refused.file),
        ("", None) => "-".to_owned(),
        (plan, _) => format!("{}/{plan}", record.namespace),
    };
    let actor = match record.actor.name.as_str() {
        "" => serde_json::to_value(record.actor.role).map(word).unwrap_or_default(),
        name => name.to_owned(),
    };
    let time = format!("{:.0}", record.time);
    format!("{time}  {sequence:>6}  {event:<15}  {about}  {actor}: {}", record.message)
}

#[cfg(test)]
mod tests {
    use crate::core::audit::Actor;

    use super::*;

    fn open(lines: &[(&str, AuditEvent, i64)]) -> Vec<String> {
        let mut calls = Calls::default();
        for (uid, event, attempt) in lines {
            let record = AuditRecord {
                plan_uid: (*uid).to_owned(),
                attempt: Some(*attempt),
                ..AuditRecord::new(Timestamp::UNIX_EPOCH, *event, Actor::operator(""), "")
            };
            calls.add(&record, record.time, format!("{uid} {attempt}"));
        }
        calls.open().map(|(_, shown)| shown).collect()
    }

    #[test]
    fn a_call_is_open_until_its_attempt_has_ended_in_whichever_log_that_stands() {
        use AuditEvent::{Ended, Gone, Intent, Sent};
        assert_eq!(open(&[("a", Intent, 1), ("a", Sent, 1), ("a", Gone, 1)]), ["a 1"]);
        assert!(open(&[("a", Intent, 1), ("a", Ended, 1)]).is_empty());
        // The log of the replica that took over was read first.
        assert!(open(&[("a", Ended, 1), ("a", Intent, 1)]).is_empty());
        let twice = [("a", Intent, 1), ("b", Intent, 1), ("a", Ended, 1), ("a", Intent, 2)];
        assert_eq!(open(&twice), ["a 2", "b 1"]);
        assert!(open(&[("a", Intent, 1), ("a", Intent, 2), ("a", Ended, 2)]).is_empty());
    }
}
