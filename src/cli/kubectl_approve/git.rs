//! An approval as a signed commit in the user's working tree.

use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
};

use crate::cli::git::{self, NotCommitted, WorkTree};

use super::exit::Stopped;

#[derive(Debug)]
pub(super) struct Approvals {
    tree: WorkTree,
    folder: PathBuf,
}

pub(super) struct Committed {
    pub(super) file: PathBuf,
    pub(super) commit: String,
}

impl Approvals {
    pub(super) fn open(folder: &Path) -> Result<Self, Stopped> {
        let tree = WorkTree::around(folder).map_err(|why| {
            Stopped::failed(format!("{why}. Give a folder of the environment's repository: --git=DIR"))
        })?;
        Ok(Self { tree, folder: folder.to_owned() })
    }

    /// Whom git takes the user for.
    pub(super) fn email(&self) -> Result<String, Stopped> {
        git::setting(&self.folder, "user.email").ok_or_else(|| {
            Stopped::failed(format!(
                "git does not know who you are in {}: give --by NAME as the signers list spells it, or set git config \
                 user.email",
                self.folder.display()
            ))
        })
    }

    /// Writes a new file and commits it.
    pub(super) fn commit(&self, name: &str, text: &str, message: &str) -> Result<Committed, Stopped> {
        let file = self.folder.join(name);
        match self.tree.commit_new(&file, text, message) {
            Ok(commit) => Ok(Committed { file, commit }),
            Err(error) => {
                let (what, why) = in_words(error);
                Err(Stopped::failed(format!("failed to {what} {}: {why}", file.display())))
            }
        }
    }
}

/// What failed, and why.
fn in_words(error: NotCommitted) -> (&'static str, String) {
    match error {
        NotCommitted::Unwritten(error) if error.kind() == ErrorKind::AlreadyExists => {
            let why = "it is there already, and a decision never changes: delete it to take it back first";
            ("write", why.to_owned())
        }
        NotCommitted::Unwritten(error) => ("write", error.to_string()),
        NotCommitted::Refused(why) => ("commit", with_advice(&why)),
    }
}

fn with_advice(why: &str) -> String {
    let is_about_signing = ["sign", "gpg", "key"].iter().any(|word| why.contains(word));
    if !is_about_signing {
        return why.to_owned();
    }
    format!(
        "{why}. An approval by git has to be signed. To sign with an SSH key: git config gpg.format ssh && git config \
         user.signingkey ~/.ssh/id_ed25519.pub"
    )
}
