//! What the state directory tells, of what is there and of what is gone.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use kube::ResourceExt;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::api::{ProxmoxActionApproval, ProxmoxActionPlan};

use super::{Entry, Named, Record, Source};

#[derive(Debug, Default)]
pub(super) struct Kept {
    pub(super) record: Record,
    /// Where the plan and its approvals were declared, below the directory.
    pub(super) files: BTreeSet<PathBuf>,
}

pub(super) fn read(state: &Path, named: Named<'_>) -> Kept {
    let mut kept = Kept::default();
    for (folder, is_gone) in [("objects", false), ("deleted", true)] {
        let of_kind = |plural: &str| state.join(folder).join(plural).join(named.namespace);
        for plan in objects::<ProxmoxActionPlan>(&of_kind("proxmoxactionplans"), &mut kept, |value| {
            value["metadata"]["name"] == named.name
        }) {
            kept.record.entries.extend(of_plan(&plan, is_gone));
        }
        for approval in
            objects::<ProxmoxActionApproval>(&of_kind("proxmoxactionapprovals"), &mut kept, |value| {
                value["spec"]["planRef"]["name"] == named.name
            })
        {
            kept.record.entries.extend(of_approval(&approval, is_gone));
        }
    }
    kept
}

fn objects<K: DeserializeOwned>(folder: &Path, kept: &mut Kept, is_meant: impl Fn(&Value) -> bool) -> Vec<K> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut found = Vec::new();
    for path in entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|end| end == "yaml"))
    {
        let read = fs::read_to_string(&path).map_err(|error| error.to_string());
        let value = read.and_then(|text| serde_saphyr::from_str::<Value>(&text).map_err(|e| e.to_string()));
        let typed = value.and_then(|value| {
            if !is_meant(&value) {
                return Ok(None);
            }
            kept.files.extend(value["file"].as_str().map(PathBuf::from));
            serde_json::from_value(value).map(Some).map_err(|error| error.to_string())
        });
        match typed {
            Ok(object) => found.extend(object),
            Err(why) => kept.record.unreadable.push(format!("{}: {why}", path.display())),
        }
    }
    found
}

fn gone(is_gone: bool) -> &'static str {
    if is_gone { "; its file is gone" } else { "" }
}

fn of_plan(plan: &ProxmoxActionPlan, is_gone: bool) -> Option<Entry> {
    let spec = &plan.spec;
    let status = plan.status.as_ref();
    let now =
        status.map(|status| format!("; it is {} ({})", status.phase, status.reason)).unwrap_or_default();
    Some(Entry {
        time: plan.creation_timestamp()?.0,
        plan_uid: plan.uid()?,
        event: "created".to_owned(),
        message: format!(
            "{} on {} in {}, asked by {}{now}{}",
            spec.action,
            spec.target,
            spec.environment,
            spec.requested_by,
            gone(is_gone)
        ),
        source: Source::State,
    })
}

fn of_approval(approval: &ProxmoxActionApproval, is_gone: bool) -> Option<Entry> {
    let spec = &approval.spec;
    let status = approval.status.clone().unwrap_or_default();
    let verdict = match status.verdict {
        Some(verdict) => format!("{verdict:?}: {} ({})", status.message, status.reason),
        None => "not judged yet".to_owned(),
    };
    let reason = if spec.reason.is_empty() { String::new() } else { format!(", because: {}", spec.reason) };
    Some(Entry {
        time: approval.creation_timestamp()?.0,
        plan_uid: spec.plan_ref.uid.clone(),
        event: if spec.decision == crate::api::Decision::Deny { "denial" } else { "approval" }.to_owned(),
        message: format!(
            "{} by {}{reason}; {verdict}{}",
            approval.name_any(),
            spec.approved_by,
            gone(is_gone)
        ),
        source: Source::State,
    })
}
