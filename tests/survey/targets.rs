//! Each kind of target, there and not there.

use proxmox_agent::{
    catalog::Existence,
    core::observe::{Met, Object, Query},
    pve::sim::Simulator,
};

use crate::place::{NARROW, ROOT, SAMPLE, look, query, sample_and, sample_for, seen, start};

const MORE: &str = r#"
ha:
  vm:100: {config: {state: started}}
  vm:102: {config: {state: stopped}}
definitions:
  haRules:
    apart: {type: resource-affinity, affinity: negative, resources: "vm:100,vm:102"}
  backupJobs:
    nightly: {schedule: "02:00", vmid: "100", storage: shared, enabled: 1, next-run: 1795226400}
"#;

async fn object(sim: &Simulator, target: &str) -> Object {
    match seen(sim, target, &[]).await.target {
        Met::Object(object) => object,
        other => panic!("{target}: {other:?}"),
    }
}

#[tokio::test]
async fn what_is_there_is_met_with_its_settings() {
    let sim = start(&sample_and(MORE)).await;
    for (target, key, value, has_digest) in [
        ("node/pve2", "status", "online", false),
        ("storage/shared", "server", "192.0.2.50", true),
        ("pool/production", "comment", "what customers see", false),
        ("ha-rule/apart", "affinity", "negative", true),
        ("backup-job/nightly", "schedule", "02:00", false),
        ("volume/local:iso/talos-amd64.iso", "content", "iso", false),
        ("volume/local-lvm:vm-200-disk-0", "node", "pve2", false),
        ("volume/shared:102/vm-102-disk-0.qcow2", "vmid", "102", false),
    ] {
        let object = object(&sim, target).await;
        assert_eq!(object.settings.get(key).map(String::as_str), Some(value), "{target}: {object:?}");
        assert_eq!(object.digest.is_some(), has_digest, "{target}");
        assert!(!object.settings.contains_key("digest") && !object.settings.contains_key("next-run"));
    }
}

#[tokio::test]
async fn what_is_not_there_is_absent() {
    let sim = start(&sample_and(MORE)).await;
    for target in [
        "qemu/999",
        "qemu/200",
        "lxc/100",
        "node/pve9",
        "storage/none",
        "pool/none",
        "ha-rule/none",
        "backup-job/none",
        "replication/100-0",
        "volume/local:iso/none.iso",
        "volume/none:iso/talos-amd64.iso",
    ] {
        assert_eq!(seen(&sim, target, &[]).await.target, Met::Absent, "{target}");
    }
}

#[tokio::test]
async fn the_cluster_and_an_inventory_are_no_single_target() {
    let sim = start(SAMPLE).await;
    for target in ["cluster/all", "inventory/all"] {
        assert_eq!(seen(&sim, target, &[]).await.target, Met::Nothing);
    }
}

fn to_be_created(target: &str) -> Query {
    Query { existence: Existence::Absent, ..query(target, &[]) }
}

#[tokio::test]
async fn a_number_that_is_free_is_absent() {
    let sim = start(SAMPLE).await;
    let world = look(&sim, ROOT, &to_be_created("qemu/999")).await.unwrap();
    assert_eq!(world.target, Met::Absent);
}

#[tokio::test]
async fn a_number_that_a_guest_of_the_other_kind_has_is_taken() {
    let sim = start(SAMPLE).await;
    for (wanted, there) in [("lxc/100", "qemu/100"), ("qemu/200", "lxc/200"), ("qemu/100", "qemu/100")] {
        let world = look(&sim, ROOT, &to_be_created(wanted)).await.unwrap();
        assert_eq!(world.guest().unwrap().reference.to_string(), there);
    }
}

#[tokio::test]
async fn a_number_that_a_hidden_guest_has_is_taken() {
    let sim = start(&sample_for(&[("/vms/999", &["VM.Allocate"])])).await;
    let world = look(&sim, NARROW, &to_be_created("qemu/100")).await.unwrap();
    assert_eq!(world.target, Met::Object(Object::default()));
    let world = look(&sim, NARROW, &query("qemu/100", &[])).await.unwrap();
    assert_eq!(world.target, Met::Absent, "it may not be seen");
}

#[tokio::test]
async fn a_volume_is_looked_for_on_the_node_that_is_named() {
    let sim = start(SAMPLE).await;
    let on =
        |node: &str| Query { node: Some(node.to_owned()), ..query("volume/local-lvm:vm-200-disk-0", &[]) };
    assert!(matches!(look(&sim, ROOT, &on("pve2")).await.unwrap().target, Met::Object(_)));
    assert_eq!(look(&sim, ROOT, &on("pve1")).await.unwrap().target, Met::Absent);
}
