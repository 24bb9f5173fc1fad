use std::collections::BTreeMap;

use serde::Deserialize;

use crate::{
    core::observe::{Ha, HaResource, HaRule, Rights, Seen},
    pve::ReadError,
};

use super::{
    lookout::Lookout,
    settings::{Row, list, settings},
    sight::{Sight, hidden, whole},
};

#[derive(Deserialize)]
struct Status {
    #[serde(rename = "type")]
    kind: String,
    sid: Option<String>,
    node: Option<String>,
    state: Option<String>,
    #[serde(rename = "armed-state")]
    armed: Option<String>,
}

pub(super) async fn ha(lookout: &Lookout<'_>, rights: &Rights) -> Result<Seen<Ha>, ReadError> {
    const WHAT: &str = "what HA looks after";
    if let Some(why) = hidden(WHAT, rights, &[Sight::at(&["Sys.Audit"], "/")]) {
        return Ok(Seen::Unknown { why });
    }
    whole(WHAT, read(lookout).await)
}

async fn read(lookout: &Lookout<'_>) -> Result<Ha, ReadError> {
    let (resources, rules, statuses): (Vec<Row>, _, Vec<Status>) = futures::try_join!(
        lookout.get("/cluster/ha/resources", &[]),
        rules_or_groups(lookout),
        lookout.get("/cluster/ha/status/current", &[])
    )?;
    let mut resources: Vec<HaResource> =
        resources.into_iter().map(|row| resource(settings(row), &statuses)).collect();
    let rules = rules.into_iter().map(|rule| with_members(rule, &resources)).collect();
    resources.sort_by(|a, b| a.sid.cmp(&b.sid));
    // In standby there is nothing to fence for; it would be done all the same.
    let armed = statuses.iter().filter(|row| row.kind == "fencing").find_map(|row| row.armed.as_deref());
    Ok(Ha { resources, rules, armed: armed.map(|state| matches!(state, "armed" | "standby")) })
}

fn resource(mut settings: BTreeMap<String, String>, statuses: &[Status]) -> HaResource {
    settings.remove("digest");
    let sid = settings.remove("sid").unwrap_or_default();
    let status = statuses.iter().find(|row| row.kind == "service" && row.sid.as_deref() == Some(&sid));
    HaResource {
        state: settings.get("state").cloned().unwrap_or_else(|| "started".to_owned()),
        current: status.and_then(|status| status.state.clone()),
        node: status.and_then(|status| status.node.clone()),
        sid,
        settings,
    }
}

/// The rules as Proxmox tells them; `None` if its version has none.
pub(super) async fn rules(lookout: &Lookout<'_>) -> Result<Option<Vec<Row>>, ReadError> {
    match lookout.get("/cluster/ha/rules", &[]).await {
        Err(ReadError::Refused { status: 501, .. }) => Ok(None),
        rows => rows.map(Some),
    }
}

/// Until 9.0 there were groups in place of rules.
pub(super) async fn rules_or_groups(lookout: &Lookout<'_>) -> Result<Vec<HaRule>, ReadError> {
    if let Some(rows) = rules(lookout).await? {
        return Ok(rows.into_iter().map(|row| rule(settings(row), "rule")).collect());
    }
    let rows: Vec<Row> = lookout.get("/cluster/ha/groups", &[]).await?;
    Ok(rows.into_iter().map(|row| rule(settings(row), "group")).collect())
}

fn rule(mut settings: BTreeMap<String, String>, id: &str) -> HaRule {
    settings.remove("digest");
    let kind = if id == "group" { Some(id.to_owned()) } else { settings.get("type").cloned() };
    // A node may carry its priority: `pve1:2`.
    let nodes = list(&settings, "nodes");
    let name = |node: String| node.split(':').next().unwrap_or_default().to_owned();
    HaRule {
        id: settings.remove(id).unwrap_or_default(),
        kind: kind.unwrap_or_default(),
        resources: list(&settings, "resources"),
        nodes: nodes.into_iter().map(name).collect(),
        settings,
    }
}

/// A group does not say who is in it; its members do.
fn with_members(mut rule: HaRule, resources: &[HaResource]) -> HaRule {
    if rule.kind == "group" {
        let members = resources.iter().filter(|resource| resource.settings.get("group") == Some(&rule.id));
        rule.resources = members.map(|resource| resource.sid.clone()).collect();
    }
    rule
}
