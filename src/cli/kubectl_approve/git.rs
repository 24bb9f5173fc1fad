//! A working tree, written to with the user's own git: their identity, their hooks, their key.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use tokio::signal::unix::{SignalKind, signal};

use super::exit::Stopped;

#[derive(Debug)]
pub(super) struct WorkingTree {
    folder: PathBuf,
}

pub(super) struct Committed {
    pub(super) file: PathBuf,
    pub(super) commit: String,
}

impl WorkingTree {
    pub(super) fn open(folder: &Path) -> Result<Self, Stopped> {
        let tree = Self { folder: folder.to_owned() };
        let why = match tree.git(&["rev-parse", "--is-inside-work-tree"]) {
            Ok(answer) if answer == "true" => return Ok(tree),
            Ok(_) => "it is inside of .git".to_owned(),
            Err(why) => why,
        };
        Err(Stopped::failed(format!(
            "{} is no git working tree ({why}): give a folder of the environment's repository, --git=DIR",
            folder.display()
        )))
    }

    /// Whom git takes the user for.
    pub(super) fn email(&self) -> Result<String, Stopped> {
        self.git(&["config", "user.email"]).ok().filter(|email| !email.is_empty()).ok_or_else(|| {
            Stopped::failed(format!(
                "git does not know who you are in {}: give --by NAME as the signers list spells it, or set git config user.email",
                self.folder.display()
            ))
        })
    }

    /// Writes a new file and commits it, signed, and nothing else. Whatever fails, nothing of it stays behind.
    pub(super) fn commit(&self, name: &str, text: &str, message: &str) -> Result<Committed, Stopped> {
        // Ctrl-C at the question for the passphrase ends git; what is written by then has to go.
        let _outlive_git = signal(SignalKind::interrupt())?;
        let file = self.folder.join(name);
        let failed = |what: &str, why: &dyn std::fmt::Display| {
            Stopped::failed(format!("failed to {what} {}: {why}", file.display()))
        };
        let mut created = fs::File::create_new(&file).map_err(|error| match error.kind() {
            std::io::ErrorKind::AlreadyExists => failed(
                "write",
                &"it is there already, and a decision never changes: delete it to take it back first",
            ),
            _ => failed("write", &error),
        })?;
        let written = created.write_all(text.as_bytes()).map_err(|error| failed("write", &error));
        let committed = written.and_then(|()| {
            self.git(&["add", "--intent-to-add", "--", name]).map_err(|why| failed("add", &why))?;
            self.git(&["commit", "--quiet", "--gpg-sign", "--only", "--message", message, "--", name])
                .map_err(|why| failed("commit", &with_advice(&why)))
        });
        if let Err(stopped) = committed {
            // What was never added can't be taken out again, which is as well.
            let _ = self.git(&["rm", "--cached", "--quiet", "--force", "--", name]);
            let _ = fs::remove_file(&file);
            return Err(stopped);
        }
        let commit = self.git(&["rev-parse", "HEAD"]).map_err(|why| failed("look up the commit of", &why))?;
        Ok(Committed { file, commit })
    }

    /// What git prints, or what it complains of. It may ask for a passphrase on the terminal.
    fn git(&self, args: &[&str]) -> Result<String, String> {
        let output = Command::new("git")
            .arg("-C")
            .arg(&self.folder)
            .arg("--literal-pathspecs")
            .args(args)
            .stdin(Stdio::inherit())
            .output()
            .map_err(|error| format!("git can't be run: {error}"))?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
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
