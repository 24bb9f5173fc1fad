//! Sessions on the page about plans as files: each command is run after the one above it, and prints what stands below.

use std::{fs, path::Path, process::Command};

use proxmox_agent::{api::GROUP, pve::sim::Simulator};
use tempfile::TempDir;

use crate::{
    markdown::page,
    previews::{WORLD, keep, simulator, token, untrue},
    read, root,
};

const PAGE: &str = "docs/plan-cli.md";

/// The commands of a block, each with the lines below it.
fn commands(block: &str) -> Vec<(&str, Vec<&str>)> {
    let mut commands: Vec<(&str, Vec<&str>)> = Vec::new();
    for line in block.lines() {
        match (line.strip_prefix("$ "), commands.last_mut()) {
            (Some(command), _) => commands.push((command, vec![])),
            (None, Some((_, printed))) => printed.push(line),
            (None, None) => panic!("a session begins with a command, not with `{line}`"),
        }
    }
    commands
}

/// A git working tree with an environment, and somebody who signs.
struct House {
    folder: TempDir,
    private: TempDir,
}

impl House {
    fn of(sim: &Simulator) -> Self {
        let house = Self { folder: TempDir::new().unwrap(), private: TempDir::new().unwrap() };
        let environment = format!(
            "apiVersion: {GROUP}/v1alpha1\nkind: ProxmoxEnvironment\nmetadata: {{name: home, namespace: home}}\nspec:\n  \
             endpoints: [\"{}\"]\n  credentials: {{secretRef: {{name: pve-home}}}}\n  tls: {{fingerprint: \"{}\"}}\n  \
             tier: lab\n",
            sim.url(),
            sim.fingerprint()
        );
        fs::write(house.folder.path().join("home.yaml"), environment).unwrap();
        keep(&house.folder, "pve-home/token", &token(sim));
        let key = house.private.path().join("key").display().to_string();
        house.run(&format!(
            "ssh-keygen -q -t ed25519 -N '' -f {key} && git init -q && git config user.email requester@example.test && \
             git config user.name Requester && git config gpg.format ssh && git config user.signingkey {key}"
        ));
        house
    }

    fn run(&self, command: &str) -> String {
        let program = Path::new(env!("CARGO_BIN_EXE_proxmox-agent")).parent().unwrap();
        let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
        let output = Command::new("sh")
            .args(["-c", &format!("exec 2>&1; {command}")])
            .current_dir(self.folder.path())
            .envs([("PATH", path.as_str()), ("GIT_CONFIG_GLOBAL", "/dev/null"), ("RUST_LOG", "error")])
            .env("HOME", self.private.path())
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_session_about_plans_as_files_goes_as_the_page_says() {
    let sim = simulator(&read(&root().join(WORLD))).await;
    let house = House::of(&sim);
    let page = page(PAGE);
    let sessions = page.blocks.iter().filter(|block| block.language == "console");
    let (mut seen, mut wrong) = (0, Vec::new());
    for (command, shown) in sessions.flat_map(|block| commands(&block.text)) {
        let printed = house.run(command);
        wrong.extend(
            untrue(&shown, &printed).map(|line| format!("$ {command}: `{line}` is not in\n{printed}")),
        );
        seen += 1;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(seen >= 10, "{seen} are too few to be all");
}
