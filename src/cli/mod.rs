//! The commands: one file each. They parse arguments, put the parts together and say in the exit code how it went.

mod approve;
mod audit;
mod choice;
mod crd;
mod docs;
mod files;
mod git;
pub mod kubectl_approve;
mod operator;
mod plan;
mod render;
mod simulate;
mod standalone;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Plans first, asks for approval, acts at most once, keeps evidence: the execution boundary for Proxmox VE.
#[derive(Debug, Parser)]
#[command(name = "proxmox-agent", version, about)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run as a Kubernetes operator.
    Operator(operator::Operator),
    /// Run on a directory of the same YAML, without a cluster.
    Standalone(standalone::Standalone),
    /// Make, show and check plans as files, and tell what happened to one.
    Plan(plan::Plan),
    /// Approve or deny a plan of a directory.
    Approve(approve::Approve),
    /// Check, show and hand out what is on record.
    Audit(audit::Audit),
    /// Run a simulated Proxmox VE.
    Simulate(simulate::Simulate),
    /// Print the CustomResourceDefinitions, or write them into a directory.
    Crd(crd::Crd),
    /// Write the documents that are generated from the action table.
    Docs(docs::Docs),
}

/// What a command ends with if it does not succeed: exit code 1, and a message.
type Failure = Box<dyn std::error::Error + Send + Sync>;

impl Cli {
    pub async fn run(self) -> ExitCode {
        let ended = match self.command {
            Command::Operator(operator) => operator.run().await.map(|()| ExitCode::SUCCESS),
            Command::Standalone(standalone) => standalone.run().await,
            Command::Plan(plan) => plan.run(),
            Command::Approve(approve) => approve.run().map(|()| ExitCode::SUCCESS),
            Command::Audit(audit) => audit.run(),
            Command::Simulate(simulate) => {
                simulate.run().await.map(|()| ExitCode::SUCCESS).map_err(Failure::from)
            }
            Command::Crd(crd) => crd.run().map(|()| ExitCode::SUCCESS),
            Command::Docs(docs) => docs.run().map(|()| ExitCode::SUCCESS),
        };
        ended.unwrap_or_else(|failure| fail(&failure))
    }
}

/// Says what went wrong, with every cause, once.
pub(crate) fn fail(failure: &Failure) -> ExitCode {
    let mut text = failure.to_string();
    let mut cause = failure.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    eprintln!("error: {text}");
    ExitCode::FAILURE
}
