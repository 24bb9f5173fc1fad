use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use clap::Args;

use crate::{
    audit::{Bundle, Excerpt, Problem, seal},
    cli::{Failure, files::write_new},
    core::audit::AuditRecord,
};

use super::{
    folders::{self, WITHOUT_ANCHORS},
    verify::{sign_by_hand, signature_of},
};

#[derive(Debug, Args)]
pub(super) struct Export {
    /// The plan's name.
    plan: String,
    /// Folders of audit logs: all of them, if more than one replica has worked on it.
    #[arg(required = true)]
    folders: Vec<PathBuf>,
    #[arg(short, long, default_value = "default")]
    namespace: String,
    /// Which plan of that name, if there was more than one.
    #[arg(long)]
    uid: Option<String>,
    /// The file to write. Its signature is put beside it, with `.sig` at its end.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// An OpenSSH private key to sign with, without a passphrase. Without it, how to sign with ssh-keygen is printed.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// What environments have kept of the logs: what `kubectl get pxe -A -o yaml` prints, or files of environments.
    #[arg(long, value_name = "FILE")]
    anchors: Vec<PathBuf>,
}

impl Export {
    pub(super) fn run(self) -> Result<(), Failure> {
        let (file, beside) = (&self.out, signature_of(&self.out));
        for path in [file, &beside] {
            if path.exists() {
                return Err(unwritten(path, "it is there already: choose another name with --out").into());
            }
        }
        let (uid, bundle) = self.bundle()?;
        let bytes = serde_json::to_vec_pretty(&bundle)?;
        let signature = self.key.as_ref().map(|key| self.sign(&bytes, key)).transpose()?;
        let text = String::from_utf8(bytes)?;
        let contents = [(file, Some(&text)), (&beside, signature.as_ref())];
        for (path, content) in contents {
            let Some(content) = content else { continue };
            write_new(path, content).map_err(|error| unwritten(path, &error.to_string()))?;
        }
        let about = format!("everything on record about plan {uid}");
        let told = match signature {
            Some(_) => format!("{} and {}: {about}", file.display(), beside.display()),
            None => format!(
                "{}: {about}, not signed yet. Sign it with your key:\n{}",
                file.display(),
                sign_by_hand(file)
            ),
        };
        println!("{told}");
        if self.anchors.is_empty() {
            eprintln!("note: {WITHOUT_ANCHORS}");
        }
        Ok(())
    }

    fn sign(&self, bytes: &[u8], key: &Path) -> Result<String, Failure> {
        let unusable = |why: String| {
            format!(
                "failed to sign with {}: {why}. A key that can't be used here, such as a locked one or one in hardware, \
                 signs by hand: leave out --key, and the command for it is printed",
                key.display()
            )
        };
        let read = fs::read(key).map_err(|error| unusable(error.to_string()))?;
        Ok(seal(bytes, &String::from_utf8_lossy(&read)).map_err(unusable)?)
    }

    /// Evidence is only taken from logs that are what they were.
    fn bundle(&self) -> Result<(String, Bundle), Failure> {
        let (mut found, mut uids, mut chains) = (Vec::new(), BTreeSet::new(), Vec::new());
        for folder in &self.folders {
            let chain = folders::read(folder, |_, _, line| {
                let record: AuditRecord = serde_json::from_slice(line)?;
                if record.plan == self.plan && record.namespace == self.namespace {
                    uids.insert(record.plan_uid.clone());
                    let line = String::from_utf8_lossy(line).into_owned();
                    found.push((record.time, record.plan_uid, Excerpt { line }));
                }
                Ok(())
            })?;
            chains.push(chain);
        }
        let refused = |why: &str, problem: &Problem| format!("nothing is exported from {why}: {problem}");
        if let Some(problem) = chains.iter().flat_map(|chain| &chain.problems).next() {
            return Err(refused("a log that is not what it was", problem).into());
        }
        if let Some(problem) = folders::between(&chains, &self.anchors)?.first() {
            return Err(refused("logs that lack what was seen of them", problem).into());
        }
        let heads = chains.into_iter().filter_map(|chain| chain.head).collect();
        let uid = self.which(&uids)?;
        found.retain(|(_, of, _)| *of == uid);
        found.sort_by_key(|(time, ..)| *time);
        let records = found.into_iter().map(|(.., excerpt)| excerpt).collect();
        let bundle = Bundle::of((&self.namespace, &self.plan, &uid), records, heads);
        Ok((uid, bundle))
    }

    fn which(&self, uids: &BTreeSet<String>) -> Result<String, Failure> {
        let (namespace, plan) = (&self.namespace, &self.plan);
        let wanted = self.uid.as_ref();
        let mut fitting = uids.iter().filter(|uid| wanted.is_none_or(|wanted| wanted == *uid));
        match (fitting.next(), fitting.next()) {
            (Some(uid), None) => Ok(uid.clone()),
            (None, _) => {
                Err(format!("nothing is on record about plan {plan} in namespace {namespace}: is -n right?")
                    .into())
            }
            (Some(_), Some(_)) => {
                let all: Vec<&str> = uids.iter().map(String::as_str).collect();
                Err(format!("there were several plans {plan}: say which with --uid: {}", all.join(", "))
                    .into())
            }
        }
    }
}

fn unwritten(path: &Path, why: &str) -> String {
    format!("failed to write {}: {why}", path.display())
}
