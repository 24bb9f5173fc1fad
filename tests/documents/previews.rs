//! What a document shows as printed by the program is printed by the program: its plans are judged in the world of the
//! examples, with the token that the guide makes.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::PermissionsExt,
    process::Command,
    time::Duration,
};

use proxmox_agent::{
    api::GROUP,
    catalog::{self, Existence, Need, Section},
    core::observe::{Met, Query, World as Looked},
    pve::{
        ApiToken, Client, Trust,
        sim::{Options, Simulator, World},
        survey,
    },
};
use regex::Regex;
use secrecy::SecretString;
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    all,
    examples::parse,
    markdown::{Block, Page, page, pages},
    read, root,
};

pub(crate) const WORLD: &str = "docs/examples/world.yaml";
const TOKEN: &str = "agent@pve!operator";

/// What stands for text, or for lines, that a document leaves out.
const LEFT_OUT: &str = "…";

pub(crate) async fn simulator(world: &str) -> Simulator {
    let world = World::from_yaml(world).unwrap();
    Simulator::start(Options { world, ..Options::default() }).await.unwrap()
}

pub(crate) fn token(sim: &Simulator) -> String {
    format!("{TOKEN}={}", sim.tokens()[TOKEN])
}

// ---- previews

/// A directory with the plans of a page, judged once.
fn judged(page: &Page, sim: &Simulator) -> TempDir {
    let folder = TempDir::new().unwrap();
    keep(&folder, "pve-home/token", &token(sim));
    keep(&folder, "cloud-init/password", "a secret of the examples");
    let environment = format!(
        "apiVersion: {GROUP}/v1alpha1\nkind: ProxmoxEnvironment\nmetadata: {{name: home, namespace: home}}\nspec:\n  \
         endpoints: [\"{}\"]\n  credentials: {{secretRef: {{name: pve-home}}}}\n  tls: {{fingerprint: \"{}\"}}\n  \
         tier: lab\n",
        sim.url(),
        sim.fingerprint()
    );
    fs::write(folder.path().join("environment.yaml"), environment).unwrap();
    let plans = page.blocks.iter().filter(|block| block.text.contains("kind: ProxmoxActionPlan"));
    for (number, plan) in plans.enumerate() {
        fs::write(folder.path().join(format!("{number}.yaml")), &plan.text).unwrap();
    }
    run(&folder, &["standalone", "--once"]);
    folder
}

pub(crate) fn keep(folder: &TempDir, name: &str, secret: &str) {
    let file = folder.path().join(".proxmox-agent/secrets/home").join(name);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, secret).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
}

fn run(folder: &TempDir, args: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_proxmox-agent"));
    let output =
        command.args(args).arg("--dir").arg(folder.path()).env("RUST_LOG", "error").output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// The names of the plans whose preview a page shows, with the lines that it shows.
fn shown_previews<'a>(page: &'a Page) -> Vec<(String, Vec<&'a str>)> {
    let preview = |block: &&Block| block.text.starts_with("$ proxmox-agent plan show ");
    let of_block = |block: &'a Block| {
        (
            all(r"^\$ proxmox-agent plan show (\S+)", &block.text).remove(0),
            block.text.lines().skip(1).collect(),
        )
    };
    page.blocks.iter().filter(preview).map(of_block).collect()
}

fn fits(shown: &str, printed: &str) -> bool {
    let pattern: Vec<String> = shown.split(LEFT_OUT).map(regex::escape).collect();
    Regex::new(&format!("^{}$", pattern.join(".*"))).unwrap().is_match(printed)
}

/// The first line of a page that is not printed there.
pub(crate) fn untrue<'a>(shown: &[&'a str], printed: &str) -> Option<&'a str> {
    let mut printed = printed.lines();
    let mut skips = false;
    for line in shown {
        if line.trim() == LEFT_OUT {
            skips = true;
            continue;
        }
        let is_there = if skips {
            printed.any(|next| fits(line, next))
        } else {
            printed.next().is_some_and(|next| fits(line, next))
        };
        if !is_there {
            return Some(line);
        }
        skips = false;
    }
    (!skips && printed.next().is_some()).then_some("the end")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_preview_that_a_document_shows_is_what_the_program_prints() {
    let (mut seen, mut wrong) = (0, Vec::new());
    for page in pages() {
        let previews = shown_previews(&page);
        if previews.is_empty() {
            continue;
        }
        let sim = simulator(&read(&root().join(WORLD))).await;
        let folder = judged(&page, &sim);
        for (plan, lines) in previews {
            let printed = run(&folder, &["plan", "show", &plan, "-n", "home"]);
            let untrue = untrue(&lines, &printed);
            wrong.extend(untrue.map(|line| format!("{}: `{line}` is not in\n{printed}", page.name())));
            seen += 1;
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(seen >= 6, "{seen} are too few to be all");
}

#[test]
fn the_check_of_previews_can_fail() {
    let printed = "Plan home/a: Denied\n  asks       x\n  hits       qemu/1 goes\n  now        z";
    let fits = |shown: &[&str]| untrue(shown, printed).is_none();
    assert!(fits(&["Plan home/a: Denied", "  …", "  hits       qemu/1 …", "  now        z"]));
    assert!(fits(&["Plan home/a: Denied", "  …"]));
    assert!(
        !fits(&["Plan home/a: Denied", "  hits       qemu/1 goes", "  …"]),
        "a line is left out without a word"
    );
    assert!(!fits(&["Plan home/a: Denied", "  …", "  hits       qemu/2 goes", "  …"]));
    assert!(!fits(&["Plan home/a: Denied", "  asks       x"]), "the rest is left out without a word");
}

// ---- rights

/// The roles that the guide makes, by name.
fn roles_of_the_guide() -> BTreeMap<String, BTreeSet<String>> {
    let guide = page("docs/getting-started.md");
    let commands: String = guide.blocks.iter().map(|block| block.text.as_str()).collect();
    let role = Regex::new(r#"pveum role add (\S+) --privs "([^"]+)""#).unwrap();
    let made = role.captures_iter(&commands);
    made.map(|made| (made[1].to_owned(), made[2].split(' ').map(str::to_owned).collect())).collect()
}

fn roles_of_the_world() -> BTreeMap<String, BTreeSet<String>> {
    let world: Value = parse(&read(&root().join(WORLD)));
    serde_json::from_value(world["roles"].clone()).unwrap()
}

const SEEING: &str = "ProxmoxAgentSees";

/// The example's world, with a token that has these privileges and no others.
fn world_seen_with(privileges: &BTreeSet<String>) -> String {
    let mut world: Value = parse(&read(&root().join(WORLD)));
    world["roles"] = serde_json::json!({SEEING: privileges, "ProxmoxAgentActs": []});
    world.to_string()
}

/// Why parts of the cluster can't be seen whole.
async fn hidden_from(privileges: &BTreeSet<String>) -> Vec<String> {
    let sim = simulator(&world_seen_with(privileges)).await;
    let token = ApiToken::try_from(&SecretString::from(token(&sim))).unwrap();
    let client = Client::new(&[sim.url()], token, &Trust::Anyone, Duration::from_secs(20)).unwrap();
    let touches = catalog::actions().flat_map(|action| action.touches);
    let sections = touches.flat_map(|touch| touch.sections()).copied();
    // Whether a guest can move is told to those who may move it: a matter of acting.
    let everything: BTreeSet<Section> = sections.filter(|section| *section != Section::Migration).collect();
    let mut hidden = Vec::new();
    for target in ["qemu/100", "node/pve1"] {
        let query = Query {
            target: target.parse().unwrap(),
            existence: Existence::Exists,
            node: None,
            destination: None,
            sections: everything.clone(),
        };
        match survey::look(&client, &query, &BTreeSet::new()).await {
            Ok(world) => hidden.extend(missing(&world)),
            Err(error) => hidden.push(error.to_string()),
        }
    }
    hidden
}

fn missing(world: &Looked) -> Vec<String> {
    let Looked { nodes, guests, storages, volumes, ha, replication, backup_jobs, .. } = world;
    let Looked { pools, network, sdn, firewall, acl, active_tasks, .. } = world;
    let parts = [
        nodes.missing(),
        guests.missing(),
        storages.missing(),
        volumes.missing(),
        ha.missing(),
        replication.missing(),
        backup_jobs.missing(),
        pools.missing(),
        network.missing(),
        sdn.missing(),
        firewall.missing(),
        acl.missing(),
        active_tasks.missing(),
        (world.target == Met::Absent).then_some("the target"),
    ];
    parts.into_iter().flatten().map(str::to_owned).collect()
}

#[tokio::test]
async fn the_role_that_the_guide_makes_for_seeing_hides_nothing_and_holds_nothing_else() {
    let roles = roles_of_the_guide();
    let sees = &roles[SEEING];
    assert_eq!(hidden_from(sees).await, Vec::<String>::new());
    for privilege in sees {
        let rest = sees.iter().filter(|other| *other != privilege).cloned().collect();
        assert_ne!(hidden_from(&rest).await, Vec::<String>::new(), "{privilege} is not needed to see");
    }
}

#[test]
fn the_world_of_the_examples_has_the_role_that_the_guide_makes_for_seeing() {
    assert_eq!(roles_of_the_world()[SEEING], roles_of_the_guide()[SEEING]);
}

#[test]
fn the_guide_names_every_privilege_that_an_action_needs() {
    let spans = page("docs/getting-started.md").code_spans();
    let needs = catalog::actions().flat_map(|action| action.needs);
    let whole = needs.filter(|need| need.any_of != Need::PER_SETTING);
    let is_named =
        |need: &&Need| need.any_of.iter().any(|privilege| spans.iter().any(|span| span == privilege));
    let lacking: BTreeSet<_> = whole.filter(|need| !is_named(need)).map(|need| need.any_of).collect();
    assert!(lacking.is_empty(), "{lacking:?}");
}
