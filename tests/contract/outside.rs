//! fakepve's comparison, run as the outside program that it is against a simulation of our own.
use std::path::{Path, PathBuf};
use std::process::Output;

use proxmox_agent::pve::sim::{Options, Simulator, World};
use tokio::process::Command;

use super::report::Report;

/// The node of the scenario's world, which it has to name because it writes there.
const NODE: &str = "pve1";

pub(crate) struct Comparison {
    simulator: Simulator,
    folder: tempfile::TempDir,
}

impl Comparison {
    pub(crate) async fn start(world: &str) -> Self {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/fakepve").join(world);
        let world = World::from_yaml(&std::fs::read_to_string(file).unwrap()).unwrap();
        let simulator = Simulator::start(Options { world, ..Options::default() }).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let (name, secret) = simulator.tokens().iter().next().unwrap();
        std::fs::write(folder.path().join("token"), format!("{name}={secret}")).unwrap();
        Self { simulator, folder }
    }

    /// Changes of guests, storages, pools and rules, right and wrong ones, in one long story.
    pub(crate) async fn scenario(self) -> Report {
        let story = self.file("scenario.json");
        self.ask(&["scenario", "--i-understand-this-writes", "--disposable-node", NODE, "--out", &story])
            .await;
        self.simulator.stop().await;
        compare(&["scenario", "--against-fake", &story]).await
    }

    /// The shape of every reading.
    pub(crate) async fn walk(self) -> Report {
        let shapes = self.file("shapes.json");
        self.ask(&["record", "--out", &shapes]).await;
        self.simulator.stop().await;
        compare(&["diff", &shapes]).await
    }

    fn file(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    async fn ask(&self, arguments: &[&str]) {
        let (url, token) = (self.simulator.url(), self.file("token"));
        let ca_file = self.simulator.ca_file().to_str().unwrap().to_owned();
        let connection = ["--url", url, "--token-file", &token, "--cafile", &ca_file];
        let output = run(&[arguments, &connection].concat()).await;
        assert!(output.status.success(), "{arguments:?} failed: {}", text_of(&output));
    }
}

/// A difference makes it exit with 1, which is for us to judge.
async fn compare(arguments: &[&str]) -> Report {
    Report::parse(&text_of(&run(arguments).await))
}

async fn run(arguments: &[&str]) -> Output {
    let tool = std::env::var_os("FAKEPVE_COMPARE").map(PathBuf::from);
    let tool = tool.expect("FAKEPVE_COMPARE is fakepve's comparison; tools/verify-contract provides it");
    Command::new(tool).args(arguments).kill_on_drop(true).output().await.unwrap()
}

fn text_of(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), output.stderr.as_slice()].concat()).into_owned()
}
