//! Everything on record about a plan, as one timeline.

mod commits;
mod kept;
mod log;

use std::{collections::BTreeSet, path::PathBuf};

use clap::Args;
use jiff::Timestamp;
use serde::Serialize;

use crate::cli::{Failure, files::Folder, render::printable};

use super::{lint::Output, print};

#[derive(Debug, Args)]
pub(super) struct History {
    /// The plan's name; it may be gone.
    plan: String,
    #[command(flatten)]
    folder: Folder,
    /// The folder of the audit log; `audit` in the state directory if absent. That of an operator in a cluster needs no
    /// directory.
    #[arg(long)]
    audit: Option<PathBuf>,
    #[arg(short, long, value_enum, default_value = "text")]
    output: Output,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    time: Timestamp,
    /// Which plan of that name it was; a commit does not know.
    #[serde(skip_serializing_if = "String::is_empty")]
    plan_uid: String,
    event: String,
    message: String,
    /// Where it is on record.
    source: Source,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum Source {
    Git,
    State,
    Audit,
}

/// What one place has on record, and what of it could not be read.
#[derive(Debug, Default)]
struct Record {
    entries: Vec<Entry>,
    unreadable: Vec<String>,
}

/// A plan by its name, whichever of that name it was.
#[derive(Clone, Copy, Debug)]
struct Named<'a> {
    namespace: &'a str,
    name: &'a str,
}

impl History {
    pub(super) fn run(self) -> Result<(), Failure> {
        let named = Named { namespace: &self.folder.namespace, name: &self.plan };
        let state = self.folder.state();
        let audit = self.audit.clone().unwrap_or_else(|| state.join("audit"));
        let read = log::read(&audit, self.audit.is_some(), named)?;
        let kept = kept::read(&state, named);
        let commits = commits::read(&self.folder.dir, &kept.files, named)?;
        let mut entries: Vec<Entry> =
            [read.entries, kept.record.entries, commits.entries].into_iter().flatten().collect();
        entries.sort();
        for why in [read.unreadable, kept.record.unreadable, commits.unreadable].concat() {
            eprintln!("note: {}", printable(&why));
        }
        if entries.is_empty() {
            return Err(format!(
                "nothing is on record about a plan {} in namespace {}: looked in {}, {} and git. Is -n right, and the \
                 directory or --audit?",
                named.name,
                named.namespace,
                audit.display(),
                state.display()
            )
            .into());
        }
        match self.output {
            Output::Json => print(&format!("{}\n", serde_json::to_string_pretty(&entries)?)),
            Output::Text => print(&timeline(named, &entries)),
        }
    }
}

fn timeline(named: Named<'_>, entries: &[Entry]) -> String {
    let uids: BTreeSet<&str> =
        entries.iter().map(|entry| entry.plan_uid.as_str()).filter(|uid| !uid.is_empty()).collect();
    let several = if uids.len() > 1 { format!(": {} plans of that name", uids.len()) } else { String::new() };
    let mut lines = vec![format!("Plan {}/{}{several}", named.namespace, named.name)];
    lines.extend(entries.iter().map(|Entry { time, plan_uid, event, message, .. }| {
        let uid = plan_uid.get(..8).unwrap_or("-");
        format!("  {time:.0}  {uid:<8}  {event:<15}  {}", printable(message))
    }));
    lines.join("\n") + "\n"
}
