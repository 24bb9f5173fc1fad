//! Reads of what exists, typed.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::catalog::{GuestKind, GuestRef, Vmid};

use super::{
    client::{Client, segment},
    lenient,
    read_error::ReadError,
};

/// One guest in the cluster's list. The list lags some seconds behind, so a new guest may lack its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuestRow {
    pub reference: GuestRef,
    pub node: String,
    pub name: String,
    /// `running`, `stopped`, `unknown`, ...
    pub status: String,
    pub template: bool,
    pub lock: Option<String>,
    /// Set if the HA manager is in charge of it.
    pub ha_state: Option<String>,
    pub tags: Vec<String>,
}

/// What of a guest's configuration counts here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuestConfig {
    /// SHA-1 of the configuration file.
    pub digest: String,
    /// Containers have none.
    pub smbios_uuid: Option<String>,
    pub name: String,
    pub protected: bool,
    pub template: bool,
    pub lock: Option<String>,
    pub tags: Vec<String>,
    pub description: String,
}

/// One snapshot.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Snapshot {
    #[serde(deserialize_with = "lenient::text")]
    pub name: String,
    #[serde(default, deserialize_with = "lenient::text")]
    pub description: String,
    /// Seconds since 1970.
    #[serde(default, rename = "snaptime", deserialize_with = "lenient::optional_number")]
    pub created: Option<i64>,
    pub parent: Option<String>,
    /// Holds the memory too, so that a rollback leaves the guest running.
    #[serde(default, rename = "vmstate", deserialize_with = "lenient::flag")]
    pub with_memory: bool,
}

/// Privileges by path; the value tells whether a privilege holds below the path too.
pub type Permissions = BTreeMap<String, BTreeMap<String, bool>>;

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
    #[serde(default, deserialize_with = "lenient::flag")]
    template: bool,
    lock: Option<String>,
    hastate: Option<String>,
    #[serde(default, deserialize_with = "lenient::tags")]
    tags: Vec<String>,
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
    #[serde(default, deserialize_with = "lenient::tags")]
    tags: Vec<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    description: String,
}

#[derive(Deserialize)]
struct Granted(#[serde(deserialize_with = "lenient::flag")] bool);

/// The version of Proxmox VE, such as `9.2.11`.
pub async fn version(client: &Client) -> Result<String, ReadError> {
    Ok(client.get::<Version>("/version", &[]).await?.version)
}

/// What the token may do, on every path that Proxmox lists for it.
pub async fn own_permissions(client: &Client) -> Result<Permissions, ReadError> {
    permissions(client, &[]).await
}

/// What the token may do on one path, all roles and inheritance resolved by Proxmox itself.
pub async fn own_privileges(client: &Client, path: &str) -> Result<BTreeSet<String>, ReadError> {
    let mut all = permissions(client, &[("path", path.to_owned())]).await?;
    Ok(all.remove(path).unwrap_or_default().into_keys().collect())
}

async fn permissions(client: &Client, query: &[(&str, String)]) -> Result<Permissions, ReadError> {
    let all: BTreeMap<String, BTreeMap<String, Granted>> = client.get("/access/permissions", query).await?;
    let plain =
        |granted: BTreeMap<String, Granted>| granted.into_iter().map(|(name, flag)| (name, flag.0)).collect();
    Ok(all.into_iter().map(|(path, granted)| (path, plain(granted))).collect())
}

/// All guests that the token can see. Proxmox leaves out the others without a word.
pub async fn guests(client: &Client) -> Result<Vec<GuestRow>, ReadError> {
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
        let guest = vmid.map(|vmid| row.into_guest(GuestRef { kind, vmid }));
        Some(guest.ok_or_else(|| client.misread(PATH, "a guest has a number that Proxmox does not give")))
    };
    rows.into_iter().filter_map(read).collect()
}

impl Resource {
    fn into_guest(self, reference: GuestRef) -> GuestRow {
        GuestRow {
            reference,
            node: self.node,
            name: self.name,
            status: self.status,
            template: self.template,
            lock: filled(self.lock),
            ha_state: filled(self.hastate),
            tags: self.tags,
        }
    }
}

/// The configuration as it is in force; changes that wait for the next start are left out.
pub async fn guest_config(client: &Client, node: &str, guest: &GuestRef) -> Result<GuestConfig, ReadError> {
    let config: Config = client.get(&below(node, guest, "config"), &[("current", "1".to_owned())]).await?;
    Ok(GuestConfig {
        smbios_uuid: config.smbios1.as_deref().and_then(uuid_of),
        digest: config.digest,
        name: config.name,
        protected: config.protection,
        template: config.template,
        lock: filled(config.lock),
        tags: config.tags,
        description: config.description,
    })
}

/// The snapshots, without the entry `current` that stands for the present.
pub async fn snapshots(client: &Client, node: &str, guest: &GuestRef) -> Result<Vec<Snapshot>, ReadError> {
    let mut all: Vec<Snapshot> = client.get(&below(node, guest, "snapshot"), &[]).await?;
    all.retain(|snapshot| snapshot.name != "current");
    Ok(all)
}

fn below(node: &str, guest: &GuestRef, what: &str) -> String {
    format!("/nodes/{}/{guest}/{what}", segment(node))
}

/// `uuid=...` among the comma-separated properties of `smbios1`.
fn uuid_of(smbios: &str) -> Option<String> {
    smbios.split(',').find_map(|property| property.trim().strip_prefix("uuid=")).map(str::to_lowercase)
}

fn filled(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use crate::pve::{
        Trust,
        testing::{Reply, Server},
    };

    use super::*;

    async fn server(data: &str) -> (Server, Client) {
        let server = Server::plain([Reply::ok(&format!(r#"{{"data":{data}}}"#))]).await;
        let client = server.client(&Trust::Anyone);
        (server, client)
    }

    fn guest(text: &str) -> GuestRef {
        match text.parse() {
            Ok(crate::catalog::Target::Guest(guest)) => guest,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_new_guest_without_a_name_is_listed_too() {
        let (server, client) = server(
            r#"[{"lock":"migrate","type":"qemu","id":"qemu/9301","node":"pve3","vmid":9301,"name":"placed","cpu":0.2,
                 "template":0,"status":"running","hastate":"migrate","tags":"prod;web"},
                {"type":"qemu","status":"unknown","node":"pve","id":"qemu/9302","vmid":"9302"},
                {"type":"lxc","status":"stopped","node":"pve","id":"lxc/600","vmid":600,"name":600,"template":"1","lock":""},
                {"type":"unikernel","status":"stopped","node":"pve","id":"unikernel/7","vmid":7}]"#,
        )
        .await;
        let found = guests(&client).await.unwrap();
        assert!(server.requests()[0].starts_with("GET /api2/json/cluster/resources?type=vm HTTP"));
        let names: Vec<_> = found.iter().map(|row| (row.reference.to_string(), row.name.as_str())).collect();
        assert_eq!(
            names,
            [("qemu/9301".to_owned(), "placed"), ("qemu/9302".to_owned(), ""), ("lxc/600".to_owned(), "600")]
        );
        assert_eq!(
            (found[0].lock.as_deref(), found[0].ha_state.as_deref()),
            (Some("migrate"), Some("migrate"))
        );
        assert_eq!(found[0].tags, ["prod", "web"]);
        assert!(found[2].template && found[2].lock.is_none());
    }

    #[tokio::test]
    async fn a_vm_is_known_by_the_uuid_of_its_firmware() {
        let (server, client) = server(
            r#"{"memory":"256","cores":1,"digest":"7953239c9a7e53e1398b93137532c87520b1f2e1","name":"web-1",
                "smbios1":"base64=1,uuid=98837C76-051a-445f-95c5-2ea7ba0ca283","tags":"prod;web","protection":1,
                "lock":"backup","description":"line1\nline2","template":0}"#,
        )
        .await;
        let config = guest_config(&client, "pve1", &guest("qemu/100")).await.unwrap();
        assert!(server.requests()[0].starts_with("GET /api2/json/nodes/pve1/qemu/100/config?current=1 HTTP"));
        assert_eq!(config.smbios_uuid.as_deref(), Some("98837c76-051a-445f-95c5-2ea7ba0ca283"));
        assert_eq!((config.name.as_str(), config.lock.as_deref()), ("web-1", Some("backup")));
        assert!(config.protected && !config.template);
        assert_eq!(config.description, "line1\nline2");
    }

    #[tokio::test]
    async fn a_container_is_named_by_its_hostname_and_has_no_uuid() {
        let (_server, client) =
            server(r#"{"hostname":"ct-1","memory":128,"digest":"51048fca","unprivileged":1,"swap":0}"#).await;
        let config = guest_config(&client, "pve1", &guest("lxc/600")).await.unwrap();
        assert_eq!((config.name.as_str(), config.smbios_uuid, config.protected), ("ct-1", None, false));
    }

    #[tokio::test]
    async fn a_configuration_without_its_digest_is_not_understood() {
        let (_server, client) = server(r#"{"name":"web-1"}"#).await;
        let error = guest_config(&client, "pve1", &guest("qemu/100")).await.unwrap_err();
        assert!(matches!(&error, ReadError::NotUnderstood { why, .. } if why.contains("digest")), "{error}");
    }

    #[tokio::test]
    async fn the_present_is_no_snapshot() {
        let (_server, client) = server(
            r#"[{"name":"h0123456789ab","snaptime":1795222300,"vmstate":1,"description":"plan 4f1c","parent":"base"},
                {"name":"base","snaptime":"1795222200"},
                {"description":"You are here!","running":0,"name":"current","digest":"d4a8","parent":"h0123456789ab"}]"#,
        )
        .await;
        let found = snapshots(&client, "pve1", &guest("qemu/100")).await.unwrap();
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].description.as_str(), found[0].parent.as_deref()), ("plan 4f1c", Some("base")));
        assert!(found[0].with_memory && !found[1].with_memory);
        assert_eq!(found[1].created, Some(1_795_222_200));
    }

    #[tokio::test]
    async fn privileges_are_asked_of_proxmox_path_by_path() {
        let (first, client) = server(r#"{"/nodes/pve1":{"Sys.Audit":1,"Sys.Modify":0}}"#).await;
        let found = own_privileges(&client, "/nodes/pve1").await.unwrap();
        assert!(found.contains("Sys.Audit") && found.contains("Sys.Modify"));
        assert!(
            first.requests()[0].starts_with("GET /api2/json/access/permissions?path=%2Fnodes%2Fpve1 HTTP")
        );
        let (_second, client) = server(r#"{"/":{"Sys.Audit":"1"},"/vms":{"VM.Audit":0}}"#).await;
        let all = own_permissions(&client).await.unwrap();
        assert_eq!((all["/"]["Sys.Audit"], all["/vms"]["VM.Audit"]), (true, false));
    }
}
