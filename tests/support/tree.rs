//! A git working tree of somebody who signs with an SSH key.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use tempfile::TempDir;

use super::{house::Ended, manifests::REQUESTER};

pub(crate) struct Tree {
    root: PathBuf,
    /// The key and an empty home: nothing of whoever runs the tests.
    private: TempDir,
    _own: Option<TempDir>,
}

impl Tree {
    /// The requester's.
    pub(crate) fn new() -> Self {
        Self::of(REQUESTER)
    }

    pub(crate) fn of(email: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let root = folder.path().to_owned();
        Self { _own: Some(folder), ..Self::around(&root, email) }
    }

    /// Makes a repository of what is in a folder.
    pub(crate) fn around(root: &Path, email: &str) -> Self {
        let tree = Self { root: root.to_owned(), private: TempDir::new().unwrap(), _own: None };
        let key = tree.private.path().join("key");
        let mut keygen = Command::new("ssh-keygen");
        keygen.args(["-q", "-t", "ed25519", "-N", "", "-C", email, "-f"]).arg(&key);
        assert!(keygen.status().unwrap().success());
        let public = fs::read_to_string(key.with_extension("pub")).unwrap();
        let signers = tree.private.path().join("signers");
        fs::write(&signers, format!("{email} {public}")).unwrap();
        tree.git(&["init", "--quiet", "--initial-branch=main"]);
        for (name, value) in [
            ("user.name", "Somebody".to_owned()),
            ("user.email", email.to_owned()),
            ("gpg.format", "ssh".to_owned()),
            ("user.signingkey", key.display().to_string()),
            ("gpg.ssh.allowedSignersFile", signers.display().to_string()),
        ] {
            tree.git(&["config", name, &value]);
        }
        fs::write(tree.root.join(".gitignore"), ".proxmox-agent\n").unwrap();
        tree.git(&["add", "-A"]);
        tree.git(&["commit", "--quiet", "-S", "-m", "Begin"]);
        tree
    }

    pub(crate) fn path(&self) -> &Path {
        &self.root
    }

    pub(crate) fn write(&self, file: &str, text: &str) {
        let path = self.root.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(crate) fn read(&self, file: &str) -> String {
        fs::read_to_string(self.root.join(file)).unwrap()
    }

    /// The YAML files in it.
    pub(crate) fn plans(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.root).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<String> = entries.map(|name| name.into_string().unwrap()).collect();
        names.retain(|name| name.ends_with(".yaml"));
        names.sort();
        names
    }

    pub(crate) fn git(&self, args: &[&str]) -> String {
        let output = self.ran("git", args, "");
        assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    /// Runs the program in it.
    pub(crate) fn run(&self, args: &[&str]) -> Ended {
        self.run_reading("", args)
    }

    pub(crate) fn run_reading(&self, input: &str, args: &[&str]) -> Ended {
        Ended::from(self.ran(env!("CARGO_BIN_EXE_proxmox-agent"), args, input))
    }

    fn ran(&self, program: &str, args: &[&str], input: &str) -> Output {
        let mut child = Command::new(program)
            .args(args)
            .current_dir(&self.root)
            .env("HOME", self.private.path())
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("RUST_LOG", "warn")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // Who does not read may be gone by now.
        let _ = std::io::Write::write_all(&mut child.stdin.take().unwrap(), input.as_bytes());
        child.wait_with_output().unwrap()
    }
}
