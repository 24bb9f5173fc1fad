//! The API as a client meets it.
use proxmox_agent::pve::sim::{Options, World};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::setting::{START, Setting, data};

#[tokio::test]
async fn a_guest_starts_by_a_task_over_plain_http() {
    let setting = Setting::start().await;
    let upid = data(setting.start_guest().await.unwrap()).await;
    let upid = upid.as_str().unwrap();
    assert!(upid.starts_with("UPID:pve1:") && upid.ends_with(":qmstart:101:root@pam!full:"), "{upid}");
    assert_eq!(setting.exit_of(upid).await, "OK");
    assert_eq!(setting.guest_status().await, "running");
    setting.simulator.stop().await;
}

#[tokio::test]
async fn refusals_come_in_the_order_of_the_real_thing() {
    let setting =
        Setting::with(Options { plain_http: true, ..Options::default() }, "auditor@pve!readonly").await;
    let base = format!("{}/api2/json", setting.simulator.url());
    let nobody = setting.client.get(format!("{base}/nonsense")).send().await.unwrap();
    assert_eq!(nobody.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(nobody.bytes().await.unwrap().len(), 0);
    let unknown = setting.request(Method::GET, "/nonsense").send().await.unwrap();
    assert_eq!(unknown.status(), StatusCode::NOT_IMPLEMENTED);
    let forbidden = setting.post("/nodes/pve1/qemu/999/status/start?bogus=1").await.unwrap();
    assert_eq!(forbidden.status(), StatusCode::FORBIDDEN);
    let message = forbidden.json::<Value>().await.unwrap();
    assert_eq!(message["message"], "Permission check failed (/vms/999, VM.PowerMgmt)\n");
    let misnamed = setting.request(Method::GET, "/version?x=1").send().await.unwrap();
    assert_eq!(misnamed.status(), StatusCode::BAD_REQUEST);
    let missing = setting.request(Method::GET, "/nodes/pve1/qemu/999/config").send().await.unwrap();
    assert_eq!(missing.status(), StatusCode::INTERNAL_SERVER_ERROR);
    setting.simulator.stop().await;
}

#[tokio::test]
async fn an_operator_may_snapshot_and_may_not_configure() {
    let setting =
        Setting::with(Options { plain_http: true, ..Options::default() }, "agent@pve!operator").await;
    let snapshot =
        setting.request(Method::POST, "/nodes/pve1/qemu/101/snapshot").form(&[("snapname", "before")]);
    let upid = data(snapshot.send().await.unwrap()).await;
    let during = setting.get("/nodes/pve1/qemu/101/config").await;
    assert_eq!(during["lock"], "snapshot");
    assert_eq!(setting.exit_of(upid.as_str().unwrap()).await, "OK");
    let list = setting.get("/nodes/pve1/qemu/101/snapshot").await;
    let names: Vec<&str> = list.as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["before", "current"]);
    let change = setting.request(Method::PUT, "/nodes/pve1/qemu/101/config").form(&[("memory", "512")]);
    assert_eq!(change.send().await.unwrap().status(), StatusCode::FORBIDDEN);
    setting.simulator.stop().await;
}

#[tokio::test]
async fn a_token_sees_only_its_own_tasks_and_none_in_the_cluster_list() {
    let world = "
nodes: {pve1: {}}
guests: {100: {type: qemu, node: pve1, config: {memory: '64'}}}
users: {a@pve: {tokens: {one: {privsep: 0, secret: s1}}}, root@pam: {tokens: {full: {privsep: 0, secret: s2}}}}
acl: [{path: /vms, who: a@pve, role: PVEVMUser}]
";
    let options = Options { world: World::from_yaml(world).unwrap(), plain_http: true, ..Options::default() };
    let mut setting = Setting::with(options, "root@pam!full").await;
    let others = data(setting.post("/nodes/pve1/qemu/100/status/stop").await.unwrap()).await;
    setting.exit_of(others.as_str().unwrap()).await;
    setting.token = "PVEAPIToken=a@pve!one=s1".into();
    let own = data(setting.post("/nodes/pve1/qemu/100/status/stop").await.unwrap()).await;
    assert_eq!(setting.exit_of(own.as_str().unwrap()).await, "OK");
    let list = setting.get("/nodes/pve1/tasks").await;
    assert_eq!(list.as_array().unwrap().len(), 1);
    assert_eq!((&list[0]["user"], &list[0]["tokenid"]), (&json!("a@pve"), &json!("one")));
    assert_eq!(setting.get("/nodes/pve1/tasks?userfilter=a@pve!one").await, json!([]));
    assert_eq!(setting.get("/nodes/pve1/tasks?limit=0").await, json!([]));
    assert_eq!(setting.get("/cluster/tasks").await, json!([]));
    setting.simulator.stop().await;
}

#[tokio::test]
async fn a_waiting_change_is_refused_when_the_lock_is_not_to_be_had() {
    let mut world = String::from(proxmox_agent::pve::sim::world::SAMPLE);
    world.push_str("\nlockSeconds: 0.3\ntaskSeconds: {qmstart: 600}\n");
    let options =
        Options { world: World::from_yaml(&world).unwrap(), plain_http: true, ..Options::default() };
    let setting = Setting::with(options, "root@pam!full").await;
    setting.start_guest().await.unwrap();
    let change = setting.request(Method::PUT, "/nodes/pve1/qemu/101/config").form(&[("cores", "2")]);
    let refused = change.send().await.unwrap().json::<Value>().await.unwrap();
    assert_eq!(refused["message"], "can't lock file '/var/lock/qemu-server/lock-101.conf' - got timeout\n");
    setting.simulator.stop().await;
}

#[tokio::test]
async fn a_ticket_logs_in_and_writes_with_its_csrf_token() {
    let setting = Setting::start().await;
    let url = format!("{}/api2/json", setting.simulator.url());
    let wrong = setting.client.post(format!("{url}/access/ticket"));
    let wrong = wrong.form(&[("username", "root@pam"), ("password", "guess")]).send().await.unwrap();
    assert_eq!(wrong.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(wrong.json::<Value>().await.unwrap()["message"], "authentication failure\n");
    let login = setting.client.post(format!("{url}/access/ticket"));
    let ticket =
        data(login.form(&[("username", "root@pam"), ("password", "simulated")]).send().await.unwrap()).await;
    let cookie = format!("PVEAuthCookie={}", ticket["ticket"].as_str().unwrap());
    let start = || setting.client.post(format!("{url}{START}")).header("Cookie", &cookie);
    assert_eq!(start().send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    let csrf = ticket["CSRFPreventionToken"].as_str().unwrap();
    let upid = data(start().header("CSRFPreventionToken", csrf).send().await.unwrap()).await;
    assert!(upid.as_str().unwrap().ends_with(":root@pam:"));
    setting.simulator.stop().await;
}
