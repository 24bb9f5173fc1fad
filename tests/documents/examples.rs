//! Examples are taken by the store, and documents show them as they are.

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
};

use k8s_openapi::api::rbac::v1::RoleBinding;
use proxmox_agent::{
    api::{GROUP, ProxmoxActionApproval, ProxmoxActionPlan, ProxmoxEnvironment, ProxmoxPolicy},
    core::request::normalise,
    ports::{Key, Kind, Store},
    pve::sim,
    store::directory::{DirectoryOptions, DirectoryStore},
    system::SystemClock,
};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{
    markdown::{Page, pages},
    read, root,
};

/// Values for the chart.
const VALUES: &str = "values.yaml";

pub(crate) fn parse<T: DeserializeOwned>(yaml: &str) -> T {
    serde_saphyr::from_str(yaml).unwrap_or_else(|error| panic!("{error}\n{yaml}"))
}

fn of_ours(yaml: &str) -> bool {
    yaml.contains(&format!("apiVersion: {GROUP}/"))
}

/// Kind, namespace and name.
fn identity(yaml: &str) -> [String; 3] {
    let object: Value = parse(yaml);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    [&object["kind"], &object["metadata"]["namespace"], &object["metadata"]["name"]].map(text)
}

/// An object of ours as a store takes it: schema, bounds and CEL rules.
async fn taken<K: Kind>(yaml: &str) -> K {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("dir");
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("example.yaml"), yaml).unwrap();
    let state = folder.path().join("state");
    let store = DirectoryStore::open(DirectoryOptions { dir, state, clock: Arc::new(SystemClock) }).unwrap();
    let [_, namespace, name] = identity(yaml);
    let read = store.get::<K>(&Key::new(&namespace, &name)).await;
    read.unwrap_or_else(|error| panic!("{error}\n{yaml}"))
        .unwrap_or_else(|| panic!("it is not taken:\n{yaml}"))
}

async fn is_valid(yaml: &str) {
    let [kind, namespace, _] = identity(yaml);
    match kind.as_str() {
        "ProxmoxActionPlan" => {
            let plan: ProxmoxActionPlan = taken(yaml).await;
            let violations = normalise(&namespace, &plan.spec).err();
            assert!(violations.is_none(), "{violations:?}\n{yaml}");
        }
        "ProxmoxActionApproval" => drop(taken::<ProxmoxActionApproval>(yaml).await),
        "ProxmoxEnvironment" => drop(taken::<ProxmoxEnvironment>(yaml).await),
        "ProxmoxPolicy" => drop(taken::<ProxmoxPolicy>(yaml).await),
        "" => drop(sim::World::from_yaml(yaml).unwrap_or_else(|error| panic!("{error}\n{yaml}"))),
        other => panic!("an example of kind {other} is checked by nobody"),
    }
}

/// Every file of docs/examples, with its text.
fn examples() -> Vec<(String, String)> {
    let files = fs::read_dir(root().join("docs/examples")).unwrap().map(|entry| entry.unwrap().path());
    let mut all: Vec<_> =
        files.map(|path| (path.file_name().unwrap().display().to_string(), read(&path))).collect();
    all.sort();
    all
}

/// The chart, rendered with the values of the examples.
fn rendered() -> String {
    let tools =
        Command::new(root().join("tools/provide")).arg("helm").stderr(Stdio::inherit()).output().unwrap();
    let helm = Path::new(String::from_utf8(tools.stdout).unwrap().trim()).join("helm");
    let values = root().join("docs/examples").join(VALUES);
    let rendered = Command::new(helm)
        .args(["template", "proxmox-agent", "charts/proxmox-agent", "-n", "proxmox-agent", "-f"])
        .arg(values)
        .current_dir(root())
        .output()
        .unwrap();
    assert!(rendered.status.success(), "{}", String::from_utf8_lossy(&rendered.stderr));
    String::from_utf8(rendered.stdout).unwrap()
}

pub(crate) fn example<K: DeserializeOwned>(file: &str) -> K {
    parse(&read(&root().join("docs/examples").join(file)))
}

/// Every block of YAML that holds an object of ours, with the name of its page.
fn shown() -> Vec<(String, String)> {
    let of_page = |page: Page| {
        let name = page.name();
        let ours = page.blocks.into_iter().filter(|block| block.language == "yaml" && of_ours(&block.text));
        ours.map(move |block| (name.clone(), block.text)).collect::<Vec<_>>()
    };
    pages().into_iter().flat_map(of_page).collect()
}

#[tokio::test]
async fn every_example_is_taken() {
    let examples = examples();
    assert!(examples.len() >= 6);
    // What is for the chart is taken by the chart.
    for (_, text) in examples.iter().filter(|(file, _)| file != VALUES) {
        for document in text.split("\n---\n") {
            is_valid(document).await;
        }
    }
}

#[tokio::test]
async fn every_object_that_a_document_shows_is_taken() {
    let shown = shown();
    assert!(shown.len() >= 5);
    for (_, text) in &shown {
        for document in text.split("\n---\n") {
            is_valid(document).await;
        }
    }
}

#[tokio::test]
#[should_panic(expected = "spec.dryrun")]
async fn the_check_of_examples_can_fail() {
    is_valid(&read(&root().join("docs/examples/plan-low.yaml")).replace("reason:", "dryrun:")).await;
}

#[test]
fn an_object_that_has_a_file_is_shown_as_it_stands_there() {
    let shown = shown();
    for (file, text) in examples().into_iter().filter(|(_, text)| of_ours(text)) {
        let mut times = 0;
        let same_object = |(page, block): &&(String, String)| {
            page.starts_with("docs/") && identity(block) == identity(&text)
        };
        for (page, block) in shown.iter().filter(same_object) {
            assert_eq!(*block, text, "{page} shows another {file}");
            times += 1;
        }
        assert!(times > 0, "{file} is shown in no document");
    }
}

#[test]
fn every_role_that_is_bound_is_there() {
    let text = rendered();
    let documents = text.split("\n---\n").filter(|document| document.contains("kind: "));
    let (bindings, roles): (Vec<&str>, Vec<&str>) =
        documents.partition(|document| document.contains("kind: RoleBinding"));
    let roles: BTreeSet<[String; 2]> = roles
        .iter()
        .map(|role| {
            let [kind, _, name] = identity(role);
            [kind, name]
        })
        .collect();
    assert!(!bindings.is_empty());
    for binding in bindings {
        let role = parse::<RoleBinding>(binding).role_ref;
        assert!(roles.contains(&[role.kind.clone(), role.name.clone()]), "{role:?}");
    }
}
