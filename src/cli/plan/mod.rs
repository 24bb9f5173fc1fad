//! Everything about plans as files: made, shown, checked, looked back on. Nothing here asks a Proxmox or a cluster.
//!
//! `set` reads files together and has the directory store judge each; `check` says what else is wrong with them. `lint`
//! prints that, and `new` writes no plan that has such a problem. `show` shows one plan, `history` all that is on record
//! about it, `actions` what can be asked for.

mod actions;
mod check;
mod history;
mod lint;
mod new;
mod set;
mod show;

use std::{
    io::{ErrorKind, Write},
    process::ExitCode,
};

use clap::{Args, Subcommand};

use super::Failure;

pub(super) use lint::Output;

#[derive(Debug, Args)]
pub(super) struct Plan {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write the file of a new plan.
    New(Box<new::New>),
    /// Show a plan as a person needs it.
    Show(show::Show),
    /// Check plans, approvals, environments and policies as an API server and the catalogue would.
    /// Exit code 0: nothing is wrong; 1: something is; 2: wrong usage.
    Lint(lint::Lint),
    /// Tell what happened to a plan, from all that is on record.
    History(history::History),
    /// List what plans can ask for, or explain one action.
    Actions(actions::Actions),
}

impl Plan {
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        match self.command {
            Command::New(new) => new.run().map(|()| ExitCode::SUCCESS),
            Command::Show(show) => show.run().map(|()| ExitCode::SUCCESS),
            Command::Lint(lint) => lint.run(),
            Command::History(history) => history.run().map(|()| ExitCode::SUCCESS),
            Command::Actions(actions) => actions.run().map(|()| ExitCode::SUCCESS),
        }
    }
}

/// Prints a whole text. Who reads it may stop in the middle, as `head` does.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(format!("failed to print: {error}").into())
        }
        _ => Ok(()),
    }
}
