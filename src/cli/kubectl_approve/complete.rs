//! What follows when TAB is pressed.

use std::io::{self, Write};

use clap::{Arg, Args, CommandFactory, ValueEnum};
use kube::ResourceExt;

use super::{
    KubectlApprove,
    exit::{Exit, Stopped},
    server::Connection,
};

#[derive(Debug, Args)]
pub(super) struct Completion {
    shell: Shell,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
    /// The script through which kubectl completes `kubectl approve`, in any shell.
    Kubectl,
}

/// kubectl looks for a program of this name on the PATH.
const FOR_KUBECTL: &str = include_str!("../../../plugins/kubectl_complete-approve");

impl Completion {
    pub(super) fn run(self) -> Result<Exit, Stopped> {
        let script = match self.shell {
            Shell::Bash => for_bash(),
            Shell::Zsh => generated(clap_complete::Shell::Zsh, "kubectl-approve"),
            Shell::Fish => generated(clap_complete::Shell::Fish, "kubectl-approve"),
            Shell::Kubectl => FOR_KUBECTL.to_owned(),
        };
        io::stdout().write_all(script.as_bytes())?;
        Ok(Exit::Done)
    }
}

/// What is generated for bash loses its subcommands over the hyphen in the program's name.
fn for_bash() -> String {
    let script = generated(clap_complete::Shell::Bash, "kubectl_approve");
    script.replace(" default kubectl_approve\n", " default kubectl-approve\n")
}

fn generated(shell: clap_complete::Shell, program: &str) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut KubectlApprove::command(), program, &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

/// Ends the answer, as kubectl reads it: no names of files.
const NO_FILES: &str = ":4\n";
/// Only names of folders.
const FOLDERS: &str = ":16\n";

/// What could follow the words after `kubectl approve`, the last of which is still being typed.
pub(super) async fn answer(words: &[String]) -> Result<Exit, Stopped> {
    let (typed, before) = words.split_last().map_or(("", &[][..]), |(last, rest)| (last.as_str(), rest));
    let mut answer = String::new();
    if let Some(folder) = typed.strip_prefix("--git=") {
        answer = format!("{folder}\n{FOLDERS}");
    } else {
        for candidate in candidates(typed, before).await.iter().filter(|word| word.starts_with(typed)) {
            answer.push_str(candidate);
            answer.push('\n');
        }
        answer.push_str(NO_FILES);
    }
    io::stdout().write_all(answer.as_bytes())?;
    Ok(Exit::Done)
}

async fn candidates(typed: &str, before: &[String]) -> Vec<String> {
    let command = KubectlApprove::command();
    let others = || command.get_subcommands();
    let other = others().find(|other| before.iter().any(|word| word == other.get_name()));
    let asked = other.unwrap_or(&command);
    let options: Vec<&Arg> =
        asked.get_arguments().chain(command.get_arguments().filter(|arg| arg.is_global_set())).collect();
    if let Some(option) = before.last().and_then(|word| taking_a_value(&options, word)) {
        return values(option);
    }
    if typed.starts_with('-') {
        let long = options.iter().filter_map(|option| option.get_long());
        return long.map(|name| format!("--{name}")).collect();
    }
    if let Some(other) = other {
        return other.get_positionals().flat_map(values).collect();
    }
    if has_a_plan(&options, before) {
        return vec![];
    }
    let words =
        if before.is_empty() { others().map(|other| other.get_name().to_owned()).collect() } else { vec![] };
    [words, waiting(before).await].concat()
}

fn taking_a_value<'a>(options: &[&'a Arg], word: &str) -> Option<&'a Arg> {
    let is_it = |option: &&&Arg| {
        let long = option.get_long().is_some_and(|long| word.strip_prefix("--") == Some(long));
        let short = option.get_short().is_some_and(|short| word == format!("-{short}"));
        (long || short) && option.get_action().takes_values() && !option.is_require_equals_set()
    };
    options.iter().find(is_it).copied()
}

fn values(option: &Arg) -> Vec<String> {
    option.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect()
}

fn has_a_plan(options: &[&Arg], before: &[String]) -> bool {
    let mut is_value = false;
    before.iter().any(|word| {
        let is_plan = !is_value && !word.starts_with('-');
        is_value = taking_a_value(options, word).is_some();
        is_plan
    })
}

/// Plans that wait where the command line points to. Whatever goes wrong, there is nothing to complete.
async fn waiting(before: &[String]) -> Vec<String> {
    let connection = Connection {
        namespace: value_of(before, &["-n", "--namespace"]),
        context: value_of(before, &["--context"]),
    };
    let Ok(server) = connection.open().await else { return vec![] };
    let plans = server.waiting_plans(false).await.unwrap_or_default();
    plans.iter().map(ResourceExt::name_any).collect()
}

fn value_of(before: &[String], names: &[&str]) -> Option<String> {
    let follows =
        before.windows(2).find(|pair| names.contains(&pair[0].as_str())).map(|pair| pair[1].clone());
    follows.or_else(|| {
        let joined = before.iter().filter_map(|word| word.split_once('='));
        joined.into_iter().find(|(name, _)| names.contains(name)).map(|(_, value)| value.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(before: &[&str], typed: &str) -> Vec<String> {
        let before: Vec<String> = before.iter().map(|word| (*word).to_owned()).collect();
        let asked = candidates(typed, &before);
        let found =
            tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(asked);
        found.into_iter().filter(|word| word.starts_with(typed)).collect()
    }

    #[test]
    fn options_are_those_of_what_is_asked() {
        assert!(after(&["drop"], "--").contains(&"--expires-in".to_owned()));
        assert!(after(&["drop"], "--").contains(&"--namespace".to_owned()));
        let of_list = after(&["list"], "--");
        assert!(
            of_list.contains(&"--all-namespaces".to_owned()) && of_list.contains(&"--context".to_owned())
        );
        assert!(!of_list.contains(&"--deny".to_owned()), "{of_list:?}");
    }

    #[test]
    fn values_are_those_that_an_option_takes() {
        assert_eq!(after(&["drop", "-o"], ""), ["yaml", "json", "name"]);
        assert_eq!(after(&["drop", "--dry-run"], "s"), ["server"]);
        assert_eq!(after(&["completion"], "z"), ["zsh"]);
    }

    #[test]
    fn one_plan_is_enough() {
        assert_eq!(after(&["drop"], ""), Vec::<String>::new());
        assert_eq!(after(&["-n", "home", "drop"], ""), Vec::<String>::new());
    }
}
