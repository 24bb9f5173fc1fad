use std::{collections::BTreeSet, fs, path::PathBuf};

use clap::Args;

use crate::{
    audit::{Bundle, Excerpt, seal, verify},
    cli::{Failure, files::write_new},
    core::audit::AuditRecord,
};

use super::verify::signature_of;

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
    /// An OpenSSH private key to sign with.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
}

impl Export {
    pub(super) fn run(self) -> Result<(), Failure> {
        let (uid, bundle) = self.bundle()?;
        let bytes = serde_json::to_vec_pretty(&bundle)?;
        let unusable = |why: String| format!("failed to sign with {}: {why}", self.key.display());
        let key = fs::read_to_string(&self.key).map_err(|error| unusable(error.to_string()))?;
        let signature = seal(&bytes, &key).map_err(unusable)?;
        let (file, beside) = (&self.out, signature_of(&self.out));
        let text = String::from_utf8(bytes)?;
        for (path, content) in [(file, &text), (&beside, &signature)] {
            write_new(path, content)
                .map_err(|error| format!("failed to write {}: {error}", path.display()))?;
        }
        println!("{} and {}: everything on record about plan {uid}", file.display(), beside.display());
        Ok(())
    }

    /// Evidence is only taken from logs that are what they were.
    fn bundle(&self) -> Result<(String, Bundle), Failure> {
        let (mut found, mut uids, mut heads) = (Vec::new(), BTreeSet::new(), Vec::new());
        for folder in &self.folders {
            let chain = verify(folder, |_, _, line| {
                let record: AuditRecord = serde_json::from_slice(line)?;
                if record.plan == self.plan && record.namespace == self.namespace {
                    uids.insert(record.plan_uid.clone());
                    let line = String::from_utf8_lossy(line).into_owned();
                    found.push((record.time, record.plan_uid, Excerpt { line }));
                }
                Ok(())
            })?;
            if let Some(problem) = chain.problems.first() {
                return Err(
                    format!("nothing is exported from a log that is not what it was: {problem}").into()
                );
            }
            heads.extend(chain.head);
        }
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
