use std::path::PathBuf;

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
    core::audit::AuditRecord,
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
    /// `json` prints the lines as they are kept.
    #[arg(short, long, value_enum, default_value = "text")]
    output: Output,
}

impl Show {
    /// Of one log line by line, of several by time.
    pub(super) fn run(self) -> Result<(), Failure> {
        let mut kept: Vec<(Timestamp, String)> = Vec::new();
        let mut problems = 0;
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
                if self.folders.len() > 1 {
                    kept.push((stamp.time, shown));
                    return Ok(());
                }
                print(&shown).map_err(std::io::Error::other)
            })?;
            problems += chain.problems.len();
        }
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
