//! Prints what is wrong with files, and whether anything is.

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, ValueEnum};

use crate::{cli::Failure, ports::Clock, system::SystemClock};

use super::{
    check, print,
    set::{Finding, Set, Severity},
};

#[derive(Debug, Args)]
pub(super) struct Lint {
    /// Files, folders, or `-` for what comes in.
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    #[arg(short, long, value_enum, default_value = "text")]
    output: Output,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(in crate::cli) enum Output {
    Text,
    Json,
}

/// The paths themselves are wrong.
const USAGE: u8 = 2;

impl Lint {
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        let set = match Set::of(&self.paths, None) {
            Ok(set) => set,
            Err(failure) => {
                crate::cli::fail(&failure);
                return Ok(ExitCode::from(USAGE));
            }
        };
        let findings = check::findings(&set, SystemClock.now());
        let (problems, notes): (Vec<&Finding>, Vec<&Finding>) =
            findings.iter().partition(|finding| finding.severity == Severity::Problem);
        match self.output {
            Output::Json => print(&format!("{}\n", serde_json::to_string_pretty(&findings)?))?,
            Output::Text => {
                print(&problems.iter().map(|finding| format!("{finding}\n")).collect::<String>())?;
                notes.iter().for_each(|finding| eprintln!("note: {finding}"));
            }
        }
        eprintln!(
            "{} looked at, {}, {}; {} of other kinds left alone",
            counted(set.ids().count(), "object"),
            counted(problems.len(), "problem"),
            counted(notes.len(), "note"),
            counted(set.others, "document"),
        );
        Ok(if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
