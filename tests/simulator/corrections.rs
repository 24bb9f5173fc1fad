//! What independent imitations and recordings of others taught the simulation.
use proxmox_agent::pve::sim::{Options, World};
use reqwest::Method;
use serde_json::{Value, json};

use crate::setting::{Setting, data};

async fn setting(world: &str) -> Setting {
    let options = Options { world: World::from_yaml(world).unwrap(), plain_http: true, ..Options::default() };
    Setting::with(options, "root@pam!full").await
}

const NODE: &str = "
nodes: {pve1: {}}
guests: {200: {type: lxc, node: pve1, status: running, config: {hostname: dns-1}}}
storages: {local: {config: {type: dir, path: /var/lib/vz, content: 'iso,vztmpl'}}}
users: {root@pam: {tokens: {full: {privsep: 0}}}}
taskSeconds: {default: 0}
";

#[tokio::test]
async fn a_container_template_is_fetched_from_the_index() {
    let setting =
        setting(&format!("{NODE}definitions: {{appliances: {{alpine.tar.xz: {{type: lxc}}}}}}")).await;
    let index = setting.get("/nodes/pve1/aplinfo").await;
    assert_eq!(index, json!([{ "template": "alpine.tar.xz", "type": "lxc" }]));
    let fetch = |file| {
        let form = [("storage", "local"), ("template", file)];
        setting.request(Method::POST, "/nodes/pve1/aplinfo").form(&form).send()
    };
    let upid = data(fetch("alpine.tar.xz").await.unwrap()).await;
    assert_eq!(setting.exit_of(upid.as_str().unwrap()).await, "OK");
    let content = setting.get("/nodes/pve1/storage/local/content?content=vztmpl").await;
    assert_eq!(content[0]["volid"], "local:vztmpl/alpine.tar.xz");
    let unknown: Value = fetch("debian.tar.xz").await.unwrap().json().await.unwrap();
    assert_eq!(unknown["errors"], json!({ "template": "no such template" }));
    setting.simulator.stop().await;
}

#[tokio::test]
async fn a_node_that_never_fetched_the_index_has_none() {
    let setting = setting(NODE).await;
    assert_eq!(setting.get("/nodes/pve1/aplinfo").await, Value::Null);
    setting.simulator.stop().await;
}

#[tokio::test]
async fn a_taken_container_id_is_refused_before_its_storage_is_judged() {
    let setting = setting(NODE).await;
    let form = [("vmid", "200"), ("ostemplate", "local:vztmpl/alpine.tar.xz")];
    let refused = setting.request(Method::POST, "/nodes/pve1/lxc").form(&form).send().await.unwrap();
    let refused: Value = refused.json().await.unwrap();
    assert_eq!(refused["message"], "CT 200 already exists on node 'pve1'\n");
    setting.simulator.stop().await;
}

#[tokio::test]
async fn the_pressure_of_a_container_is_text() {
    let setting = setting(NODE).await;
    let status = setting.get("/nodes/pve1/lxc/200/status/current").await;
    assert_eq!(status["pressurecpusome"], "0.00");
    setting.simulator.stop().await;
}

#[tokio::test]
async fn directories_name_their_entries_each_in_its_own_way() {
    let setting = setting(NODE).await;
    let of_snapshot = setting.get("/nodes/pve1/lxc/200/snapshot/any").await;
    assert_eq!(of_snapshot, json!([{ "cmd": "rollback" }, { "cmd": "config" }]));
    let upid = data(setting.post("/nodes/pve1/lxc/200/status/stop").await.unwrap()).await;
    let of_task = setting.get(&format!("/nodes/pve1/tasks/{}", upid.as_str().unwrap())).await;
    assert_eq!(of_task, json!([{ "name": "log" }, { "name": "status" }]));
    setting.simulator.stop().await;
}
