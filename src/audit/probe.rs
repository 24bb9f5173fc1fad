//! Whether a record could be kept, found out before there is one.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Whoever asks more often is told what was found last.
const NOT_MORE_OFTEN: Duration = Duration::from_secs(1);
/// About as much as a record takes.
const SIZE: usize = 4096;

/// Writes a small file beside the log, brings it to the disk, and removes it.
#[derive(Clone, Debug)]
pub(super) struct Probe {
    path: PathBuf,
    last: Arc<Mutex<Option<(Instant, Result<(), (io::ErrorKind, String)>)>>>,
}

impl Probe {
    pub(super) fn beside(log: &Path) -> Self {
        let mut name = log.file_name().unwrap_or_default().to_owned();
        name.push(".probe");
        Self { path: log.with_file_name(name), last: Arc::default() }
    }

    pub(super) async fn ready(&self) -> io::Result<()> {
        let probe = self.clone();
        tokio::task::spawn_blocking(move || probe.look()).await.map_err(io::Error::other)?
    }

    /// One at a time: the others wait for what it finds.
    fn look(&self) -> io::Result<()> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let found = match last.take().filter(|(at, _)| at.elapsed() < NOT_MORE_OFTEN) {
            Some(found) => found,
            None => (Instant::now(), self.write().map_err(|error| (error.kind(), self.told(&error)))),
        };
        last.insert(found).1.clone().map_err(|(kind, why)| io::Error::new(kind, why))
    }

    fn write(&self) -> io::Result<()> {
        let mut file =
            OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&self.path)?;
        let written = file.write_all(&[b'\n'; SIZE]).and_then(|()| file.sync_data());
        let removed = fs::remove_file(&self.path);
        written.and(removed)
    }

    fn told(&self, error: &io::Error) -> String {
        format!("failed to write {}, so no record could be kept: {error}", self.path.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_folder_that_takes_files_is_ready_and_stays_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        Probe::beside(&folder.path().join("audit.jsonl")).ready().await.unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn a_folder_that_is_gone_is_not_ready_and_the_answer_is_kept_for_a_moment() {
        let folder = tempfile::tempdir().unwrap();
        let gone = folder.path().join("gone");
        let probe = Probe::beside(&gone.join("audit.jsonl"));
        let error = probe.ready().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert!(error.to_string().contains("audit.jsonl.probe"), "{error}");
        fs::create_dir(&gone).unwrap();
        let again = probe.last.lock().unwrap().as_mut().map(|(at, found)| {
            // As if the moment had passed.
            *at = at.checked_sub(NOT_MORE_OFTEN).unwrap();
            found.clone()
        });
        assert!(again.unwrap().is_err());
        probe.ready().await.unwrap();
    }
}
