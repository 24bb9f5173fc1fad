//! Writes the file of a new plan, and commits it if asked to.

#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use clap::Args;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::Value;

use crate::{
    api::{ProxmoxActionPlan, ProxmoxActionPlanSpec, Source},
    catalog::{self, ParamType},
    cli::{
        Failure,
        files::write_new,
        git::{self, NotCommitted, WorkTree},
    },
    ports::Clock,
    store::directory::offline,
    system::SystemClock,
};

use super::{
    check, print,
    set::{Set, Severity},
};

#[derive(Debug, Args)]
pub(super) struct New {
    /// What to do, such as `start_guest`; `plan actions` lists all.
    action: String,
    /// On what, such as `qemu/100`.
    target: String,
    /// The ProxmoxEnvironment.
    #[arg(long = "env", value_name = "ENVIRONMENT")]
    environment: String,
    /// A parameter of the action; `plan actions ACTION` lists them. Again for each.
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = assignment)]
    params: Vec<(String, String)>,
    /// A parameter whose value stands in a file, such as SSH keys. Again for each.
    #[arg(long = "param-file", value_name = "NAME=FILE", value_parser = assignment)]
    param_files: Vec<(String, String)>,
    /// Why.
    #[arg(long, default_value = "")]
    reason: String,
    /// Who asks; git's user.email if absent.
    #[arg(long)]
    requested_by: Option<String>,
    /// The plan's name; made from action and target if absent.
    #[arg(long)]
    name: Option<String>,
    #[arg(short, long, default_value = "default")]
    namespace: String,
    /// Send nothing before this moment, such as `2026-01-31T12:00:00Z`.
    #[arg(long)]
    not_before: Option<Timestamp>,
    /// Send nothing after this moment.
    #[arg(long, conflicts_with = "valid_for")]
    not_after: Option<Timestamp>,
    /// How long it may be sent, from now or from --not-before on, such as `24h` or `30m`.
    #[arg(long, default_value = "24h")]
    valid_for: SignedDuration,
    /// Plan and preview only: nothing is ever sent.
    #[arg(long)]
    dry_run: bool,
    /// The directory that the plan goes into. Its name has to be free there.
    #[arg(long, default_value = ".")]
    dir: PathBuf,
    /// The plan's file; `NAME.yaml` in the directory if absent, `-` to print it.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Say that it comes by git: it counts only once a signed commit brings it.
    #[arg(long)]
    git_source: bool,
    /// Commit the file, and nothing else, with your own signature. Says `--git-source`.
    #[arg(long)]
    commit: bool,
}

fn assignment(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write it as NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

impl New {
    pub(super) fn run(self) -> Result<(), Failure> {
        let printed = self.out.as_deref() == Some(Path::new("-"));
        if printed && self.commit {
            return Err("--commit needs a file: leave out `--out -`".into());
        }
        let spec = self.spec(SystemClock.now())?;
        self.refuse_invalid(&spec)?;
        let name = match &self.name {
            Some(name) => name.clone(),
            None => generated(&spec, &SystemClock.nonce()),
        };
        let text = self.text(&name, &spec)?;
        if printed {
            return print(&text);
        }
        self.refuse_taken(&name)?;
        let file = self.out.clone().unwrap_or_else(|| self.dir.join(format!("{name}.yaml")));
        if self.commit { self.commit(&file, &text, &spec) } else { self.keep(&file, &text) }
    }

    fn spec(&self, now: Timestamp) -> Result<ProxmoxActionPlanSpec, Failure> {
        let whole = |moment: Timestamp| Timestamp::from_second(moment.as_second()).map(Time);
        let not_after = match self.not_after {
            Some(moment) => moment,
            None => self
                .not_before
                .unwrap_or(now)
                .checked_add(self.valid_for)
                .map_err(|error| format!("--valid-for is too long: {error}"))?,
        };
        Ok(ProxmoxActionPlanSpec {
            environment: self.environment.clone(),
            action: self.action.clone(),
            target: self.target.clone(),
            params: self.params()?,
            dry_run: self.dry_run,
            reason: self.reason.clone(),
            requested_by: self.requested_by()?,
            not_before: self.not_before.map(whole).transpose()?,
            not_after: Some(whole(not_after)?),
            source: (self.git_source || self.commit).then_some(Source::Git),
        })
    }

    fn requested_by(&self) -> Result<String, Failure> {
        let folder = if self.dir.is_dir() { self.dir.as_path() } else { Path::new(".") };
        self.requested_by.clone().or_else(|| git::setting(folder, "user.email")).ok_or_else(|| {
            "who asks? Give --requested-by, or set git's user.email: approvals need somebody else".into()
        })
    }

    /// As the catalogue types them. What is no value of its type stays a text, which is then refused.
    fn params(&self) -> Result<BTreeMap<String, Value>, Failure> {
        let mut given = self.params.clone();
        for (name, file) in &self.param_files {
            let text = fs::read_to_string(file)
                .map_err(|error| format!("--param-file {name}: failed to read {file}: {error}"))?;
            given.push((name.clone(), text));
        }
        let mut params = BTreeMap::new();
        for (name, text) in given {
            let param = catalog::find(&self.action).and_then(|action| action.param(&name));
            let value = typed(param.map(|param| param.type_), &text);
            if params.insert(name.clone(), value).is_some() {
                return Err(format!("parameter {name} is given twice: keep one").into());
            }
        }
        Ok(params)
    }

    /// Refused before anything is written, with where to read on.
    fn refuse_invalid(&self, spec: &ProxmoxActionPlanSpec) -> Result<(), Failure> {
        let refusals = check::refusals(&self.namespace, spec);
        if refusals.is_empty() {
            return Ok(());
        }
        let known = catalog::find(&spec.action).map(|action| format!(" {}", action.name)).unwrap_or_default();
        Err(refused(&refusals, &format!("`proxmox-agent plan actions{known}` tells what can be asked for")))
    }

    fn text(&self, name: &str, spec: &ProxmoxActionPlanSpec) -> Result<String, Failure> {
        let mut plan = ProxmoxActionPlan::new(name, spec.clone());
        plan.metadata.namespace = Some(self.namespace.clone());
        let text = offline::print(&serde_json::to_value(&plan)?)?;
        let findings = check::findings(&Set::of_text("the new plan", &text)?, SystemClock.now());
        let problems = findings.into_iter().filter(|finding| finding.severity == Severity::Problem);
        let problems: Vec<String> = problems.map(|finding| finding.message).collect();
        if problems.is_empty() { Ok(text) } else { Err(refused(&problems, "put that right and try again")) }
    }

    fn refuse_taken(&self, name: &str) -> Result<(), Failure> {
        let there = Set::of(std::slice::from_ref(&self.dir), None)?;
        let is_it = |id: &super::set::Id| {
            id.kind == "ProxmoxActionPlan" && id.namespace == self.namespace && id.name == name
        };
        match there.ids().find(|(_, id)| is_it(id)) {
            Some((place, _)) => Err(format!(
                "there is a plan {name} already, in {}:{}: give another --name; a plan is never changed",
                place.file, place.line
            )
            .into()),
            None => Ok(()),
        }
    }

    fn keep(&self, file: &Path, text: &str) -> Result<(), Failure> {
        write_new(file, text).map_err(|error| unwritten(file, &error))?;
        println!("written: {}", file.display());
        if self.git_source {
            println!(
                "next: commit it with your signature (git commit -S) and push it; until then it is refused"
            );
        } else {
            println!(
                "next: `proxmox-agent plan show {}` shows it; apply it with kubectl, or let standalone see it in its \
                 directory",
                file.display()
            );
        }
        Ok(())
    }

    fn commit(&self, file: &Path, text: &str, spec: &ProxmoxActionPlanSpec) -> Result<(), Failure> {
        let folder = file.parent().unwrap_or(Path::new("."));
        let tree = WorkTree::around(folder)?;
        // An uncommitted plan that says it comes by git would only be refused.
        let commit = tree.commit_new(file, text, &message(spec)).map_err(|error| match error {
            NotCommitted::Unwritten(error) => unwritten(file, &error),
            NotCommitted::Refused(why) => format!(
                "git did not commit the plan: {why}. The commit has to be signed: see that `git commit -S` works \
                 (user.signingkey, gpg.format), or leave out --commit"
            )
            .into(),
        })?;
        println!(
            "written: {}\ncommitted: {commit}\nnext: push it, so that the syncer brings it",
            file.display()
        );
        Ok(())
    }
}

fn refused(problems: &[String], what_next: &str) -> Failure {
    format!(
        "nothing was written, because the plan would be refused:\n  {}\n{what_next}",
        problems.join("\n  ")
    )
    .into()
}

fn message(spec: &ProxmoxActionPlanSpec) -> String {
    let ProxmoxActionPlanSpec { action, target, environment, reason, requested_by, .. } = spec;
    let reason = if reason.is_empty() { String::new() } else { format!("{reason}\n\n") };
    format!("Ask for {action} on {target} in {environment}\n\n{reason}Requested-by: {requested_by}")
}

fn typed(type_: Option<ParamType>, text: &str) -> Value {
    let read = match type_ {
        Some(ParamType::Bool) => text.parse().ok().map(Value::Bool),
        Some(ParamType::Integer { .. } | ParamType::Vmid) => text.parse::<i64>().ok().map(Value::from),
        _ => None,
    };
    read.unwrap_or_else(|| Value::String(text.to_owned()))
}

/// Readable, and another one each time.
fn generated(spec: &ProxmoxActionPlanSpec, nonce: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let about: String = format!("{}-{}", spec.action, spec.target).chars().take(50).map(plain).collect();
    let suffix: String = nonce.chars().filter(char::is_ascii_alphanumeric).take(8).map(plain).collect();
    let words: Vec<&str> = about.split('-').filter(|word| !word.is_empty()).collect();
    format!("{}-{suffix}", words.join("-"))
}

fn unwritten(file: &Path, error: &io::Error) -> Failure {
    format!("failed to write {}: {error}; nothing was written", file.display()).into()
}
