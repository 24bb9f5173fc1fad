//! Nodes that go down and come back, and the ports on which they answer themselves.
use std::time::Duration;

use proxmox_agent::pve::sim::{Fault, Options, Trigger, World};
use reqwest::Method;
use serde_json::{Value, json};

use crate::setting::{CLUSTER, ROOT, Setting, client, row, text, until};

async fn switch(setting: &Setting, node: &str, command: &str) {
    let answer = setting.ask(Method::POST, &format!("/nodes/{node}/status"), &[("command", command)]).await;
    assert_eq!(answer, Value::Null);
}

async fn is_listed_as(setting: &Setting, node: &str, status: &str) {
    until(|| async { (row(&setting.get("/nodes").await, "node", node)["status"] == status).then_some(()) })
        .await;
}

/// Waits until a node is up, and has been for less time than at the beginning.
async fn has_booted(setting: &Setting, node: &str) {
    until(|| async {
        let listed = setting.get("/nodes").await;
        let uptime = row(&listed, "node", node)["uptime"].as_u64();
        uptime.filter(|uptime| *uptime < 3600)
    })
    .await;
}

/// Asks a node at its own port.
async fn at(setting: &Setting, node: &str, path: &str) -> Result<Value, reqwest::Error> {
    let url = format!("{}/api2/json{path}", setting.simulator.node_urls()[node]);
    // A kept connection would hide that nobody listens any more, so this client is new.
    let response =
        client(setting.simulator.ca_pem()).get(url).header("Authorization", &setting.token).send().await?;
    response.json().await
}

#[tokio::test]
async fn a_node_that_is_shut_down_is_offline_and_out_of_reach_through_the_others() {
    let setting = Setting::cluster("", ROOT).await;
    assert_eq!(setting.get("/nodes/pve1/status").await["memory"]["total"], 17_179_869_184_u64);
    switch(&setting, "pve2", "shutdown").await;
    is_listed_as(&setting, "pve2", "offline").await;
    let through = setting.refusal(Method::GET, "/nodes/pve2/status", &[]).await;
    assert_eq!(through.0, 595);
    let guest = setting.get("/cluster/resources?type=vm").await;
    let guest = row(&guest, "vmid", 102).clone();
    assert_eq!((&guest["status"], &guest["name"]), (&json!("unknown"), &Value::Null));
    let status = setting.get("/cluster/status").await;
    assert_eq!(row(&status, "name", "pve2")["online"], 0);
    assert_eq!(
        (&status[0]["quorate"], &row(&status, "name", "pve2")["ip"]),
        (&json!(1), &json!("192.0.2.12"))
    );
    setting.simulator.stop().await;
}

#[tokio::test]
async fn the_quorum_is_lost_with_the_majority_of_the_votes() {
    let setting = Setting::cluster("", ROOT).await;
    switch(&setting, "pve2", "shutdown").await;
    is_listed_as(&setting, "pve2", "offline").await;
    switch(&setting, "pve3", "shutdown").await;
    is_listed_as(&setting, "pve3", "offline").await;
    assert_eq!(setting.get("/cluster/status").await[0]["quorate"], 0);
    let start = setting.refusal(Method::POST, "/nodes/pve1/qemu/101/status/start", &[]).await;
    assert_eq!(start, (500, "cluster not ready - no quorum?".into()));
    setting.simulator.stop().await;
}

#[tokio::test]
async fn votes_weigh_a_node() {
    let world = CLUSTER.replace("pve3: {", "pve3: {votes: 3, ");
    let options =
        Options { world: World::from_yaml(&world).unwrap(), plain_http: true, ..Options::default() };
    let setting = Setting::with(options, ROOT).await;
    let votes = setting.get("/cluster/config/nodes").await;
    assert_eq!(row(&votes, "node", "pve3")["quorum_votes"], "3");
    switch(&setting, "pve3", "shutdown").await;
    is_listed_as(&setting, "pve3", "offline").await;
    assert_eq!(setting.get("/cluster/status").await[0]["quorate"], 0);
    setting.simulator.stop().await;
}

#[tokio::test]
async fn a_rebooted_node_comes_back_with_the_guests_that_start_at_boot() {
    let setting = Setting::cluster("", ROOT).await;
    switch(&setting, "pve1", "reboot").await;
    has_booted(&setting, "pve1").await;
    assert_eq!(setting.get("/nodes/pve1/qemu/100/status/current").await["status"], "running");
    assert_eq!(setting.get("/nodes/pve1/lxc/200/status/current").await["status"], "stopped");
    setting.simulator.stop().await;
}

#[tokio::test]
async fn tasks_of_a_node_end_with_it() {
    let world = CLUSTER.replace("taskSeconds: {", "taskSeconds: {qmshutdown: 600, ");
    let options =
        Options { world: World::from_yaml(&world).unwrap(), plain_http: true, ..Options::default() };
    let setting = Setting::with(options, ROOT).await;
    let upid = setting.ask(Method::POST, "/nodes/pve1/qemu/100/status/shutdown", &[]).await;
    switch(&setting, "pve1", "reboot").await;
    has_booted(&setting, "pve1").await;
    assert_eq!(setting.exit_of(text(&upid)).await, "unexpected status");
    setting.simulator.stop().await;
}

#[tokio::test]
async fn the_resources_of_a_node_that_stays_away_are_taken_up_where_rules_allow_it() {
    let more = "ha: {'vm:100': {config: {state: started}}}
definitions: {haRules: {r: {type: node-affinity, resources: 'vm:100', nodes: 'pve1,pve3', strict: 1}}}\n";
    let setting = Setting::cluster(more, ROOT).await;
    switch(&setting, "pve1", "shutdown").await;
    until(|| async {
        let guests = setting.get("/cluster/resources?type=vm").await;
        let guest = row(&guests, "vmid", 100);
        (guest["node"] == "pve3" && guest["status"] == "running").then_some(())
    })
    .await;
    setting.simulator.stop().await;
}

#[tokio::test]
async fn every_node_answers_on_its_own_port_as_itself() {
    let setting = Setting::cluster("", ROOT).await;
    for node in ["pve1", "pve2", "pve3"] {
        let status = at(&setting, node, "/cluster/status").await.unwrap();
        assert_eq!(row(&status["data"], "local", 1)["name"], node);
    }
    assert_eq!(setting.simulator.banner()["nodes"], json!(setting.simulator.node_urls()));
    setting.simulator.stop().await;
}

#[tokio::test]
async fn a_node_listens_where_the_world_says() {
    let world = CLUSTER.replace("pve2: {", "pve2: {listen: '127.0.0.2:0', ");
    let options = Options { world: World::from_yaml(&world).unwrap(), ..Options::default() };
    let setting = Setting::with(options, ROOT).await;
    assert!(setting.simulator.node_urls()["pve2"].starts_with("https://127.0.0.2:"));
    assert!(at(&setting, "pve2", "/version").await.is_ok(), "the certificate is good for that address");
    setting.simulator.stop().await;
}

#[tokio::test]
async fn a_node_that_is_switched_off_refuses_connections_until_it_is_back() {
    let setting = Setting::cluster("", ROOT).await;
    // The node itself is asked to go down, and its answer still arrives, however late it is.
    let when = Trigger { path: Some("/nodes/*/status".into()), ..Trigger::default() };
    setting.fault(Fault::LateResponse { when, seconds: 0.5 });
    let url = format!("{}/api2/json/nodes/pve2/status", setting.simulator.node_urls()["pve2"]);
    let asked =
        setting.client.post(url).header("Authorization", &setting.token).form(&[("command", "shutdown")]);
    assert_eq!(asked.send().await.unwrap().status(), 200);
    until(|| async { at(&setting, "pve2", "/version").await.is_err_and(|e| e.is_connect()).then_some(()) })
        .await;
    assert!(at(&setting, "pve1", "/version").await.is_ok());
    switch_on(&setting, "pve2").await;
    until(|| async { at(&setting, "pve2", "/version").await.ok() }).await;
    setting.simulator.stop().await;
}

/// Somebody presses the button on the machine.
async fn switch_on(setting: &Setting, node: &str) {
    let url = format!("{}/_sim/world", setting.simulator.url());
    let mut world: Value = setting.client.get(&url).send().await.unwrap().json().await.unwrap();
    world["nodes"][node]["online"] = true.into();
    assert_eq!(setting.client.put(&url).json(&world).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_node_that_is_down_from_the_beginning_refuses_connections() {
    let world = CLUSTER.replace("pve3: {", "pve3: {online: false, ");
    let options =
        Options { world: World::from_yaml(&world).unwrap(), plain_http: true, ..Options::default() };
    let setting = Setting::with(options, ROOT).await;
    assert!(at(&setting, "pve3", "/version").await.unwrap_err().is_connect());
    setting.simulator.stop().await;
}

#[tokio::test]
async fn the_task_about_many_guests_succeeds_whatever_becomes_of_them() {
    let setting = Setting::cluster("", ROOT).await;
    let (upid, exit) = setting.done(Method::POST, "/nodes/pve1/startall", &[("force", "1")]).await;
    assert!(upid.contains(":startall::root@pam!full:"), "{upid}");
    assert_eq!(exit, "OK");
    let child = setting.get("/nodes/pve1/tasks?typefilter=qmstart&vmid=101").await;
    assert_eq!(child[0]["status"], "VM is locked (backup)");
    let (_, exit) = setting.done(Method::POST, "/nodes/pve1/stopall", &[]).await;
    assert_eq!(exit, "OK");
    assert_eq!(setting.get("/nodes/pve1/qemu/100/status/current").await["status"], "stopped");
    assert_eq!(setting.get("/nodes/pve1/lxc/200/status/current").await["status"], "stopped");
    setting.simulator.stop().await;
}

#[tokio::test]
async fn all_guests_of_a_node_move_and_the_locked_one_stays() {
    let setting = Setting::cluster("", ROOT).await;
    let unlimited = setting.refusal(Method::POST, "/nodes/pve1/migrateall", &[("target", "pve3")]).await;
    assert_eq!(unlimited.1, "either 'max-workers' parameter or max_workers in datacenter.cfg must be set!");
    let form = [("target", "pve3"), ("max-workers", "2")];
    assert_eq!(setting.done(Method::POST, "/nodes/pve1/migrateall", &form).await.1, "OK");
    let guests = setting.get("/cluster/resources?type=vm").await;
    let nodes = [100, 101, 200].map(|vmid| text(&row(&guests, "vmid", vmid)["node"]).to_owned());
    assert_eq!(nodes, ["pve3", "pve1", "pve3"]);
    setting.simulator.stop().await;
}

#[tokio::test]
async fn rights_on_the_guests_that_are_named_are_enough_for_many() {
    let setting = Setting::cluster("", "ada@pve!ci").await;
    let all = setting.refusal(Method::POST, "/nodes/pve2/stopall", &[]).await;
    assert_eq!(all, (403, "Permission check failed (/, VM.PowerMgmt)".into()));
    let own = setting.done(Method::POST, "/nodes/pve2/stopall", &[("vms", "102"), ("timeout", "0")]).await;
    assert_eq!(own.1, "OK");
    assert_eq!(setting.get("/nodes/pve2/qemu/102/status/current").await["status"], "stopped");
    let reboot = setting.refusal(Method::POST, "/nodes/pve2/status", &[("command", "reboot")]).await;
    assert_eq!(reboot, (403, "Permission check failed (/nodes/pve2, Sys.PowerMgmt)".into()));
    setting.simulator.stop().await;
}

#[tokio::test]
async fn a_node_goes_down_some_time_after_it_has_answered() {
    let world = CLUSTER.replace("shutdownSeconds: 0", "shutdownSeconds: 600");
    let options =
        Options { world: World::from_yaml(&world).unwrap(), plain_http: true, ..Options::default() };
    let setting = Setting::with(options, ROOT).await;
    switch(&setting, "pve2", "reboot").await;
    let asked = setting.request(Method::GET, "/nodes/pve2/version").timeout(Duration::from_secs(20));
    assert_eq!(asked.send().await.unwrap().status(), 200);
    setting.simulator.stop().await;
}
