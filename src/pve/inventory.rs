//! Reads of what exists, typed.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::{
    catalog::{GuestKind, GuestRef, Vmid},
    core::observe::{Guest, InventoryRow},
};

use super::{
    client::{Client, segment},
    disks::storages_of,
    lenient,
    read_error::ReadError,
};

#[derive(Deserialize)]
struct Version {
    version: String,
}

#[derive(Deserialize)]
struct Resource {
    #[serde(rename = "type")]
    kind: String,
    #[serde(deserialize_with = "lenient::number")]
    vmid: i64,
    node: String,
    #[serde(default, deserialize_with = "lenient::text")]
    name: String,
    #[serde(default)]
    status: String,
}

#[derive(Deserialize)]
struct Config {
    digest: String,
    smbios1: Option<String>,
    #[serde(default, alias = "hostname", deserialize_with = "lenient::text")]
    name: String,
    #[serde(default, deserialize_with = "lenient::flag")]
    protection: bool,
    #[serde(default, deserialize_with = "lenient::flag")]
    template: bool,
    lock: Option<String>,
    #[serde(flatten)]
    rest: BTreeMap<String, Value>,
}

/// The cluster's own list is up to ten seconds old.
#[derive(Deserialize)]
struct Current {
    status: String,
    #[serde(default)]
    ha: Ha,
}

#[derive(Default, Deserialize)]
struct Ha {
    #[serde(default, deserialize_with = "lenient::flag")]
    managed: bool,
}

#[derive(Deserialize)]
struct Snapshot {
    #[serde(deserialize_with = "lenient::text")]
    name: String,
}

/// The version of Proxmox VE, such as `9.2.11`.
pub async fn version(client: &Client) -> Result<String, ReadError> {
    Ok(client.get::<Version>("/version", &[]).await?.version)
}

/// All guests that the token can see. Proxmox leaves out the others without a word, and a new one may lack its name.
pub async fn guests(client: &Client) -> Result<Vec<InventoryRow>, ReadError> {
    const PATH: &str = "/cluster/resources";
    let rows: Vec<Resource> = client.get(PATH, &[("type", "vm".to_owned())]).await?;
    let read = |row: Resource| {
        // A kind of guest that a later version invents is none that an action could name.
        let kind = match row.kind.as_str() {
            "qemu" => GuestKind::Qemu,
            "lxc" => GuestKind::Lxc,
            _ => return None,
        };
        let vmid = u32::try_from(row.vmid).ok().and_then(Vmid::new);
        let guest = vmid.map(|vmid| InventoryRow {
            reference: GuestRef { kind, vmid },
            node: row.node,
            name: row.name,
            status: row.status,
        });
        Some(guest.ok_or_else(|| client.misread(PATH, "a guest has a number that Proxmox does not give")))
    };
    rows.into_iter().filter_map(read).collect()
}

/// One guest as it is right now. Of its configuration, what is in force; changes that wait for the next start are left out.
pub async fn guest(client: &Client, node: &str, reference: GuestRef) -> Result<Guest, ReadError> {
    let below = |what: &str| format!("/nodes/{}/{reference}/{what}", segment(node));
    let config: Config = client.get(&below("config"), &[("current", "1".to_owned())]).await?;
    let snapshots: Vec<Snapshot> = client.get(&below("snapshot"), &[]).await?;
    let current: Current = client.get(&below("status/current"), &[]).await?;
    let names = snapshots.into_iter().map(|snapshot| snapshot.name);
    Ok(Guest {
        reference,
        node: node.to_owned(),
        name: config.name,
        status: current.status,
        smbios_uuid: config.smbios1.as_deref().and_then(uuid_of),
        config_digest: config.digest,
        template: config.template,
        protected: config.protection,
        lock: config.lock.filter(|lock| !lock.is_empty()),
        ha_managed: current.ha.managed,
        // The entry that stands for the present is no snapshot.
        snapshots: names.filter(|name| name != "current").collect(),
        storages: storages_of(&config.rest),
    })
}

/// `uuid=...` among the comma-separated properties of `smbios1`.
fn uuid_of(smbios: &str) -> Option<String> {
    smbios.split(',').find_map(|property| property.trim().strip_prefix("uuid=")).map(str::to_lowercase)
}

#[cfg(test)]
mod tests {
    use crate::pve::{
        Trust,
        testing::{Reply, Server},
    };

    use super::*;

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
            Ok(crate::catalog::Target::Guest(guest)) => guest,
            other => panic!("{other:?}"),
        }
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
        let found = guests(&client).await.unwrap();
        assert!(server.requests()[0].starts_with("GET /api2/json/cluster/resources?type=vm HTTP"));
        let names: Vec<_> = found.iter().map(|row| (row.reference.to_string(), row.name.as_str())).collect();
        assert_eq!(
            names,
            [("qemu/9301".to_owned(), "placed"), ("qemu/9302".to_owned(), ""), ("lxc/600".to_owned(), "600")]
        );
    }

    #[tokio::test]
    async fn a_vm_is_known_by_the_uuid_of_its_firmware() {
        let (server, client) = server(&[
            r#"{"memory":"256","cores":1,"digest":"7953239c9a7e53e1398b93137532c87520b1f2e1","name":"web-1",
                "smbios1":"base64=1,uuid=98837C76-051a-445f-95c5-2ea7ba0ca283","tags":"prod;web","protection":1,
                "lock":"backup","description":"line1\nline2","template":0}"#,
            r#"[{"name":"before","snaptime":1795222300,"vmstate":1,"parent":"base"},{"name":100,"snaptime":"1795222200"},
                {"description":"You are here!","running":0,"name":"current","digest":"d4a8","parent":"before"}]"#,
            r#"{"status":"running","ha":{"managed":1,"state":"started"},"vmid":100,"qmpstatus":"running"}"#,
        ])
        .await;
        let guest = guest(&client, "pve1", reference("qemu/100")).await.unwrap();
        assert!(server.requests()[0].starts_with("GET /api2/json/nodes/pve1/qemu/100/config?current=1 HTTP"));
        assert_eq!(guest.smbios_uuid.as_deref(), Some("98837c76-051a-445f-95c5-2ea7ba0ca283"));
        assert_eq!((guest.name.as_str(), guest.lock.as_deref()), ("web-1", Some("backup")));
        assert!(guest.protected && !guest.template && guest.ha_managed);
        assert_eq!(
            (guest.status.as_str(), guest.snapshots),
            ("running", vec!["before".into(), "100".into()])
        );
    }

    #[tokio::test]
    async fn a_container_is_named_by_its_hostname_and_has_no_uuid() {
        let (_server, client) = server(&[
            r#"{"hostname":"ct-1","memory":128,"digest":"51048fca","unprivileged":1,"swap":0}"#,
            r#"[{"name":"current"}]"#,
            r#"{"status":"stopped","ha":{"managed":0}}"#,
        ])
        .await;
        let guest = guest(&client, "pve1", reference("lxc/600")).await.unwrap();
        assert_eq!((guest.name.as_str(), guest.smbios_uuid, guest.protected), ("ct-1", None, false));
        assert!(!guest.ha_managed && guest.snapshots.is_empty());
    }

    #[tokio::test]
    async fn a_configuration_without_its_digest_is_not_understood() {
        let (_server, client) = server(&[r#"{"name":"web-1"}"#]).await;
        let error = guest(&client, "pve1", reference("qemu/100")).await.unwrap_err();
        assert!(matches!(&error, ReadError::NotUnderstood { why, .. } if why.contains("digest")), "{error}");
    }
}
