//! High availability: resources, rules, the manager, and what becomes of the guests.
use reqwest::Method;
use serde_json::{Value, json};

use crate::setting::{ROOT, Setting, row, text, until};

const RESOURCES: &str = "/cluster/ha/resources";
const RULES: &str = "/cluster/ha/rules";
const MANAGED: &str = "ha: {'vm:100': {config: {state: started}}, 'vm:102': {config: {state: started}}}\n";

async fn with_rule(rule: &str) -> Setting {
    let more = format!("{MANAGED}definitions: {{haRules: {{r1: {rule}}}}}\n");
    Setting::cluster(&more, ROOT).await
}

async fn node_of(setting: &Setting, vmid: u32) -> String {
    let guests = setting.get("/cluster/resources?type=vm").await;
    text(&row(&guests, "vmid", vmid)["node"]).to_owned()
}

#[tokio::test]
async fn a_stopped_resource_that_is_to_run_is_started_by_the_manager() {
    let setting = Setting::cluster("", ROOT).await;
    let stop = setting.done(Method::POST, "/nodes/pve2/qemu/102/status/stop", &[]).await;
    assert_eq!(stop.1, "OK");
    assert_eq!(setting.ask(Method::POST, RESOURCES, &[("sid", "vm:102")]).await, Value::Null);
    let again = setting.refusal(Method::POST, RESOURCES, &[("sid", "vm:102")]).await;
    assert_eq!(again, (500, "create resource failed: resource ID 'vm:102' already defined".into()));
    until(|| async {
        let guest = setting.get("/nodes/pve2/qemu/102/status/current").await;
        (guest["status"] == "running" && guest["ha"]["managed"] == 1).then_some(())
    })
    .await;
    setting.simulator.stop().await;
}

#[tokio::test]
async fn a_change_of_a_resource_for_another_version_of_the_file_is_refused() {
    let setting = Setting::cluster(MANAGED, ROOT).await;
    let path = "/cluster/ha/resources/vm:100";
    let digest = text(&setting.get(path).await["digest"]).to_owned();
    setting.ask(Method::PUT, path, &[("max_restart", "3"), ("digest", &digest)]).await;
    assert_eq!(setting.get(path).await["max_restart"], 3);
    let late = setting.refusal(Method::PUT, path, &[("max_restart", "4"), ("digest", &digest)]).await;
    assert!(late.1.ends_with("detected modified configuration - file changed by other user? Try again."));
    let missing = setting.refusal(Method::DELETE, "/cluster/ha/resources/vm:101", &[]).await;
    assert_eq!(missing, (500, "cannot delete service 'vm:101', not HA managed!".into()));
    setting.simulator.stop().await;
}

#[tokio::test]
async fn rules_are_judged_by_what_they_are_about() {
    let setting = Setting::cluster(MANAGED, ROOT).await;
    let create = async |form: &[(&str, &str)]| setting.refusal(Method::POST, RULES, form).await.1;
    let affinity = |resources: &'static str| {
        [("rule", "r1"), ("type", "resource-affinity"), ("affinity", "negative"), ("resources", resources)]
    };
    let unmanaged = create(&affinity("vm:100,vm:101")).await;
    assert_eq!(unmanaged, "create ha rule failed: cannot use unmanaged resource(s) vm:101.");
    let single = create(&affinity("vm:100")).await;
    assert!(single.ends_with("rule is ineffective as there are less than two resources"), "{single}");
    setting.ask(Method::POST, RULES, &affinity("vm:100,vm:102")).await;
    let rules = setting.get("/cluster/ha/rules?resource=vm:102").await;
    assert_eq!((&rules[0]["rule"], &rules[0]["order"]), (&json!("r1"), &json!(1)));
    setting.ask(Method::DELETE, "/cluster/ha/rules/r1", &[]).await;
    assert_eq!(setting.get(RULES).await, json!([]));
    setting.simulator.stop().await;
}

#[tokio::test]
async fn a_resource_that_leaves_leaves_its_rules_too_unless_they_keep_it() {
    let rule = "{type: node-affinity, resources: 'vm:100,vm:102', nodes: pve1}";
    let setting = with_rule(rule).await;
    setting.ask(Method::DELETE, "/cluster/ha/resources/vm:100", &[("purge", "0")]).await;
    assert_eq!(setting.get(RULES).await[0]["resources"], "vm:100,vm:102");
    setting.ask(Method::DELETE, "/cluster/ha/resources/vm:102", &[]).await;
    assert_eq!(setting.get(RULES).await[0]["resources"], "vm:100");
    setting.simulator.stop().await;
}

#[tokio::test]
async fn a_move_that_a_rule_forbids_is_accepted_and_does_not_happen() {
    let setting =
        with_rule("{type: resource-affinity, affinity: negative, resources: 'vm:100,vm:102'}").await;
    let path = "/cluster/ha/resources/vm:100/migrate";
    let blocked = setting.ask(Method::POST, path, &[("node", "pve2")]).await;
    assert_eq!(blocked["blocking-resources"], json!([{ "sid": "vm:102", "cause": "resource-affinity" }]));
    assert_eq!(node_of(&setting, 100).await, "pve1");
    let moved = setting.ask(Method::POST, path, &[("node", "pve3")]).await;
    assert_eq!(moved, json!({ "sid": "vm:100", "requested-node": "pve3" }));
    until(|| async { (node_of(&setting, 100).await == "pve3").then_some(()) }).await;
    let tasks = setting.get("/nodes/pve1/tasks?typefilter=qmigrate").await;
    assert_eq!((&tasks[0]["id"], &tasks[0]["user"]), (&json!("100"), &json!("root@pam")));
    setting.simulator.stop().await;
}

#[tokio::test]
async fn a_strict_rule_forbids_the_nodes_that_it_does_not_name() {
    let path = "/cluster/ha/resources/vm:100/migrate";
    for (strict, blocked) in [(1, json!([{ "sid": "vm:100", "cause": "node-affinity" }])), (0, Value::Null)] {
        let rule =
            format!("{{type: node-affinity, resources: 'vm:100', nodes: 'pve1:2,pve3', strict: {strict}}}");
        let setting = with_rule(&rule).await;
        let asked = setting.ask(Method::POST, path, &[("node", "pve2")]).await;
        assert_eq!(asked["blocking-resources"], blocked);
        setting.simulator.stop().await;
    }
}

#[tokio::test]
async fn a_resource_takes_its_companions_along() {
    let setting =
        with_rule("{type: resource-affinity, affinity: positive, resources: 'vm:100,vm:102'}").await;
    let moved = setting.ask(Method::POST, "/cluster/ha/resources/vm:100/relocate", &[("node", "pve3")]).await;
    assert_eq!(moved["comigrated-resources"], json!(["vm:102"]));
    until(|| async { (node_of(&setting, 102).await == "pve3").then_some(()) }).await;
    setting.simulator.stop().await;
}

#[tokio::test]
async fn a_disarmed_manager_follows_requests_only_when_it_is_armed_again() {
    let setting = Setting::cluster(MANAGED, ROOT).await;
    let fencing = async || row(&setting.get("/cluster/ha/status/current").await, "id", "fencing").clone();
    assert_eq!(fencing().await["armed-state"], "armed");
    let disarm = [("resource-mode", "freeze")];
    assert_eq!(setting.ask(Method::POST, "/cluster/ha/status/disarm-ha", &disarm).await, Value::Null);
    assert_eq!(fencing().await["status"], "disarmed, resource mode: freeze (CRM watchdog released)");
    let stop = setting.done(Method::POST, "/nodes/pve1/qemu/100/status/stop", &[]).await;
    assert!(stop.0.contains(":hastop:100:") && stop.1 == "OK", "{stop:?}");
    let shutdowns = setting.get("/nodes/pve1/tasks?source=all&typefilter=qmshutdown").await;
    assert_eq!(shutdowns, json!([]));
    setting.ask(Method::POST, "/cluster/ha/status/arm-ha", &[]).await;
    until(|| async {
        let guest = setting.get("/nodes/pve1/qemu/100/status/current").await;
        (guest["status"] == "stopped").then_some(())
    })
    .await;
    setting.simulator.stop().await;
}

#[tokio::test]
async fn a_manager_without_resources_stands_by_until_it_is_armed() {
    let setting = Setting::cluster("", ROOT).await;
    let idle = setting.get("/cluster/ha/status/manager_status").await;
    assert_eq!(idle["manager_status"], json!({ "node_status": {} }));
    assert_eq!(idle["quorum"], json!({ "node": "pve1", "quorate": "1" }));
    setting.ask(Method::POST, "/cluster/ha/status/arm-ha", &[]).await;
    let status = setting.get("/cluster/ha/status/current").await;
    assert!(text(&row(&status, "id", "lrm:pve2")["status"]).starts_with("pve2 (idle, watchdog standby, "));
    let busy = setting.get("/cluster/ha/status/manager_status").await;
    assert_eq!(busy["manager_status"]["node_status"]["pve3"], "online");
    setting.simulator.stop().await;
}

#[tokio::test]
async fn groups_have_been_migrated_except_on_an_older_version() {
    let setting = Setting::cluster("", ROOT).await;
    let group = [("group", "near"), ("nodes", "pve1")];
    let refused = setting.refusal(Method::POST, "/cluster/ha/groups", &group).await;
    assert_eq!(refused.1, "cannot create group: ha groups have been migrated to rules");
    setting.simulator.stop().await;

    let older =
        "nodes: {pve1: {}}\ncluster: {version: 8.4.1}\nusers: {root@pam: {tokens: {full: {privsep: 0}}}}";
    let world = proxmox_agent::pve::sim::World::from_yaml(older).unwrap();
    let options = proxmox_agent::pve::sim::Options { world, plain_http: true, ..Default::default() };
    let setting = Setting::with(options, ROOT).await;
    setting.ask(Method::POST, "/cluster/ha/groups", &group).await;
    assert_eq!(setting.get("/cluster/ha/groups").await[0]["group"], "near");
    setting.simulator.stop().await;
}

#[tokio::test]
async fn who_has_no_right_on_the_console_changes_nothing_about_ha() {
    let setting = Setting::cluster(MANAGED, "ada@pve!ci").await;
    let refused = setting.refusal(Method::DELETE, "/cluster/ha/resources/vm:100", &[]).await;
    assert_eq!(refused, (403, "Permission check failed (/, Sys.Console)".into()));
    setting.simulator.stop().await;
}
