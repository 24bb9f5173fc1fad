//! What Proxmox answers, word for word, and what is made of it.

use serde_json::Value;

use crate::{
    catalog::{GuestRef, Target},
    core::observe::{Guest, InventoryRow, Rights},
    pve::{
        Client, ReadError, Trust,
        testing::{Reply, Server},
    },
};

use super::{
    guest,
    inventory::{Listed, listed},
    lookout::Lookout,
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
