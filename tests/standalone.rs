//! The whole program on a directory: a person with an editor, the real binary, a simulated Proxmox.
// A test that can't prepare its world has nothing better to do than to stop.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::{fs, os::unix::fs::PermissionsExt};

use support::{house::House, patience::until, stage::TOKEN, worlds};

#[tokio::test(flavor = "multi_thread")]
async fn a_low_risk_plan_runs_and_the_exit_code_says_so() {
    let house = House::new("lab").await;
    house.plan("start", "start_guest", "qemu/101", "");
    let ended = house.once();
    assert_eq!((ended.code, house.status("start")["phase"].as_str()), (0, Some("Succeeded")), "{ended:?}");
    assert_eq!(house.calls(), ["POST /nodes/pve1/qemu/101/status/start"]);
    assert_eq!(house.once().code, 0);
    assert_eq!(house.calls().len(), 1, "a finished plan ran again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_high_risk_plan_waits_for_an_approval_file() {
    let house = House::new("lab").await;
    house.plan("delete", "delete_guest", "qemu/101", "");
    assert_eq!(house.once().code, 4);
    assert!(house.calls().is_empty());
    let proof = house.status("delete")["approvals"]["proof"].as_str().unwrap().to_owned();
    assert!(proof.contains("worth write access to this directory"), "{proof}");
    let approved = house.run(&["approve", "delete", "--by", "approver@example.test"]);
    assert_eq!(approved.code, 0, "{approved:?}");
    assert!(approved.stdout.contains("critical: the guest and its disks are gone for good"));
    let again = house.run(&["approve", "delete", "--by", "approver@example.test"]);
    assert_eq!(again.code, 1);
    assert!(again.stderr.contains("is there already: delete it"), "{again:?}");
    assert_eq!(house.once().code, 0);
    assert_eq!(house.calls(), ["DELETE /nodes/pve1/qemu/101"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn production_does_not_accept_what_anybody_with_an_editor_can_write() {
    let house = House::new("production").await;
    house.plan("delete", "delete_guest", "qemu/101", "");
    house.once();
    house.run(&["approve", "delete", "--by", "approver@example.test"]);
    assert_eq!(house.once().code, 4);
    let file = house
        .state()
        .join("objects/proxmoxactionapprovals/default/delete-approval-approver-example-test.yaml");
    let approval = fs::read_to_string(file).unwrap();
    assert!(approval.contains("an environment of tier production does not accept that"), "{approval}");
    assert!(house.calls().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_picked_up_while_it_runs() {
    let house = House::new("lab").await;
    let _daemon = house.daemon();
    house.plan("delete", "delete_guest", "lxc/201", "");
    house.comes_to("delete", "AwaitingApproval").await;
    house.run(&["approve", "delete", "--by", "approver@example.test"]);
    house.comes_to("delete", "Succeeded").await;
    assert_eq!(house.calls(), ["DELETE /nodes/pve3/lxc/201"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_is_told_to_stay_out() {
    let house = House::new("lab").await;
    let _daemon = house.daemon();
    until("the first has the lock", || house.state().join("lock").exists()).await;
    house.plan("start", "start_guest", "qemu/101", "");
    house.comes_to("start", "Succeeded").await;
    let second = house.once();
    assert_eq!(second.code, 1);
    assert!(second.stderr.contains("another process uses it"), "{second:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_is_killed_and_started_again_never_sends_twice() {
    let house = House::in_world("lab", worlds::start_meets("fault: lateResponse, seconds: 30")).await;
    let daemon = house.daemon();
    house.plan("start", "start_guest", "qemu/101", "");
    until("the call has arrived", || !house.calls().is_empty()).await;
    daemon.kill();
    assert_eq!(house.status("start")["phase"], "Dispatching");
    assert_eq!(house.once().code, 0);
    assert_eq!(house.status("start")["phase"], "Succeeded");
    assert_eq!(house.calls().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_outcome_is_left_by_a_decision_that_names_its_attempt() {
    let house = House::in_world("lab", worlds::start_meets("fault: lostRequest")).await;
    house.plan("start", "start_guest", "qemu/101", "");
    house.once();
    assert_eq!(house.status("start")["phase"], "Indeterminate", "{}", house.status("start"));
    house.sim.set_faults(vec![]);
    let approve =
        |more: &[&str]| house.run(&[&["approve", "start", "--by", "approver@example.test"], more].concat());
    for (more, refusal) in [
        (
            &[][..],
            "it is unknown what became of attempt 1 of plan start. Read what is known of it, then say --attempt 1",
        ),
        (&["--attempt", "2"], "it is attempt 1 of plan start that has to be decided about, not 2"),
    ] {
        let refused = approve(more);
        assert_eq!(refused.code, 1);
        assert!(refused.stderr.contains(refusal), "{}", refused.stderr);
        assert!(refused.stdout.contains("no answer came"), "{}", refused.stdout);
    }
    house.once();
    assert!(house.calls().is_empty(), "{:?}", house.calls());
    let shown = house.run(&["plan", "show", "start"]).stdout;
    let dir = house.dir().canonicalize().unwrap();
    let typed =
        format!("proxmox-agent approve start --dir {} -n default --attempt 1 --by YOU", dir.display());
    assert!(shown.contains(&typed), "{typed} is not in {shown}");
    assert_eq!(approve(&["--attempt", "1"]).code, 0);
    assert_eq!(house.once().code, 0, "{}", house.status("start"));
    assert_eq!(house.status("start")["attempts"], 2);
    assert_eq!(house.calls(), ["POST /nodes/pve1/qemu/101/status/start"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_is_named_and_stops_nobody_else() {
    let house = House::new("lab").await;
    house.plan("action", "format_disk", "qemu/101", "");
    house.plan("target", "start_guest", "qemu/abc", "");
    house.plan("type", "shutdown_guest", "qemu/101", "  params: {timeout: soon}\n");
    house.plan("nowhere", "start_guest", "qemu/101", "");
    let nowhere = fs::read_to_string(house.dir().join("nowhere.yaml")).unwrap();
    house.write("nowhere.yaml", &nowhere.replace("environment: home", "environment: cloud"));
    house.plan("unknown-field", "start_guest", "qemu/101", "  colour: red\n");
    house.plan("garbage", "start_guest", "qemu/101", &format!("  reason: {}\n", "x".repeat(900_000)));
    house.write("broken.yaml", "apiVersion: proxmox-agent.io/v1alpha1\nkind: [\n");
    house.plan("fine", "start_guest", "lxc/201", "");
    let ended = house.once();
    assert_eq!(ended.code, 1);
    let message = |plan: &str| house.status(plan)["message"].as_str().unwrap_or_default().to_owned();
    for (plan, expected) in [
        ("action", "spec.action: `format_disk` is not an action"),
        ("target", "spec.target: `qemu/abc` is no guest"),
        ("type", "spec.params.timeout: must be a whole number"),
        ("nowhere", "spec.environment: there is no ProxmoxEnvironment `cloud`"),
    ] {
        assert!(message(plan).starts_with(expected), "{plan}: {}", message(plan));
    }
    for expected in ["spec.colour", "spec.reason", "broken.yaml"] {
        assert!(ended.stderr.contains(expected), "{expected} is missing in {}", ended.stderr);
    }
    assert!(ended.stderr.len() < 8192, "garbage is repeated: {} bytes", ended.stderr.len());
    assert_eq!(house.status("fine")["phase"], "Succeeded");
    assert_eq!(house.calls(), ["POST /nodes/pve3/lxc/201/status/start"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_person_gets_wrong_on_the_command_line_is_answered_plainly() {
    let house = House::new("lab").await;
    let missing = house.run(&["plan", "show", "no-such-plan"]);
    assert_eq!(missing.code, 1);
    assert!(
        missing.stderr.contains("there is no plan `no-such-plan` in namespace default yet"),
        "{missing:?}"
    );
    let outside = house.run(&["plan", "show", "../../../etc/no-such-plan"]);
    assert!(outside.stderr.contains("is not the name of a plan"), "{outside:?}");
    house.plan("start", "start_guest", "qemu/101", "");
    house.once();
    let late = house.run(&["approve", "start", "--by", "approver@example.test"]);
    assert!(late.stderr.contains("plan start does not wait for approval: it is Succeeded"), "{late:?}");
    let unreadable = house.state().join("secrets/default/pve-home/token");
    fs::set_permissions(&unreadable, fs::Permissions::from_mode(0o644)).unwrap();
    house.plan("again", "start_guest", "lxc/201", "");
    house.once();
    let message = house.status("again")["message"].to_string();
    assert!(message.contains("chmod 600"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_secret_stays_in_its_file() {
    let house = House::new("lab").await;
    house.plan("start", "start_guest", "qemu/101", "");
    house.plan("no", "start_guest", "qemu/999", "");
    let ended = house.once();
    let secret = &house.sim.tokens()[TOKEN];
    assert!(!ended.stdout.contains(secret) && !ended.stderr.contains(secret));
    for (file, text) in house.kept() {
        assert!(!text.contains(secret), "the secret is in {file}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_belongs_to_the_whole_cluster_is_carried_out_by_any_node_that_is_there() {
    let house = House::in_world("lab", worlds::with_every_privilege()).await;
    house.plan("group", "create_pool", "pool/tests", "");
    let ended = house.once();
    assert_eq!(ended.code, 0, "{}", house.status("group"));
    assert_eq!(house.calls(), ["POST /pools"]);
}
