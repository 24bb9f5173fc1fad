//! The record that outlives the process: one JSON object a line, on disk before anything is done.

mod probe;

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use futures::{FutureExt, future::BoxFuture};

use crate::{core::audit::AuditRecord, ports::AuditLog};

use probe::Probe;

/// An append-only file.
#[derive(Debug)]
pub struct AuditFile {
    path: PathBuf,
    file: Arc<Mutex<File>>,
    probe: Probe,
}

impl AuditFile {
    /// Opens the log, or begins one.
    pub fn open(path: &Path) -> io::Result<Self> {
        let explain = |error: io::Error| {
            io::Error::new(error.kind(), format!("failed to open the audit log {}: {error}", path.display()))
        };
        let fresh = !path.exists();
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .read(true)
            .mode(0o600)
            .open(path)
            .map_err(explain)?;
        end_torn_line(&mut file).map_err(explain)?;
        if fresh && let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            // The name of a new file is on disk only once its folder is.
            File::open(folder).and_then(|folder| folder.sync_all()).map_err(explain)?;
        }
        Ok(Self { path: path.to_owned(), file: Arc::new(Mutex::new(file)), probe: Probe::beside(path) })
    }
}

/// A process that was killed in the middle of a line must not spoil the next one.
fn end_torn_line(file: &mut File) -> io::Result<()> {
    if file.metadata()?.len() == 0 {
        return Ok(());
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    if last == *b"\n" { Ok(()) } else { file.write_all(b"\n") }
}

impl AuditLog for AuditFile {
    fn append(&self, record: AuditRecord) -> BoxFuture<'_, io::Result<()>> {
        let file = Arc::clone(&self.file);
        async move {
            // Off the threads that serve everybody else.
            let written = tokio::task::spawn_blocking(move || write(&file, &record)).await;
            written.map_err(io::Error::other)?.map_err(|error| {
                io::Error::new(error.kind(), format!("failed to append to {}: {error}", self.path.display()))
            })
        }
        .boxed()
    }

    fn ready(&self) -> BoxFuture<'_, io::Result<()>> {
        self.probe.ready().boxed()
    }
}

fn write(file: &Mutex<File>, record: &AuditRecord) -> io::Result<()> {
    let mut line = serde_json::to_vec(record)?;
    line.push(b'\n');
    let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
    file.write_all(&line).and_then(|()| file.sync_data())
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::core::audit::AuditEvent;

    fn record(message: &str) -> AuditRecord {
        AuditRecord {
            time: Timestamp::UNIX_EPOCH,
            event: AuditEvent::Planned,
            namespace: "default".into(),
            plan: "p".into(),
            plan_uid: "u".into(),
            environment: "home".into(),
            action: "start_guest".into(),
            target: "qemu/100".into(),
            requested_by: "agent".into(),
            request_hash: None,
            plan_hash: None,
            approved_by: vec!["me".into()],
            attempt: None,
            intent: None,
            call: None,
            upid: None,
            message: message.into(),
            from_git: vec![],
        }
    }

    #[tokio::test]
    async fn a_torn_line_does_not_spoil_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        AuditFile::open(&path).unwrap().append(record("first")).await.unwrap();
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"time\":").unwrap();
        AuditFile::open(&path).unwrap().append(record("second\nline")).await.unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let read = text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        let messages: Vec<String> = read.map(|line| line["message"].as_str().unwrap().to_owned()).collect();
        assert_eq!(messages, ["first", "second\nline"]);
        assert!(text.contains(r#""approved_by":["me"]"#));
    }

    #[test]
    fn a_log_that_can_not_be_opened_says_which() {
        let message = AuditFile::open(Path::new("/nowhere/audit.jsonl")).unwrap_err().to_string();
        assert!(message.contains("/nowhere/audit.jsonl"));
    }
}
