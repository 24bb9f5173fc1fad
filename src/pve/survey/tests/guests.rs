//! Guests, and the lists that they stand in.

use std::collections::BTreeSet;

use crate::{
    catalog::{Existence, Target},
    core::observe::{Guest, Query},
    pve::{
        ReadError, Trust,
        survey::{guest, inventory::listed, lookout::Lookout, target},
        testing::{Reply, Server},
    },
};

use super::{on_pve1, reference, server};

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
