//! What the audit log tells.

use std::path::Path;

use crate::{
    cli::{Failure, audit::folders},
    core::audit::{AuditEvent, AuditRecord},
};

use super::{Entry, Named, Record, Source};

/// A log that nobody named may be missing.
pub(super) fn read(folder: &Path, asked_for: bool, named: Named<'_>) -> Result<Record, Failure> {
    if !asked_for && !folder.exists() {
        return Ok(Record::default());
    }
    let mut record = Record::default();
    let chain = folders::read(folder, |_, _, line| {
        let told: AuditRecord = serde_json::from_slice(line)?;
        if told.namespace == named.namespace && told.plan == named.name {
            record.entries.push(entry(told));
        }
        Ok(())
    })?;
    record.unreadable = chain.problems.iter().map(ToString::to_string).collect();
    Ok(record)
}

fn entry(told: AuditRecord) -> Entry {
    let mut message = told.message.clone();
    if told.event == AuditEvent::Intent
        && let Some(call) = &told.call
    {
        message = format!("{} {}: {message}", call.method, call.path);
        let approvers = told.approvers();
        if !approvers.is_empty() {
            message = format!("{message} (approved by {})", approvers.join(", "));
        }
    }
    if let Some(upid) = told.upid.filter(|upid| !message.contains(upid.as_str())) {
        message = format!("{message} ({upid})");
    }
    let event = serde_json::to_value(told.event).ok();
    Entry {
        time: told.time,
        plan_uid: told.plan_uid,
        event: event.and_then(|event| Some(event.as_str()?.to_owned())).unwrap_or_default(),
        message,
        source: Source::Audit,
    }
}
