//! The user's own git, in a working tree: who they are, what they sign with and which hooks run is theirs to say.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use tokio::signal::unix::{SignalKind, signal};

use super::{Failure, files::write_new};

/// A git working tree.
#[derive(Debug)]
pub(super) struct WorkTree {
    root: PathBuf,
}

/// Why a new file was not committed.
#[derive(Debug)]
pub(super) enum NotCommitted {
    Unwritten(io::Error),
    /// Why git would not, and what is left of the file.
    Refused(String),
}

/// A commit that touched a file.
#[derive(Debug)]
pub(super) struct Commit {
    pub(super) id: String,
    pub(super) time: String,
    pub(super) author: String,
    /// As `%G?` tells: `G` for a good signature, `N` for none, `E` for one that can't be checked.
    pub(super) signature: String,
    pub(super) signer: String,
    pub(super) subject: String,
    /// `A`, `M` or `D`: added, modified or deleted.
    pub(super) change: String,
}

impl WorkTree {
    /// The one that a folder lies in.
    pub(super) fn around(folder: &Path) -> Result<Self, Failure> {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        let root = told(folder, &["rev-parse", "--show-toplevel"]).map_err(|why| {
            format!("{} lies in no git working tree that can be used: {why}", folder.display())
        })?;
        Ok(Self { root: PathBuf::from(root) })
    }

    /// Writes a new file and commits exactly that, signed; says which commit it is. Whatever fails, nothing of the file
    /// stays behind.
    pub(super) fn commit_new(&self, file: &Path, text: &str, message: &str) -> Result<String, NotCommitted> {
        write_new(file, text).map_err(NotCommitted::Unwritten)?;
        self.commit(file, message).map_err(|why| {
            let left = fs::remove_file(file).err().map_or("nothing was written".to_owned(), |error| {
                format!("{} could not be removed again ({error}): do that", file.display())
            });
            NotCommitted::Refused(format!("{why}; {left}"))
        })
    }

    /// Nothing else that is staged goes along. If that fails, the file is not known to git afterwards, as before.
    fn commit(&self, file: &Path, message: &str) -> Result<String, String> {
        // Ctrl-C at the question for a passphrase ends git; what was begun by then has to be taken back.
        let _outlive_git = signal(SignalKind::interrupt()).map_err(|error| error.to_string())?;
        let file = fs::canonicalize(file).map_err(|error| error.to_string())?;
        let file = file.display().to_string();
        told(&self.root, &["add", "--", &file])?;
        let committed = told(&self.root, &["commit", "--quiet", "-S", "--only", "-m", message, "--", &file]);
        if let Err(why) = committed {
            // It was never committed: taking it out of the index brings back what was there.
            let _ = told(&self.root, &["rm", "--cached", "--quiet", "--force", "--", &file]);
            return Err(why);
        }
        told(&self.root, &["rev-parse", "--short", "HEAD"])
    }

    /// Every commit that touched a file, the last one first.
    pub(super) fn commits(&self, file: &Path) -> Result<Vec<Commit>, String> {
        let file = file.display().to_string();
        let format =
            format!("--format={RECORD}%H{FIELD}%cI{FIELD}%an <%ae>{FIELD}%G?{FIELD}%GS{FIELD}%s{FIELD}");
        let log = told(&self.root, &["log", &format, "--name-status", "--no-renames", "--", &file])?;
        let mut commits: Vec<Commit> = log.split(RECORD).filter_map(commit).collect();
        for commit in commits.iter_mut().filter(|commit| commit.signature == "N") {
            if self.carries_a_signature(&commit.id)? {
                commit.signature = "E".to_owned();
            }
        }
        Ok(commits)
    }

    /// Without a list of allowed signers git takes a commit that is signed with an SSH key for one that is not signed.
    fn carries_a_signature(&self, commit: &str) -> Result<bool, String> {
        let whole = told(&self.root, &["cat-file", "commit", commit])?;
        let mut header = whole.lines().take_while(|line| !line.is_empty());
        Ok(header.any(|line| line.starts_with("gpgsig")))
    }
}

const RECORD: char = '\u{1e}';
const FIELD: char = '\u{1f}';

fn commit(record: &str) -> Option<Commit> {
    let mut fields = record.split(FIELD).map(str::trim);
    let mut next = || fields.next().map(str::to_owned);
    Some(Commit {
        id: next()?,
        time: next()?,
        author: next()?,
        signature: next()?,
        signer: next()?,
        subject: next()?,
        change: next()?.chars().take(1).collect(),
    })
}

/// A setting as git has it in a folder.
pub(super) fn setting(folder: &Path, name: &str) -> Option<String> {
    told(folder, &["config", "--get", name]).ok().filter(|value| !value.is_empty())
}

/// What git prints, or why it failed.
fn told(folder: &Path, args: &[&str]) -> Result<String, String> {
    let Output { status, stdout, stderr } = Command::new("git")
        .arg("-C")
        .arg(folder)
        .arg("--literal-pathspecs")
        .args(args)
        .output()
        .map_err(|error| format!("git can't be run: {error}"))?;
    if status.success() {
        return Ok(String::from_utf8_lossy(&stdout).trim_end().to_owned());
    }
    let said = [stderr, stdout].map(|text| String::from_utf8_lossy(&text).trim().to_owned());
    Err(said.into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join("; "))
}
