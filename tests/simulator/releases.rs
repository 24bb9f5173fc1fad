//! A world may speak the API of either release.
use proxmox_agent::pve::sim::{Options, World};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::setting::{Setting, data};

async fn cluster_of(version: &str) -> Setting {
    let world = format!(
        "
cluster: {{name: demo, version: \"{version}\"}}
nodes: {{pve1: {{}}, pve2: {{}}}}
guests: {{100: {{type: qemu, node: pve1, status: running, agent: running, config: {{memory: '64', agent: '1'}}}}}}
ha: {{vm:100: {{config: {{state: started}}}}}}
users:
  root@pam: {{tokens: {{full: {{privsep: 0}}}}}}
  ada@pve: {{tokens: {{ci: {{privsep: 0}}}}}}
roles: {{Agent: [{agent}]}}
acl: [{{path: /vms, who: ada@pve, role: Agent}}]
",
        agent = if version.starts_with('8') { "VM.Monitor" } else { "VM.GuestAgent.Audit" }
    );
    let options =
        Options { world: World::from_yaml(&world).unwrap(), plain_http: true, ..Options::default() };
    Setting::with(options, "root@pam!full").await
}

/// The status of an answer and its message, or its data if there is none.
async fn ask(setting: &Setting, method: Method, path: &str, form: &[(&str, &str)]) -> (u16, Value) {
    let mut request = setting.request(method.clone(), path);
    if method != Method::GET && method != Method::DELETE {
        request = request.form(form);
    }
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let body = response.json::<Value>().await.unwrap();
    let told = if status == 200 { &body["data"] } else { &body["message"] };
    (status, told.clone())
}

#[tokio::test]
async fn a_world_says_which_release_it_is() {
    let old = cluster_of("8.4.14").await;
    let version = old.get("/version").await;
    assert_eq!((&version["version"], &version["release"]), (&json!("8.4.14"), &json!("8.4")));
    assert_eq!(old.simulator.banner()["imitates"], "Proxmox VE 8.4");
    let new = Setting::start().await;
    assert_eq!(new.get("/version").await["release"], "9.2");
    old.simulator.stop().await;
    new.simulator.stop().await;
}

#[tokio::test]
async fn groups_place_guests_in_8_4_and_rules_do_not_exist_there() {
    let setting = cluster_of("8.4.14").await;
    let create = |nodes| [("group", "prefer"), ("nodes", nodes), ("restricted", "1")];
    let groups = "/cluster/ha/groups";
    let (status, _) = ask(&setting, Method::POST, groups, &create("pve1:high")).await;
    assert_eq!(status, 400);
    assert_eq!(ask(&setting, Method::POST, groups, &create("pve1:2,pve2")).await, (200, Value::Null));
    let twice = ask(&setting, Method::POST, groups, &create("pve1")).await;
    assert_eq!(twice, (500, json!("create ha group failed: ha group ID 'prefer' already defined\n")));
    let resource = "/cluster/ha/resources/vm:100";
    let ghost = ask(&setting, Method::PUT, resource, &[("group", "ghost")]).await;
    assert_eq!(ghost, (500, json!("HA group 'ghost' does not exist\n")));
    assert_eq!(ask(&setting, Method::PUT, resource, &[("group", "prefer")]).await.0, 200);
    let used = ask(&setting, Method::DELETE, "/cluster/ha/groups/prefer", &[]).await;
    assert_eq!(used, (500, json!("delete ha group failed: ha group is used by service 'vm:100'\n")));
    let one = "/cluster/ha/groups/prefer";
    assert_eq!(ask(&setting, Method::PUT, one, &[("nodes", "pve2"), ("delete", "restricted")]).await.0, 200);
    let mut row = setting.get(groups).await[0].take();
    row.as_object_mut().unwrap().remove("digest").unwrap();
    assert_eq!(row, json!({"group": "prefer", "type": "group", "nodes": "pve2"}));
    let service = setting.get("/cluster/ha/status/current").await;
    let service = service.as_array().unwrap().last().unwrap();
    assert_eq!((&service["group"], &service["failback"]), (&json!("prefer"), &Value::Null));
    let failback = ask(&setting, Method::PUT, resource, &[("failback", "1")]).await;
    assert_eq!(failback.0, 400);
    let rules = ask(&setting, Method::GET, "/cluster/ha/rules", &[]).await;
    assert_eq!(rules, (501, json!("Method 'GET /cluster/ha/rules' not implemented")));
    setting.simulator.stop().await;
}

#[tokio::test]
async fn groups_are_refused_in_9_2_because_rules_took_their_place() {
    let setting = cluster_of("9.2.11").await;
    let group = [("group", "prefer"), ("nodes", "pve1")];
    let refused = ask(&setting, Method::POST, "/cluster/ha/groups", &group).await;
    assert_eq!(refused, (500, json!("cannot create group: ha groups have been migrated to rules\n")));
    assert_eq!(setting.get("/cluster/ha/rules").await, json!([]));
    setting.simulator.stop().await;
}

#[tokio::test]
async fn the_agent_is_reached_by_the_privilege_of_the_release() {
    for (version, gone) in [("8.4.14", "VM.GuestAgent.Audit"), ("9.2.11", "VM.Monitor")] {
        let mut setting = cluster_of(version).await;
        let unknown =
            setting.request(Method::POST, "/access/roles").form(&[("roleid", "R"), ("privs", gone)]);
        assert_eq!(unknown.send().await.unwrap().status(), StatusCode::BAD_REQUEST, "{version}");
        setting.token = format!("PVEAPIToken=ada@pve!ci={}", setting.simulator.tokens()["ada@pve!ci"]);
        let ping = setting.post("/nodes/pve1/qemu/100/agent/ping").await.unwrap();
        data(ping).await;
        setting.simulator.stop().await;
    }
}

#[tokio::test]
async fn another_world_may_be_of_another_release() {
    let setting = cluster_of("9.2.11").await;
    let url = format!("{}/_sim/world", setting.simulator.url());
    let mut world: Value = setting.client.get(&url).send().await.unwrap().json().await.unwrap();
    world["cluster"]["version"] = "8.4.14".into();
    assert!(setting.client.put(&url).json(&world).send().await.unwrap().status().is_success());
    assert_eq!(ask(&setting, Method::GET, "/cluster/ha/rules", &[]).await.0, 501);
    setting.simulator.stop().await;
}
