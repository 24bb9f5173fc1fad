//! Which commit brought an object, and whether it is there still.

use proxmox_agent::core::provenance::{Sighting, Signature};
use serde_json::json;

use crate::desk::{Desk, document, plan, wanted};

fn text() -> String {
    document("p", &plan(&json!({})))
}

async fn held_against(desk: &Desk, commit: &str) -> Sighting {
    let mut wanted = wanted("p", &plan(&json!({})));
    wanted.recorded_commit = Some(commit.to_owned());
    desk.look(wanted).await
}

fn rewritten() -> Sighting {
    Sighting::Rewritten { file: "p.yaml".to_owned() }
}

#[tokio::test]
async fn commits_that_leave_the_object_alone_are_not_the_ones_that_brought_it() {
    let (desk, [alice]) = Desk::with_signers(["alice"]);
    let brought = desk.workshop.bring("p.yaml", &text(), Some(&alice));
    desk.workshop.bring("other.yaml", "a: 1\n", None);
    desk.workshop.bring("p.yaml", &format!("{}---\n{}", text(), document("q", &plan(&json!({})))), None);
    assert_eq!(desk.origin().await.1, brought, "another object beside it changes nothing about it");
    let newer = desk.workshop.bring("p.yaml", &document("p", &plan(&json!({"target": "qemu/101"}))), None);
    let restored = desk.workshop.bring("p.yaml", &text(), Some(&alice));
    assert_ne!(newer, restored);
    assert_eq!(desk.origin().await.1, restored, "it was something else meanwhile");
}

#[tokio::test]
async fn a_merge_is_followed_to_the_line_that_brought_it() {
    let (desk, [alice, bob]) = Desk::with_signers(["alice", "bob"]);
    desk.workshop.bring("base.yaml", "a: 1\n", None);
    desk.workshop.git(&["checkout", "-q", "-b", "feature"]);
    desk.workshop.write("p.yaml", &text());
    let brought = desk.workshop.commit("plan", Some(&alice));
    desk.workshop.git(&["checkout", "-q", "main"]);
    desk.workshop.write("more.yaml", "b: 1\n");
    desk.workshop.commit("meanwhile", None);
    desk.workshop.merge("feature", Some(&bob));
    desk.workshop.push();
    assert_eq!(desk.origin().await, ("p.yaml".to_owned(), brought));
}

#[tokio::test]
async fn a_merge_that_puts_it_in_itself_is_the_one_that_brought_it() {
    let (desk, [alice, bob]) = Desk::with_signers(["alice", "bob"]);
    desk.workshop.bring("p.yaml", &document("p", &plan(&json!({"target": "qemu/101"}))), Some(&alice));
    desk.workshop.git(&["checkout", "-q", "-b", "feature"]);
    desk.workshop.write("other.yaml", "b: 1\n");
    desk.workshop.commit("feature", None);
    desk.workshop.git(&["checkout", "-q", "main"]);
    desk.workshop.merge("feature", None);
    desk.workshop.write("p.yaml", &text());
    let merge = desk.workshop.amend(Some(&bob));
    desk.workshop.push();
    assert_eq!(desk.origin().await.1, merge);
}

#[tokio::test]
async fn a_merge_brings_nothing_back_in_the_name_of_who_signed_what_was_taken_away() {
    let (desk, [alice]) = Desk::with_signers(["alice"]);
    desk.workshop.bring("base.yaml", "a: 1\n", None);
    let signed = desk.workshop.bring("p.yaml", &text(), Some(&alice));
    desk.workshop.git(&["rm", "-q", "p.yaml"]);
    let revoked = desk.workshop.commit("revoke", Some(&alice));
    desk.workshop.push();
    assert_eq!(desk.see().await, Sighting::NoFile);
    // A merge commit with the signed one as a parent, and its file.
    desk.workshop.write("p.yaml", &text());
    desk.workshop.git(&["add", "-A"]);
    let written = desk.workshop.git(&["write-tree"]);
    let tree = String::from_utf8(written.stdout).unwrap();
    let forged =
        desk.workshop.git(&["commit-tree", tree.trim(), "-p", &revoked, "-p", &signed, "-m", "merge"]);
    let forged = String::from_utf8(forged.stdout).unwrap().trim().to_owned();
    desk.workshop.git(&["reset", "-q", "--hard", &forged]);
    desk.workshop.push();
    assert_eq!(desk.origin().await.1, forged);
    assert_eq!(desk.signature().await, Signature::Missing);
}

#[tokio::test]
async fn a_commit_on_record_that_is_gone_is_a_rewritten_history() {
    let (desk, [alice]) = Desk::with_signers(["alice"]);
    desk.workshop.bring("base.yaml", "a: 1\n", None);
    let first = desk.workshop.bring("p.yaml", &text(), Some(&alice));
    assert!(matches!(held_against(&desk, &first).await, Sighting::Brought { .. }));
    desk.workshop.amend(Some(&alice));
    desk.workshop.push();
    assert_eq!(held_against(&desk, &first).await, rewritten());
    assert!(matches!(desk.see().await, Sighting::Brought { .. }), "whoever has no record can't tell");
}

#[tokio::test]
async fn an_object_that_was_taken_away_and_put_back_is_not_the_one_on_record() {
    let (desk, [alice]) = Desk::with_signers(["alice"]);
    let first = desk.workshop.bring("p.yaml", &text(), Some(&alice));
    desk.workshop.git(&["rm", "-q", "p.yaml"]);
    desk.workshop.commit("revoke", None);
    desk.workshop.bring("p.yaml", &text(), Some(&alice));
    assert_eq!(held_against(&desk, &first).await, rewritten());
}

#[tokio::test]
async fn a_file_that_was_moved_speaks_for_whoever_moved_it() {
    let (desk, [alice, bob]) = Desk::with_signers(["alice", "bob"]);
    let first = desk.workshop.bring("old.yaml", &text(), Some(&alice));
    desk.workshop.git(&["mv", "old.yaml", "new.yaml"]);
    let moved = desk.workshop.commit("move", Some(&bob));
    desk.workshop.push();
    let Sighting::Brought { file, commit, signature, .. } = held_against(&desk, &first).await else {
        panic!()
    };
    assert_eq!((file.as_str(), commit), ("new.yaml", moved));
    assert!(matches!(signature, Signature::Of { signer, .. } if signer == "bob"));
}

/// A commit with the files of the working tree and these parents, on which the branch stands afterwards.
fn commit_on(desk: &Desk, parents: &[&str]) -> String {
    let said = |args: &[&str]| String::from_utf8(desk.workshop.git(args).stdout).unwrap().trim().to_owned();
    desk.workshop.git(&["add", "-A"]);
    let tree = said(&["write-tree"]);
    let parents = parents.iter().flat_map(|parent| ["-p", parent]);
    let args: Vec<&str> = ["commit-tree", &tree, "-m", "made"].into_iter().chain(parents).collect();
    let commit = said(&args);
    desk.workshop.git(&["reset", "-q", "--hard", &commit]);
    commit
}

#[tokio::test]
async fn a_line_that_never_lost_it_does_not_speak_for_one_that_has_put_it_back() {
    let (desk, [alice]) = Desk::with_signers(["alice"]);
    let base = desk.workshop.bring("base.yaml", "a: 1\n", None);
    let signed = desk.workshop.bring("p.yaml", &text(), Some(&alice));
    desk.workshop.git(&["rm", "-q", "p.yaml"]);
    desk.workshop.commit("revoke", Some(&alice));
    desk.workshop.write("p.yaml", &text());
    let put_back = desk.workshop.commit("put back", None);
    // The tip has two parents that hold it. One leads straight to the signed commit, the other by way of its revocation.
    commit_on(&desk, &[&signed, &put_back]);
    desk.workshop.push();
    assert_eq!(desk.origin().await.1, put_back);
    // And where that is less plain: by a line that is no ancestor of the other one.
    let beside = commit_on(&desk, &[&signed, &base]);
    commit_on(&desk, &[&beside, &put_back]);
    desk.workshop.push();
    assert_eq!((desk.origin().await.1, desk.signature().await), (put_back, Signature::Missing));
}

#[tokio::test]
async fn a_commit_whose_parent_is_not_here_is_not_taken_for_the_one_that_brought_it() {
    let (mut desk, [alice]) = Desk::with_signers(["alice"]);
    desk.workshop.bring("p.yaml", &text(), None);
    desk.workshop.bring("other.yaml", "a: 1\n", Some(&alice));
    assert_eq!(desk.signature().await, Signature::Missing);
    // A repository that lacks the unsigned commit, and does not tell those who fetch from it.
    let (url, short) = (desk.workshop.url(), desk.workshop.path().join("short.git"));
    let folder = short.display().to_string();
    desk.workshop.run("git", &["clone", "-q", "--bare", "--depth", "1", &url, &folder]);
    desk.trust.repository = format!("file://{folder}");
    assert_eq!(desk.see().await, Sighting::TooOld { file: "p.yaml".to_owned() });
}
