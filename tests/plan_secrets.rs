//! Passwords that plans name: they reach Proxmox and nobody else.
// A test that can't prepare its world has nothing better to do than to stop.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use proxmox_agent::pve::sim::{Fault, Trigger};
use support::{
    house::{Ended, House},
    stage::TOKEN,
    worlds,
};

const CANARY: &str = "quagga \"q\" & ü%41";

async fn house() -> House {
    House::in_world("lab", worlds::with_every_privilege()).await
}

/// Lets a plan run, approved if it has to be, with everything logged that can be.
fn carried_out(house: &House, plan: &str) -> Ended {
    let once =
        || Ended::from(house.command(&["standalone", "--once"]).env("RUST_LOG", "trace").output().unwrap());
    let first = once();
    if house.status(plan)["phase"] != "AwaitingApproval" {
        return first;
    }
    let approved = house.run(&["approve", plan, "--by", "approver@example.test"]);
    assert_eq!(approved.code, 0, "{approved:?}");
    once()
}

/// No part of the canary is anywhere, however it is written.
fn is_nowhere(house: &House, ended: &Ended, plan: &str) {
    let shown = house.run(&["plan", "show", plan]);
    let told = [("stdout", &ended.stdout), ("stderr", &ended.stderr), ("show", &shown.stdout)];
    let told = told.map(|(sink, text)| (sink.to_owned(), text.clone()));
    for (sink, text) in told.into_iter().chain(house.kept()) {
        assert!(
            !text.contains("quagga"),
            "the secret is in {sink}: {:?}",
            text.lines().find(|l| l.contains("quagga"))
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_reaches_proxmox_and_no_log_no_status_no_event_and_no_record() {
    let house = house().await;
    house.secret("guests/password", CANARY);
    for (plan, action, target, params) in [
        ("login", "set_guest_config", "qemu/101", "{cipassword: guests/password, ciuser: ops}"),
        ("vm", "create_vm", "qemu/777", "{node: pve1, cipassword: guests/password}"),
        (
            "container",
            "create_container",
            "lxc/778",
            "{node: pve1, template: \"local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst\", \
             rootfs: \"local-lvm:4\", password: guests/password, sshKeys: ssh-ed25519 AAAA}",
        ),
        (
            "share",
            "add_storage",
            "storage/nas",
            "{type: cifs, server: 192.0.2.9, share: backup, username: ops, password: guests/password}",
        ),
        (
            "vault",
            "add_storage",
            "storage/vault",
            "{type: pbs, server: 192.0.2.8, datastore: all, username: ops@pbs, password: guests/password, \
             encryptionKey: guests/password}",
        ),
    ] {
        house.plan(plan, action, target, &format!("  params: {params}\n"));
        let before = house.sim.ledger().len();
        let ended = carried_out(&house, plan);
        let calls: Vec<_> = house.sim.ledger().into_iter().skip(before).collect();
        let sent = calls.iter().any(|call| call.params.values().any(|value| value == "<hidden>"));
        assert!(sent, "{plan}: {} {calls:?}", house.status(plan));
        is_nowhere(&house, &ended, plan);
    }
    // What is there now may be a secret, too.
    house.plan("look", "read_guest", "qemu/101", "");
    house.plan("back", "set_guest_config", "qemu/101", "  params: {delete: cipassword}\n");
    is_nowhere(&house, &house.once(), "back");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_proxmox_repeats_in_an_error_is_not_passed_on() {
    for (value, echo) in [
        ("quagga", "quagga"),
        ("quagga\"x", "value quagga\"x"),
        ("quagga\nand", "quagga"),
        ("quagga%25", "a quagga%25 b"),
    ] {
        let house = house().await;
        house.secret("guests/password", value);
        house.plan("login", "set_guest_config", "qemu/101", "  params: {cipassword: guests/password}\n");
        let when = Trigger { method: Some("PUT".into()), ..Trigger::default() };
        house.sim.set_faults(vec![Fault::Answer {
            when,
            status: 400,
            reason: Some(echo.into()),
            executed: false,
        }]);
        let ended = carried_out(&house, "login");
        assert!(
            house.status("login")["message"].to_string().contains("[redacted]"),
            "{}",
            house.status("login")
        );
        is_nowhere(&house, &ended, "login");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_can_not_be_sent_is_noticed_before_anybody_is_asked() {
    let house = house().await;
    house.secret("guests/empty", "\n\n");
    house.secret("guests/token", &format!("{TOKEN}=quagga\n"));
    for (plan, key, why) in [
        ("missing", "none/password", "No such file"),
        ("empty", "guests/empty", "it is empty"),
        ("other", "guests/token", "API token"),
        ("own", "pve-home/token", "API token"),
    ] {
        house.plan(plan, "set_guest_config", "qemu/101", &format!("  params: {{cipassword: {key}}}\n"));
        let ended = house.once();
        let status = house.status(plan);
        assert_eq!(
            (status["phase"].as_str(), status["reason"].as_str()),
            (Some("Pending"), Some("SecretUnavailable"))
        );
        let message = status["message"].as_str().unwrap();
        assert!(message.starts_with("spec.params.cipassword: ") && message.contains(why), "{message}");
        is_nowhere(&house, &ended, plan);
    }
    assert!(house.calls().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_goes_after_the_approval_leaves_no_intent_behind() {
    let house = house().await;
    house.secret("guests/password", "quagga");
    house.plan("login", "set_guest_config", "qemu/101", "  params: {cipassword: guests/password}\n");
    house.once();
    house.secret("guests/password", "");
    let ended = carried_out(&house, "login");
    assert_eq!(house.status("login")["phase"], "Approved");
    let status = house.status("login");
    assert_eq!((ended.code, status["reason"].as_str()), (4, Some("SecretUnavailable")), "{status}");
    assert!(status["intent"].is_null() && house.calls().is_empty());
}
