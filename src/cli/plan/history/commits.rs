//! What git tells about the files of a plan and its approvals.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use crate::cli::{
    Failure,
    git::{Commit, WorkTree},
    plan::set::{Object, Set},
};
use kube::ResourceExt;

use super::{Entry, Named, Record, Source};

/// Nothing where the directory is no git working tree.
pub(super) fn read(dir: &Path, known: &BTreeSet<PathBuf>, named: Named<'_>) -> Result<Record, Failure> {
    let mut record = Record::default();
    let (Ok(tree), Ok(root)) = (WorkTree::around(dir), std::fs::canonicalize(dir)) else { return Ok(record) };
    let declared = declared(dir, named)?;
    let files: BTreeSet<PathBuf> = known.iter().chain(&declared).cloned().collect();
    for file in files {
        match tree.commits(&root.join(&file)) {
            Ok(commits) => {
                record.entries.extend(commits.iter().filter_map(|commit| entry(commit, &file)));
            }
            // A repository without a commit knows nothing yet.
            Err(why) => record.unreadable.push(format!("git log of {}: {why}", file.display())),
        }
    }
    Ok(record)
}

/// The files that hold the plan and its approvals now, below the directory.
fn declared(dir: &Path, named: Named<'_>) -> Result<Vec<PathBuf>, Failure> {
    let set = Set::of(&[dir.to_owned()], None)?;
    let is_meant = |object: &Object| match object {
        Object::Plan(plan) => {
            plan.namespace().as_deref() == Some(named.namespace) && plan.name_any() == named.name
        }
        Object::Approval(approval) => {
            approval.namespace().as_deref() == Some(named.namespace)
                && approval.spec.plan_ref.name == named.name
        }
        Object::Environment(_) | Object::Policy(_) => false,
    };
    let files =
        set.objects.iter().filter(|(_, object)| is_meant(object)).map(|(place, _)| Path::new(&place.file));
    Ok(files.map(|file| file.strip_prefix(dir).unwrap_or(file).to_owned()).collect())
}

fn entry(commit: &Commit, file: &Path) -> Option<Entry> {
    let what = match commit.change.as_str() {
        "A" => "added",
        "D" => "removed",
        _ => "changed",
    };
    Some(Entry {
        time: commit.time.parse().ok()?,
        plan_uid: String::new(),
        event: "commit".to_owned(),
        message: format!(
            "{} {what} by {} in {}: {} ({})",
            file.display(),
            commit.author,
            commit.id.get(..12).unwrap_or(&commit.id),
            commit.subject,
            signature(commit)
        ),
        source: Source::Git,
    })
}

/// As the user's own git tells; what an operator makes of it is up to the environment's signers.
fn signature(commit: &Commit) -> String {
    let by = if commit.signer.is_empty() { String::new() } else { format!(" by {}", commit.signer) };
    match commit.signature.as_str() {
        "G" => format!("signed{by}"),
        "U" => format!("signed{by}, by a key of unknown trust"),
        "N" => "not signed".to_owned(),
        "E" => "signed, but your git can't check it: see gpg.ssh.allowedSignersFile, or import the key"
            .to_owned(),
        "B" => "its signature is bad".to_owned(),
        _ => format!("signed{by}, by a key that has expired or was revoked"),
    }
}
