//! Everything else in the cluster.

use std::collections::BTreeSet;

use crate::{
    catalog::{Existence, Target},
    core::{
        observe::{Guest, MigrationCheck, Query, Seen},
        testing,
    },
    pve::{
        ReadError, Trust,
        survey::{access, ha, jobs, lookout::Lookout, migration, network},
        testing::{Reply, Server},
    },
};

use super::{auditor, server};

#[tokio::test]
async fn the_network_tells_what_waits_to_be_applied() {
    let answer = r#"{"data":[
        {"type":"bridge","method":"static","cidr":"192.0.2.11/24","priority":4,"netmask":"24","gateway":"192.0.2.1",
         "active":1,"families":["inet"],"bridge_ports":"nic0 nic1","iface":"vmbr0","address":"192.0.2.11","autostart":1},
        {"type":"vlan","iface":"nic0.5","vlan-raw-device":"nic0","families":["inet"]}],
        "changes":"--- /etc/network/interfaces\n+++ /etc/network/interfaces.new\n"}"#;
    let server = Server::plain([Reply::ok(answer)]).await;
    let client = server.client(&Trust::Anyone);
    let seen = network::network(&Lookout::new(&client), &auditor(), Some("pve1")).await.unwrap();
    let network = seen.known().unwrap();
    assert!(network.waiting.as_deref().unwrap().starts_with("--- /etc/network/interfaces"));
    let bridge = &network.interfaces[0];
    assert_eq!((bridge.name.as_str(), bridge.kind.as_str(), bridge.active), ("vmbr0", "bridge", true));
    assert_eq!(bridge.ports, ["nic0", "nic1"]);
    assert_eq!((&bridge.addresses[0][..], bridge.gateway.as_deref()), ("192.0.2.11/24", Some("192.0.2.1")));
    assert_eq!(
        (network.interfaces[1].active, &network.interfaces[1].ports[..]),
        (false, &["nic0".to_owned()][..])
    );
}

#[tokio::test]
async fn a_network_that_nothing_waits_for_has_no_changes() {
    let (_server, client) = server(&["[]"]).await;
    let seen = network::network(&Lookout::new(&client), &auditor(), Some("pve1")).await.unwrap();
    assert_eq!(seen.known().unwrap().waiting, None);
}

#[tokio::test]
async fn a_backup_job_saves_whom_proxmox_says_it_saves() {
    let (server, client) = server(&[
        r#"[{"schedule":"02:00","next-run":1795226400,"mode":"snapshot","id":"nightly","enabled":0,"all":1,
             "storage":"tank","type":"vzdump","prune-backups":{"keep-last":"3","keep-daily":"7"}}]"#,
        r#"{"children":[{"id":100,"type":"qemu","name":"web-1","children":[{"id":"scsi0","included":1}]},
                        {"id":"200","type":"lxc"}]}"#,
    ])
    .await;
    let seen = jobs::backup_jobs(&Lookout::new(&client), &auditor()).await.unwrap();
    assert!(server.requests()[1].starts_with("GET /api2/json/cluster/backup/nightly/included_volumes HTTP"));
    let job = &seen.known().unwrap()[0];
    assert_eq!((job.id.as_str(), job.enabled, job.storage.as_deref()), ("nightly", false, Some("tank")));
    assert_eq!(job.guests.iter().map(|vmid| vmid.number()).collect::<Vec<_>>(), [100, 200]);
    assert_eq!(job.settings["prune-backups"], "keep-daily=7,keep-last=3");
    assert!(
        !job.settings.contains_key("next-run"),
        "it moves on by itself, and with it every approval would fall"
    );
}

#[tokio::test]
async fn a_replication_job_tells_when_it_last_worked() {
    let (_server, client) = server(&[
        r#"[{"id":"100-0","guest":100,"jobnum":0,"target":"pve2","source":"pve1","type":"local","schedule":"*/15"},
            {"id":"101-0","guest":101,"jobnum":0,"target":"pve1","source":"pve3","type":"local"}]"#,
        r#"[{"node":"pve1","status":"online"},{"node":"pve2","status":"online"},{"node":"pve3","status":"offline"}]"#,
        r#"[{"id":"100-0","last_sync":1795222300,"fail_count":2,"error":"x"}]"#,
    ])
    .await;
    let seen = jobs::replication(&Lookout::new(&client), &auditor()).await.unwrap();
    let why = "the state of the replication jobs of node pve3 can't be seen: the node is offline";
    assert_eq!(seen.missing(), Some(why));
    let found: Vec<_> = seen.known().unwrap().iter().map(|j| (&j.id[..], j.last_sync, j.failures)).collect();
    assert_eq!(found, [("100-0", Some(1_795_222_300), 2), ("101-0", None, 0)]);
}

#[tokio::test]
async fn a_version_without_rules_has_groups_in_their_place() {
    let not_implemented =
        Reply::json(501, "Method 'GET /cluster/ha/rules' not implemented", r#"{"data":null}"#);
    let groups =
        r#"{"data":[{"group":"near","nodes":"pve1:2,pve2","restricted":1,"type":"group","digest":"d"}]}"#;
    let server = Server::plain([not_implemented, Reply::ok(groups)]).await;
    let client = server.client(&Trust::Anyone);
    let rules = ha::rules_or_groups(&Lookout::new(&client)).await.unwrap();
    assert_eq!((&rules[0].id[..], &rules[0].kind[..]), ("near", "group"));
    assert_eq!(rules[0].nodes, ["pve1", "pve2"]);
}

async fn migration_check(answer: &str, of: &str) -> MigrationCheck {
    let (server, client) = server(&[answer]).await;
    let guest = Guest { node: "pve1".into(), ..testing::guest(of) };
    let query = Query {
        target: Target::Guest(guest.reference),
        existence: Existence::Exists,
        node: None,
        destination: Some("pve2".into()),
        sections: BTreeSet::new(),
    };
    let seen = migration::migration(&Lookout::new(&client), &query, Some(&guest)).await.unwrap();
    assert!(
        server.requests()[0].starts_with(&format!("GET /api2/json/nodes/pve1/{of}/migrate?target=pve2 HTTP"))
    );
    seen.known().unwrap().clone()
}

#[tokio::test]
async fn proxmox_says_why_a_node_can_not_take_a_vm() {
    let check = migration_check(
        r#"{"has-dbus-vmstate":1,"local_resources":["hostpci0"],"mapped-resources":[],"allowed_nodes":["pve3"],"running":1,
            "dependent-ha-resources":["vm:101"],
            "local_disks":[{"volid":"only1:810/vm-810-disk-0.raw","cdrom":0,"size":1}],
            "not_allowed_nodes":{"pve2":{"unavailable_storages":["only1"],
              "blocking-ha-resources":[{"sid":"vm:102","cause":"resource-affinity"}]},"pve3":{}}}"#,
        "qemu/810",
    );
    let check = check.await;
    assert_eq!(check.allowed_nodes.as_deref(), Some(&["pve3".to_owned()][..]));
    assert_eq!(
        Vec::from_iter(&check.refused_by),
        [(
            &"pve2".to_owned(),
            &"blocking ha resources: vm:102 (resource-affinity); unavailable storages: only1".to_owned()
        )]
    );
    assert_eq!(check.local_disks, ["only1:810/vm-810-disk-0.raw"]);
    assert_eq!((&check.local_resources[0][..], &check.moves_along[0][..]), ("hostpci0", "vm:101"));
}

#[tokio::test]
async fn a_container_is_asked_about_in_the_spelling_of_its_kind() {
    let check = migration_check(
        r#"{"running":1,"allowed-nodes":["pve3"],
            "not-allowed-nodes":{"pve2":{"blocking-ha-resources":[{"sid":"ct:201","cause":"node-affinity"}]}}}"#,
        "lxc/200",
    );
    let check = check.await;
    assert_eq!(check.allowed_nodes.as_deref(), Some(&["pve3".to_owned()][..]));
    assert_eq!(check.refused_by["pve2"], "blocking ha resources: ct:201 (node-affinity)");
}

#[tokio::test]
async fn every_firewall_is_asked_for_where_it_stands() {
    for (target, path) in [
        ("qemu/100", "/nodes/pve1/qemu/100/firewall/rules"),
        ("node/pve1", "/nodes/pve1/firewall/rules"),
        ("cluster/all", "/cluster/firewall/rules"),
    ] {
        let (server, client) =
            server(&[r#"[{"pos":1,"type":"in","action":"ACCEPT","enable":1,"digest":"d"}]"#]).await;
        let target = target.parse().unwrap();
        let seen = access::firewall(&Lookout::new(&client), &target, Some("pve1")).await.unwrap();
        assert!(server.requests()[0].starts_with(&format!("GET /api2/json{path} HTTP")));
        let rule = &seen.known().unwrap()[0];
        assert_eq!((rule.position, rule.settings["action"].as_str()), (1, "ACCEPT"));
        assert!(!rule.settings.contains_key("digest"));
    }
}

#[tokio::test]
async fn a_refusal_names_the_privilege_and_the_path() {
    let refused = r#"{"data":null,"message":"Permission check failed (/vms/100, VM.Audit)\n"}"#;
    let server = Server::plain([Reply::json(403, "x", refused)]).await;
    let client = server.client(&Trust::Anyone);
    let target = "qemu/100".parse().unwrap();
    let seen = access::firewall(&Lookout::new(&client), &target, Some("pve1")).await.unwrap();
    let why = "the firewall rules of qemu/100 can't be seen: Permission check failed (/vms/100, VM.Audit)";
    assert_eq!(seen, Seen::Unknown { why: why.to_owned() });
}

#[tokio::test]
async fn a_token_that_is_no_longer_accepted_is_an_error_and_no_gap() {
    let server = Server::plain([Reply::json(401, "Authentication failed!", "")]).await;
    let client = server.client(&Trust::Anyone);
    let error = network::sdn(&Lookout::new(&client), &auditor()).await.unwrap_err();
    assert!(matches!(error, ReadError::Unauthorised { .. }), "{error}");
}
