//! What changes on nodes, storages, networks and jobs do to guests.

use serde_json::json;

use super::testing::*;
use crate::{
    api::Risk,
    catalog::Vmid,
    core::{
        observe::{
            AclEntry, ActiveTask, FirewallRule, Guest, Ha, Network, Nodes, Pool, ReplicationJob, Sdn, Seen,
            Snapshot, Vnet, World, Zone,
        },
        testing::snapshot,
    },
};

const CRITICAL: Option<Risk> = Some(Risk::Critical);
const HIGH: Option<Risk> = Some(Risk::High);

fn vmid(number: u32) -> Vmid {
    Vmid::new(number).unwrap()
}

fn on_bridge(reference: &str, bridge: &str) -> Guest {
    with(reference, &[("net0", &format!("virtio=AA:BB:CC:DD:EE:FF,bridge={bridge}"))])
}

#[test]
fn a_volume_is_looked_for_wherever_a_guest_could_need_it() {
    let iso = "local:iso/debian.iso";
    let kept = Snapshot { config: settings(&[("scsi0", iso)]), ..snapshot("before") };
    let mut waiting = with("qemu/104", &[("boot", "order=scsi0")]);
    waiting.pending.insert("scsi1".into(), Some(iso.into()));
    let guests = vec![
        with("qemu/101", &[("ide2", "local:iso/debian.iso,media=cdrom")]),
        Guest { snapshots: vec![kept], ..with("qemu/102", &[]) },
        with("lxc/103", &[("hookscript", iso), ("rootfs", "thin:x")]),
        waiting,
        with("qemu/105", &[("scsi0", "same:iso/debian.iso")]),
        with("lxc/106", &[("rootfs", iso)]),
        Guest { node: "pve2".into(), ..with("lxc/108", &[("rootfs", iso)]) },
        with("qemu/107", &[("cicustom", "user=local:iso/debian.iso,meta=local:other")]),
    ];
    let storages =
        vec![storage("local", "dir", &[("path", "/a")]), storage("same", "dir", &[("path", "/a")])];
    let world = World { guests: Seen::Known(guests), storages: Seen::Known(storages), ..world() };
    let (radius, _) = seen("delete_volume", &format!("volume/{iso}"), json!({"node": "pve1"}), &world);
    for (subject, effect, raises) in [
        ("qemu/101", "has local:iso/debian.iso as its CD in ide2 and would not start", HIGH),
        (
            "qemu/102",
            "has local:iso/debian.iso as its boot disk scsi0 in snapshot before and could not go back to snapshot before",
            HIGH,
        ),
        ("lxc/103", "has local:iso/debian.iso as its file for hookscript and would not start", HIGH),
        (
            "qemu/104",
            "has local:iso/debian.iso as its disk scsi1 from its next start on and would not start",
            CRITICAL,
        ),
        ("qemu/105", "has same:iso/debian.iso as its boot disk scsi0 and would not boot", CRITICAL),
        ("lxc/106", "has local:iso/debian.iso as its boot disk rootfs and would not boot", CRITICAL),
        ("qemu/107", "has local:iso/debian.iso as its file for cicustom and would not start", HIGH),
    ] {
        assert_hit(&radius, subject, effect, raises);
    }
    assert!(
        !radius.hits.iter().any(|hit| hit.subject == "lxc/108"),
        "it has a disk of this name on its own node"
    );
}

#[test]
fn the_last_backup_is_not_like_any_other() {
    let delete = |backups: Vec<_>| {
        let world = World {
            volumes: Seen::Known(backups),
            guests: Seen::Known(vec![with("qemu/100", &[])]),
            ..world()
        };
        seen("delete_volume", "volume/nfs:backup/one", json!({"node": "pve1"}), &world).0
    };
    // A shared storage lists the same backup on every node.
    let twice = vec![backup("nfs:backup/one", 100), backup("nfs:backup/one", 100)];
    assert_hit(&delete(twice), "qemu/100", "loses its last backup", CRITICAL);
    let two =
        vec![backup("nfs:backup/one", 100), backup("nfs:backup/two", 100), backup("nfs:backup/two", 100)];
    let radius = delete(two);
    assert_hit(&radius, "qemu/100", "loses a backup", None);
    assert_eq!(radius.hits[0].detail, "0 minutes old; 1 remain");
}

#[test]
fn whoever_removes_a_storage_is_told_everyone_on_it() {
    let replicated =
        ReplicationJob { id: "100-0".into(), guest: Some(vmid(100)), ..ReplicationJob::default() };
    let nightly = crate::core::observe::BackupJob { storage: Some("tank".into()), ..job("nightly", &[]) };
    let config = [
        ("boot", "order=scsi0"),
        ("scsi0", "tank:vm-100-disk-0"),
        ("efidisk0", "tank:vm-100-disk-1"),
        ("tpmstate0", "tank:vm-100-disk-2"),
        ("unused0", "tank:vm-100-disk-3"),
        ("vmstate", "tank:vm-100-state"),
        ("ide2", "other:iso/x.iso,media=cdrom"),
    ];
    let world = World {
        guests: Seen::Known(vec![with("qemu/100", &config)]),
        volumes: Seen::Known(vec![
            backup("tank:backup/a", 100),
            backup("tank:backup/b", 101),
            backup("other:backup/b", 101),
            disk("tank:vm-102-disk-0", 102, None),
        ]),
        storages: Seen::Known(vec![
            storage("tank", "lvm", &[]),
            storage("upper", "lvm", &[("base", "tank:base")]),
        ]),
        backup_jobs: Seen::Known(vec![nightly]),
        replication: Seen::Known(vec![replicated]),
        ..world()
    };
    let (radius, risk) = seen("remove_storage", "storage/tank", json!({}), &world);
    for (subject, effect, raises) in [
        ("qemu/100", "has its boot disk scsi0 on it (tank:vm-100-disk-0) and would not boot", CRITICAL),
        ("qemu/100", "has its disk efidisk0 on it (tank:vm-100-disk-1) and would not start", CRITICAL),
        ("qemu/100", "has its disk tpmstate0 on it (tank:vm-100-disk-2) and would not start", CRITICAL),
        ("qemu/100", "has its unused disk unused0 on it (tank:vm-100-disk-3) and would lose it", HIGH),
        ("qemu/100", "has its saved memory on it (tank:vm-100-state) and would lose it", HIGH),
        ("qemu/100", "has its only backups there", CRITICAL),
        ("guest/101", "has backups there, and others elsewhere", None),
        ("guest/102", "has tank:vm-102-disk-0 there, which its settings don't name", HIGH),
        ("backup-job/nightly", "can't write to tank any more", HIGH),
        ("replication/100-0", "can't copy what lies on tank any more", HIGH),
        ("storage/upper", "rests on tank", CRITICAL),
        ("node/pve2", "has no storage tank any more", None),
    ] {
        assert_hit(&radius, subject, effect, raises);
    }
    assert!(!radius.hits.iter().any(|hit| hit.effect.contains("ide2")));
    assert_eq!(risk, Risk::Critical);
}

#[test]
fn a_bridge_takes_all_with_it_that_stands_on_it() {
    let interfaces = vec![
        interface("vmbr0", &["10.0.0.1/24"], &["nic0"]),
        interface("vmbr0.10", &["10.0.10.1/24"], &[]),
        interface("vmbr10", &[], &["vmbr0.10"]),
        interface("vmbr00", &[], &[]),
    ];
    let elsewhere = Guest { node: "pve2".into(), ..on_bridge("qemu/103", "vmbr0") };
    let guests = vec![
        running(on_bridge("qemu/101", "vmbr0")),
        on_bridge("lxc/102", "vmbr10"),
        elsewhere,
        on_bridge("qemu/104", "vmbr00"),
    ];
    let network = Network { interfaces, waiting: Some("+iface vmbr9 inet manual".into()) };
    let world = World { guests: Seen::Known(guests), network: Seen::Known(network), ..world() };
    let (radius, _) = seen("delete_bridge", "node/pve1", json!({"iface": "vmbr0"}), &world);
    for (subject, effect, raises) in [
        ("qemu/101", "loses its network card net0 on vmbr0", CRITICAL),
        ("lxc/102", "would not start with its network card net0 on vmbr10", CRITICAL),
        ("interface/pve1/vmbr10", "stands on vmbr0 and goes with it", HIGH),
        ("node/pve1", "has its address within the cluster on vmbr0: 10.0.0.1/24", CRITICAL),
        ("node/pve1", "has the address 10.0.10.1/24 on vmbr0.10", HIGH),
        ("node/pve1", "has other changes waiting: +iface vmbr9 inet manual", HIGH),
    ] {
        assert_hit(&radius, subject, effect, raises);
    }
    assert!(
        !radius.hits.iter().any(|hit| ["qemu/103", "qemu/104"].contains(&hit.subject.as_str())),
        "{radius:?}"
    );
}

#[test]
fn whoever_applies_the_network_applies_what_others_wrote_down() {
    let waiting = "--- /etc/network/interfaces\n+++ /etc/network/interfaces.new\n@@ -1 +1 @@\n auto vmbr0\n iface vmbr0 inet static\n-\taddress 10.0.0.1/24\n+\taddress 10.0.0.9/24\n iface vmbr1 inet manual\n";
    let interfaces = vec![interface("vmbr0", &["10.0.0.1/24"], &[]), interface("vmbr1", &[], &[])];
    let world = World {
        guests: Seen::Known(vec![
            running(on_bridge("qemu/101", "vmbr0")),
            running(on_bridge("qemu/102", "vmbr1")),
        ]),
        network: Seen::Known(Network { interfaces, waiting: Some(waiting.into()) }),
        ..world()
    };
    let (radius, _) = seen("apply_network", "node/pve1", json!({}), &world);
    let effect = "has all waiting changes applied: -\taddress 10.0.0.1/24; +\taddress 10.0.0.9/24";
    assert_hit(&radius, "node/pve1", effect, None);
    assert_hit(&radius, "node/pve1", "has its address within the cluster on vmbr0: 10.0.0.1/24", CRITICAL);
    assert_hit(&radius, "qemu/101", "loses its network card net0 on vmbr0", CRITICAL);
    assert!(!radius.hits.iter().any(|hit| hit.subject == "qemu/102"));
}

#[test]
fn a_virtual_network_that_is_deleted_takes_its_guests_off_the_network() {
    let vnet = |id: &str, zone: &str, waiting: Option<&str>| Vnet {
        id: id.into(),
        zone: zone.into(),
        waiting: waiting.map(str::to_owned),
    };
    let sdn = Sdn {
        zones: vec![
            Zone { id: "blue".into(), waiting: Some("changed".into()) },
            Zone { id: "red".into(), waiting: None },
        ],
        vnets: vec![vnet("v1", "red", Some("deleted")), vnet("v2", "blue", None), vnet("v3", "red", None)],
    };
    let guests = ["v1", "v2", "v3"]
        .iter()
        .zip(["qemu/101", "qemu/102", "qemu/103"])
        .map(|(vnet, guest)| on_bridge(guest, vnet));
    let world = World { sdn: Seen::Known(sdn), guests: Seen::Known(guests.collect()), ..world() };
    let (radius, _) = seen("apply_sdn", "cluster/all", json!({}), &world);
    assert_hit(&radius, "qemu/101", "loses its network card net0 on v1", CRITICAL);
    assert_hit(&radius, "qemu/102", "has its network card net0 on v2, which is changed", HIGH);
    assert!(!radius.hits.iter().any(|hit| hit.subject == "qemu/103"));
}

#[test]
fn a_node_takes_down_what_only_it_can_give() {
    let big = |reference: &str| Guest { memory: 3 << 30, ..running(with(reference, &[])) };
    let fed = Guest {
        node: "pve2".into(),
        ..running(with("qemu/104", &[("boot", "order=scsi1"), ("scsi0", "nfs:x")]))
    };
    let sids = ["vm:101", "vm:102", "vm:103"];
    let mut world = World {
        guests: Seen::Known(vec![
            big("qemu/101"),
            big("qemu/102"),
            big("qemu/103"),
            running(with("lxc/105", &[])),
            fed,
        ]),
        ha: Seen::Known(Ha {
            resources: sids.iter().map(|sid| resource(sid, "pve1")).collect(),
            ..Ha::default()
        }),
        storages: Seen::Known(vec![storage("nfs", "nfs", &[("server", "10.0.0.1")])]),
        active_tasks: Seen::Known(vec![ActiveTask {
            kind: "vzdump".into(),
            id: "101".into(),
            user: "root@pam".into(),
        }]),
        ..world()
    };
    let (radius, _) = seen("reboot_node", "node/pve1", json!({}), &world);
    for (subject, effect) in [
        ("qemu/101", "goes off, and HA starts it elsewhere or when the node is back"),
        ("lxc/105", "goes off, and nothing starts it when the node is back"),
        ("qemu/103", "finds no other node with the memory for it"),
        ("storage/nfs", "is served by pve1 and out of reach for all nodes"),
        ("qemu/104", "has its disk scsi0 on nfs, which pve1 serves"),
        ("node/pve1", "has the task vzdump of 101 by root@pam cut off"),
    ] {
        assert_hit(&radius, subject, effect, CRITICAL);
    }
    assert!(!radius.hits.iter().any(|hit| hit.effect.contains("quorum")));
    let Seen::Known(Nodes { nodes, .. }) = &mut world.nodes else { panic!() };
    nodes[2].online = false;
    let (radius, _) = seen("shutdown_node", "node/pve1", json!({}), &world);
    assert_hit(&radius, "cluster/all", "has no quorum without pve1", CRITICAL);
}

#[test]
fn all_guests_of_a_node_are_named_one_by_one() {
    let guests = vec![
        running(with("qemu/101", &[])),
        with("qemu/102", &[]),
        Guest { protected: true, ..running(with("qemu/103", &[])) },
    ];
    let world = World { guests: Seen::Known(guests), ..world() };
    let (radius, risk) = seen("stop_node_guests", "node/pve1", json!({}), &world);
    assert_hit(&radius, "qemu/101", "goes off", HIGH);
    assert_hit(&radius, "qemu/103", "goes off", CRITICAL);
    assert_eq!((radius.hits.len(), risk), (2, Risk::Critical));
    let (radius, _) = seen(
        "migrate_node_guests",
        "node/pve1",
        json!({"destination": "pve2", "guests": "101", "workers": 1}),
        &world,
    );
    assert_hit(&radius, "qemu/101", "goes to pve2", HIGH);
    assert_eq!(radius.hits.len(), 1);
}

#[test]
fn a_rule_of_ha_moves_guests_by_itself() {
    let resources = vec![resource("vm:101", "pve1"), resource("ct:102", "pve1")];
    let rules = vec![rule("old", "node-affinity", &["vm:101"], &["pve1"], &[])];
    let world = World {
        ha: Seen::Known(Ha { resources, rules, armed: None }),
        guests: Seen::Known(vec![running(with("qemu/101", &[])), running(with("lxc/102", &[]))]),
        ..world()
    };
    let params = json!({"type": "resource-affinity", "resources": "vm:101,ct:102", "affinity": "negative"});
    let (radius, risk) = seen("create_ha_rule", "ha-rule/apart", params, &world);
    assert_hit(&radius, "qemu/101", "may be moved off pve1 by rule apart", HIGH);
    assert_hit(&radius, "lxc/102", "may be moved off pve1 by rule apart", HIGH);
    assert_eq!(risk, Risk::High);
    let (radius, _) = seen(
        "change_ha_rule",
        "ha-rule/old",
        json!({"type": "node-affinity", "nodes": "pve2:1,pve9"}),
        &world,
    );
    assert_hit(&radius, "qemu/101", "may be moved off pve1 by rule old", HIGH);
    assert_hit(&radius, "node/pve9", "is named by rule old and not online", HIGH);
    let (radius, _) = seen("delete_ha_rule", "ha-rule/old", json!({}), &world);
    assert_hit(&radius, "qemu/101", "is no longer placed by rule old", HIGH);
    let (radius, _) = seen("disarm_ha", "cluster/all", json!({"resourceMode": "freeze"}), &world);
    assert_hit(&radius, "lxc/102", "is no longer started elsewhere when its node fails", CRITICAL);
}

#[test]
fn a_job_that_goes_leaves_guests_without_any() {
    let world = World {
        backup_jobs: Seen::Known(vec![job("nightly", &[101, 102, 103]), job("weekly", &[102])]),
        guests: Seen::Known(vec![with("qemu/101", &[]), with("qemu/102", &[]), with("qemu/103", &[])]),
        volumes: Seen::Known(vec![backup("local:backup/a", 101)]),
        ..world()
    };
    let (radius, risk) = seen("delete_backup_job", "backup-job/nightly", json!({}), &world);
    assert_hit(&radius, "qemu/101", "is saved by no job any more", HIGH);
    assert_hit(&radius, "qemu/102", "is saved by other jobs only", None);
    assert_hit(&radius, "qemu/103", "is saved by no job any more, and has no backup", CRITICAL);
    assert_eq!(risk, Risk::Critical);
    for (params, hit) in [
        (json!({"enabled": false}), true),
        (json!({"guests": "102,103"}), true),
        (json!({"exclude": "101"}), true),
        (json!({"guests": "101"}), false),
        (json!({"schedule": "sun 01:00"}), false),
    ] {
        let (radius, _) = seen("change_backup_job", "backup-job/nightly", params.clone(), &world);
        assert_eq!(radius.hits.iter().any(|hit| hit.subject == "qemu/101"), hit, "{params}");
    }
}

#[test]
fn without_its_copy_ha_can_not_start_a_guest_elsewhere() {
    let job = ReplicationJob {
        id: "101-0".into(),
        guest: Some(vmid(101)),
        target: "pve2".into(),
        ..ReplicationJob::default()
    };
    let mut world = World { replication: Seen::Known(vec![job]), ..world() };
    let (radius, risk) = seen("remove_replication", "replication/101-0", json!({}), &world);
    assert_hit(&radius, "guest/101", "has no copy on pve2 any more", HIGH);
    assert_eq!(risk, Risk::High);
    world.ha = Seen::Known(Ha { resources: vec![resource("vm:101", "pve1")], ..Ha::default() });
    let (_, risk) = seen("remove_replication", "replication/101-0", json!({}), &world);
    assert_eq!(risk, Risk::Critical);
}

#[test]
fn a_pool_gives_rights_and_chooses_backups() {
    let saves =
        crate::core::observe::BackupJob { settings: settings(&[("pool", "web")]), ..job("nightly", &[]) };
    let world = World {
        pools: Seen::Known(vec![Pool { id: "web".into(), guests: vec![vmid(101)], ..Pool::default() }]),
        acl: Seen::Known(vec![AclEntry {
            path: "/pool/web".into(),
            who: "alice@pve".into(),
            role: "PVEVMAdmin".into(),
        }]),
        backup_jobs: Seen::Known(vec![saves]),
        ..world()
    };
    let (radius, _) = seen("delete_pool", "pool/web", json!({}), &world);
    assert_hit(&radius, "guest/101", "leaves pool web and the rights that it gives", None);
    assert_hit(&radius, "user/alice@pve", "loses the role PVEVMAdmin on /pool/web", HIGH);
    assert_hit(&radius, "backup-job/nightly", "saves other guests by pool web", HIGH);
    let (radius, _) = seen("change_pool", "pool/mail", json!({"guests": "101", "allowMove": true}), &world);
    assert_hit(&radius, "guest/101", "leaves pool web", HIGH);
}

#[test]
fn a_firewall_rule_can_lock_out_whoever_could_mend_it() {
    let accept = FirewallRule {
        position: 0,
        digest: None,
        settings: settings(&[("type", "in"), ("action", "ACCEPT"), ("dport", "8006"), ("enable", "1")]),
    };
    let drop = json!({"type": "in", "action": "DROP", "enable": true});
    let world = World { firewall: Seen::Known(vec![accept]), ..world() };
    let (radius, risk) = seen("remove_firewall_rule", "node/pve1", json!({"position": 0}), &world);
    assert_hit(&radius, "node/pve1", "no longer lets through: type=in action=ACCEPT dport=8006", CRITICAL);
    assert_eq!(risk, Risk::Critical);
    let (radius, _) = seen("add_firewall_rule", "cluster/all", drop.clone(), &world);
    assert_hit(&radius, "cluster/all", "shuts out: type=in action=DROP", CRITICAL);
    let guest = world_with(with("qemu/100", &[]), vec![]);
    let (radius, _) = seen("add_firewall_rule", "qemu/100", drop, &guest);
    assert_hit(&radius, "qemu/100", "shuts out: type=in action=DROP", HIGH);
    let (radius, _) = seen("add_firewall_rule", "qemu/100", json!({"type": "in", "action": "DROP"}), &guest);
    assert!(radius.hits.is_empty(), "a rule that is not enabled does nothing: {radius:?}");
}

#[test]
fn the_gravest_come_first_because_a_preview_has_an_end() {
    let config = [("boot", "order=scsi0"), ("scsi0", "tank:a"), ("unused0", "tank:b")];
    let world = World { guests: Seen::Known(vec![with("qemu/100", &config)]), ..world() };
    let (radius, _) = seen("remove_storage", "storage/tank", json!({}), &world);
    let raises: Vec<Option<Risk>> = radius.hits.iter().map(|hit| hit.raises).collect();
    assert_eq!(raises, [CRITICAL, HIGH, None, None, None], "{radius:?}");
}
