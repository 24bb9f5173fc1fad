//! Who may reach the target: over the network, and through Proxmox.

use serde::Deserialize;

use crate::{
    catalog::{Target, path_segment},
    core::observe::{AclEntry, FirewallRule, Rights, Seen},
    pve::ReadError,
};

use super::{
    lookout::Lookout,
    settings::{Row, settings},
    sight::{Sight, hidden, whole, whole_on},
};

#[derive(Deserialize)]
pub(super) struct AclRow {
    pub path: String,
    #[serde(rename = "type")]
    kind: String,
    ugid: String,
    roleid: String,
}

pub(super) async fn firewall(
    lookout: &Lookout<'_>,
    target: &Target,
    node: Option<&str>,
) -> Result<Seen<Vec<FirewallRule>>, ReadError> {
    let what = format!("the firewall rules of {target}");
    match (target, node) {
        (Target::Guest(guest), Some(node)) => {
            let rows = lookout.get_on(node, &format!("{guest}/firewall/rules"), &[]).await;
            whole_on(node, &what, rows.map(rules))
        }
        (Target::Node(_), Some(node)) => {
            whole_on(node, &what, lookout.get_on(node, "firewall/rules", &[]).await.map(rules))
        }
        (Target::Cluster, _) => whole(&what, lookout.get("/cluster/firewall/rules", &[]).await.map(rules)),
        // Nothing else has a firewall, nor does a guest that is not there.
        _ => Ok(Seen::Known(vec![])),
    }
}

fn rules(rows: Vec<Row>) -> Vec<FirewallRule> {
    let rule = |row: Row| {
        let mut settings = settings(row);
        let digest = settings.remove("digest");
        let position = settings.remove("pos").and_then(|position| position.parse().ok());
        FirewallRule { position: position.unwrap_or_default(), digest, settings }
    };
    rows.into_iter().map(rule).collect()
}

/// Without it only those rights are listed that the token may give away.
pub(super) const SIGHT: Sight = Sight::at(&["Sys.Audit", "Permissions.Modify"], "/access");

pub(super) async fn rows(lookout: &Lookout<'_>) -> Result<Vec<AclRow>, ReadError> {
    lookout.get("/access/acl", &[]).await
}

pub(super) async fn acl(
    lookout: &Lookout<'_>,
    rights: &Rights,
    target: &Target,
) -> Result<Seen<Vec<AclEntry>>, ReadError> {
    const WHAT: &str = "the access rights";
    if let Some(why) = hidden(WHAT, rights, &[SIGHT]) {
        return Ok(Seen::Unknown { why });
    }
    let place = place_of(target);
    whole(
        WHAT,
        rows(lookout).await.map(|rows| rows.into_iter().filter(|row| row.path == place).map(entry).collect()),
    )
}

fn entry(row: AclRow) -> AclEntry {
    let who = if row.kind == "group" { format!("@{}", row.ugid) } else { row.ugid };
    AclEntry { path: row.path, who, role: row.roleid }
}

/// Where the rights on a target are given.
fn place_of(target: &Target) -> String {
    match target {
        Target::Guest(guest) => format!("/vms/{}", guest.vmid),
        Target::Node(node) => format!("/nodes/{}", path_segment(node.as_str())),
        Target::Storage(storage) => format!("/storage/{storage}"),
        Target::Volume(volume) => format!("/storage/{}", volume.storage),
        Target::Pool(pool) => format!("/pool/{pool}"),
        _ => "/".to_owned(),
    }
}
