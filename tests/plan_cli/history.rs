use std::fs;

use serde_json::Value;

use crate::support::{
    house::{Ended, House},
    manifests::REQUESTER,
    patience::until,
    tree::Tree,
};

fn timeline(house: &House, more: &[&str]) -> Vec<Value> {
    let told = house.run(&[&["plan", "history", "delete", "-o", "json"][..], more].concat());
    assert_eq!(told.code, 0, "{told:?}");
    serde_json::from_str(&told.stdout).unwrap()
}

fn events(timeline: &[Value]) -> Vec<&str> {
    timeline.iter().map(|entry| entry["event"].as_str().unwrap()).collect()
}

fn approve(house: &House, by: &str) -> Ended {
    let approved = house.run(&["approve", "delete", "--by", by, "--reason", "checked"]);
    assert_eq!(approved.code, 0, "{approved:?}");
    approved
}

/// A plan that the requester approves in vain, then somebody else for good.
async fn carried_out() -> (House, Tree) {
    let house = House::new("lab").await;
    let tree = Tree::around(house.dir(), REQUESTER);
    house.plan("delete", "delete_guest", "qemu/101", "");
    tree.git(&["add", "-A"]);
    tree.git(&["commit", "--quiet", "-S", "-m", "Ask for it"]);
    assert_eq!(house.once().code, 4);
    approve(&house, REQUESTER);
    assert_eq!(house.once().code, 4);
    approve(&house, "approver@example.test");
    tree.git(&["add", "-A"]);
    tree.git(&["commit", "--quiet", "--no-gpg-sign", "-m", "Approve it"]);
    assert_eq!(house.once().code, 0);
    (house, tree)
}

#[test]
fn a_signed_commit_is_called_signed_where_git_knows_no_signers_too() {
    let tree = Tree::new();
    tree.git(&["config", "--unset", "gpg.ssh.allowedSignersFile"]);
    let new = ["plan", "new", "start_guest", "qemu/102", "--env", "home", "--name", "start"];
    assert_eq!(tree.run(&[&new[..], &["--commit"]].concat()).code, 0);
    let told = tree.run(&["plan", "history", "start"]);
    assert!(told.stdout.contains("(signed, but your git can't check it: "), "{told:?}");
    tree.git(&["commit", "--quiet", "--no-gpg-sign", "--amend", "--no-edit"]);
    let told = tree.run(&["plan", "history", "start"]);
    assert!(told.stdout.contains("(not signed)"), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_on_record_becomes_one_timeline() {
    let (house, _tree) = carried_out().await;
    let timeline = timeline(&house, &[]);
    let times: Vec<jiff::Timestamp> =
        timeline.iter().map(|entry| entry["time"].as_str().unwrap().parse().unwrap()).collect();
    assert!(times.is_sorted(), "{times:?}");
    let events = events(&timeline);
    for expected in ["created", "planned", "approvalRefused", "approval", "intent", "sent", "ended", "commit"]
    {
        assert!(events.contains(&expected), "{expected} is missing in {events:?}");
    }
    let told = |event: &str, text: &str| {
        let mut of_event = timeline.iter().filter(|entry| entry["event"] == event);
        assert!(
            of_event.any(|entry| entry["message"].as_str().unwrap().contains(text)),
            "no {event} says `{text}`: {timeline:#?}"
        );
    };
    told("created", &format!("delete_guest on qemu/101 in home, asked by {REQUESTER}; it is Succeeded"));
    told("approval", "by requester@example.test, because: checked; Refused: ");
    told("approval", "by approver@example.test, because: checked; Counted: ");
    told("intent", "DELETE /nodes/pve1/qemu/101: ");
    told("intent", "(approved by approver@example.test)");
    told("sent", "UPID:pve1:");
    told("commit", &format!("delete.yaml added by Somebody <{REQUESTER}>"));
    told("commit", &format!("Ask for it (signed by {REQUESTER})"));
    told("commit", "Approve it (not signed)");
    let text = house.run(&["plan", "history", "delete"]).stdout;
    assert_eq!(text.lines().count(), 1 + timeline.len(), "{text}");
    assert!(text.starts_with("Plan default/delete\n"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_that_was_made_again_is_told_from_the_one_before() {
    let (house, _tree) = carried_out().await;
    let daemon = house.daemon();
    for file in ["delete.yaml", "delete-approval-approver-example-test.yaml"] {
        fs::remove_file(house.dir().join(file)).unwrap();
    }
    until("the first is gone", || house.status("delete").is_null()).await;
    house.plan("delete", "delete_guest", "lxc/201", "");
    house.comes_to("delete", "AwaitingApproval").await;
    daemon.kill();
    let timeline = timeline(&house, &[]);
    let of = |target: &str| {
        let about = |entry: &&Value| {
            entry["message"].as_str().unwrap().starts_with(&format!("delete_guest on {target}"))
        };
        timeline.iter().find(about).unwrap_or_else(|| panic!("nothing about {target}: {timeline:#?}"))
    };
    assert_ne!(of("qemu/101")["planUid"], of("lxc/201")["planUid"]);
    assert!(of("qemu/101")["message"].as_str().unwrap().ends_with("its file is gone"));
    assert!(
        timeline
            .iter()
            .any(|entry| entry["event"] == "ended" && entry["planUid"] != of("lxc/201")["planUid"])
    );
    let text = house.run(&["plan", "history", "delete"]).stdout;
    assert!(text.starts_with("Plan default/delete: 2 plans of that name\n"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_log_alone_is_enough_and_a_torn_line_is_no_obstacle() {
    let (house, _tree) = carried_out().await;
    let log = fs::read_to_string(house.state().join("audit/00000001.jsonl")).unwrap();
    let elsewhere = Tree::new();
    elsewhere.write("operator/00000001.jsonl", &format!("{log}{{\"time\":\"2026\n"));
    let args = ["plan", "history", "delete", "--audit", "operator"];
    let told = elsewhere.run(&args);
    assert_eq!(told.code, 0, "{told:?}");
    // The line that says whose chain it is tells nothing of the plan.
    assert_eq!(told.stdout.lines().count(), log.lines().count(), "{told:?}");
    let torn = format!("operator/00000001.jsonl:{}: ", log.lines().count() + 1);
    assert!(told.stderr.contains(&torn), "{told:?}");
    let other = elsewhere.run(&[&args[..], &["-n", "other"]].concat());
    assert!(
        other.code == 1
            && other.stderr.contains("nothing is on record about a plan delete in namespace other")
    );
    let missing = elsewhere.run(&["plan", "history", "delete", "--audit", "nowhere"]);
    assert!(
        missing.code == 1 && missing.stderr.contains("failed to read the audit log nowhere"),
        "{missing:?}"
    );
}
