//! A directory in a temporary folder, and a hand that writes into it.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use proxmox_agent::{
    ports::{Key, Kind},
    store::directory::{DirectoryOptions, DirectoryStore},
    system::SystemClock,
};
use tempfile::TempDir;

use crate::support::conformance::{DEADLINE, Home};

pub struct DirectoryHome {
    folder: TempDir,
    store: Option<DirectoryStore>,
}

impl DirectoryHome {
    pub fn new() -> Self {
        let folder = TempDir::new().unwrap();
        fs::create_dir(folder.path().join("dir")).unwrap();
        let mut home = Self { folder, store: None };
        home.reopen();
        home
    }

    pub fn options(&self) -> DirectoryOptions {
        DirectoryOptions { dir: self.dir(), state: self.state(), clock: Arc::new(SystemClock) }
    }

    pub fn dir(&self) -> PathBuf {
        self.folder.path().join("dir")
    }

    /// Inside, as people will have it who keep everything in one place.
    pub fn state(&self) -> PathBuf {
        self.path("state")
    }

    pub fn path(&self, below: &str) -> PathBuf {
        self.dir().join(below)
    }

    /// As an editor writes: in place.
    pub fn write(&self, file: &str, text: &str) {
        fs::write(self.path(file), text).unwrap();
    }

    pub fn remove(&self, file: &str) {
        fs::remove_file(self.path(file)).unwrap();
    }

    pub fn close(&mut self) {
        self.store = None;
    }

    pub fn reopen(&mut self) {
        self.close();
        self.store = Some(DirectoryStore::open(self.options()).unwrap());
    }

    /// Why a file, or what stands in it, is not accepted.
    pub fn refused(&self, file: &str) -> Option<String> {
        self.refusals()
            .into_iter()
            .find(|refusal| refusal["file"] == file)
            .map(|refusal| text(&refusal["why"]))
    }

    fn refusals(&self) -> Vec<serde_json::Value> {
        let list = fs::read_to_string(self.state().join("refused.yaml")).unwrap_or_else(|_| "[]".to_owned());
        serde_saphyr::from_str(&list).expect("the list is never half-written")
    }

    pub async fn await_refusal(&self, file: &str, expected: &str) {
        let told = self.eventually(async || self.refused(file).filter(|why| why.contains(expected)));
        told.await;
    }

    pub async fn await_no_refusal(&self, file: &str) {
        self.eventually(async || self.refused(file).is_none().then_some(())).await;
    }

    /// Looks again and again, until there is something or the deadline has passed.
    pub async fn eventually<T>(&self, mut look: impl AsyncFnMut() -> Option<T>) -> T {
        let begun = Instant::now();
        loop {
            if let Some(found) = look().await {
                return found;
            }
            assert!(begun.elapsed() < DEADLINE, "not in time; refused: {:?}", self.refusals());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

fn text(value: &serde_json::Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn file_of(kind: &str, name: &str) -> String {
    format!("{kind}-{name}.yaml")
}

impl Home for DirectoryHome {
    type S = DirectoryStore;

    fn store(&self) -> DirectoryStore {
        self.store.clone().unwrap()
    }

    fn namespace(&self) -> &str {
        "default"
    }

    async fn apply(&self, yaml: &str) -> Result<(), String> {
        let object: serde_json::Value = serde_json::from_str(yaml).unwrap();
        self.write(&file_of(&text(&object["kind"]), &text(&object["metadata"]["name"])), yaml);
        Ok(())
    }

    async fn delete<K: Kind>(&self, key: &Key) {
        self.remove(&file_of(&K::kind(&()), &key.name));
    }

    async fn refusal<K: Kind>(&self, key: &Key) -> Option<String> {
        let about = |refusal: &serde_json::Value| {
            refusal["kind"] == K::kind(&()).as_ref()
                && refusal["namespace"] == key.namespace.as_str()
                && refusal["name"] == key.name.as_str()
        };
        let look = async || self.refusals().into_iter().find(about).map(|refusal| text(&refusal["why"]));
        Some(self.eventually(look).await)
    }

    async fn forgotten<K: Kind>(&self, key: &Key) {
        let kept = self.state().join("objects").join(K::plural(&()).as_ref()).join(&key.namespace);
        let kept = kept.join(format!("{}.yaml", key.name));
        self.eventually(async || (!Path::exists(&kept)).then_some(())).await;
    }
}
