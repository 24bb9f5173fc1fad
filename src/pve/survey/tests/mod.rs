//! What Proxmox answers, word for word, and what is made of it.

mod guests;
mod parts;

use std::collections::BTreeMap;

use crate::{
    catalog::{GuestRef, Target},
    core::observe::{InventoryRow, Rights},
    pve::{
        Client, Trust,
        testing::{Reply, Server},
    },
};

use super::inventory::Listed;

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

/// May see everything that a list shows.
fn auditor() -> Rights {
    let all = ["Sys.Audit", "VM.Audit", "Pool.Audit", "SDN.Audit", "Datastore.Audit"];
    let all = all.map(|name| (name.to_owned(), true));
    Rights::new(BTreeMap::from([("/".to_owned(), BTreeMap::from(all))]), BTreeMap::new())
}
