//! What Proxmox answers, word for word, and what is made of it.

use std::collections::BTreeSet;

use crate::{
    catalog::{Existence, GuestRef, Target},
    core::{
        observe::{Guest, InventoryRow, MigrationCheck, Query, Rights, Seen},
        testing as core_testing,
    },
    pve::{
        Client, ReadError, Trust,
        testing::{Reply, Server},
    },
};

use super::{
    access, guest, ha,
    inventory::{Listed, listed},
    jobs,
    lookout::Lookout,
    migration, network, target,
};

/// Answers one read after the other with these.
async fn server(answers: &[&str]) -> (Server, Client) {
    let replies: Vec<Reply> =
        answers.iter().map(|data| Reply::ok(&format!(r#"{{"data":{data}}}"#))).collect();
    let server = Server::plain(replies).await;
    let client = server.client(&Trust::Anyone);
    (server, client)
}

fn reference(text: &str) -> GuestRef {
    match text.parse() {
        Ok(Target::Guest(guest)) => guest,
        other => panic!("{other:?}"),
    }
}

fn on_pve1(text: &str) -> Listed {
    let row = InventoryRow {
        reference: reference(text),
        node: "pve1".into(),
        name: String::new(),
        status: "stopped".into(),
    };
    Listed { row, pool: None, lock: None, ha_managed: false }
}

#[tokio::test]
async fn a_new_guest_without_a_name_is_listed_too() {
    let (server, client) = server(&[
        r#"[{"lock":"migrate","type":"qemu","id":"qemu/9301","node":"pve3","vmid":9301,"name":"placed","cpu":0.2,
             "template":0,"status":"running","hastate":"migrate","tags":"prod;web"},
            {"type":"qemu","status":"unknown","node":"pve","id":"qemu/9302","vmid":"9302"},
            {"type":"lxc","status":"stopped","node":"pve","id":"lxc/600","vmid":600,"name":600,"template":"1","lock":""},
            {"type":"unikernel","status":"stopped","node":"pve","id":"unikernel/7","vmid":7}]"#,
    ])
    .await;
    let found = listed(&Lookout::new(&client)).await.unwrap();
    assert!(server.requests()[0].starts_with("GET /api2/json/cluster/resources?type=vm HTTP"));
    let names: Vec<_> =
        found.iter().map(|listed| (listed.row.reference.to_string(), listed.row.name.as_str())).collect();
    assert_eq!(
        names,
        [("qemu/9301".to_owned(), "placed"), ("qemu/9302".to_owned(), ""), ("lxc/600".to_owned(), "600")]
    );
    assert_eq!((found[0].lock.as_deref(), found[0].ha_managed), (Some("migrate"), true));
    assert_eq!((found[2].lock.as_deref(), found[2].ha_managed), (None, false));
}

fn rights(given: &[(&str, &[&str])]) -> Rights {
    let held = |held: &[&str]| held.iter().map(|name| ((*name).to_owned(), true)).collect();
    let given = given.iter().map(|(path, privileges)| ((*path).to_owned(), held(privileges)));
    Rights::new(given.collect(), Default::default())
}

fn auditor() -> Rights {
    rights(&[("/", &["Sys.Audit", "VM.Audit", "Pool.Audit", "SDN.Audit", "Datastore.Audit"])])
}

async fn neighbour(pending: &str, of: &str) -> Result<Guest, ReadError> {
    let (server, client) = server(&[pending]).await;
    let found = guest::neighbour(&Lookout::new(&client), &on_pve1(of)).await;
    assert!(server.requests()[0].starts_with(&format!("GET /api2/json/nodes/pve1/{of}/pending HTTP")));
    found
}

#[tokio::test]
async fn a_vm_is_known_by_the_uuid_of_its_firmware() {
    let guest = neighbour(
        r#"[{"key":"memory","value":"256"},{"key":"cores","value":1},{"key":"name","value":"web-1"},
            {"key":"digest","value":"7953239c9a7e53e1398b93137532c87520b1f2e1"},{"key":"protection","value":1},
            {"key":"smbios1","value":"base64=1,uuid=98837C76-051a-445f-95c5-2ea7ba0ca283"},
            {"key":"tags","value":"prod;web"},{"key":"template","value":0}]"#,
        "qemu/100",
    );
    let guest = guest.await.unwrap();
    assert_eq!(guest.smbios_uuid.as_deref(), Some("98837c76-051a-445f-95c5-2ea7ba0ca283"));
    assert_eq!((guest.name.as_str(), guest.memory), ("web-1", 256 << 20));
    assert_eq!(guest.tags, ["prod", "web"]);
    assert!(guest.protected && !guest.template);
}

#[tokio::test]
async fn a_container_is_named_by_its_hostname_and_has_no_uuid() {
    let guest = neighbour(
        r#"[{"key":"hostname","value":"ct-1"},{"key":"digest","value":"51048fca"},{"key":"swap","value":0}]"#,
        "lxc/600",
    );
    let guest = guest.await.unwrap();
    assert_eq!((guest.name.as_str(), guest.smbios_uuid, guest.protected), ("ct-1", None, false));
    assert_eq!((guest.memory, guest.config_digest.as_str()), (512 << 20, "51048fca"));
}

#[tokio::test]
async fn settings_that_wait_are_told_from_those_in_force() {
    let guest = neighbour(
        r#"[{"key":"cores","value":1,"pending":"2"},{"key":"net1","value":"virtio","delete":1},
            {"key":"scsi1","pending":"local:100/vm-100-disk-1.raw"},{"key":"digest","value":"d"}]"#,
        "qemu/100",
    );
    let guest = guest.await.unwrap();
    assert_eq!(guest.config["cores"], "1");
    assert!(!guest.config.contains_key("scsi1"), "it is not in force");
    let waiting: Vec<_> = guest.pending.iter().map(|(key, new)| (key.as_str(), new.as_deref())).collect();
    assert_eq!(
        waiting,
        [("cores", Some("2")), ("net1", None), ("scsi1", Some("local:100/vm-100-disk-1.raw"))]
    );
}

#[tokio::test]
async fn a_configuration_without_its_digest_is_not_understood() {
    let error = neighbour(r#"[{"key":"name","value":"web-1"}]"#, "qemu/100").await.unwrap_err();
    assert!(matches!(&error, ReadError::NotUnderstood { why, .. } if why.contains("digest")), "{error}");
}

#[tokio::test]
async fn the_present_is_no_snapshot() {
    let (_server, client) = server(&[
        r#"[{"name":"before","snaptime":1795222300,"vmstate":1,"parent":"base"},{"name":100,"snaptime":"1795222200"},
            {"description":"You are here!","running":0,"name":"current","digest":"d4a8","parent":"before"}]"#,
    ])
    .await;
    let found = guest::snapshots(&Lookout::new(&client), &on_pve1("qemu/100")).await.unwrap();
    let found: Vec<_> = found.iter().map(|s| (s.name.as_str(), s.taken_at, s.with_memory)).collect();
    assert_eq!(found, [("before", Some(1_795_222_300), true), ("100", Some(1_795_222_200), false)]);
}

#[tokio::test]
async fn a_guest_that_has_just_moved_to_another_node_is_not_taken_for_missing() {
    let list = r#"{"data":[{"type":"qemu","vmid":101,"node":"pve1","status":"running","name":"batch-1"}]}"#;
    let gone =
        r#"{"data":null,"message":"Configuration file 'nodes/pve1/qemu-server/101.conf' does not exist\n"}"#;
    let gone = || Reply::json(500, "x", gone);
    let server = Server::plain([Reply::ok(list), gone(), gone(), gone()]).await;
    let client = server.client(&Trust::Anyone);
    let query = Query {
        target: Target::Guest(reference("qemu/101")),
        existence: Existence::Exists,
        node: None,
        destination: None,
        sections: BTreeSet::new(),
    };
    let error = target::target(&Lookout::new(&client), &query).await.unwrap_err();
    assert!(error.to_string().contains("is listed on node pve1"), "{error}");
}

#[tokio::test]
async fn a_node_that_is_silent_is_not_asked_again() {
    let dead = || Reply::json(595, "No route to host", "");
    let server = Server::plain([dead(), dead()]).await;
    let client = server.client(&Trust::Anyone);
    let lookout = Lookout::new(&client);
    for _ in 0..2 {
        let error = guest::neighbour(&lookout, &on_pve1("qemu/100")).await.unwrap_err();
        assert!(matches!(error, ReadError::Unreachable { .. }), "{error}");
        let error = guest::neighbour(&lookout, &on_pve1("qemu/101")).await.unwrap_err();
        assert!(matches!(error, ReadError::Unreachable { .. }), "{error}");
    }
    assert_eq!(server.requests().len(), 1);
}

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
    let guest = Guest { node: "pve1".into(), ..core_testing::guest(of) };
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
