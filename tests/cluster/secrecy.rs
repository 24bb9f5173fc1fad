//! The token's secret is nowhere but in its Secret.

use proxmox_agent::api::Phase;
use serde_json::json;

use crate::support::{cluster::taken, stage::Stage};

#[tokio::test(flavor = "multi_thread")]
async fn the_token_secret_reaches_no_log_no_status_no_event_and_no_record() {
    let stage = Stage::new().await;
    stage.request(&stage.plan("ok", "start_guest", "qemu/101", &json!({})), Phase::Succeeded).await;
    stage.request(&stage.plan("no", "start_guest", "qemu/999", &json!({})), Phase::Denied).await;
    // An environment whose Proxmox refuses the connection, and one whose token is not one.
    let broken = stage
        .environment(&json!({"endpoints": ["https://127.0.0.1:9"]}), None)
        .replace("\"home\"", "\"away\"");
    stage.apply_as_admin(&broken).await;
    let told =
        stage.kubectl("admin", &["wait", "pxe/away", "--for=condition=Stalled", "--timeout=30s"]).await;
    taken(&told);

    let objects = stage.kubectl("admin", &["get", "proxmox,events.events.k8s.io", "-o", "yaml"]).await.stdout;
    let record = std::fs::read_to_string(stage.audit_folder().join("00000001.jsonl")).unwrap();
    let secret = stage.token_secret();
    for (sink, text) in [("objects", objects), ("audit log", record), ("log", stage.log())] {
        assert!(!text.is_empty(), "{sink} is empty");
        assert!(!text.contains(&secret), "the secret is in the {sink}");
    }
}
