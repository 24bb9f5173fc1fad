//! Firewall rules of the cluster, of nodes and of guests.
use reqwest::Method;
use serde_json::{Value, json};

use crate::setting::{ROOT, Setting, text};

const LEVELS: [&str; 4] = [
    "/cluster/firewall/rules",
    "/nodes/pve1/firewall/rules",
    "/nodes/pve1/qemu/100/firewall/rules",
    "/nodes/pve1/lxc/200/firewall/rules",
];

async fn add(setting: &Setting, level: &str, comment: &str) {
    let rule = [("type", "in"), ("action", "DROP"), ("comment", comment)];
    assert_eq!(setting.ask(Method::POST, level, &rule).await, Value::Null);
}

async fn comments(setting: &Setting, level: &str) -> Vec<String> {
    let rules = setting.get(level).await;
    rules.as_array().unwrap().iter().map(|rule| text(&rule["comment"]).to_owned()).collect()
}

#[tokio::test]
async fn a_new_rule_is_the_first_one_and_switched_off_at_every_level() {
    let setting = Setting::cluster("", ROOT).await;
    for level in LEVELS {
        add(&setting, level, "one").await;
        setting
            .ask(
                Method::POST,
                level,
                &[("type", "in"), ("action", "ACCEPT"), ("comment", "two"), ("pos", "1")],
            )
            .await;
        assert_eq!(comments(&setting, level).await, ["two", "one"], "{level}");
        let rule = setting.get(&format!("{level}/1")).await;
        assert_eq!((&rule["pos"], &rule["enable"], &rule["action"]), (&json!(1), &json!(0), &json!("DROP")));
    }
    setting.simulator.stop().await;
}

#[tokio::test]
async fn a_repeated_rule_is_there_twice() {
    let setting = Setting::cluster("", ROOT).await;
    add(&setting, LEVELS[0], "one").await;
    add(&setting, LEVELS[0], "one").await;
    assert_eq!(comments(&setting, LEVELS[0]).await, ["one", "one"]);
    setting.simulator.stop().await;
}

#[tokio::test]
async fn a_rule_moves_before_the_one_that_was_at_the_target() {
    let setting = Setting::cluster("", ROOT).await;
    for comment in ["c", "b", "a"] {
        add(&setting, LEVELS[1], comment).await;
    }
    let moved = [("moveto", "2"), ("comment", "unheard")];
    setting.ask(Method::PUT, "/nodes/pve1/firewall/rules/0", &moved).await;
    assert_eq!(comments(&setting, LEVELS[1]).await, ["b", "a", "c"]);
    setting.ask(Method::PUT, "/nodes/pve1/firewall/rules/0", &[("moveto", "9")]).await;
    assert_eq!(comments(&setting, LEVELS[1]).await, ["a", "c", "b"]);
    setting.simulator.stop().await;
}

#[tokio::test]
async fn a_change_for_another_version_of_the_rules_is_refused() {
    let setting = Setting::cluster("", ROOT).await;
    let path = "/nodes/pve1/qemu/100/firewall/rules/0";
    add(&setting, LEVELS[2], "one").await;
    let digest = text(&setting.get(LEVELS[2]).await[0]["digest"]).to_owned();
    setting.ask(Method::PUT, path, &[("enable", "1"), ("digest", &digest)]).await;
    assert_eq!(setting.get(path).await["enable"], 1);
    let late = setting.refusal(Method::DELETE, path, &[("digest", &digest)]).await;
    let text = "detected modified configuration - file changed by other user? Try again.";
    assert_eq!(late, (500, text.into()));
    setting.ask(Method::DELETE, path, &[]).await;
    let gone = setting.refusal(Method::DELETE, path, &[]).await;
    assert_eq!(gone, (500, "no rule at position 0".into()));
    setting.simulator.stop().await;
}

#[tokio::test]
async fn rules_and_names_that_a_world_declares_are_there() {
    let more = "definitions:
  firewallRules: {cluster: {rules: [{type: in, action: ACCEPT, enable: 1, source: +dc/admins}]}}
  firewallSets: {admins: {comment: who may enter}}
  firewallAliases: {gate: {}}
  firewallOptions: {cluster: {enable: 1}}\n";
    let setting = Setting::cluster(more, ROOT).await;
    assert_eq!(setting.get(LEVELS[0]).await[0]["source"], "+dc/admins");
    assert_eq!(setting.get("/cluster/firewall/options").await["enable"], 1);
    let sets = setting.get("/cluster/firewall/refs?type=ipset").await;
    let expected = json!([{
        "type": "ipset", "name": "admins", "ref": "+dc/admins", "scope": "dc", "comment": "who may enter",
    }]);
    assert_eq!(sets, expected);
    assert_eq!(setting.get("/cluster/firewall/refs").await.as_array().unwrap().len(), 2);
    setting.simulator.stop().await;
}

#[tokio::test]
async fn the_rules_of_a_guest_are_for_those_who_configure_its_network() {
    let setting = Setting::cluster("", "ada@pve!ci").await;
    let rule = [("type", "in"), ("action", "DROP")];
    let refused = setting.refusal(Method::POST, LEVELS[2], &rule).await;
    assert_eq!(refused, (403, "Permission check failed (/vms/100, VM.Config.Network)".into()));
    setting.ask(Method::POST, "/nodes/pve2/qemu/102/firewall/rules", &rule).await;
    let refused = setting.refusal(Method::POST, LEVELS[0], &rule).await;
    assert_eq!(refused, (403, "Permission check failed (/, Sys.Modify)".into()));
    setting.simulator.stop().await;
}
