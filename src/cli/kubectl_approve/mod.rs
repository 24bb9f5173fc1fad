//! `kubectl approve NAME`: shows the plan, asks, and creates the approval as the caller, or commits it.
//!
//! `decide` is the way of one decision: it reads the plan from the `server`, shows it to the `person`, and has the answer
//! created there or committed by `git`. `list` shows what waits for the caller, `complete` helps the shell, and `exit`
//! says in one number how it ended. The operator judges the approval; what is said here about it is only a courtesy.

mod complete;
mod decide;
mod exit;
mod git;
mod list;
mod person;
mod server;

use std::{
    env,
    io::{self, Write},
    process::ExitCode,
};

use clap::{
    CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum, error::ErrorKind, parser::ValueSource,
};
use serde::Serialize;

use exit::{Exit, Stopped};
use server::Connection;

/// Does what the command line asks for.
pub async fn main() -> ExitCode {
    let words: Vec<String> = env::args_os().skip(1).filter_map(|word| word.into_string().ok()).collect();
    let ended = match words.split_first() {
        // Only kubectl says so: no help and no completion names it.
        Some((first, typed)) if first == "__complete" => complete::answer(typed).await,
        _ => KubectlApprove::from_command_line().run().await,
    };
    ended.unwrap_or_else(|stopped| stopped.report()).into()
}

/// Shows what a plan would do, asks, and approves it in your name.
#[derive(Debug, Parser)]
#[command(
    name = "kubectl-approve",
    bin_name = "kubectl approve",
    version,
    subcommand_negates_reqs = true,
    override_usage = "kubectl approve [OPTIONS] PLAN\n       kubectl approve list [OPTIONS]",
    after_help = exit::CODES
)]
struct KubectlApprove {
    #[command(subcommand)]
    command: Option<Other>,
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    decide: decide::Decide,
}

#[derive(Debug, Subcommand)]
enum Other {
    /// Show what waits for your approval.
    List(list::List),
    /// Print the completion script of a shell, or the one that completes `kubectl approve` itself.
    Completion(complete::Completion),
}

/// In which form a result is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    Yaml,
    Json,
    Name,
}

impl Output {
    fn write(self, object: &impl Serialize, names: &[String]) -> Result<String, Stopped> {
        let unwritten = |error: String| Stopped::failed(format!("failed to write the object: {error}"));
        match self {
            Self::Yaml => serde_saphyr::to_string(object).map_err(|error| unwritten(error.to_string())),
            Self::Json => serde_json::to_string_pretty(object)
                .map(|text| text + "\n")
                .map_err(|error| unwritten(error.to_string())),
            Self::Name => Ok(names.iter().map(|name| format!("{name}\n")).collect()),
        }
    }
}

impl KubectlApprove {
    /// What the command line asks for; ends the process where it asks for nothing sensible.
    fn from_command_line() -> Self {
        let matches = Self::command().get_matches();
        Self::from_arg_matches(&matches)
            .and_then(|asked| asked.makes_sense(&matches))
            .unwrap_or_else(|error| error.format(&mut Self::command()).exit())
    }

    /// A plan or another command, and options that belong to it.
    fn makes_sense(self, matches: &clap::ArgMatches) -> Result<Self, clap::Error> {
        let mut command = Self::command();
        // Until then its arguments can't say what they are called.
        command.build();
        let given = |arg: &&clap::Arg| {
            !arg.is_global_set()
                && matches.value_source(arg.get_id().as_str()) == Some(ValueSource::CommandLine)
        };
        let stray = command.get_arguments().find(given);
        let wrong = |kind, text: String| Err(Self::command().error(kind, text));
        match (&self.command, stray) {
            (Some(_), Some(stray)) => wrong(
                ErrorKind::ArgumentConflict,
                format!("`{stray}` does not belong to this command. A plan of this name is plan/NAME"),
            ),
            (None, _) if self.decide.plan.is_none() => wrong(
                ErrorKind::MissingRequiredArgument,
                "which plan? `kubectl approve list` shows what waits for you".to_owned(),
            ),
            _ => Ok(self),
        }
    }

    async fn run(self) -> Result<Exit, Stopped> {
        match self.command {
            None => self.decide.run(&self.connection).await,
            Some(Other::List(list)) => list.run(&self.connection).await,
            Some(Other::Completion(completion)) => completion.run(),
        }
    }
}

fn print(text: &str) -> Result<(), Stopped> {
    Ok(io::stdout().write_all(text.as_bytes())?)
}
