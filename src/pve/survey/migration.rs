use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::{
    core::observe::{Guest, MigrationCheck, Query, Seen},
    pve::ReadError,
};

use super::{lookout::Lookout, settings::text, sight::whole_on};

/// Asked of a VM it spells its fields with `_`, asked of a container with `-`.
#[derive(Deserialize)]
struct Answer {
    #[serde(alias = "allowed-nodes")]
    allowed_nodes: Option<Vec<String>>,
    #[serde(default, alias = "not-allowed-nodes")]
    not_allowed_nodes: BTreeMap<String, BTreeMap<String, Value>>,
    #[serde(default)]
    local_disks: Vec<LocalDisk>,
    #[serde(default)]
    local_resources: Vec<String>,
    #[serde(default, rename = "dependent-ha-resources")]
    dependent: Vec<String>,
}

#[derive(Deserialize)]
struct LocalDisk {
    volid: String,
}

/// What Proxmox itself says to it.
pub(super) async fn migration(
    lookout: &Lookout<'_>,
    query: &Query,
    guest: Option<&Guest>,
) -> Result<Seen<MigrationCheck>, ReadError> {
    let Some(guest) = guest else {
        let why = "whether the guest can move can't be seen: there is no guest".to_owned();
        return Ok(Seen::Unknown { why });
    };
    let to = query.destination.iter().map(|node| ("target", node.clone())).collect::<Vec<_>>();
    let answer = lookout.get_on(&guest.node, &format!("{}/migrate", guest.reference), &to).await;
    whole_on(&guest.node, &format!("whether {} can move", guest.reference), answer.map(check))
}

fn check(answer: Answer) -> MigrationCheck {
    // A node that was asked for is among these, with no reason if it can take the guest.
    let refused = answer.not_allowed_nodes.into_iter().filter(|(_, reasons)| !reasons.is_empty());
    MigrationCheck {
        allowed_nodes: answer.allowed_nodes,
        refused_by: refused.map(|(node, reasons)| (node, words(reasons))).collect(),
        local_disks: answer.local_disks.into_iter().map(|disk| disk.volid).collect(),
        local_resources: answer.local_resources,
        moves_along: answer.dependent,
    }
}

/// Such as `unavailable storages: local-lvm; blocking ha resources: vm:101 (resource-affinity)`.
fn words(reasons: BTreeMap<String, Value>) -> String {
    let reason = |(name, what): (String, Value)| {
        let what = match what {
            Value::Array(many) => many.into_iter().filter_map(named).collect::<Vec<_>>().join(", "),
            one => named(one).unwrap_or_default(),
        };
        format!("{}: {what}", name.replace(['_', '-'], " "))
    };
    reasons.into_iter().map(reason).collect::<Vec<_>>().join("; ")
}

fn named(what: Value) -> Option<String> {
    match (what.get("sid").and_then(Value::as_str), what.get("cause").and_then(Value::as_str)) {
        (Some(sid), Some(cause)) => Some(format!("{sid} ({cause})")),
        (Some(sid), None) => Some(sid.to_owned()),
        _ => text(what),
    }
}
