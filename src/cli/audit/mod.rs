//! The audit log, for whoever holds its folders. Nothing here writes to one.

mod anchors;
mod export;
pub(super) mod folders;
mod proofs;
mod show;
mod verify;

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::Failure;

#[derive(Debug, Args)]
pub(super) struct Audit {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check that logs are what they were, and fit together; or a bundle.
    /// Exit code 0: nothing is wrong; 1: something is.
    Verify(verify::Verify),
    /// Show what is on record.
    Show(show::Show),
    /// Put everything on record about one plan into a signed file.
    Export(export::Export),
}

impl Audit {
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        match self.command {
            Command::Verify(verify) => verify.run(),
            Command::Show(show) => show.run().map(|()| ExitCode::SUCCESS),
            Command::Export(export) => export.run().map(|()| ExitCode::SUCCESS),
        }
    }
}
