//! What was fetched of a branch, kept in a folder of its own. It may be lost at any time.

use std::{
    fs,
    io::ErrorKind,
    os::unix::fs::DirBuilderExt,
    path::PathBuf,
    sync::atomic::{AtomicU64, Ordering},
};

use git2::{Oid, Repository};
use secrecy::SecretString;
use sha2::{Digest, Sha256};
use tokio::sync::Mutex;

use crate::api::GitTrust;

use super::{fetch::fetch, find::Files};

/// Each fetch that brings something adds a pack. With more of them it is cheaper to begin anew.
const MOST_PACKS: usize = 200;

#[derive(Debug)]
pub(super) struct Kept {
    folder: PathBuf,
    files: Files,
    /// How many have asked for a fetch so far.
    asked: AtomicU64,
    /// One fetches at a time.
    last: Mutex<Option<Fetched>>,
}

/// The last fetch: an answer to everybody who asked before it began.
#[derive(Clone, Copy, Debug)]
struct Fetched {
    answers: u64,
    tip: Oid,
}

/// Tells apart what must not be shared: what one namespace may read is not another one's to see.
pub(super) fn identity(namespace: &str, trust: &GitTrust) -> String {
    let GitTrust { repository, branch, credentials, ca_bundle, depth, .. } = trust;
    let whole = serde_json::json!([namespace, repository, branch, credentials, ca_bundle, depth]).to_string();
    Sha256::digest(whole).iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

impl Kept {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self { folder, files: Files::default(), asked: AtomicU64::new(0), last: Mutex::new(None) }
    }

    pub(super) fn files(&self) -> &Files {
        &self.files
    }

    /// The tip of the branch as it is now: fetched by us, or by somebody who began after we asked.
    pub(super) async fn fetch(
        &self,
        trust: &GitTrust,
        credentials: Option<SecretString>,
    ) -> Result<Oid, String> {
        let ticket = self.asked.fetch_add(1, Ordering::SeqCst);
        let mut last = self.last.lock().await;
        if let Some(fetched) = *last
            && fetched.answers > ticket
        {
            return Ok(fetched.tip);
        }
        let answers = self.asked.load(Ordering::SeqCst);
        let repository = self.open().map_err(|error| error.message().to_owned())?;
        let tip = fetch(repository, trust, credentials).await?;
        *last = Some(Fetched { answers, tip });
        Ok(tip)
    }

    /// Makes it if it is not there, cannot be read, or has grown too many packs.
    pub(super) fn open(&self) -> Result<Repository, git2::Error> {
        if self.packs() <= MOST_PACKS
            && let Ok(repository) = Repository::open_bare(&self.folder)
        {
            return Ok(repository);
        }
        match fs::remove_dir_all(&self.folder) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(unusable(&self.folder, &error)),
            _ => {}
        }
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.folder);
        made.map_err(|error| unusable(&self.folder, &error))?;
        Repository::init_bare(&self.folder)
    }

    fn packs(&self) -> usize {
        let entries = fs::read_dir(self.folder.join("objects/pack")).into_iter().flatten().flatten();
        entries.filter(|entry| entry.path().extension().is_some_and(|end| end == "pack")).count()
    }
}

fn unusable(folder: &std::path::Path, error: &std::io::Error) -> git2::Error {
    git2::Error::from_str(&format!("{} can't be used: {error}", folder.display()))
}
