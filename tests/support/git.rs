//! A repository as people keep it: made with git, signed with the keys of ssh-keygen and gpg.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use serde_json::{Value, json};
use tempfile::TempDir;

/// What a person signs with.
#[derive(Clone, Debug)]
pub(crate) enum Key {
    Ssh(PathBuf),
    /// A fingerprint, in the keyring of the workshop; with a `!` it is this very subkey.
    OpenPgp(String),
}

/// A working tree with a remote beside it, and the keys of those who commit there.
pub(crate) struct Workshop {
    folder: TempDir,
}

impl Workshop {
    pub(crate) fn new() -> Self {
        // A short name: the socket of gpg's agent lies in it.
        let workshop = Self { folder: tempfile::Builder::new().prefix("pxg").tempdir().unwrap() };
        fs::create_dir(workshop.keyring()).unwrap();
        set_mode(&workshop.keyring(), 0o700);
        workshop.run("git", &["init", "-q", "--bare", "-b", "main", "remote.git"]);
        workshop.run("git", &["init", "-q", "-b", "main", "tree"]);
        workshop.git(&["remote", "add", "origin", "../remote.git"]);
        workshop
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn tree(&self) -> PathBuf {
        self.path().join("tree")
    }

    /// Where the remote is on this machine.
    pub(crate) fn url(&self) -> String {
        format!("file://{}", self.path().join("remote.git").display())
    }

    fn keyring(&self) -> PathBuf {
        self.path().join("g")
    }

    // ---- keys

    pub(crate) fn ssh_key(&self, name: &str, kind: &str) -> Key {
        let file = self.path().join(format!("key-{name}"));
        let (file_name, comment) = (file.display().to_string(), format!("{name}@example.test"));
        self.run("ssh-keygen", &["-q", "-t", kind, "-N", "", "-C", &comment, "-f", &file_name]);
        Key::Ssh(file)
    }

    /// A key of which gpg believes that it was made then.
    pub(crate) fn openpgp_key(&self, name: &str, expires: &str, made: Option<&str>) -> Key {
        let time = made.map(|made| format!("--faked-system-time={made}!"));
        let user = format!("{name} <{name}@example.test>");
        let mut args =
            vec!["--batch", "--passphrase", "", "--quick-gen-key", &user, "ed25519", "sign", expires];
        if let Some(time) = &time {
            args.insert(0, time);
        }
        self.gpg(&args);
        Key::OpenPgp(self.fingerprints(name).remove(0))
    }

    /// Of the primary key and its subkeys.
    pub(crate) fn fingerprints(&self, name: &str) -> Vec<String> {
        let listed = self.gpg(&["--with-colons", "--list-keys", &format!("{name}@example.test")]);
        let lines = listed.lines().filter(|line| line.starts_with("fpr:"));
        lines.map(|line| line.split(':').nth(9).unwrap().to_owned()).collect()
    }

    pub(crate) fn gpg(&self, args: &[&str]) -> String {
        let output = self.run("gpg", args);
        String::from_utf8(output.stdout).unwrap()
    }

    /// As it stands in the list of signers.
    pub(crate) fn public(&self, key: &Key) -> String {
        match key {
            Key::Ssh(file) => fs::read_to_string(file.with_extension("pub")).unwrap(),
            Key::OpenPgp(fingerprint) => {
                self.gpg(&["--armor", "--export", fingerprint.trim_end_matches('!')])
            }
        }
    }

    pub(crate) fn signer(&self, name: &str, keys: &[&Key]) -> Value {
        json!({"name": name, "keys": keys.iter().map(|key| self.public(key)).collect::<Vec<_>>()})
    }

    // ---- commits

    pub(crate) fn write(&self, file: &str, text: &str) {
        let file = self.tree().join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }

    /// Commits everything, and returns the commit.
    pub(crate) fn commit(&self, message: &str, key: Option<&Key>) -> String {
        self.git(&["add", "-A"]);
        self.signing(key, &["commit", "-q", "--allow-empty", "-m", message]);
        self.head()
    }

    /// The same commit once more, with whatever has changed.
    pub(crate) fn amend(&self, key: Option<&Key>) -> String {
        self.git(&["add", "-A"]);
        self.signing(
            key,
            &["commit", "-q", "--amend", "--no-edit", "--reset-author", "--date=2001-01-01T00:00:00"],
        );
        self.head()
    }

    pub(crate) fn merge(&self, what: &str, key: Option<&Key>) -> String {
        self.signing(key, &["merge", "-q", "--no-ff", "-m", "merge", what]);
        self.head()
    }

    /// Writes one file, commits and pushes it.
    pub(crate) fn bring(&self, file: &str, text: &str, key: Option<&Key>) -> String {
        self.write(file, text);
        let commit = self.commit(&format!("Bring {file}"), key);
        self.push();
        commit
    }

    pub(crate) fn push(&self) {
        self.git(&["push", "-q", "--force", "origin", "HEAD:main"]);
    }

    pub(crate) fn head(&self) -> String {
        String::from_utf8(self.git(&["rev-parse", "HEAD"]).stdout).unwrap().trim().to_owned()
    }

    pub(crate) fn git(&self, args: &[&str]) -> Output {
        self.run("git", &[&["-C", "tree"], args].concat())
    }

    fn signing(&self, key: Option<&Key>, args: &[&str]) {
        let signed = match key {
            None => vec!["-c".to_owned(), "commit.gpgSign=false".to_owned()],
            Some(Key::Ssh(file)) => {
                settings(&["gpg.format=ssh", &format!("user.signingKey={}", file.display())])
            }
            Some(Key::OpenPgp(fingerprint)) => settings(&[&format!("user.signingKey={fingerprint}")]),
        };
        let signed: Vec<&str> = signed.iter().map(String::as_str).collect();
        self.git(&[&signed, args].concat());
    }

    /// A program, with nothing of the settings of whoever runs the tests.
    pub(crate) fn run(&self, program: &str, args: &[&str]) -> Output {
        let output = Command::new(program)
            .args(args)
            .current_dir(self.path())
            .env("HOME", self.path())
            .env("GNUPGHOME", self.keyring())
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .envs([("GIT_AUTHOR_NAME", "Somebody"), ("GIT_AUTHOR_EMAIL", "somebody@example.test")])
            .envs([("GIT_COMMITTER_NAME", "Somebody"), ("GIT_COMMITTER_EMAIL", "somebody@example.test")])
            .stdin(Stdio::null())
            .output()
            .unwrap_or_else(|error| panic!("the tests need `{program}`, which can't be run: {error}; CONTRIBUTING.md says where it comes from"));
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program} {args:?}: {told}");
        output
    }
}

impl Drop for Workshop {
    /// gpg leaves an agent behind.
    fn drop(&mut self) {
        let gone = Command::new("gpgconf").args(["--kill", "all"]).env("GNUPGHOME", self.keyring()).output();
        drop(gone);
    }
}

fn settings(all: &[&str]) -> Vec<String> {
    let all = [all, &["commit.gpgSign=true"]].concat();
    all.iter().flat_map(|setting| ["-c".to_owned(), (*setting).to_owned()]).collect()
}

fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}
