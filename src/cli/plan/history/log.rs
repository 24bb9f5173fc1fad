//! What the audit log tells.

use std::{
    fs::File,
    io::{BufRead, BufReader},
    path::Path,
};

use crate::{
    cli::Failure,
    core::audit::{AuditEvent, AuditRecord},
};

use super::{Entry, Named, Record, Source};

/// A log that nobody named may be missing.
pub(super) fn read(path: &Path, asked_for: bool, named: Named<'_>) -> Result<Record, Failure> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(_) if !asked_for && !path.exists() => return Ok(Record::default()),
        Err(error) => return Err(format!("failed to read the audit log {}: {error}", path.display()).into()),
    };
    let (mut record, mut unreadable) = (Record::default(), 0);
    for line in BufReader::new(file).split(b'\n') {
        let line = line.map_err(|error| format!("failed to read {}: {error}", path.display()))?;
        if line.is_empty() {
            continue;
        }
        match serde_json::from_slice::<AuditRecord>(&line) {
            Ok(told) if told.namespace == named.namespace && told.plan == named.name => {
                record.entries.push(entry(told));
            }
            Ok(_) => {}
            Err(_) => unreadable += 1,
        }
    }
    if unreadable > 0 {
        record.unreadable.push(format!("{}: lines that are no audit records: {unreadable}", path.display()));
    }
    Ok(record)
}

fn entry(told: AuditRecord) -> Entry {
    let mut message = told.message.clone();
    if told.event == AuditEvent::Intent
        && let Some(call) = &told.call
    {
        message = format!("{} {}: {message}", call.method, call.path);
        if !told.approved_by.is_empty() {
            message = format!("{message} (approved by {})", told.approved_by.join(", "));
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
