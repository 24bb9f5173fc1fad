//! The real binary on a directory of YAML, with a simulated Proxmox behind it.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use proxmox_agent::pve::sim::{self, Options, Simulator, World};
use tempfile::TempDir;

use super::{patience::until, stage::TOKEN};

/// A directory of YAML with its state and its token, and a Proxmox behind it.
pub(crate) struct House {
    folder: TempDir,
    pub(crate) sim: Simulator,
}

impl House {
    pub(crate) async fn new(tier: &str) -> Self {
        Self::in_world(tier, World::sample()).await
    }

    pub(crate) async fn in_world(tier: &str, world: World) -> Self {
        let sim = Simulator::start(Options { world, ..Options::default() }).await.unwrap();
        let house = Self { folder: TempDir::new().unwrap(), sim };
        house.secret("pve-home/token", &format!("{TOKEN}={}\n", house.sim.tokens()[TOKEN]));
        let environment = format!(
            "apiVersion: proxmox-agent.io/v1alpha1\nkind: ProxmoxEnvironment\nmetadata: {{name: home}}\nspec:\n  \
             endpoints: [\"{}\"]\n  credentials: {{secretRef: {{name: pve-home}}}}\n  \
             tls: {{fingerprint: \"{}\"}}\n  tier: {tier}\n  requestTimeoutSeconds: 1\n",
            house.sim.url(),
            house.sim.fingerprint()
        );
        house.write("environment.yaml", &environment);
        house
    }

    pub(crate) fn dir(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.dir().join(".proxmox-agent")
    }

    pub(crate) fn write(&self, file: &str, text: &str) {
        fs::write(self.dir().join(file), text).unwrap();
    }

    /// A key of a Secret, that its owner alone can read.
    pub(crate) fn secret(&self, key: &str, value: &str) {
        let file = self.state().join("secrets/default").join(key);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, value).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// Everything that the program has written down, without the secrets themselves.
    pub(crate) fn kept(&self) -> Vec<(String, String)> {
        let secrets = self.state().join("secrets");
        let files = walk(&self.state()).into_iter().filter(|file| !file.starts_with(&secrets));
        files
            .map(|file| {
                (file.display().to_string(), String::from_utf8_lossy(&fs::read(&file).unwrap()).into_owned())
            })
            .collect()
    }

    pub(crate) fn plan(&self, name: &str, action: &str, target: &str, more: &str) {
        let text = format!(
            "apiVersion: proxmox-agent.io/v1alpha1\nkind: ProxmoxActionPlan\nmetadata: {{name: {name}}}\nspec:\n  \
             environment: home\n  action: {action}\n  target: {target}\n  \
             requestedBy: requester@example.test\n{more}"
        );
        self.write(&format!("{name}.yaml"), &text);
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_proxmox-agent"));
        command.args(args).arg("--dir").arg(self.dir()).env("RUST_LOG", "warn");
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ended {
        Ended::from(self.command(args).output().unwrap())
    }

    pub(crate) fn once(&self) -> Ended {
        self.run(&["standalone", "--once"])
    }

    /// Keeps running until it is dropped.
    pub(crate) fn daemon(&self) -> Daemon {
        let log = fs::File::create(self.dir().join("daemon.log")).unwrap();
        Daemon(self.command(&["standalone"]).stdout(Stdio::null()).stderr(log).spawn().unwrap())
    }

    pub(crate) fn status(&self, plan: &str) -> serde_json::Value {
        let file = self.state().join(format!("objects/proxmoxactionplans/default/{plan}.yaml"));
        let Ok(text) = fs::read_to_string(file) else { return serde_json::Value::Null };
        serde_saphyr::from_str::<serde_json::Value>(&text).unwrap()["status"].clone()
    }

    pub(crate) async fn comes_to(&self, plan: &str, phase: &str) {
        until(&format!("{plan} is {phase}"), || self.status(plan)["phase"] == phase).await;
    }

    pub(crate) fn calls(&self) -> Vec<String> {
        let ledger = self.sim.ledger().into_iter();
        let arrived = ledger.filter(|entry| entry.outcome != sim::Outcome::NotExecuted);
        arrived.map(|entry| format!("{} {}", entry.method, entry.path)).collect()
    }
}

pub(crate) struct Daemon(Child);

impl Daemon {
    /// SIGKILL: it has no chance to tidy up.
    pub(crate) fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

fn walk(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}
