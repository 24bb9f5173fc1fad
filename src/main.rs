//! Parse arguments, hand over.
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use proxmox_agent::cli::simulate::Simulate;

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Simulate(Simulate),
}

#[tokio::main]
async fn main() -> ExitCode {
    let Command::Simulate(simulate) = Arguments::parse().command;
    match simulate.run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
