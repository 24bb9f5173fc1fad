//! Each part of the cluster, as somebody sees it who may see everything.

use proxmox_agent::{
    catalog::Section,
    core::observe::{Seen, World},
};

use crate::place::{SAMPLE, post, sample_and, sample_with, seen, start};

const HOUSE: &str = r#"
ha:
  vm:100: {config: {state: started}}
  vm:102: {config: {state: stopped}}
definitions:
  haRules:
    apart: {type: resource-affinity, affinity: negative, resources: "vm:100,vm:102"}
  firewallRules:
    "100": {rules: [{type: in, action: ACCEPT, enable: 1, dport: "22"}]}
"#;

#[tokio::test]
async fn what_is_not_asked_for_is_not_looked_at() {
    let sim = start(SAMPLE).await;
    let world = seen(&sim, "qemu/100", &[]).await;
    assert_eq!(world.version, "9.2.11");
    assert_eq!(world.guest().unwrap().name, "web-1");
    assert!(world.rights.holds("/", "Sys.Audit"));
    let (version, target, rights) = (world.version.clone(), world.target.clone(), world.rights.clone());
    assert_eq!(world, World { version, target, rights, ..World::default() });
}

#[tokio::test]
async fn nodes_are_seen_with_their_memory_and_quorum() {
    let sim = start(&sample_with("pve3: {ip: 192.0.2.13}", "pve3: {ip: 192.0.2.13, online: false}")).await;
    let world = seen(&sim, "cluster/all", &[Section::Nodes]).await;
    let Seen::Known(nodes) = world.nodes else { panic!("{:?}", world.nodes) };
    assert!(nodes.is_cluster && nodes.quorate);
    let found: Vec<_> =
        nodes.nodes.iter().map(|n| (&n.name[..], n.online, n.votes, n.memory.is_some())).collect();
    assert_eq!(found, [("pve1", true, 1, true), ("pve2", true, 1, true), ("pve3", false, 1, false)]);
    assert_eq!(nodes.nodes[0].ip.as_deref(), Some("192.0.2.11"));
}

#[tokio::test]
async fn a_node_on_its_own_is_no_cluster_and_always_quorate() {
    let world = "nodes: {pve1: {}}\nusers: {root@pam: {tokens: {full: {privsep: 0}}}}";
    let sim = start(world).await;
    let world = seen(&sim, "cluster/all", &[Section::Nodes]).await;
    let nodes = world.nodes.known().unwrap();
    assert!(!nodes.is_cluster && nodes.quorate && nodes.nodes.len() == 1);
}

#[tokio::test]
async fn guests_are_seen_with_their_settings_the_target_among_them() {
    let sim = start(&sample_and(HOUSE)).await;
    let world = seen(&sim, "qemu/100", &[Section::Guests]).await;
    let Seen::Known(guests) = &world.guests else { panic!("{:?}", world.guests) };
    let names: Vec<_> = guests.iter().map(|guest| guest.name.as_str()).collect();
    assert_eq!(names, ["web-1", "batch-1", "ledger-1", "locked-1", "dns-1", "spare-1", "talos-template"]);
    assert_eq!(Some(&guests[0]), world.guest());
    let ledger = &guests[2];
    assert_eq!(ledger.disks()[0].volume, "shared:102/vm-102-disk-0.qcow2");
    assert_eq!(
        (ledger.pool.as_deref(), ledger.ha_managed, ledger.protected),
        (Some("production"), true, true)
    );
    assert_eq!((guests[3].lock.as_deref(), guests[6].template), (Some("backup"), true));
    assert!(guests.iter().all(|guest| !guest.config_digest.is_empty()));
}

#[tokio::test]
async fn what_snapshots_keep_is_seen_only_if_it_is_asked_for() {
    let sim = start(SAMPLE).await;
    let config_of = |world: World| world.guests.known().unwrap()[0].snapshots[0].config.clone();
    let without = seen(&sim, "qemu/100", &[Section::Guests]).await;
    assert!(config_of(without).is_empty());
    // A neighbour's too, not only the target's.
    let with = seen(&sim, "qemu/101", &[Section::Guests, Section::SnapshotConfigs]).await;
    assert_eq!(config_of(with)["scsi0"], "local-lvm:vm-100-disk-0,size=32G");
}

#[tokio::test]
async fn storages_are_seen_with_the_space_that_is_left() {
    let sim = start(SAMPLE).await;
    let world = seen(&sim, "cluster/all", &[Section::Storages]).await;
    let Seen::Known(storages) = &world.storages else { panic!("{:?}", world.storages) };
    let found: Vec<_> = storages.iter().map(|s| (&s.id[..], &s.kind[..], s.shared)).collect();
    assert_eq!(found, [("local", "dir", false), ("local-lvm", "lvmthin", false), ("shared", "nfs", true)]);
    assert_eq!(storages[2].free["pve1"], 1_099_511_627_776 - 53_687_091_200);
    assert_eq!(storages[1].content, ["images", "rootdir"]);
}

#[tokio::test]
async fn what_lies_on_a_shared_storage_is_seen_once() {
    let backups = "    volumes:\n      - {volid: \"shared:backup/vzdump-qemu-100-2026_01_01-00_00_00.vma.zst\", \
                   content: backup, format: vma.zst, size: 1, vmid: 100, ctime: 1795222300, protected: true}\n      \
                   - {volid: \"shared:9000/base-9000-disk-0.qcow2/105/vm-105-disk-0.qcow2\", content: images, \
                   format: qcow2, size: 1, vmid: 105, parent: base-9000-disk-0.qcow2}\n      \
                   - {volid: \"shared:101";
    let sim = start(&sample_with("    volumes:\n      - {volid: \"shared:101", backups)).await;
    let world = seen(&sim, "cluster/all", &[Section::Volumes]).await;
    let Seen::Known(volumes) = &world.volumes else { panic!("{:?}", world.volumes) };
    let shared: Vec<_> = volumes.iter().filter(|volume| volume.storage == "shared").collect();
    assert_eq!(shared.len(), 5, "{shared:?}");
    let backup = shared.iter().find(|volume| volume.content == "backup").unwrap();
    assert_eq!((backup.vmid.unwrap().number(), backup.created_at), (100, Some(1_795_222_300)));
    assert!(backup.protected);
    let clone = shared.iter().find(|volume| volume.parent.is_some()).unwrap();
    // Some storages write a way to it before the name.
    assert!(clone.parent.as_deref().unwrap().ends_with("base-9000-disk-0.qcow2"), "{clone:?}");
    let local = volumes.iter().filter(|volume| volume.storage == "local-lvm").map(|volume| &volume.node[..]);
    assert_eq!(local.collect::<Vec<_>>(), ["pve1", "pve2", "pve3"]);
}

#[tokio::test]
async fn a_disabled_storage_holds_nobody_up() {
    let disabled = r#"content: "images,rootdir", disable: 1"#;
    let sim = start(&sample_with(r#"content: "images,rootdir""#, disabled)).await;
    let world = seen(&sim, "cluster/all", &[Section::Volumes]).await;
    let Seen::Known(volumes) = &world.volumes else { panic!("{:?}", world.volumes) };
    assert!(volumes.iter().all(|volume| volume.storage != "local-lvm"));
}

#[tokio::test]
async fn ha_is_seen_with_what_it_looks_after_and_its_rules() {
    let sim = start(&sample_and(HOUSE)).await;
    let world = seen(&sim, "cluster/all", &[Section::Ha]).await;
    let Seen::Known(ha) = &world.ha else { panic!("{:?}", world.ha) };
    let found: Vec<_> = ha.resources.iter().map(|r| (&r.sid[..], &r.state[..], r.node.as_deref())).collect();
    assert_eq!(found, [("vm:100", "started", Some("pve1")), ("vm:102", "stopped", Some("pve2"))]);
    assert!(ha.resources.iter().all(|resource| resource.current.is_some()));
    assert_eq!((&ha.rules[0].id[..], &ha.rules[0].kind[..]), ("apart", "resource-affinity"));
    assert_eq!(ha.rules[0].resources, ["vm:100", "vm:102"]);
    assert_eq!(ha.armed, Some(true));
}

#[tokio::test]
async fn pools_are_seen_with_their_members() {
    let pools = "production: {comment: what customers see, vms: [100, 102], storage: [shared]}";
    let sim = start(&sample_with("production: {comment: what customers see, vms: [100, 102]}", pools)).await;
    let world = seen(&sim, "cluster/all", &[Section::Pools]).await;
    let Seen::Known(pools) = &world.pools else { panic!("{:?}", world.pools) };
    assert_eq!((&pools[0].id[..], &pools[0].comment[..]), ("production", "what customers see"));
    assert_eq!(pools[0].guests.iter().map(|vmid| vmid.number()).collect::<Vec<_>>(), [100, 102]);
    assert_eq!(pools[0].storages, ["shared"]);
}

#[tokio::test]
async fn virtual_networks_are_seen_with_what_waits() {
    let sim = start(SAMPLE).await;
    post(&sim, "/cluster/sdn/zones", &[("zone", "z1"), ("type", "simple")]).await;
    post(&sim, "/cluster/sdn/vnets", &[("vnet", "blue"), ("zone", "z1")]).await;
    let world = seen(&sim, "cluster/all", &[Section::Sdn]).await;
    let Seen::Known(sdn) = &world.sdn else { panic!("{:?}", world.sdn) };
    assert_eq!((&sdn.zones[0].id[..], sdn.zones[0].waiting.as_deref()), ("z1", Some("new")));
    assert_eq!((&sdn.vnets[0].id[..], &sdn.vnets[0].zone[..]), ("blue", "z1"));
    assert_eq!(sdn.vnets[0].waiting.as_deref(), Some("new"));
}

#[tokio::test]
async fn the_firewall_and_the_rights_of_the_target_are_seen() {
    let acl = "acl:\n  - {path: /vms/100, who: \"agent@pve\", role: PVEVMUser}\n";
    let world = format!("{}{HOUSE}", sample_with("acl:\n", acl));
    let sim = start(&world).await;
    let world = seen(&sim, "qemu/100", &[Section::Firewall, Section::Acl]).await;
    let Seen::Known(rules) = &world.firewall else { panic!("{:?}", world.firewall) };
    assert_eq!((rules.len(), rules[0].settings["dport"].as_str()), (1, "22"));
    let Seen::Known(acl) = &world.acl else { panic!("{:?}", world.acl) };
    assert_eq!(acl.len(), 1, "what is given elsewhere does not count: {acl:?}");
    assert_eq!((&acl[0].who[..], &acl[0].role[..]), ("agent@pve", "PVEVMUser"));
}

#[tokio::test]
async fn proxmox_is_asked_whether_a_guest_can_move() {
    let sim = start(SAMPLE).await;
    let world = seen(&sim, "qemu/100", &[Section::Migration]).await;
    let Seen::Known(check) = &world.migration else { panic!("{:?}", world.migration) };
    assert_eq!(check.allowed_nodes.as_deref(), Some(&["pve2".to_owned(), "pve3".to_owned()][..]));
    assert_eq!(check.local_disks, ["local-lvm:vm-100-disk-0"]);
}

#[tokio::test]
async fn the_tasks_that_run_on_the_node_are_seen() {
    let running = "tasks: [{type: vzdump, node: pve1, id: \"100\", user: root@pam, remainingSeconds: 600}]";
    let sim = start(&sample_and(running)).await;
    let world = seen(&sim, "qemu/100", &[Section::ActiveTasks]).await;
    let Seen::Known(tasks) = &world.active_tasks else { panic!("{:?}", world.active_tasks) };
    assert_eq!((tasks.len(), &tasks[0].kind[..], &tasks[0].user[..]), (1, "vzdump", "root@pam"));
    let elsewhere = seen(&sim, "qemu/102", &[Section::ActiveTasks]).await;
    assert_eq!(elsewhere.active_tasks, Seen::Known(vec![]));
}
