//! How a branch comes here.

use std::fs;

use proxmox_agent::core::provenance::Sighting;
use secrecy::SecretString;
use serde_json::json;

use crate::{
    desk::{Desk, document, plan, wanted},
    support::git_server::{CREDENTIALS, GitServer},
};

fn text() -> String {
    document("p", &plan(&json!({})))
}

async fn served(desk: &mut Desk) -> GitServer {
    let server = GitServer::of(&desk.workshop).await;
    desk.trust.repository.clone_from(&server.url);
    desk.trust.ca_bundle = Some(server.ca_pem.clone());
    desk.credentials = Some(SecretString::from(CREDENTIALS));
    server
}

async fn refusal(desk: &Desk) -> String {
    desk.try_look(wanted("p", &plan(&json!({})))).await.unwrap_err().to_string()
}

#[tokio::test]
async fn a_private_repository_is_read_over_tls_and_only_read() {
    let (mut desk, [alice]) = Desk::with_signers(["alice"]);
    let server = served(&mut desk).await;
    let commit = desk.workshop.bring("p.yaml", &text(), Some(&alice));
    assert_eq!(desk.origin().await, ("p.yaml".to_owned(), commit));
    let commit =
        desk.workshop.bring("p.yaml", &document("p", &plan(&json!({"reason": "more"}))), Some(&alice));
    let newer = desk.look(wanted("p", &plan(&json!({"reason": "more"})))).await;
    assert!(
        matches!(newer, Sighting::Brought { commit: found, .. } if found == commit),
        "what is new is fetched"
    );
    for line in server.asked() {
        let (method, path) = line.split_once(' ').unwrap();
        let branches = method == "GET" && path == "/remote.git/info/refs?service=git-upload-pack";
        assert!(branches || (method == "POST" && path == "/remote.git/git-upload-pack"), "{line}");
    }
}

#[tokio::test]
async fn not_more_commits_than_asked_for_are_fetched() {
    let (mut desk, [alice]) = Desk::with_signers(["alice"]);
    let _server = served(&mut desk).await;
    desk.trust.depth = 3;
    for number in 0..8 {
        desk.workshop.bring("other.yaml", &format!("a: {number}\n"), None);
    }
    let commit = desk.workshop.bring("p.yaml", &text(), Some(&alice));
    assert_eq!(desk.origin().await.1, commit);
    assert_eq!(commits(&desk), 3);
    desk.workshop.bring("other.yaml", "b: 1\n", None);
    assert_eq!(desk.origin().await.1, commit);
    desk.workshop.bring("other.yaml", "b: 2\n", None);
    assert_eq!(desk.see().await, Sighting::TooOld { file: "p.yaml".to_owned() });
}

/// How many commits lead to the newest one in what was fetched.
fn commits(desk: &Desk) -> usize {
    let folder = desk.fetched().display().to_string();
    let counted = desk.workshop.run("git", &["-C", &folder, "rev-list", "--count", "refs/heads/main"]);
    String::from_utf8(counted.stdout).unwrap().trim().parse().unwrap()
}

#[tokio::test]
async fn a_wrong_password_is_told_and_not_repeated() {
    let (mut desk, _) = Desk::with_signers(["alice"]);
    let _server = served(&mut desk).await;
    desk.workshop.bring("p.yaml", &text(), None);
    desk.credentials = Some(SecretString::from("reader:hunter2"));
    let refused = refusal(&desk).await;
    assert!(refused.contains("401 Unauthorized") && refused.contains("spec.git.credentials"), "{refused}");
    assert!(!refused.contains("hunter2"), "{refused}");
    desk.credentials = Some(SecretString::from("hunter2"));
    let refused = refusal(&desk).await;
    assert!(refused.contains("`user:password`") && !refused.contains("hunter2"), "{refused}");
    desk.credentials = None;
    assert!(refusal(&desk).await.contains("give it spec.git.credentials"));
}

#[tokio::test]
async fn a_server_that_nobody_vouches_for_is_told_nothing() {
    let (mut desk, _) = Desk::with_signers(["alice"]);
    let server = served(&mut desk).await;
    desk.workshop.bring("p.yaml", &text(), None);
    let stranger = GitServer::of(&desk.workshop).await;
    desk.trust.ca_bundle = Some(stranger.ca_pem.clone());
    let refused = refusal(&desk).await;
    assert!(refused.contains("certificate"), "{refused}");
    assert!(server.asked().is_empty());
    desk.trust.ca_bundle = Some("nothing".to_owned());
    assert!(refusal(&desk).await.contains("spec.git.caBundle can't be used"));
}

#[tokio::test]
async fn nobody_is_sent_on_to_another_server() {
    let (mut desk, _) = Desk::with_signers(["alice"]);
    let server = served(&mut desk).await;
    desk.workshop.bring("p.yaml", &text(), None);
    let other = GitServer::of(&desk.workshop).await;
    server.send_on_to(&format!("{}?token=hunter2", other.url));
    let refused = refusal(&desk).await;
    assert!(refused.contains(&format!("sends us on to {}", other.url)), "{refused}");
    assert!(!refused.contains("hunter2"), "{refused}");
    assert!(other.asked().is_empty());
}

#[tokio::test]
async fn a_branch_or_a_repository_that_is_not_there_is_told() {
    let mut desk = Desk::new();
    desk.workshop.bring("p.yaml", &text(), None);
    desk.origin().await;
    desk.trust.branch = "release".to_owned();
    let refused = refusal(&desk).await;
    assert!(refused.contains("failed to read branch release of file://"), "{refused}");
    assert!(refused.contains("refs/heads/release"), "{refused}");
    desk.trust.branch = "main:refs/heads/other".to_owned();
    assert!(refusal(&desk).await.contains("spec.git.branch"));
    desk.trust.repository = "file:///nowhere/at/all".to_owned();
    assert!(refusal(&desk).await.contains("/nowhere/at/all"));
}

#[tokio::test]
async fn a_branch_that_was_deleted_does_not_live_on_here() {
    let mut desk = Desk::new();
    let server = served(&mut desk).await;
    desk.workshop.bring("p.yaml", &text(), None);
    desk.origin().await;
    desk.workshop.git(&["push", "-q", "origin", "HEAD:refs/heads/other"]);
    desk.workshop.run("git", &["-C", "remote.git", "update-ref", "-d", "refs/heads/main"]);
    assert!(refusal(&desk).await.contains("refs/heads/main"));
    drop(server);
    let gone = refusal(&desk).await;
    assert!(gone.contains(&desk.trust.repository), "{gone}");
}

#[tokio::test]
async fn what_was_kept_may_be_lost_or_spoilt() {
    let desk = Desk::new();
    desk.workshop.bring("p.yaml", &text(), None);
    let first = desk.origin().await;
    fs::write(desk.fetched().join("HEAD"), "nonsense").unwrap();
    assert_eq!(desk.origin().await, first);
    fs::remove_dir_all(desk.fetched()).unwrap();
    assert_eq!(desk.origin().await, first);
}

#[tokio::test]
async fn who_asks_while_another_one_fetches_waits_for_the_next_fetch_and_shares_it() {
    let (mut desk, [alice]) = Desk::with_signers(["alice"]);
    let server = served(&mut desk).await;
    let commit = desk.workshop.bring("p.yaml", &text(), Some(&alice));
    let looks = (0..10).map(|_| desk.origin());
    let seen = futures::future::join_all(looks).await;
    assert!(seen.iter().all(|(_, found)| *found == commit));
    let fetches = server.asked().iter().filter(|line| line.starts_with("GET")).count();
    assert_eq!(fetches, 2, "the one that was under way may not have seen what the others ask for");
}

#[tokio::test]
async fn what_one_namespace_may_read_is_not_shown_to_another() {
    let (mut desk, _) = Desk::with_signers(["alice"]);
    let _server = served(&mut desk).await;
    desk.workshop.bring("p.yaml", &text(), None);
    desk.origin().await;
    desk.credentials = None;
    let wanted = proxmox_agent::core::provenance::Wanted {
        namespace: "other".to_owned(),
        ..wanted("p", &plan(&json!({})))
    };
    assert!(desk.try_look(wanted).await.unwrap_err().to_string().contains("401 Unauthorized"));
    assert_eq!(fs::read_dir(desk.workshop.path().join("fetched")).unwrap().count(), 2);
}
