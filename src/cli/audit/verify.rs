use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Args;

use crate::{
    audit::{Bundle, Chain, compare, signer, verify},
    cli::{Failure, plan::print, render::printable},
};

use super::{anchors, proofs::Proofs};

#[derive(Debug, Args)]
pub(super) struct Verify {
    /// Folders of audit logs, one for each replica.
    #[arg(required_unless_present = "bundle")]
    folders: Vec<PathBuf>,
    /// What environments have kept of them: what `kubectl get pxe -A -o yaml` prints, or files of environments.
    #[arg(long, value_name = "FILE")]
    anchors: Vec<PathBuf>,
    /// A bundle of `audit export`, with its signature beside it, instead of folders.
    #[arg(long, value_name = "FILE", conflicts_with = "folders", requires = "signers")]
    bundle: Option<PathBuf>,
    /// Who may have signed the bundle, as `ssh-keygen -Y verify` takes it.
    #[arg(long, value_name = "FILE")]
    signers: Option<PathBuf>,
}

impl Verify {
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        if let (Some(bundle), Some(signers)) = (&self.bundle, &self.signers) {
            return check_bundle(bundle, signers);
        }
        let mut witnesses = Vec::new();
        for file in &self.anchors {
            witnesses.extend(anchors::read(file)?);
        }
        let chains = self
            .folders
            .iter()
            .map(|folder| verify(folder, |_, _, _| Ok(())))
            .collect::<Result<Vec<_>, _>>()?;
        let between = compare(&chains, &witnesses)?;
        let mut text = String::new();
        for chain in &chains {
            text.push_str(&format!("{}\n", printable(&summary(chain))));
        }
        let problems: Vec<String> = chains
            .iter()
            .flat_map(|chain| &chain.problems)
            .chain(&between)
            .map(ToString::to_string)
            .collect();
        for problem in &problems {
            text.push_str(&format!("{}\n", printable(problem)));
        }
        print(&text)?;
        Ok(if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

fn summary(chain: &Chain) -> String {
    let Some(head) = &chain.head else { return format!("{}: nothing", chain.folder.display()) };
    let moment = |time: Option<jiff::Timestamp>| time.map(|time| format!("{time:.0}")).unwrap_or_default();
    let torn = match chain.torn {
        0 => String::new(),
        torn => format!(", torn by crashes {torn} times"),
    };
    format!(
        "{}: chain {}, {} lines in {} segments, {} to {}{torn}, ends with {} {}",
        chain.folder.display(),
        head.chain,
        chain.lines,
        chain.segments(),
        moment(chain.first),
        moment(chain.last),
        head.sequence,
        head.hash
    )
}

fn check_bundle(file: &Path, signers: &Path) -> Result<ExitCode, Failure> {
    let read =
        |path: &Path| fs::read(path).map_err(|error| format!("failed to read {}: {error}", path.display()));
    let text = |path: &Path| {
        String::from_utf8(read(path)?).map_err(|error| format!("failed to read {}: {error}", path.display()))
    };
    let bytes = read(file)?;
    let who = signer(&bytes, &text(&signature_of(file))?, &text(signers)?);
    let bundle: Bundle = serde_json::from_slice(&bytes)
        .map_err(|error| format!("failed to read {}: it is no bundle: {error}", file.display()))?;
    let Proofs { mut told, problems: unproven } = Proofs::of(&bundle.records());
    let mut problems = bundle.problems();
    problems.extend(unproven);
    let name = format!("plan {}/{} ({})", bundle.namespace, bundle.plan, bundle.plan_uid);
    match who {
        Ok(who) => told.insert(0, format!("{name}: signed by {who}")),
        Err(why) => problems.insert(0, why),
    }
    let problem = |why: &String| format!("{}: {why}", file.display());
    let lines = told.into_iter().chain(problems.iter().map(problem));
    let text: String = lines.map(|line| format!("{}\n", printable(&line))).collect();
    print(&text)?;
    Ok(if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Where `ssh-keygen -Y sign` puts it too.
pub(super) fn signature_of(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".sig");
    PathBuf::from(name)
}
