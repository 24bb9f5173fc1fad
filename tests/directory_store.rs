//! The directory as a home: the contract that every home keeps, and what only files can do.

// A test that can't prepare its world has nothing better to do than to stop.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "directory/home.rs"]
mod home;
mod support;

use std::{
    fs,
    os::unix::fs::symlink,
    time::{Duration, Instant},
};

use futures::StreamExt;
use home::DirectoryHome;
use kube::runtime::watcher::Event;
use proxmox_agent::{
    api::{Phase, PlanStatus, ProxmoxActionApproval, ProxmoxActionPlan, ProxmoxPolicy},
    ports::{Key, Store, StoreError},
    store::directory::{DirectoryStore, OpenError},
};
use serde_json::json;
use support::{
    conformance::{DEADLINE, Home, dispatching},
    manifests::{approval, approval_spec, manifest, plan, policy},
};

conformance!(DirectoryHome::new());

fn key(name: &str) -> Key {
    Key::new("default", name)
}

async fn get(store: &DirectoryStore, name: &str) -> Result<Option<ProxmoxActionPlan>, StoreError> {
    store.get(&key(name)).await
}

async fn uid(store: &DirectoryStore, name: &str) -> String {
    get(store, name).await.unwrap().unwrap().metadata.uid.unwrap()
}

#[test]
fn a_second_process_is_told_that_the_directory_is_taken() {
    let home = DirectoryHome::new();
    let error = DirectoryStore::open(home.options()).unwrap_err();
    assert!(matches!(error, OpenError::Locked { .. }), "{error}");
    assert!(error.to_string().contains(home.state().to_str().unwrap()), "{error}");
}

#[test]
fn a_directory_that_is_not_there_is_named() {
    let home = DirectoryHome::new();
    let mut options = home.options();
    options.dir = home.path("nowhere");
    let error = DirectoryStore::open(options).unwrap_err().to_string();
    assert!(error.contains("nowhere"), "{error}");
}

#[tokio::test]
async fn state_survives_reopening_and_what_a_crash_left_is_swept_away() {
    let mut home = DirectoryHome::new();
    home.write("p.yaml", &plan("p"));
    let read = get(&home.store(), "p").await.unwrap().unwrap();
    let status =
        PlanStatus { phase: Phase::Denied, message: "- no: \"#\nyes".to_owned(), ..PlanStatus::default() };
    let written =
        home.store().replace_status(&ProxmoxActionPlan { status: Some(status), ..read }).await.unwrap();
    let torn = home.state().join("objects/proxmoxactionplans/default/.p.yaml.tmp");
    fs::write(&torn, "apiVersion: proxmox-ag").unwrap();
    home.reopen();
    assert_eq!(get(&home.store(), "p").await.unwrap().unwrap(), written);
    assert!(!torn.exists());
}

#[tokio::test]
async fn files_may_change_while_nobody_looks() {
    let mut home = DirectoryHome::new();
    for name in ["stays", "goes", "changes"] {
        home.write(&format!("{name}.yaml"), &plan(name));
    }
    let (stays, changes) =
        (uid(&home.store(), "stays").await, get(&home.store(), "changes").await.unwrap().unwrap());
    home.close();
    home.remove("goes.yaml");
    fs::create_dir(home.path("moved")).unwrap();
    fs::rename(home.path("stays.yaml"), home.path("moved/stays.yml")).unwrap();
    home.write("changes.yaml", &plan("changes").replace("qemu/100", "qemu/101"));
    home.write("new.yaml", &plan("new"));
    home.reopen();
    let store = home.store();
    assert_eq!(uid(&store, "stays").await, stays);
    assert_eq!(get(&store, "goes").await.unwrap(), None);
    assert_eq!(get(&store, "changes").await.unwrap().unwrap().spec, changes.spec);
    get(&store, "new").await.unwrap().unwrap();
    home.await_refusal("changes.yaml", "spec is immutable").await;
}

#[tokio::test]
async fn a_name_that_is_there_twice_is_reported_twice_and_replaces_nothing() {
    let home = DirectoryHome::new();
    home.write("a.yaml", &plan("taken"));
    let taken = uid(&home.store(), "taken").await;
    home.write("b.yaml", &plan("taken").replace("qemu/100", "qemu/666"));
    home.write("c.yaml", &format!("{}\n---\n{}", plan("new"), plan("new")));
    home.await_refusal("a.yaml", "declared more than once").await;
    home.await_refusal("b.yaml", "a.yaml line 1, b.yaml line 1").await;
    home.await_refusal("c.yaml", "declared more than once").await;
    let store = home.store();
    let read = get(&store, "taken").await.unwrap().unwrap();
    assert_eq!((read.metadata.uid, read.spec.target.as_str()), (Some(taken), "qemu/100"));
    assert!(matches!(get(&store, "new").await, Err(StoreError::Malformed { .. })));
}

#[tokio::test]
async fn rubbish_stops_nobody() {
    let home = DirectoryHome::new();
    let bomb = (1..30).fold("proxmox-agent.io: &a0 [x, x, x, x]\n".to_owned(), |text, i| {
        let before = i - 1;
        text + &format!("k{i}: &a{i} [*a{before}, *a{before}, *a{before}, *a{before}, *a{before}]\n")
    });
    home.write("bomb.yaml", &bomb);
    fs::write(home.path("binary.yaml"), (0..=255_u8).cycle().take(100_000).collect::<Vec<_>>()).unwrap();
    home.write("large.yaml", &format!("# proxmox-agent.io {}", "x".repeat(2_000_000)));
    home.write(
        "broken.yaml",
        &format!("{}\n---\napiVersion: proxmox-agent.io/v1alpha1\nkind: [\n", plan("beside")),
    );
    home.write("chart.yaml", "{{ if .Values.enabled }}\napiVersion: v1\n");
    symlink(home.path("."), home.path("loop")).unwrap();
    symlink("round.yaml", home.path("round.yaml")).unwrap();
    symlink("/etc/hostname", home.path("out.yaml")).unwrap();
    fs::create_dir(home.path(".git")).unwrap();
    home.write(".git/hidden.yaml", &plan("hidden"));
    home.write("good.yaml", &plan("good"));
    symlink("good.yaml", home.path("same.yaml")).unwrap();

    let store = home.store();
    get(&store, "good").await.unwrap().unwrap();
    get(&store, "beside").await.unwrap().expect("the first document of a broken file");
    assert_eq!(get(&store, "hidden").await.unwrap(), None);
    for (file, why) in [
        ("bomb.yaml", "no valid YAML"),
        ("binary.yaml", "no UTF-8"),
        ("large.yaml", "at most 1048576"),
        ("broken.yaml", "no valid YAML"),
        ("round.yaml", "leads nowhere"),
        ("out.yaml", "leads out of the directory"),
    ] {
        home.await_refusal(file, why).await;
    }
    for file in ["chart.yaml", "good.yaml", "same.yaml"] {
        assert_eq!(home.refused(file), None, "{file}");
    }
}

#[tokio::test]
async fn a_file_in_the_making_is_taken_when_it_is_complete() {
    let home = DirectoryHome::new();
    let whole = plan("p");
    home.write("p.yaml", &whole[..whole.len() / 2]);
    home.await_refusal("p.yaml", "no valid YAML").await;
    home.write("p.yaml", &whole);
    get(&home.store(), "p").await.unwrap().unwrap();
    home.await_no_refusal("p.yaml").await;
}

#[tokio::test]
async fn a_plan_is_not_taken_while_somebody_writes_it() {
    // Each line is written by itself, and every beginning from the fourth line on would be a valid plan.
    let home = DirectoryHome::new();
    let text = "apiVersion: proxmox-agent.io/v1alpha1\nkind: ProxmoxActionPlan\nmetadata: {name: p}\nspec:\n  \
                environment: home\n  action: start_guest\n  target: qemu/100\n  requestedBy: alice\n  dryRun: true\n";
    let mut written = String::new();
    let mut changes = home.store().watch::<ProxmoxActionPlan>();
    for line in text.split_inclusive('\n') {
        written.push_str(line);
        home.write("p.yaml", &written);
    }
    let taken = async {
        loop {
            match changes.next().await.unwrap().unwrap() {
                Event::Apply(plan) | Event::InitApply(plan) => return plan.0.unwrap(),
                _ => {}
            }
        }
    };
    let taken = tokio::time::timeout(DEADLINE, taken).await.unwrap();
    assert!(taken.spec.dry_run);
}

#[tokio::test]
async fn a_file_that_is_written_anew_costs_no_plan_its_status() {
    let home = DirectoryHome::new();
    home.write("p.yaml", &plan("p"));
    let before = uid(&home.store(), "p").await;
    // As git does it: away, and here again.
    home.remove("p.yaml");
    assert_eq!(get(&home.store(), "p").await.unwrap(), None);
    home.write("p.yaml", &format!("# now with a comment\n{}", plan("p")));
    assert_eq!(uid(&home.store(), "p").await, before);
    // As editors do it: emptied, then filled.
    home.write("p.yaml", "");
    home.store().approvals_of(&key("p")).await.unwrap();
    home.write("p.yaml", &plan("p"));
    assert_eq!(uid(&home.store(), "p").await, before);
}

#[tokio::test]
async fn an_approval_counts_only_while_its_file_says_so() {
    let home = DirectoryHome::new();
    let store = home.store();
    let uid = "0".repeat(36);
    home.write("a.yaml", &approval("a", "p", &uid));
    store.get::<ProxmoxActionApproval>(&key("a")).await.unwrap().unwrap();
    assert_eq!(store.approvals_of(&key("p")).await.unwrap().len(), 1);
    for other in
        ["not: [yaml proxmox-agent.io", "", &approval("a", "p", &uid).replace("Approve", "Deny"), "\u{0}"]
    {
        home.write("a.yaml", other);
        assert_eq!(store.approvals_of(&key("p")).await.unwrap(), [], "{other:?}");
    }
    home.write("a.yaml", &approval("a", "p", &uid));
    let counts = async { store.approvals_of(&key("p")).await.unwrap().len() == 1 };
    assert!(counts.await);
}

#[tokio::test]
async fn a_denial_stands_until_its_file_is_deleted() {
    let home = DirectoryHome::new();
    let store = home.store();
    let mut spec = approval_spec("p", &"0".repeat(36));
    spec["decision"] = json!("Deny");
    let deny = manifest("ProxmoxActionApproval", "a", &spec);
    home.write("a.yaml", &deny);
    store.get::<ProxmoxActionApproval>(&key("a")).await.unwrap().unwrap();
    home.write("a.yaml", &deny.replace("Deny", "Approve"));
    home.await_refusal("a.yaml", "approvals are immutable").await;
    home.write("a.yaml", "broken: [proxmox-agent.io");
    home.await_refusal("a.yaml", "no valid YAML").await;
    assert_eq!(store.approvals_of(&key("p")).await.unwrap().len(), 1);
    home.remove("a.yaml");
    assert_eq!(store.approvals_of(&key("p")).await.unwrap(), []);
}

#[tokio::test]
async fn a_directory_that_can_not_be_read_deletes_nothing_and_lets_nothing_count() {
    let home = DirectoryHome::new();
    home.write("p.yaml", &plan("p"));
    let before = uid(&home.store(), "p").await;
    fs::rename(home.dir(), home.path("../elsewhere")).unwrap();
    let store = home.store();
    assert!(matches!(get(&store, "p").await, Err(StoreError::Unavailable { .. })));
    assert!(matches!(store.approvals_of(&key("p")).await, Err(StoreError::Unavailable { .. })));
    fs::rename(home.dir().with_file_name("elsewhere"), home.dir()).unwrap();
    assert_eq!(uid(&store, "p").await, before);
}

#[tokio::test]
async fn state_that_can_not_be_read_is_no_new_object() {
    let mut home = DirectoryHome::new();
    home.write("p.yaml", &plan("p"));
    home.write("q.yaml", &plan("q"));
    let (p, q) = (uid(&home.store(), "p").await, uid(&home.store(), "q").await);
    home.close();
    let kept = home.state().join("objects/proxmoxactionplans/default/p.yaml");
    let good = fs::read(&kept).unwrap();
    fs::write(&kept, &good[..good.len() / 3]).unwrap();
    home.reopen();
    assert!(matches!(get(&home.store(), "p").await, Err(StoreError::Malformed { .. })));
    assert_eq!(uid(&home.store(), "q").await, q);
    home.close();
    fs::write(&kept, good).unwrap();
    home.reopen();
    assert_eq!(uid(&home.store(), "p").await, p);
}

#[tokio::test]
async fn a_plan_whose_file_goes_while_it_is_carried_out_stays_until_it_is_released() {
    let home = DirectoryHome::new();
    let store = home.store();
    home.write("p.yaml", &plan("p"));
    let read = get(&store, "p").await.unwrap().unwrap();
    store.replace_status(&dispatching(&read)).await.unwrap();
    home.remove("p.yaml");
    let going = home.eventually(async || {
        get(&store, "p").await.unwrap().filter(|plan| plan.metadata.deletion_timestamp.is_some())
    });
    store.release(&going.await).await.unwrap();
    assert!(get(&store, "p").await.unwrap().is_none());
}

#[tokio::test]
async fn a_new_plan_waits_until_the_held_one_of_its_name_is_released() {
    let home = DirectoryHome::new();
    let store = home.store();
    home.write("p.yaml", &plan("p"));
    let held = get(&store, "p").await.unwrap().unwrap();
    store.hold(&held).await.unwrap();
    home.remove("p.yaml");
    let going = home.eventually(async || {
        get(&store, "p").await.unwrap().filter(|plan| plan.metadata.deletion_timestamp.is_some())
    });
    let going = going.await;
    home.write("p.yaml", &plan("p"));
    home.await_refusal("p.yaml", "still needed").await;
    store.release(&going).await.unwrap();
    let new = home.eventually(async || get(&store, "p").await.unwrap()).await;
    assert_ne!(new.metadata.uid, going.metadata.uid);
    assert!(
        home.state()
            .join(format!("deleted/proxmoxactionplans/default/p.{}.yaml", going.metadata.uid.unwrap()))
            .exists()
    );
}

#[tokio::test]
async fn what_is_refused_is_told_once() {
    let home = DirectoryHome::new();
    home.write("p.yaml", &policy("house", "lenient"));
    home.await_refusal("p.yaml", "spec.preset: must be one of permissive, balanced, strict").await;
    home.write("q.yaml", &plan("q"));
    get(&home.store(), "q").await.unwrap().unwrap();
    home.write("p.yaml", &format!("# still\n{}", policy("house", "lenient")));
    assert!(home.store().get::<ProxmoxPolicy>(&key("house")).await.is_err());
    let events = fs::read_to_string(home.state().join("events.jsonl")).unwrap();
    let told: Vec<serde_json::Value> =
        events.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let about: Vec<_> = told.iter().filter(|line| line["name"] == "house").collect();
    assert_eq!(about.len(), 1, "{events}");
    assert_eq!((&about[0]["severity"], &about[0]["kind"]), (&json!("Warning"), &json!("ProxmoxPolicy")));
}

#[tokio::test]
async fn a_namespace_that_is_not_given_is_default_and_others_are_kept_apart() {
    let home = DirectoryHome::new();
    home.write("p.yaml", &plan("p").replace(r#""namespace": "default""#, r#""labels": {}"#));
    home.write("q.yaml", &plan("p").replace(r#""namespace": "default""#, r#""namespace": "lab""#));
    let store = home.store();
    let (one, other) =
        (uid(&store, "p").await, store.get::<ProxmoxActionPlan>(&Key::new("lab", "p")).await.unwrap());
    assert_ne!(other.unwrap().metadata.uid.unwrap(), one);
}

/// Not a benchmark: it fails when a live read begins to parse every file again.
#[tokio::test]
async fn a_live_read_of_many_files_costs_no_parsing() {
    let home = DirectoryHome::new();
    for i in 0..300 {
        home.write(&format!("p{i}.yaml"), &plan(&format!("p{i}")));
    }
    let store = home.store();
    home.eventually(async || get(&store, "p299").await.unwrap()).await;
    let quick = home.eventually(async || {
        let begun = Instant::now();
        store.approvals_of(&key("p1")).await.unwrap();
        Some(begun.elapsed()).filter(|took| *took < Duration::from_millis(100))
    });
    quick.await;
}
