//! Plans and approvals by git from their first look to what reaches the Proxmox, in a directory.

use jiff::{SignedDuration, Timestamp};
use proxmox_agent::{
    api::{Phase, ProxmoxActionApproval},
    ports::{Key as Name, Store},
};
use serde_json::{Value, json};

use crate::{
    story::{Story, assert_stands, plan_spec},
    support::{git::Workshop, git_server::GitServer, house::House, manifests::manifest},
};

#[tokio::test(flavor = "multi_thread")]
async fn what_was_asked_for_and_approved_by_signed_commits_is_done_once_even_in_production() {
    let story = Story::begin().await;
    let asked = story.plan(&json!({}), Some(&story.alice));
    let status = story.settled().await;
    assert_eq!(status.phase, Phase::AwaitingApproval, "{}", status.message);
    let approved = story.approval(&json!({}), Some(&story.bob)).await;
    let status = story.settled().await;
    assert_eq!(status.phase, Phase::Succeeded, "{} {}", status.message, story.answer().await.message);
    assert_eq!(story.executed(), 1);
    let provenance = status.provenance.unwrap();
    assert_eq!((provenance.commit.as_str(), provenance.signer.as_str()), (asked.as_str(), "alice"));
    assert_eq!((provenance.file.as_str(), provenance.verdict.as_str()), ("plans/p.yaml", "Verified"));
    let provenance = story.answer().await.provenance.unwrap();
    assert_eq!((provenance.commit.as_str(), provenance.signer.as_str()), (approved.as_str(), "bob"));
    assert_eq!(provenance.verdict, "Verified");

    let intent = story.home.records().into_iter().find(|record| record["event"] == "intent").unwrap();
    let named: Vec<[&Value; 3]> = intent["fromGit"]
        .as_array()
        .unwrap()
        .iter()
        .map(|origin| [&origin["object"], &origin["commit"], &origin["signer"]])
        .collect();
    assert_eq!(json!(named), json!([["plan p", asked, "alice"], ["approval a", approved, "bob"]]));
    story.settled().await;
    assert_eq!(story.executed(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_that_its_requester_has_not_signed_is_denied_with_the_reason() {
    for (signed_by, more, reason) in [
        (None, json!({}), "Unsigned"),
        (Some("bob"), json!({}), "SignerIsNotRequester"),
        (Some("mallory"), json!({}), "UnknownSigner"),
        (Some("alice"), json!({"requestedBy": "bob"}), "SignerIsNotRequester"),
    ] {
        let story = Story::begin().await;
        let mallory = story.workshop.ssh_key("mallory", "ed25519");
        let key = signed_by.map(|name| match name {
            "alice" => &story.alice,
            "bob" => &story.bob,
            _ => &mallory,
        });
        let commit = story.plan(&more, key);
        let status = story.settled().await;
        assert_stands(&status, Phase::Denied, reason);
        let provenance = status.provenance.unwrap();
        assert_eq!((provenance.commit, provenance.verdict.as_str()), (commit, reason));
        assert!(story.sim.ledger().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_that_is_not_in_the_repository_as_it_was_applied_is_denied() {
    let story = Story::begin().await;
    story.workshop.bring(
        "plans/p.yaml",
        &manifest("ProxmoxActionPlan", "p", &plan_spec(&json!({}))),
        Some(&story.alice),
    );
    story.home.write("ProxmoxActionPlan", "p", &plan_spec(&json!({"target": "qemu/100"})));
    let status = story.settled().await;
    assert_stands(&status, Phase::Denied, "FileDiffers");
    assert!(story.sim.ledger().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_names_git_where_the_owner_has_named_no_repository_is_refused() {
    let story = Story::begin().await;
    story.trust(&Value::Null);
    story.plan(&json!({}), Some(&story.alice));
    let status = story.settled().await;
    assert_stands(&status, Phase::Denied, "GitNotConfigured");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_that_its_approver_has_not_signed_does_not_count_and_says_why() {
    let story = Story::begin().await;
    let mallory = story.workshop.ssh_key("mallory", "ed25519");
    story.plan(&json!({}), Some(&story.alice));
    story.settled().await;
    let specs = story.approval_spec(&json!({})).await;
    for (number, (signed_by, reason)) in
        [(None, "Unsigned"), (Some(&mallory), "UnknownSigner"), (Some(&story.alice), "SignerIsNotApprover")]
            .into_iter()
            .enumerate()
    {
        let name = format!("a{number}");
        story.home.write("ProxmoxActionApproval", &name, &specs);
        let text = manifest("ProxmoxActionApproval", &name, &specs);
        let commit = story.workshop.bring(&format!("{name}.yaml"), &text, signed_by);
        let status = story.settled().await;
        assert_eq!(status.phase, Phase::AwaitingApproval, "{reason}: {}", status.message);
        let key = Name::new("default", &name);
        let answered: ProxmoxActionApproval = story.home.ports.store.get(&key).await.unwrap().unwrap();
        let answer = answered.status.unwrap();
        assert_eq!(answer.reason, reason, "{}", answer.message);
        assert_eq!(answer.provenance.unwrap().commit, commit);
    }
    let refused = story.home.records().into_iter().filter(|record| record["event"] == "approvalRefused");
    assert!(
        refused.clone().count() >= 3
            && refused.clone().all(|record| record["fromGit"][0]["commit"].is_string())
    );
    assert!(story.sim.ledger().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_in_the_same_repository_and_even_in_the_same_file_changes_nothing_about_its_plan() {
    let story = Story::begin().await;
    let soon = Timestamp::now() + SignedDuration::from_hours(1);
    let asked = story.plan(&json!({"notBefore": soon.to_string()}), Some(&story.alice));
    let judged = story.settled().await;
    let spec = story.approval_spec(&json!({})).await;
    story.home.write("ProxmoxActionApproval", "a", &spec);
    let both = format!(
        "{}\n---\n{}",
        manifest("ProxmoxActionPlan", "p", &plan_spec(&json!({"notBefore": soon.to_string()}))),
        manifest("ProxmoxActionApproval", "a", &spec)
    );
    let approved = story.workshop.bring("plans/p.yaml", &both, Some(&story.bob));
    let status = story.settled().await;
    assert_eq!(status.phase, Phase::Approved, "{}", status.message);
    assert_eq!(status.plan_hash, judged.plan_hash);
    story.home.clock.set(SignedDuration::from_hours(2));
    let status = story.settled().await;
    assert_eq!(status.phase, Phase::Succeeded, "{}", status.message);
    assert_eq!(status.plan_hash, judged.plan_hash);
    assert_eq!(status.provenance.unwrap().commit, asked);
    assert_eq!(story.answer().await.provenance.unwrap().commit, approved);
    assert_eq!(story.executed(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_history_that_is_rewritten_under_an_approved_plan_stops_it() {
    let story = Story::approved_and_waiting().await;
    story.workshop.git(&["reset", "-q", "--soft", "HEAD~2"]);
    story.workshop.commit("all anew", Some(&story.alice));
    story.workshop.push();
    story.home.clock.set(SignedDuration::from_hours(2));
    let status = story.settled().await;
    // Both were brought by another commit now: the approval is looked at first.
    assert_stands(&status, Phase::AwaitingApproval, "ApprovalGone");
    assert_eq!(story.answer().await.reason, "HistoryRewritten");
    assert!(story.sim.ledger().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_whose_commit_was_replaced_is_cancelled_even_if_its_approval_stands() {
    let story = Story::approved_and_waiting().await;
    let believed = story.read_plan().await.status.unwrap().provenance.unwrap().commit;
    let approval = std::fs::read_to_string(story.workshop.tree().join("approvals/a.yaml")).unwrap();
    story.workshop.git(&["reset", "-q", "--hard", "HEAD~1"]);
    story.workshop.amend(Some(&story.alice));
    story.workshop.bring("approvals/a.yaml", &approval, Some(&story.bob));
    // The approval is made anew too, so that nothing is wrong with it.
    std::fs::remove_file(story.home.file("ProxmoxActionApproval", "a")).unwrap();
    let spec = story.approval_spec(&json!({})).await;
    story.home.write("ProxmoxActionApproval", "b", &spec);
    story.workshop.bring(
        "approvals/b.yaml",
        &manifest("ProxmoxActionApproval", "b", &spec),
        Some(&story.bob),
    );
    story.home.clock.set(SignedDuration::from_hours(2));
    let status = story.settled().await;
    assert_stands(&status, Phase::Cancelled, "HistoryRewritten");
    assert_eq!(status.provenance.unwrap().commit, believed, "what was believed stays on record");
    assert!(story.sim.ledger().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_that_is_taken_out_of_the_repository_no_longer_counts() {
    let story = Story::approved_and_waiting().await;
    story.workshop.git(&["rm", "-q", "approvals/a.yaml"]);
    story.workshop.commit("revoke", None);
    story.workshop.push();
    story.home.clock.set(SignedDuration::from_hours(2));
    let status = story.settled().await;
    assert_stands(&status, Phase::AwaitingApproval, "ApprovalGone");
    assert_eq!(story.answer().await.reason, "NotInGit");
    assert!(story.sim.ledger().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_that_can_not_be_read_holds_everything_up_and_takes_nothing_back() {
    let story = Story::approved_and_waiting().await;
    let (here, away) = (story.workshop.path().join("remote.git"), story.workshop.path().join("away.git"));
    std::fs::rename(&here, &away).unwrap();
    story.home.clock.set(SignedDuration::from_hours(2));
    let status = story.settled().await;
    assert_stands(&status, Phase::Approved, "GitUnavailable");
    assert!(status.message.contains(&story.workshop.url()), "{}", status.message);
    let answer = story.answer().await;
    assert_eq!((answer.verdict, answer.reason.as_str()), (None, "GitUnavailable"));
    assert!(story.sim.ledger().is_empty());
    std::fs::rename(&away, &here).unwrap();
    let status = story.settled().await;
    assert_eq!(status.phase, Phase::Succeeded, "{}", status.message);
    assert_eq!(story.answer().await.reason, "Counted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_waits_for_its_repository() {
    let story = Story::begin().await;
    std::fs::rename(story.workshop.path().join("remote.git"), story.workshop.path().join("away.git"))
        .unwrap();
    story.home.write("ProxmoxActionPlan", "p", &plan_spec(&json!({})));
    let status = story.settled().await;
    assert_stands(&status, Phase::Pending, "GitUnavailable");
    std::fs::rename(story.workshop.path().join("away.git"), story.workshop.path().join("remote.git"))
        .unwrap();
    story.plan(&json!({}), Some(&story.alice));
    assert_eq!(story.settled().await.phase, Phase::AwaitingApproval);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_nowhere_to_be_found_whether_it_is_right_or_wrong() {
    let house = House::new("lab").await;
    let workshop = Workshop::new();
    let alice = workshop.ssh_key("alice", "ed25519");
    let server = GitServer::of(&workshop).await;
    let trust = json!({
        "repository": server.url, "caBundle": server.ca_pem, "signers": [workshop.signer("alice", &[&alice])],
        "credentials": {"secretRef": {"name": "git", "key": "login"}},
    });
    let environment = std::fs::read_to_string(house.dir().join("environment.yaml")).unwrap();
    house.write("environment.yaml", &format!("{environment}  git: {trust}\n"));
    let spec = plan_spec(&json!({"action": "start_guest", "dryRun": true}));
    house.write("p.yaml", &manifest("ProxmoxActionPlan", "p", &spec));
    workshop.bring("p.yaml", &manifest("ProxmoxActionPlan", "p", &spec), Some(&alice));
    for (password, ends) in [("open barley", "GitUnavailable"), ("open sesame", "DryRun")] {
        house.secret("git/login", &format!("reader:{password}\n"));
        let ended = house.command(&["standalone", "--once"]).env("RUST_LOG", "trace").output().unwrap();
        let status = house.status("p");
        assert_eq!(status["reason"], ends, "{status}");
        let mut sinks = house.kept();
        sinks.push(("stdout".to_owned(), String::from_utf8_lossy(&ended.stdout).into_owned()));
        sinks.push(("stderr".to_owned(), String::from_utf8_lossy(&ended.stderr).into_owned()));
        let encoded =
            if password == "open sesame" { "cmVhZGVyOm9wZW4gc2VzYW1l" } else { "cmVhZGVyOm9wZW4gYmFybGV5" };
        for (sink, text) in &sinks {
            assert!(!text.contains(password) && !text.contains(encoded), "{sink}");
        }
        assert!(sinks.iter().any(|(sink, _)| sink.contains("/git/")), "what was fetched is among them");
    }
}
