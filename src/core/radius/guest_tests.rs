//! What changes on one guest do to it and to those that count on it.

use serde_json::json;

use super::testing::*;
use crate::{
    api::Risk,
    core::{
        observe::{
            AclEntry, Guest, Ha, MigrationCheck, Network, Pool, ReplicationJob, Seen, Snapshot, World,
        },
        testing::{guest_ref, snapshot},
    },
};

const CRITICAL: Option<Risk> = Some(Risk::Critical);
const HIGH: Option<Risk> = Some(Risk::High);

fn web() -> Guest {
    with(
        "qemu/100",
        &[
            ("boot", "order=scsi0"),
            ("scsi0", "thin:vm-100-disk-0,size=32G"),
            ("net0", "virtio=AA:BB:CC:DD:EE:FF,bridge=vmbr0"),
        ],
    )
}

#[test]
fn whoever_deletes_a_template_is_told_which_clones_would_not_boot() {
    let template = Guest { template: true, ..with("qemu/100", &[("scsi0", "thin:base-100-disk-0")]) };
    let clone = with("qemu/101", &[("boot", "order=scsi0"), ("scsi0", "thin:vm-101-disk-0")]);
    let world = World {
        volumes: Seen::Known(vec![disk("thin:vm-101-disk-0", 101, Some("base-100-disk-0"))]),
        ..world_with(template, vec![clone])
    };
    let (radius, risk) = seen("delete_guest", "qemu/100", json!({}), &world);
    let effect = "has a linked clone of thin:base-100-disk-0 as its boot disk scsi0 and would not boot";
    assert_hit(&radius, "qemu/101", effect, CRITICAL);
    assert_eq!(risk, Risk::Critical);
}

#[test]
fn whoever_deletes_a_guest_is_told_who_else_counts_on_it() {
    let vmid = guest_ref("qemu/100").vmid;
    let borrower = with("qemu/102", &[("boot", "order=scsi0"), ("scsi1", "thin:vm-100-disk-0")]);
    let target = Guest { snapshots: vec![snapshot("before")], ..web() };
    let world = World {
        ha: Seen::Known(Ha {
            resources: vec![resource("vm:100", "pve1")],
            rules: vec![rule("apart", "resource-affinity", &["vm:100", "vm:101"], &[], &[])],
            armed: None,
        }),
        replication: Seen::Known(vec![ReplicationJob {
            id: "100-0".into(),
            guest: Some(vmid),
            target: "pve2".into(),
            ..ReplicationJob::default()
        }]),
        backup_jobs: Seen::Known(vec![job("nightly", &[100]), job("other", &[101])]),
        pools: Seen::Known(vec![Pool { id: "web".into(), guests: vec![vmid], ..Pool::default() }]),
        acl: Seen::Known(vec![AclEntry {
            path: "/vms/100".into(),
            who: "alice@pve".into(),
            role: "PVEVMUser".into(),
        }]),
        volumes: Seen::Known(vec![disk("thin:vm-100-disk-9", 100, None)]),
        ..world_with(target, vec![borrower])
    };
    let (radius, _) = seen("delete_guest", "qemu/100", json!({"destroyUnreferencedDisks": true}), &world);
    for (subject, effect, raises) in [
        ("qemu/102", "has thin:vm-100-disk-0 of qemu/100 as its disk scsi1 and would not start", CRITICAL),
        ("qemu/100", "is kept started by HA as vm:100", HIGH),
        ("ha-rule/apart", "loses qemu/100", HIGH),
        ("replication/100-0", "no longer copies qemu/100 to pve2", HIGH),
        ("backup-job/nightly", "no longer saves qemu/100", None),
        ("pool/web", "loses its member qemu/100", None),
        ("user/alice@pve", "loses the role PVEVMUser on /vms/100", None),
        ("qemu/100", "loses its disk scsi0 (thin:vm-100-disk-0)", None),
        ("qemu/100", "loses its snapshot before", None),
        ("qemu/100", "has no backup", HIGH),
        ("volume/thin:vm-100-disk-9", "stands in no settings and goes with the guest", CRITICAL),
    ] {
        assert_hit(&radius, subject, effect, raises);
    }
    assert!(!radius.hits.iter().any(|hit| hit.subject == "backup-job/other"));
}

#[test]
fn a_guest_that_is_restored_keeps_what_others_call_it_by() {
    let world = World {
        backup_jobs: Seen::Known(vec![job("nightly", &[100])]),
        volumes: Seen::Known(vec![backup("local:backup/one", 100)]),
        ..world_with(running(web()), vec![])
    };
    let (radius, _) = seen("restore_over_guest", "qemu/100", json!({"archive": "local:backup/one"}), &world);
    assert_hit(&radius, "qemu/100", "loses everything written since backup local:backup/one", CRITICAL);
    assert_hit(&radius, "qemu/100", "is running and is stopped by force", HIGH);
    assert!(!radius.hits.iter().any(|hit| hit.subject.starts_with("backup-job")), "{radius:?}");
}

#[test]
fn protection_and_production_make_everything_riskier() {
    let risk = |guest: Guest| seen("shutdown_guest", "qemu/100", json!({}), &world_with(guest, vec![])).1;
    assert_eq!(risk(running(web())), Risk::Medium, "whoever shuts a guest down knows that it runs");
    assert_eq!(risk(Guest { protected: true, ..web() }), Risk::High);
    for tag in ["prod", "Production"] {
        assert_eq!(risk(Guest { tags: vec!["web".into(), tag.into()], ..web() }), Risk::High, "{tag}");
    }
    assert_eq!(risk(Guest { tags: vec!["product".into()], ..web() }), Risk::Medium);
}

#[test]
fn the_last_restore_point_is_not_like_any_other() {
    let one = Guest { snapshots: vec![snapshot("before")], ..web() };
    let params = json!({"snapshot": "before"});
    let (radius, risk) =
        seen("delete_snapshot", "qemu/100", params.clone(), &world_with(one.clone(), vec![]));
    assert_hit(&radius, "qemu/100", "loses its last restore point", CRITICAL);
    assert_eq!(risk, Risk::Critical);
    let saved =
        World { volumes: Seen::Known(vec![backup("local:backup/one", 100)]), ..world_with(one, vec![]) };
    assert_eq!(seen("delete_snapshot", "qemu/100", params.clone(), &saved).1, Risk::High);
    let after = Snapshot { parent: Some("before".into()), ..snapshot("after") };
    let two = Guest { snapshots: vec![snapshot("before"), after], ..web() };
    let (radius, risk) = seen("delete_snapshot", "qemu/100", params, &world_with(two, vec![]));
    assert_hit(&radius, "qemu/100", "has its snapshot after resting on before", None);
    assert_eq!(risk, Risk::High);
}

#[test]
fn whoever_rolls_back_is_told_what_is_newer() {
    let mut target =
        running(with("qemu/100", &[("scsi0", "tank:vm-100-disk-0"), ("scsi1", "tank:vm-100-disk-1")]));
    let before = Snapshot { config: settings(&[("scsi0", "tank:vm-100-disk-0")]), ..snapshot("before") };
    let after = Snapshot { parent: Some("before".into()), ..snapshot("after") };
    let latest = Snapshot { parent: Some("after".into()), ..snapshot("latest") };
    target.snapshots = vec![before, after, latest];
    let world = World {
        storages: Seen::Known(vec![storage("tank", "zfspool", &[])]),
        ..world_with(target.clone(), vec![])
    };
    let (radius, _) = seen("rollback_snapshot", "qemu/100", json!({"snapshot": "before"}), &world);
    for effect in [
        "has to lose its newer snapshot after: tank goes back to the latest only",
        "has to lose its newer snapshot latest: tank goes back to the latest only",
        "is left without its disk scsi1: it is newer than the snapshot",
        "is running and is stopped by force",
    ] {
        assert_hit(&radius, "qemu/100", effect, HIGH);
    }
    assert_hit(&radius, "qemu/100", "loses everything written since snapshot before", CRITICAL);
    let (radius, _) = seen("rollback_snapshot", "qemu/100", json!({"snapshot": "latest"}), &world);
    assert!(!radius.hits.iter().any(|hit| hit.effect.contains("newer snapshot")), "{radius:?}");
    let thin = World { storages: Seen::Known(vec![storage("tank", "lvmthin", &[])]), ..world };
    let (radius, _) = seen("rollback_snapshot", "qemu/100", json!({"snapshot": "before"}), &thin);
    assert!(!radius.hits.iter().any(|hit| hit.effect.contains("newer snapshot")), "{radius:?}");
}

#[test]
fn a_disk_that_is_removed_is_worse_than_one_that_is_kept_as_unused() {
    let world = world_with(
        Guest {
            config: settings(&[
                ("scsi0", "thin:vm-100-disk-0"),
                ("unused0", "thin:vm-100-disk-1"),
                ("boot", "order=ide2"),
            ]),
            ..web()
        },
        vec![],
    );
    let (radius, risk) = seen("set_guest_config", "qemu/100", json!({"delete": "scsi0"}), &world);
    assert_hit(
        &radius,
        "qemu/100",
        "is left without its disk scsi0 (thin:vm-100-disk-0), which is kept as unused",
        HIGH,
    );
    assert_eq!(risk, Risk::High);
    for params in [json!({"delete": "unused0"}), json!({"delete": "scsi0", "force": true})] {
        let (radius, risk) = seen("set_guest_config", "qemu/100", params.clone(), &world);
        assert!(radius.hits.iter().any(|hit| hit.effect.ends_with("for good")), "{params}");
        assert_eq!(risk, Risk::Critical, "{params}");
    }
    let (radius, _) = seen("set_guest_config", "qemu/100", json!({"scsi0": "thin:vm-100-disk-1"}), &world);
    assert_hit(&radius, "qemu/100", "has thin:vm-100-disk-1 instead of thin:vm-100-disk-0 as scsi0", HIGH);
    let (_, risk) =
        seen("set_guest_config", "qemu/100", json!({"delete": "scsi0"}), &world_with(web(), vec![]));
    assert_eq!(risk, Risk::Critical, "it boots from it");
}

#[test]
fn a_network_card_needs_a_bridge_that_is_there() {
    let there = Network { interfaces: vec![interface("vmbr0", &[], &[])], waiting: None };
    let world = World { network: Seen::Known(there), ..world_with(web(), vec![]) };
    let set = |net: &str| seen("set_guest_config", "qemu/100", json!({"net0": net}), &world);
    let (radius, risk) = set("virtio=AA:BB:CC:DD:EE:FF,bridge=vmbr9");
    assert_hit(&radius, "qemu/100", "would not start with net0: there is no vmbr9 on pve1", HIGH);
    assert_eq!(risk, Risk::High);
    let (radius, _) = set("virtio,bridge=vmbr0");
    assert_hit(&radius, "qemu/100", "has another MAC address on its network card net0", Some(Risk::Medium));
    let (radius, _) = set("virtio=AA:BB:CC:DD:EE:FF,bridge=vmbr0,firewall=1");
    assert!(!radius.hits.iter().any(|hit| hit.effect.contains("net0")), "{radius:?}");
}

#[test]
fn a_start_that_a_node_has_no_memory_for_is_no_longer_harmless() {
    let start =
        |memory| seen("start_guest", "qemu/100", json!({}), &world_with(Guest { memory, ..web() }, vec![]));
    assert_eq!(start(4 << 30).1, Risk::Low);
    let (radius, risk) = start((4 << 30) + 1);
    assert_hit(&radius, "node/pve1", "has too little free memory for qemu/100", HIGH);
    assert_eq!(risk, Risk::High);
}

#[test]
fn whoever_migrates_a_guest_is_told_what_comes_along_and_what_can_not() {
    let target = running(Guest { memory: 5 << 30, ..web() });
    let rules = vec![
        rule("together", "resource-affinity", &["vm:100", "vm:101"], &[], &[("affinity", "positive")]),
        rule("apart", "resource-affinity", &["vm:100", "ct:200"], &[], &[("affinity", "negative")]),
        rule("home", "node-affinity", &["vm:100"], &["pve1:2", "pve3"], &[("strict", "1")]),
    ];
    let resources = vec![resource("vm:100", "pve1"), resource("vm:101", "pve1"), resource("ct:200", "pve2")];
    let check = MigrationCheck {
        local_disks: vec!["local:vm-100-disk-0".into()],
        local_resources: vec!["hostpci0".into()],
        refused_by: settings(&[("pve2", "no storage thin")]),
        ..MigrationCheck::default()
    };
    let world = World {
        ha: Seen::Known(Ha { resources, rules, armed: None }),
        migration: Seen::Known(check),
        ..world_with(target, vec![])
    };
    let (radius, risk) = seen("migrate_guest", "qemu/100", json!({"destination": "pve2"}), &world);
    for (subject, effect, raises) in [
        ("qemu/101", "moves along to pve2 by rule together", CRITICAL),
        ("lxc/200", "is kept apart from qemu/100 by rule apart", CRITICAL),
        ("qemu/100", "may not run on pve2 by a rule of HA", CRITICAL),
        ("qemu/100", "has to have its local disk local:vm-100-disk-0 copied", None),
        ("qemu/100", "uses hostpci0 of pve1, which does not come along", HIGH),
        ("node/pve2", "can't take it: no storage thin", HIGH),
        ("node/pve2", "has too little free memory for what comes to it", CRITICAL),
    ] {
        assert_hit(&radius, subject, effect, raises);
    }
    assert_eq!(risk, Risk::Critical);
}

#[test]
fn a_guest_that_starts_or_stops_voids_an_approval_only_where_that_makes_it_riskier() {
    let hits = |action: &str, params: serde_json::Value, guest: Guest| {
        let mut hits = seen(action, "qemu/100", params, &world_with(guest, vec![])).0.hits;
        hits.retain(|hit| hit.effect.contains("running"));
        hits
    };
    let nets = json!({"delete": "net0"});
    assert_eq!(hits("set_guest_config", nets.clone(), running(web())).len(), 1);
    assert_eq!(hits("set_guest_config", nets, web()), []);
    for (action, params) in [("shutdown_guest", json!({})), ("delete_guest", json!({}))] {
        assert_eq!(hits(action, params, running(web())), [], "{action}");
    }
}

#[test]
fn what_nobody_looked_at_counts_as_the_worst() {
    let blind = World { volumes: Seen::NotAsked, ..world_with(web(), vec![]) };
    let (radius, risk) = seen("delete_guest", "qemu/100", json!({}), &blind);
    assert!(radius.unknown.iter().any(|why| why.contains("not looked at")), "{:?}", radius.unknown);
    assert_eq!(risk, Risk::Critical);
}
