//! What the simulation tells about itself, and how it is steered from outside.
use std::collections::BTreeMap;

use proxmox_agent::pve::sim::Options;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::setting::Setting;

#[tokio::test]
async fn the_certificate_is_trusted_by_its_authority() {
    let setting = Setting::with(Options::default(), "auditor@pve!readonly").await;
    assert!(setting.simulator.url().starts_with("https://127.0.0.1:"));
    assert_eq!(setting.get("/version").await["release"], "9.2");
    let written = std::fs::read_to_string(setting.simulator.ca_file()).unwrap();
    assert_eq!(written, setting.simulator.ca_pem());
    let file = setting.simulator.ca_file().to_owned();
    setting.simulator.stop().await;
    assert!(!file.exists());
}

#[tokio::test]
async fn the_ledger_file_and_the_control_plane_tell_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.jsonl");
    let options = Options { plain_http: true, ledger: Some(path.clone()), ..Options::default() };
    let setting = Setting::with(options, "root@pam!full").await;
    setting.start_guest().await.unwrap();
    let url = format!("{}/_sim/ledger", setting.simulator.url());
    let shown: Value = setting.client.get(url).send().await.unwrap().json().await.unwrap();
    let lines: Vec<Value> = std::fs::read_to_string(&path)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0]["outcome"], "received");
    assert_eq!(lines[1], shown[0]);
    setting.simulator.stop().await;
}

#[tokio::test]
async fn the_control_plane_sets_faults_shows_the_world_and_restarts() {
    let setting = Setting::start().await;
    let control = |method: Method, name: &str| {
        setting.client.request(method, format!("{}/_sim/{name}", setting.simulator.url()))
    };
    let faults = json!([{ "fault": "answer", "status": 503, "when": { "path": "/nodes/**" } }]);
    assert_eq!(control(Method::PUT, "faults").json(&faults).send().await.unwrap().status(), StatusCode::OK);
    assert_eq!(setting.start_guest().await.unwrap().status(), StatusCode::SERVICE_UNAVAILABLE);
    let broken = control(Method::PUT, "faults").json(&json!([{ "fault": "nonsense" }]));
    assert_eq!(broken.send().await.unwrap().status(), StatusCode::BAD_REQUEST);

    let world: Value = control(Method::GET, "world").send().await.unwrap().json().await.unwrap();
    assert_eq!(world["guests"]["100"]["status"], "running");
    let again = control(Method::PUT, "world").body(world.to_string());
    assert_eq!(again.send().await.unwrap().status(), StatusCode::OK, "a shown world can be loaded again");

    // The restart may cut the very connection that asked for it.
    let _ = control(Method::POST, "restart").send().await;
    assert_eq!(setting.guest_status().await, "stopped");
    setting.simulator.stop().await;
}

#[tokio::test]
async fn the_banner_says_how_to_connect() {
    let setting = Setting::start().await;
    let banner = setting.simulator.banner();
    assert_eq!(banner["url"], setting.simulator.url());
    assert_eq!(banner["fingerprint"], setting.simulator.fingerprint());
    let tokens: BTreeMap<String, String> = serde_json::from_value(banner["tokens"].clone()).unwrap();
    assert_eq!(&tokens, setting.simulator.tokens());
    assert_eq!(tokens.len(), 3);
    setting.simulator.stop().await;
}
