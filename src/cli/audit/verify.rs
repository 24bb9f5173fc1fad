use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Args;

use crate::{
    audit::{Bundle, Chain, NAMESPACE, signer},
    cli::{Failure, plan::print, render::printable},
};

use super::{
    folders::{self, WITHOUT_ANCHORS},
    proofs::Proofs,
};

#[derive(Debug, Args)]
pub(super) struct Verify {
    /// Folders of audit logs, one for each replica.
    #[arg(required_unless_present = "bundle")]
    folders: Vec<PathBuf>,
    /// What environments have kept of them: what `kubectl get pxe -A -o yaml` prints, or files of environments.
    #[arg(long, value_name = "FILE", conflicts_with = "bundle")]
    anchors: Vec<PathBuf>,
    /// A bundle of `audit export`, with its signature beside it, instead of folders.
    #[arg(long, value_name = "FILE", conflicts_with = "folders", requires = "signers")]
    bundle: Option<PathBuf>,
    /// Who may have signed the bundle, as `ssh-keygen -Y verify` takes it.
    #[arg(long, value_name = "FILE", conflicts_with = "folders", requires = "bundle")]
    signers: Option<PathBuf>,
}

impl Verify {
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        if let (Some(bundle), Some(signers)) = (&self.bundle, &self.signers) {
            return check_bundle(bundle, signers);
        }
        let chains = self
            .folders
            .iter()
            .map(|folder| folders::read(folder, |_, _, _| Ok(())))
            .collect::<Result<Vec<_>, _>>()?;
        let between = folders::between(&chains, &self.anchors)?;
        let mut text = String::new();
        for line in chains.iter().filter_map(summary) {
            text.push_str(&format!("{}\n", printable(&line)));
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
        if problems.is_empty() {
            text.push_str(&self.closing());
        }
        print(&text)?;
        Ok(if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn closing(&self) -> String {
        match self.anchors.is_empty() {
            true => format!("no problem found; {WITHOUT_ANCHORS}\n"),
            false => "no problem found\n".to_owned(),
        }
    }
}

fn summary(chain: &Chain) -> Option<String> {
    let head = chain.head.as_ref()?;
    let moment = |time: Option<jiff::Timestamp>| time.map(|time| format!("{time:.0}")).unwrap_or_default();
    let torn = match chain.torn {
        0 => String::new(),
        torn => format!(", torn by crashes {torn} times"),
    };
    let unfinished = match chain.is_unfinished {
        true => "; the line after it is being written, or a crash has cut it off",
        false => "",
    };
    Some(format!(
        "{}: chain {}, {} lines in {} segments, {} to {}{torn}, ends with {} {}{unfinished}",
        chain.folder.display(),
        head.chain,
        chain.lines,
        chain.segments(),
        moment(chain.first),
        moment(chain.last),
        head.sequence,
        head.hash
    ))
}

fn check_bundle(file: &Path, signers: &Path) -> Result<ExitCode, Failure> {
    let bytes = read_file("the bundle", file)?;
    let signature = signature_of(file);
    if !signature.exists() {
        return Err(format!(
            "failed to check {0}: there is no {1}, its signature. `audit export --key KEY` puts it there, and so does \
             `{2}`",
            file.display(),
            signature.display(),
            sign_by_hand(file)
        )
        .into());
    }
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let armoured = text(read_file("the signature", &signature)?);
    let who = signer(&bytes, &armoured, &text(read_file("the allowed signers", signers)?));
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

fn read_file(what: &str, path: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(path).map_err(|error| format!("failed to read {what} {}: {error}", path.display()).into())
}

/// How somebody signs a bundle whose key can't be used here.
pub(super) fn sign_by_hand(file: &Path) -> String {
    let name = file.display().to_string();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=:@%".contains(c);
    let name = if name.chars().all(is_plain) { name } else { format!("'{}'", name.replace('\'', r"'\''")) };
    format!("ssh-keygen -Y sign -n {NAMESPACE} -f KEY {name}")
}

/// Where `ssh-keygen -Y sign` puts it too.
pub(super) fn signature_of(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".sig");
    PathBuf::from(name)
}
