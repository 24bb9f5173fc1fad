//! What can't be seen, or not whole, is never taken for nothing.

use std::collections::BTreeSet;

use proxmox_agent::{
    catalog::Section,
    core::observe::{Seen, World},
    pve::{ReadError, survey},
};

use crate::place::{NARROW, ROOT, SAMPLE, look, query, sample_for, sample_with, seen, start};

const SECTIONS: [Section; 15] = [
    Section::Nodes,
    Section::Guests,
    Section::SnapshotConfigs,
    Section::Storages,
    Section::Volumes,
    Section::Ha,
    Section::Replication,
    Section::BackupJobs,
    Section::Pools,
    Section::Network,
    Section::Sdn,
    Section::Firewall,
    Section::Acl,
    Section::Migration,
    Section::ActiveTasks,
];

fn why<T: std::fmt::Debug>(seen: &Seen<T>) -> &str {
    match seen {
        Seen::Unknown { why } => why,
        other => panic!("{other:?}"),
    }
}

async fn narrow(given: &[(&str, &[&str])]) -> World {
    let sim = start(&sample_for(given)).await;
    look(&sim, NARROW, &query("qemu/100", &SECTIONS)).await.unwrap()
}

#[tokio::test]
async fn a_token_that_sees_one_guest_sees_no_list_whole() {
    let world = narrow(&[("/vms/100", &["VM.Audit"])]).await;
    assert_eq!(world.guest().unwrap().name, "web-1");
    for (why, privilege, path) in [
        (why(&world.nodes), "Sys.Audit", "on /"),
        (why(&world.guests), "VM.Audit", "on /vms and below"),
        (why(&world.storages), "Datastore.Audit or Datastore.AllocateSpace", "on /storage and below"),
        (why(&world.volumes), "VM.Backup", "on /vms and below"),
        (why(&world.volumes), "Datastore.Audit", "on /storage and below"),
        (why(&world.ha), "Sys.Audit", "on /"),
        (why(&world.replication), "VM.Audit", "on /vms and below"),
        (why(&world.backup_jobs), "Sys.Audit", "on /"),
        (why(&world.pools), "Pool.Audit", "on /pool and below"),
        (why(&world.network), "Sys.Audit", "on /nodes/pve1"),
        (why(&world.sdn), "SDN.Audit", "on /sdn/zones and below"),
        (why(&world.acl), "Sys.Audit or Permissions.Modify", "on /access"),
        (why(&world.migration), "VM.Migrate", "/vms/100"),
        (why(&world.active_tasks), "Sys.Audit", "on /nodes/pve1"),
    ] {
        assert!(why.contains(privilege) && why.contains(path), "{privilege} {path}: {why}");
    }
    // VM.Audit on the guest is all that its rules take.
    assert_eq!(world.firewall, Seen::Known(vec![]));
}

#[tokio::test]
async fn one_guest_that_is_hidden_makes_all_guests_unknown() {
    let world = narrow(&[("/", &["VM.Audit", "Sys.Audit"]), ("/vms/103", &["VM.PowerMgmt"])]).await;
    assert!(why(&world.guests).contains("VM.Audit on /vms"), "{:?}", world.guests);
    let world = narrow(&[("/", &["VM.Audit"]), ("/access", &["Sys.Audit"])]).await;
    assert_eq!(world.guests.known().unwrap().len(), 7);
    assert_eq!(world.guests.missing(), None);
}

/// Proxmox does not name the paths that a token is shut out of among its permissions.
#[tokio::test]
async fn a_token_that_is_shut_out_of_one_guest_does_not_see_them_all() {
    let world = sample_for(&[("/", &["VM.Audit", "Sys.Audit"])]);
    let shut_out = "acl:\n  - {path: /vms/103, who: \"narrow@pve\", role: NoAccess}\n";
    let sim = start(&world.replacen("acl:\n", shut_out, 1)).await;
    let world = look(&sim, NARROW, &query("qemu/100", &SECTIONS)).await.unwrap();
    assert!(why(&world.guests).contains("VM.Audit on /vms"), "{:?}", world.guests);
}

#[tokio::test]
async fn a_token_that_can_not_tell_whether_it_is_shut_out_takes_no_list_for_whole() {
    let world = narrow(&[("/", &["VM.Audit"])]).await;
    assert_eq!(
        why(&world.guests),
        "the guests can't all be seen: the token lacks Sys.Audit or Permissions.Modify on /access"
    );
}

#[tokio::test]
async fn backups_are_unknown_to_who_may_only_audit_storages() {
    let world =
        narrow(&[("/", &["VM.Audit", "Sys.Audit", "Datastore.Audit", "Datastore.AllocateSpace"])]).await;
    assert!(matches!(world.storages, Seen::Known(_)), "{:?}", world.storages);
    assert_eq!(
        why(&world.volumes),
        "what lies on the storages can't all be seen: the token lacks VM.Backup on /vms and below and \
         VM.Config.Disk on /vms and below"
    );
    for enough in [
        ["VM.Backup", "VM.Config.Disk", "Datastore.AllocateSpace"],
        ["Datastore.Allocate", "VM.Audit", "VM.Audit"],
    ] {
        let mut all = vec!["VM.Audit", "Sys.Audit", "Datastore.Audit"];
        all.extend(enough);
        all.dedup();
        let world = narrow(&[("/", &all)]).await;
        assert!(matches!(world.volumes, Seen::Known(_)), "{:?}", world.volumes);
    }
}

#[tokio::test]
async fn what_is_on_a_node_that_is_down_is_missing_and_the_rest_is_seen() {
    let sim = start(&sample_with("pve3: {ip: 192.0.2.13}", "pve3: {ip: 192.0.2.13, online: false}")).await;
    let world = seen(&sim, "qemu/100", &[Section::Guests, Section::Volumes]).await;
    assert_eq!(
        world.guests.missing(),
        Some("the settings of lxc/201, qemu/103 can't be seen: node pve3 is offline")
    );
    assert_eq!(world.guests.known().unwrap().len(), 5);
    assert_eq!(
        world.volumes.missing(),
        Some(
            "what lies on storage local of node pve3 can't be seen: the node is offline; \
             what lies on storage local-lvm of node pve3 can't be seen: the node is offline"
        )
    );
    let volumes = world.volumes.known().unwrap();
    assert!(volumes.iter().all(|volume| volume.node != "pve3"));
    assert!(volumes.iter().any(|volume| volume.storage == "shared"), "another node has it too");
}

#[tokio::test]
async fn a_shared_storage_that_only_a_dead_node_has_is_missing() {
    let world = sample_with("pve1: {ip", "pve1: {online: false, ip");
    let world = world.replacen("      shared: 1\n", "      shared: 1\n      nodes: pve1\n", 1);
    let sim = start(&world).await;
    let world = seen(&sim, "cluster/all", &[Section::Volumes]).await;
    let why = world.volumes.missing().unwrap();
    assert!(why.contains("storage shared can't be seen: it is active on no node that is online"), "{why}");
}

#[tokio::test]
async fn a_target_on_a_node_that_is_down_is_an_error() {
    let sim = start(&sample_with("pve3: {ip: 192.0.2.13}", "pve3: {ip: 192.0.2.13, online: false}")).await;
    let error = look(&sim, ROOT, &query("qemu/103", &[])).await.unwrap_err();
    assert!(matches!(error, ReadError::Unreachable { .. }), "{error}");
}

#[tokio::test]
async fn a_proxmox_that_can_not_be_reached_is_an_error_and_not_unknown() {
    let sim = start(SAMPLE).await;
    let client = crate::place::client(sim.url(), &sim, ROOT);
    sim.stop().await;
    let query = query("cluster/all", &SECTIONS);
    let error = survey::look(&client, &query, &BTreeSet::new()).await.unwrap_err();
    assert!(matches!(error, ReadError::Unreachable { .. }), "{error}");
}
