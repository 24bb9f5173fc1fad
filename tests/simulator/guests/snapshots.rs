//! Snapshots, and going back to them.
use super::*;

async fn snapshot(lab: &Lab, vmid: u32, name: &str, memory: &str) -> String {
    lab.post(&format!("{VM}/{vmid}/snapshot"), &[("snapname", name), ("vmstate", memory)]).await
}

#[tokio::test]
async fn going_back_stops_the_guest_and_brings_back_sizes_and_settings() {
    let lab = Lab::new().await;
    assert_eq!(snapshot(&lab, 100, "before", "0").await, "OK");
    assert_eq!(
        lab.run(Method::PUT, &format!("{VM}/100/resize"), &[("disk", "scsi0"), ("size", "4G")]).await,
        "OK"
    );
    lab.change(
        &format!("{VM}/100/config"),
        &[("scsi1", "tank:1"), ("name", "later"), ("description", "kept")],
    )
    .await;
    assert_eq!(lab.post(&format!("{VM}/100/snapshot/before/rollback"), &[]).await, "OK");
    let config = lab.config(100).await;
    assert_eq!((&config["name"], &config["description"]), (&json!("web"), &json!("kept")));
    assert_eq!(config["unused0"], "tank:100/vm-100-disk-1.raw");
    assert_eq!(lab.row("tank", "tank:100/vm-100-disk-0.qcow2").await["size"], 1_073_741_824);
    assert_eq!(lab.get(&format!("{VM}/100/status/current")).await["status"], "stopped");
}

#[tokio::test]
async fn memory_is_a_volume_as_long_as_its_snapshot() {
    let lab = Lab::new().await;
    assert_eq!(snapshot(&lab, 100, "live", "1").await, "OK");
    let memory = "tank:100/vm-100-state-live.raw".to_owned();
    assert_eq!(lab.get(&format!("{VM}/100/snapshot/live/config")).await["vmstate"], memory.as_str());
    assert!(lab.volumes("tank").await.contains(&memory));
    assert_eq!(lab.post(&format!("{VM}/100/snapshot/live/rollback"), &[]).await, "OK");
    assert_eq!(lab.get(&format!("{VM}/100/status/current")).await["status"], "running");
    assert_eq!(lab.run(Method::DELETE, &format!("{VM}/100/snapshot/live"), &[]).await, "OK");
    assert!(!lab.volumes("tank").await.contains(&memory));
}

#[tokio::test]
async fn a_disk_that_a_snapshot_names_is_not_unused_before_the_snapshot_is_gone() {
    let lab = Lab::new().await;
    assert_eq!(snapshot(&lab, 101, "first", "0").await, "OK");
    lab.change(&format!("{VM}/101/config"), &[("delete", "scsi0")]).await;
    assert!(lab.config(101).await.get("unused1").is_none());
    assert_eq!(lab.run(Method::DELETE, &format!("{VM}/101/snapshot/first"), &[]).await, "OK");
    assert_eq!(lab.config(101).await["unused1"], "tank:101/vm-101-disk-0.qcow2");
}

#[tokio::test]
async fn raw_files_and_templates_have_no_snapshots() {
    let lab = Lab::new().await;
    assert_eq!(snapshot(&lab, 102, "first", "0").await, "snapshot feature is not available");
    assert_eq!(snapshot(&lab, 900, "first", "0").await, "you can't take a snapshot if it's a template");
    assert_eq!(lab.get(&format!("{VM}/102/feature?feature=snapshot")).await["hasFeature"], 0);
    assert_eq!(lab.get(&format!("{VM}/101/feature?feature=snapshot")).await["hasFeature"], 1);
    assert_eq!(lab.get(&format!("{VM}/900/feature?feature=clone")).await["hasFeature"], 1);
}

#[tokio::test]
async fn zfs_goes_back_to_the_last_snapshot_alone() {
    let lab = Lab::new().await;
    let world = lab.0.client.get(format!("{}/_sim/world", lab.0.simulator.url())).send().await.unwrap();
    let mut world: Value = world.json().await.unwrap();
    let rootfs = world["guests"]["201"]["config"]["rootfs"].clone();
    world["guests"]["201"]["snapshots"] = json!({
        "old": { "ageSeconds": 60, "config": { "rootfs": rootfs } },
        "new": { "ageSeconds": 30, "parent": "old", "config": { "rootfs": rootfs } },
    });
    let put = lab.0.client.put(format!("{}/_sim/world", lab.0.simulator.url())).body(world.to_string());
    assert_eq!(put.send().await.unwrap().status(), StatusCode::OK);
    let text = lab.post(&format!("{CT}/201/snapshot/old/rollback"), &[]).await;
    assert_eq!(text, "can't rollback, 'old' is not most recent snapshot on 'zfs:subvol-201-disk-0'");
    assert_eq!(lab.post(&format!("{CT}/201/snapshot/new/rollback"), &[]).await, "OK");
}
