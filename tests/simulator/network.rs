//! Interfaces of nodes and the software-defined network: changes that wait until they are applied.
use reqwest::Method;
use serde_json::{Value, json};

use crate::setting::{ROOT, Setting, row, text};

const NETWORK: &str = "/nodes/pve1/network";

/// The whole answer, with what stands beside its data.
async fn answer(setting: &Setting, path: &str) -> Value {
    setting.request(Method::GET, path).send().await.unwrap().json().await.unwrap()
}

#[tokio::test]
async fn a_bridge_shows_what_it_is_made_of() {
    let setting = Setting::cluster("", ROOT).await;
    let listed = answer(&setting, NETWORK).await;
    assert_eq!(listed["changes"], Value::Null);
    let bridge = row(&listed["data"], "iface", "vmbr0");
    let expected = [
        ("type", json!("bridge")),
        ("method", json!("static")),
        ("cidr", json!("192.0.2.11/24")),
        ("address", json!("192.0.2.11")),
        ("netmask", json!("24")),
        ("gateway", json!("192.0.2.1")),
        ("bridge_ports", json!("eno1")),
        ("active", json!(1)),
        ("autostart", json!(1)),
    ];
    for (key, value) in expected {
        assert_eq!(bridge[key], value, "{key}");
    }
    let bridges = setting.get(&format!("{NETWORK}?type=bridge")).await;
    assert_eq!(bridges.as_array().unwrap().len(), 1);
    setting.simulator.stop().await;
}

#[tokio::test]
async fn a_change_of_the_network_waits_and_can_be_taken_back() {
    let setting = Setting::cluster("", ROOT).await;
    let bridge = [("iface", "vmbr1"), ("type", "bridge"), ("cidr", "198.51.100.1/24"), ("autostart", "1")];
    assert_eq!(setting.ask(Method::POST, NETWORK, &bridge).await, Value::Null);
    let twice = setting.refusal(Method::POST, NETWORK, &bridge).await;
    assert_eq!(twice, (400, r#"{"iface":"interface already exists"}"#.into()));
    let waiting = answer(&setting, NETWORK).await;
    assert!(text(&waiting["changes"]).contains("+iface vmbr1 inet static\n"), "{waiting}");
    assert_eq!(row(&waiting["data"], "iface", "vmbr1")["active"], Value::Null);
    setting.ask(Method::DELETE, NETWORK, &[]).await;
    let back = answer(&setting, NETWORK).await;
    assert_eq!((&back["changes"], row(&back["data"], "iface", "vmbr1")), (&Value::Null, &Value::Null));
    setting.simulator.stop().await;
}

#[tokio::test]
async fn an_applied_bridge_can_be_plugged_into() {
    let setting = Setting::cluster("", ROOT).await;
    setting.ask(Method::POST, NETWORK, &[("iface", "vmbr1"), ("type", "bridge")]).await;
    setting.ask(Method::PUT, &format!("{NETWORK}/vmbr1"), &[("type", "bridge"), ("comments", "ours")]).await;
    let (upid, exit) = setting.done(Method::PUT, NETWORK, &[]).await;
    assert!(upid.contains(":srvreload:networking:"), "{upid}");
    assert_eq!(exit, "OK");
    let bridge = setting.get(&format!("{NETWORK}/vmbr1")).await;
    assert_eq!((&bridge["comments"], &bridge["active"]), (&json!("ours"), &json!(1)));
    let card = [("net0", "virtio,bridge=vmbr1")];
    setting.ask(Method::POST, "/nodes/pve1/qemu/100/config", &card).await;
    let lonely = setting.refusal(Method::DELETE, &format!("{NETWORK}/vmbr9"), &[]).await;
    assert_eq!(lonely, (400, r#"{"iface":"interface does not exist"}"#.into()));
    setting.simulator.stop().await;
}

#[tokio::test]
async fn a_bridge_in_use_is_removed_without_a_question_and_its_guest_no_longer_starts() {
    let setting = Setting::cluster("", ROOT).await;
    setting.ask(Method::POST, NETWORK, &[("iface", "vmbr1"), ("type", "bridge")]).await;
    setting.done(Method::PUT, NETWORK, &[]).await;
    let create = [("vmid", "110"), ("net0", "virtio,bridge=vmbr1")];
    assert_eq!(setting.done(Method::POST, "/nodes/pve1/qemu", &create).await.1, "OK");
    for verb in ["start", "stop"] {
        let path = format!("/nodes/pve1/qemu/110/status/{verb}");
        assert_eq!(setting.done(Method::POST, &path, &[]).await.1, "OK");
    }
    setting.ask(Method::DELETE, &format!("{NETWORK}/vmbr1"), &[]).await;
    assert_eq!(setting.done(Method::PUT, NETWORK, &[]).await.1, "OK");
    let start = setting.done(Method::POST, "/nodes/pve1/qemu/110/status/start", &[]).await;
    assert_eq!(start.1, "bridge 'vmbr1' does not exist");
    setting.simulator.stop().await;
}

#[tokio::test]
async fn a_node_that_loses_its_address_is_cut_off() {
    let setting = Setting::cluster("", ROOT).await;
    setting.ask(Method::DELETE, "/nodes/pve2/network/vmbr0", &[]).await;
    setting.ask(Method::PUT, "/nodes/pve2/network", &[]).await;
    crate::setting::until(|| async {
        (row(&setting.get("/nodes").await, "node", "pve2")["status"] == "offline").then_some(())
    })
    .await;
    assert_eq!(setting.refusal(Method::GET, "/nodes/pve2/network", &[]).await.0, 595);
    setting.simulator.stop().await;
}

#[tokio::test]
async fn a_second_way_out_is_refused() {
    let setting = Setting::cluster("", ROOT).await;
    let bridge =
        [("iface", "vmbr1"), ("type", "bridge"), ("cidr", "198.51.100.2/24"), ("gateway", "198.51.100.1")];
    let refused = setting.refusal(Method::POST, NETWORK, &bridge).await;
    assert_eq!(refused.1, r#"{"gateway":"Default gateway already exists on interface 'vmbr0'."}"#);
    setting.simulator.stop().await;
}

async fn make_network(setting: &Setting) {
    setting.ask(Method::POST, "/cluster/sdn/zones", &[("zone", "z1"), ("type", "simple")]).await;
    setting.ask(Method::POST, "/cluster/sdn/vnets", &[("vnet", "v1"), ("zone", "z1")]).await;
}

#[tokio::test]
async fn a_network_exists_on_the_nodes_when_it_is_applied() {
    let setting = Setting::cluster("", ROOT).await;
    make_network(&setting).await;
    let waiting = setting.get("/cluster/sdn/vnets?pending=1").await;
    assert_eq!((&waiting[0]["state"], &waiting[0]["pending"]["zone"]), (&json!("new"), &json!("z1")));
    assert_eq!(setting.get("/cluster/sdn/vnets?running=1").await, json!([]));
    let dry_run = setting.get("/cluster/sdn/dry-run?node=pve1").await;
    assert!(text(&dry_run["interfaces-diff"]).contains("+iface v1\n"), "{dry_run}");
    let (upid, exit) = setting.done(Method::PUT, "/cluster/sdn", &[]).await;
    assert!(upid.contains(":reloadnetworkall::"), "{upid}");
    assert_eq!(exit, "OK");
    for node in ["pve1", "pve2", "pve3"] {
        let reloads = setting.get(&format!("/nodes/{node}/tasks?typefilter=srvreload&source=all")).await;
        assert_eq!(reloads[0]["id"], "networking");
    }
    let applied = setting.get("/cluster/sdn/vnets?pending=1").await;
    assert_eq!((&applied[0]["state"], &applied[0]["zone"]), (&Value::Null, &json!("z1")));
    let zones = setting.get("/cluster/resources?type=sdn").await;
    assert_eq!(row(&zones, "id", "network/pve2/zone/z1")["status"], "ok");
    let networks = setting.get("/nodes/pve1/network?type=any_bridge").await;
    assert_eq!(row(&networks, "iface", "v1")["type"], "vnet");
    setting.simulator.stop().await;
}

#[tokio::test]
async fn what_is_in_the_way_of_removing_a_part_of_the_network_is_said_and_guests_are_not() {
    let setting = Setting::cluster("", ROOT).await;
    make_network(&setting).await;
    setting.done(Method::PUT, "/cluster/sdn", &[]).await;
    let create = [("vmid", "110"), ("net0", "virtio,bridge=v1")];
    assert_eq!(setting.done(Method::POST, "/nodes/pve1/qemu", &create).await.1, "OK");
    let subnet = [("type", "subnet"), ("subnet", "198.51.100.0/24")];
    setting.ask(Method::POST, "/cluster/sdn/vnets/v1/subnets", &subnet).await;
    let zone = setting.refusal(Method::DELETE, "/cluster/sdn/zones/z1", &[]).await;
    assert!(zone.1.starts_with("delete sdn zone object failed: zone z1 is used by vnet v1 at "), "{zone:?}");
    let network = setting.refusal(Method::DELETE, "/cluster/sdn/vnets/v1", &[]).await;
    assert_eq!(network, (400, r#"{"vnet":"Can't delete vnet if subnets exists"}"#.into()));
    setting.ask(Method::DELETE, "/cluster/sdn/vnets/v1/subnets/z1-198.51.100.0-24", &[]).await;
    setting.ask(Method::DELETE, "/cluster/sdn/vnets/v1", &[]).await;
    let waiting = setting.get("/cluster/sdn/vnets?pending=1").await;
    assert_eq!(waiting[0]["state"], "deleted");
    setting.done(Method::PUT, "/cluster/sdn", &[]).await;
    let start = setting.done(Method::POST, "/nodes/pve1/qemu/110/status/start", &[]).await;
    assert_eq!(start.1, "bridge 'v1' does not exist");
    setting.simulator.stop().await;
}

#[tokio::test]
async fn parts_of_the_network_are_named_in_refusals() {
    let setting = Setting::cluster("", ROOT).await;
    make_network(&setting).await;
    let again = setting.refusal(Method::POST, "/cluster/sdn/vnets", &[("vnet", "v1"), ("zone", "z1")]).await;
    assert_eq!(again.1, "create sdn vnet object failed: sdn vnet object ID 'v1' already defined");
    let zoneless =
        setting.refusal(Method::POST, "/cluster/sdn/vnets", &[("vnet", "v2"), ("zone", "z2")]).await;
    assert_eq!(zoneless.0, 400);
    let gone = setting.refusal(Method::DELETE, "/cluster/sdn/zones/z2", &[]).await;
    assert_eq!(gone.1, "delete sdn zone object failed: sdn 'z2' does not exist");
    setting.simulator.stop().await;
}

#[tokio::test]
async fn a_network_that_a_world_declares_is_in_force() {
    let more = "definitions: {zones: {z1: {type: simple, nodes: pve1}}, vnets: {v1: {zone: z1}}}\n";
    let setting = Setting::cluster(more, ROOT).await;
    assert_eq!(setting.get("/cluster/sdn/vnets?pending=1").await[0]["state"], Value::Null);
    let here = setting.get("/nodes/pve1/network?type=vnet").await;
    let there = setting.get("/nodes/pve2/network?type=vnet").await;
    assert_eq!((&here[0]["iface"], there), (&json!("v1"), json!([])));
    setting.simulator.stop().await;
}
