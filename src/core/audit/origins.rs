//! What on record came by git, and what its signature has to be over.

use jiff::Timestamp;
use serde_json::Value;

use crate::{
    api::{ProxmoxActionPlanSpec, Source},
    core::provenance::Wanted,
};

use super::{AuditEvent, AuditRecord, FromGit};

/// What a line tells of the commit behind an object.
#[derive(Clone, Debug, PartialEq)]
pub struct Origin {
    pub from: FromGit,
    /// The object as it is on record, if it is in full.
    pub wanted: Option<Wanted>,
    pub at: Timestamp,
}

/// What the lines about a plan tell of commits, from the first to the last.
pub fn origins(records: &[AuditRecord]) -> Vec<Origin> {
    let request = records.iter().find_map(|record| record.request.as_ref());
    let of = |record: &AuditRecord, from: &FromGit| Origin {
        from: from.clone(),
        wanted: wanted(record, &from.object, request),
        at: record.time,
    };
    records.iter().flat_map(|record| record.from_git.iter().map(move |from| of(record, from))).collect()
}

/// What a call rested on that came by git, and of whose commit nothing is on record.
pub fn without_origin(records: &[AuditRecord]) -> Vec<String> {
    let mut lacking = vec![];
    for record in records.iter().filter(|record| record.event == AuditEvent::Intent) {
        let by_git = record.approvals.iter().filter(|approval| approval.source == Some(Source::Git));
        let request = records.iter().find_map(|record| record.request.as_ref());
        let plan = request.filter(|request| request.source == Some(Source::Git));
        let objects = plan.map(|_| of_plan(&record.plan)).into_iter();
        let objects = objects.chain(by_git.map(|approval| of_approval(&approval.granted.name)));
        lacking.extend(objects.filter(|object| record.from_git.iter().all(|from| from.object != *object)));
    }
    lacking.dedup();
    lacking
}

/// How a line names its plan.
pub fn of_plan(name: &str) -> String {
    format!("plan {name}")
}

/// How a line names an approval.
pub fn of_approval(name: &str) -> String {
    format!("approval {name}")
}

fn wanted(record: &AuditRecord, object: &str, request: Option<&ProxmoxActionPlanSpec>) -> Option<Wanted> {
    let about = |kind: &str, name: &str, spec: Value| Wanted {
        kind: kind.to_owned(),
        namespace: record.namespace.clone(),
        name: name.to_owned(),
        spec,
        recorded_commit: None,
    };
    if object == of_plan(&record.plan) {
        let spec = serde_json::to_value(request?).ok()?;
        return Some(about("ProxmoxActionPlan", &record.plan, spec));
    }
    let mut approvals = record.approvals.iter();
    let approval = approvals.find(|approval| object == of_approval(&approval.granted.name))?;
    let spec = serde_json::to_value(approval.spec(record)?).ok()?;
    Some(about("ProxmoxActionApproval", &approval.granted.name, spec))
}
