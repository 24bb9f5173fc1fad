//! One plan for a person: as it was judged last, or a file as far as it can be told without a cluster.

use std::path::{Path, PathBuf};

use clap::Args;
use kube::ResourceExt;

use crate::{
    api::ProxmoxActionPlan,
    catalog::Call,
    cli::{Failure, files::Folder, render},
    core::{outlook::outlook, request::normalise},
};

use super::set::{Set, Severity};

#[derive(Debug, Args)]
pub(super) struct Show {
    /// The plan's name, or a file: of that, everything is shown that can be told without looking at a cluster.
    plan: String,
    #[command(flatten)]
    folder: Folder,
}

impl Show {
    pub(super) fn run(self) -> Result<(), Failure> {
        let file = PathBuf::from(&self.plan);
        if file.is_file() || self.plan == "-" {
            return show_file(&file);
        }
        println!("{}", render::plan(&self.folder.plan(&self.plan)?));
        Ok(())
    }
}

fn show_file(file: &Path) -> Result<(), Failure> {
    let set = Set::of(&[file.to_owned()], None)?;
    let problem = set.findings.iter().find(|finding| finding.severity == Severity::Problem);
    if let Some(problem) = problem {
        return Err(format!("{problem}; `proxmox-agent plan lint {}` tells all", file.display()).into());
    }
    if set.plans().next().is_none() {
        return Err(format!("there is no plan in {}", file.display()).into());
    }
    for plan in set.plans() {
        println!("{}", render::plan(plan));
        from_afar(plan)?;
    }
    Ok(())
}

/// What is told without a look at the cluster, under the same labels.
fn from_afar(plan: &ProxmoxActionPlan) -> Result<(), Failure> {
    let say = |label: &str, text: &str| println!("  {label:<10} {text}");
    let request = normalise(&plan.namespace().unwrap_or_default(), &plan.spec)
        .map_err(|violations| violations.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))?;
    let outlook = outlook(&request)?;
    for (name, value) in &request.params {
        let doc = request.action.param(name).map(|param| param.doc).unwrap_or_default();
        say("param", &format!("{name}={}: {doc}", value.to_wire()));
    }
    match &outlook.call {
        Some(call) => say("call", &in_words(call)),
        None => say("call", "none: it only reads"),
    }
    if let Some(why) = &outlook.refused {
        say("refused", why);
    }
    say("risk", &format!("{} at least: {}", outlook.least_risk, request.action.risk_reason));
    say("request", &request.hash()?.to_string());
    say("unseen", "who is hit, and what of the call depends on the target: nobody has looked yet");
    Ok(())
}

fn in_words(call: &Call) -> String {
    let mut words = vec![call.to_string()];
    words.extend(call.params.iter().map(|(name, value)| format!("{name}={value}")));
    words.extend(call.secrets.iter().map(|(name, secret)| format!("{name}=(from secret {secret})")));
    words.join(" ")
}
