//! Which file holds an object, and whether it says what was applied.

use proxmox_agent::core::provenance::Sighting;
use serde_json::json;

use crate::{
    desk::{Desk, document, plan, wanted},
    support::git::Workshop,
};

fn text() -> String {
    document("p", &plan(&json!({})))
}

#[tokio::test]
async fn a_file_is_found_wherever_it_lies_on_the_branch() {
    let (desk, [alice]) = Desk::with_signers(["alice"]);
    let commit = desk.workshop.bring("clusters/home/plans/p.yaml", &text(), Some(&alice));
    assert_eq!(desk.origin().await, ("clusters/home/plans/p.yaml".to_owned(), commit));
}

#[tokio::test]
async fn what_no_file_holds_is_not_in_git() {
    let desk = Desk::new();
    desk.workshop.bring("other.yaml", &document("q", &plan(&json!({}))), None);
    assert_eq!(desk.see().await, Sighting::NoFile);
    // Neither a file of another kind, nor one that was committed to another branch, nor one that only links to it.
    desk.workshop.bring("p.txt", &text(), None);
    std::os::unix::fs::symlink("p.txt", desk.workshop.tree().join("p.yaml")).unwrap();
    desk.workshop.commit("link", None);
    desk.workshop.push();
    assert_eq!(desk.see().await, Sighting::NoFile);
}

#[tokio::test]
async fn only_the_folder_that_is_named_counts() {
    let mut desk = Desk::new();
    desk.workshop.bring("lab/p.yaml", &text(), None);
    desk.trust.path = "home".to_owned();
    assert_eq!(desk.see().await, Sighting::NoFile);
    desk.workshop.bring("home/deep/p.yaml", &text(), None);
    assert_eq!(desk.origin().await.0, "home/deep/p.yaml");
    desk.trust.path = "/home/".to_owned();
    assert_eq!(desk.origin().await.0, "home/deep/p.yaml");
}

#[tokio::test]
async fn an_object_that_stands_there_twice_is_ambiguous() {
    let desk = Desk::new();
    desk.workshop.bring("a.yaml", &text(), None);
    desk.workshop.bring("b.yaml", &text(), None);
    let files = vec!["a.yaml".to_owned(), "b.yaml".to_owned()];
    assert_eq!(desk.see().await, Sighting::Ambiguous { files });
    desk.workshop.git(&["rm", "-q", "b.yaml"]);
    desk.workshop.bring("a.yaml", &format!("{}---\n{}", text(), text()), None);
    let files = vec!["a.yaml".to_owned(), "a.yaml".to_owned()];
    assert_eq!(desk.see().await, Sighting::Ambiguous { files });
}

#[tokio::test]
async fn a_namespace_that_the_file_names_has_to_be_the_objects() {
    let desk = Desk::new();
    desk.workshop.bring("p.yaml", &text().replace("  name: p", "  name: p\n  namespace: lab"), None);
    assert_eq!(desk.see().await, Sighting::NoFile);
    desk.workshop.bring("p.yaml", &text().replace("  name: p", "  name: p\n  namespace: default"), None);
    assert_eq!(desk.origin().await.0, "p.yaml");
}

#[tokio::test]
async fn a_file_that_says_something_else_than_was_applied_differs() {
    let desk = Desk::new();
    for other in [json!({"target": "qemu/101"}), json!({"dryRun": true}), json!({"params": {"force": true}})]
    {
        desk.workshop.bring("p.yaml", &document("p", &plan(&other)), None);
        assert_eq!(desk.see().await, Sighting::Differs { file: "p.yaml".to_owned() }, "{other}");
    }
}

#[tokio::test]
async fn what_says_the_same_in_other_words_is_the_same() {
    let desk = Desk::new();
    let spelled = "# why\napiVersion: proxmox-agent.io/v1alpha1\nkind: ProxmoxActionPlan\nmetadata: {name: p, labels: {a: b}}\n\
                   spec:\n  notAfter: \"2999-01-01T01:00:00+01:00\"\n  source: git\n  dryRun: false\n  requestedBy: alice\n\
                   \x20 target: qemu/100\n  action: start_guest\n  environment: home\n  params: {}\n";
    desk.workshop.bring("p.yaml", spelled, None);
    assert_eq!(desk.origin().await.0, "p.yaml");
}

#[tokio::test]
async fn all_that_is_asked_for_at_once_is_answered_from_one_fetch() {
    use proxmox_agent::{git::GitRepositories, ports::Repositories};

    let workshop = Workshop::new();
    let both = format!("{}---\n{}", text(), document("q", &plan(&json!({}))));
    workshop.bring("both.yaml", &both, None);
    let trust = serde_json::from_value(json!({"repository": workshop.url()})).unwrap();
    let clock = std::sync::Arc::<crate::support::home::Skewed>::default();
    let repositories = GitRepositories::new(workshop.path().join("fetched"), clock);
    let wanted = ["p", "q", "r"].map(|name| wanted(name, &plan(&json!({}))));
    let seen = repositories.look_up("default", &trust, None, wanted.to_vec()).await.unwrap();
    assert!(
        matches!(&seen[..], [Sighting::Brought { .. }, Sighting::Brought { .. }, Sighting::NoFile]),
        "{seen:?}"
    );
}

#[tokio::test]
async fn folders_that_unfold_to_billions_are_not_walked_through() {
    let desk = Desk::new();
    desk.workshop.bring("base.yaml", "a: 1\n", None);
    let remote = git2::Repository::open_bare(desk.workshop.path().join("remote.git")).unwrap();
    let mut inner = (remote.blob(b"x").unwrap(), 0o100_644);
    for _ in 0..12 {
        let mut folder = remote.treebuilder(None).unwrap();
        for name in 0..10 {
            folder.insert(format!("d{name}"), inner.0, inner.1).unwrap();
        }
        inner = (folder.write().unwrap(), 0o040_000);
    }
    let (who, tree) =
        (git2::Signature::now("m", "m@example.test").unwrap(), remote.find_tree(inner.0).unwrap());
    let tip = remote.find_reference("refs/heads/main").unwrap().peel_to_commit().unwrap();
    remote.commit(Some("refs/heads/main"), &who, &who, "bomb", &tree, &[&tip]).unwrap();
    let why = desk.try_look(wanted("p", &plan(&json!({})))).await.unwrap_err().to_string();
    assert!(why.contains("say in spec.git.path where ours are"), "{why}");
}
