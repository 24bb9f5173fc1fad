//! A directory as the home of the engine: the same YAML as in a cluster, usually a git working tree.
//!
//! # Layout
//! - `yaml`, `document`, `files`: what people wrote, as it is now
//! - `schema`, `kinds`: whether an API server would take it
//! - `object`, `state`, `refused`: what was accepted, and what not, in the state directory
//! - `contents`, `judge`, `writes`: what becomes of an object
//! - `offline`: the same checks for files that nobody keeps
//! - `noticing`, `watch`: how changes are found and told
//!
//! # What the directory means
//! Every live read looks at the files again, so a file that was deleted a moment ago counts no longer. A file that
//! somebody is still writing counts 200 ms after the last write. An object keeps its identity for one second after its
//! file has vanished, unreadable meanwhile, because editors and git replace files by removing them. A file that can't
//! be understood leaves what was accepted from it in force, except approvals: these count only as long as their file
//! says what was accepted. A denial counts until its file is deleted.

mod contents;
mod document;
mod files;
mod judge;
mod kinds;
#[cfg(test)]
mod largest_tests;
mod noticing;
mod object;
pub mod offline;
mod refused;
mod schema;
mod state;
mod watch;
mod writes;

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{SyncSender, sync_channel},
    },
};

use contents::{Contents, Found};
use document::Id;
use files::{Files, SETTLE};
use futures::{StreamExt, stream::BoxStream};
use jiff::Timestamp;
use kinds::Kinds;
use state::{LockError, State};
use thiserror::Error;
use writes::Known;

use crate::{
    api::{ProxmoxActionApproval, ProxmoxActionPlan, ProxmoxPolicy},
    core::{admission::Admission, lifecycle::Home},
    ports::{Changes, Clock, Key, Kind, Notice, Refusal, Severity, Store, StoreError},
};

/// Where the state is kept in the directory, unless somebody says otherwise.
pub const USUAL_STATE: &str = ".proxmox-agent";

/// Where to live.
#[derive(Clone, Debug)]
pub struct DirectoryOptions {
    /// Where people put plans, approvals, environments and policies.
    pub dir: PathBuf,
    /// Where the store keeps what it finds out. Made if it is not there.
    pub state: PathBuf,
    pub clock: Arc<dyn Clock>,
}

/// Why a directory could not be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    #[error("failed to open directory {}: {why}; name a directory that exists and can be read", dir.display())]
    Directory { dir: PathBuf, why: String },
    #[error(
        "failed to lock state directory {}: another process uses it; stop that one, or give this one a directory and \
         a state directory of its own",
        state.display()
    )]
    Locked { state: PathBuf },
    #[error("failed to use state directory {}: {why}; it must be writable and not hold the directory itself", state.display())]
    State { state: PathBuf, why: String },
    #[error("failed to prepare the checks of our own kinds: {why}; this is a defect of this program")]
    Definition { why: String },
}

/// A directory as a store. Its lock is held until the last clone and the last stream of it is gone.
#[derive(Clone, Debug)]
pub struct DirectoryStore {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    contents: Mutex<Contents>,
    /// What names it on a command line, wherever that is typed.
    options: String,
    changes: tokio::sync::watch::Receiver<u64>,
    wake: SyncSender<()>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        // The thread that looks for changes finds that nobody needs it any more.
        let _ = self.wake.try_send(());
    }
}

impl Shared {
    /// A panic of another reader leaves nothing half-done: every change is on disk before it is in memory.
    fn lock(&self) -> MutexGuard<'_, Contents> {
        self.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn blocking<T: Send + 'static>(
        self: Arc<Self>,
        what: &'static str,
        work: impl FnOnce(&mut Contents) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let run = move || work(&mut self.lock());
        let failed =
            |e: tokio::task::JoinError| StoreError::Unavailable { what: what.to_owned(), why: e.to_string() };
        tokio::task::spawn_blocking(run).await.map_err(failed)?
    }
}

impl DirectoryStore {
    /// Locks the state directory and takes in what is there. Blocks for as long as that takes.
    pub fn open(options: DirectoryOptions) -> Result<Self, OpenError> {
        let DirectoryOptions { dir, state, clock } = options;
        let in_dir = |e: std::io::Error| OpenError::Directory { dir: dir.clone(), why: e.to_string() };
        let in_state = |why: String| OpenError::State { state: state.clone(), why };
        let root = std::fs::canonicalize(&dir).map_err(in_dir)?;
        std::fs::read_dir(&root).map_err(in_dir)?;
        let locked = State::lock(state.clone()).map_err(|error| match error {
            LockError::Taken => OpenError::Locked { state: state.clone() },
            LockError::Io(error) => in_state(error.to_string()),
        })?;
        let state_root = std::fs::canonicalize(&state).map_err(|e| in_state(e.to_string()))?;
        if root.starts_with(&state_root) {
            return Err(in_state("the directory of plans lies in it".to_owned()));
        }
        let kinds = Kinds::new().map_err(|why| OpenError::Definition { why })?;
        let files = Files::new(root.clone(), state_root.clone());
        let mut contents =
            Contents::load(kinds, files, locked, clock).map_err(|e| in_state(e.to_string()))?;
        contents.refresh().map_err(|e| OpenError::Directory { dir: dir.clone(), why: e.to_string() })?;
        let (wake, woken) = sync_channel(1);
        let changes = contents.changes.subscribe();
        let options = options_for(&root, &state_root);
        let contents = Mutex::new(contents);
        let shared = Arc::new(Shared { contents, options, changes, wake: wake.clone() });
        noticing::keep_looking(root, state_root, Arc::downgrade(&shared), wake, woken)
            .map_err(|e| in_state(format!("no thread to look for changes: {e}")))?;
        Ok(Self { shared })
    }

    /// Waits until everything that has been written counts, and says in a line each what was refused.
    pub async fn taken_in(&self) -> Result<Vec<String>, StoreError> {
        loop {
            let look = |contents: &mut Contents| {
                contents.refresh()?;
                Ok((contents.look_again_in(), contents.refusals()))
            };
            let (again, refusals) = self.run("take in the directory", look).await?;
            let Some(pause) = again else { return Ok(refusals) };
            // In real time, as the file system keeps it.
            let _ = tokio::task::spawn_blocking(move || std::thread::sleep(pause)).await;
        }
    }

    async fn run<T: Send + 'static>(
        &self,
        what: &'static str,
        work: impl FnOnce(&mut Contents) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        Arc::clone(&self.shared).blocking(what, work).await
    }

    /// All accepted objects of a kind in a namespace that are as wanted.
    async fn list<K: Kind>(
        &self,
        namespace: &str,
        is_wanted: impl Fn(&object::Object) -> bool + Send + 'static,
    ) -> Result<Vec<K>, StoreError> {
        let (namespace, kind) = (namespace.to_owned(), K::kind(&()).into_owned());
        self.run("read objects", move |contents| {
            contents.refresh()?;
            let of_kind = contents.objects.iter().filter(|(id, _)| id.kind == kind);
            let in_namespace =
                of_kind.filter(|(_, entry)| entry.object.metadata.namespace.as_ref() == Some(&namespace));
            let wanted = in_namespace.filter(|(_, entry)| is_wanted(&entry.object));
            wanted.map(|(_, entry)| entry.object.typed()).collect()
        })
        .await
    }
}

/// The options that lead a command to this directory and this state.
fn options_for(dir: &Path, state: &Path) -> String {
    let dir_option = format!("--dir {}", as_typed(dir));
    match state == dir.join(USUAL_STATE) {
        true => dir_option,
        false => format!("{dir_option} --state {}", as_typed(state)),
    }
}

/// As a shell reads it as one word.
fn as_typed(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+@%".contains(c);
    if text.chars().all(is_plain) { text } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

impl Store for DirectoryStore {
    fn home(&self) -> Home {
        Home::Directory(self.shared.options.clone())
    }

    async fn get<K: Kind>(&self, key: &Key) -> Result<Option<K>, StoreError> {
        let id = id_of::<K>(key);
        let mut patient = true;
        loop {
            let sought = id.clone();
            let (found, in_the_making) = self
                .run("read an object", move |contents| {
                    contents.refresh()?;
                    Ok((contents.find(&sought), contents.anything_in_the_making()))
                })
                .await?;
            match found {
                Found::Object(object) => return object.typed().map(Some),
                // Whoever has just written a file may read it: it counts in a moment.
                // In real time, whatever the runtime takes for the time: the file system does not follow it.
                _ if in_the_making && std::mem::take(&mut patient) => {
                    let _ = tokio::task::spawn_blocking(|| std::thread::sleep(SETTLE)).await;
                }
                Found::Malformed(why) => return Err(StoreError::Malformed { object: id.to_string(), why }),
                Found::Nothing => return Ok(None),
            }
        }
    }

    async fn approvals_of(&self, plan: &Key) -> Result<Vec<ProxmoxActionApproval>, StoreError> {
        let plan = plan.clone();
        let kind = <ProxmoxActionApproval as kube::Resource>::kind(&()).into_owned();
        self.run("read approvals", move |contents| {
            contents.refresh()?;
            let names_it = |object: &object::Object| {
                object.metadata.namespace.as_ref() == Some(&plan.namespace)
                    && object.spec["planRef"]["name"].as_str() == Some(&plan.name)
            };
            contents
                .objects
                .iter()
                .filter(|(id, entry)| id.kind == kind && entry.is_there && names_it(&entry.object))
                .filter(|(_, entry)| entry.is_confirmed || !entry.object.is_approval_to_act())
                .map(|(_, entry)| entry.object.typed())
                .collect()
        })
        .await
    }

    async fn plans_for<T: Send + 'static>(
        &self,
        namespace: &str,
        target: &str,
        of_interest: impl Fn(ProxmoxActionPlan) -> Option<T> + Send + Sync,
    ) -> Result<Vec<T>, StoreError> {
        let target = target.to_owned();
        let for_it = move |object: &object::Object| object.spec["target"].as_str() == Some(&target);
        Ok(self.list(namespace, for_it).await?.into_iter().filter_map(of_interest).collect())
    }

    async fn plans_sent<T: Send + 'static>(
        &self,
        namespace: &str,
        environment: &str,
        of_interest: impl Fn(ProxmoxActionPlan) -> Option<T> + Send + Sync,
    ) -> Result<Vec<T>, StoreError> {
        let environment = environment.to_owned();
        let of_it = move |object: &object::Object| object.spec["environment"].as_str() == Some(&environment);
        let mut plans: Vec<ProxmoxActionPlan> = self.list(namespace, of_it).await?;
        plans.retain(|plan| plan.status.as_ref().is_some_and(|status| status.intent.is_some()));
        Ok(plans.into_iter().filter_map(of_interest).collect())
    }

    async fn policies_of(&self, namespace: &str) -> Result<Vec<ProxmoxPolicy>, StoreError> {
        self.list(namespace, |_| true).await
    }

    async fn plans_in_flight(
        &self,
        namespace: &str,
        environment: &str,
    ) -> Result<Vec<ProxmoxActionPlan>, StoreError> {
        let is_in_flight =
            |plan: &ProxmoxActionPlan| plan.status.as_ref().is_some_and(|status| status.phase.is_in_flight());
        self.plans_sent(namespace, environment, |plan| Some(plan).filter(is_in_flight)).await
    }

    async fn replace_status<K: Kind>(&self, object: &K) -> Result<K, StoreError> {
        let known = known(object);
        let refused =
            |e: serde_json::Error| StoreError::Refused { object: known.id.to_string(), why: e.to_string() };
        let mut written = serde_json::to_value(object).map_err(refused)?;
        let status = Some(written["status"].take()).filter(|status| !status.is_null());
        let kept =
            self.run("write a status", move |contents| contents.replace_status(&known, status)).await?;
        kept.typed()
    }

    async fn hold(&self, plan: &ProxmoxActionPlan) -> Result<ProxmoxActionPlan, StoreError> {
        let known = known(plan);
        self.run("hold a plan", move |contents| contents.hold(&known)).await?.typed()
    }

    async fn release(&self, plan: &ProxmoxActionPlan) -> Result<ProxmoxActionPlan, StoreError> {
        let known = known(plan);
        let released = self.run("release a plan", move |contents| contents.release(&known)).await?;
        // A new plan of the same name may have waited for this.
        let _ = self.shared.wake.try_send(());
        released.typed()
    }

    async fn report_malformed<K: Kind>(&self, key: &Key, problem: &str) -> Result<(), StoreError> {
        let (id, problem) = (id_of::<K>(key), problem.to_owned());
        self.run("report a malformed object", move |contents| contents.report(id, &problem)).await
    }

    fn refusals(&self) -> BoxStream<'static, Refusal> {
        self.shared.lock().told.hear()
    }

    async fn publish<K: Kind>(&self, about: &K, notice: Notice) {
        let (id, uid) = (id_of::<K>(&Key::of(about)), about.meta().uid.clone());
        let (reason, message) = (notice.reason.as_str(), notice.message.as_str());
        match notice.severity {
            Severity::Normal => tracing::info!(object = %id, reason, "{message}"),
            Severity::Warning => tracing::warn!(object = %id, reason, "{message}"),
        }
        let told = self.run("write a notice", move |contents| {
            contents.tell(&id, uid.as_deref(), &notice);
            Ok(())
        });
        if let Err(error) = told.await {
            tracing::warn!(%error, "a notice is lost");
        }
    }

    fn watch<K: Kind>(&self) -> Changes<K> {
        watch::changes(Arc::clone(&self.shared))
    }

    async fn admission(&self) -> Result<Admission, StoreError> {
        Ok(Admission::Directory)
    }

    fn admission_changes(&self) -> BoxStream<'static, ()> {
        futures::stream::pending().boxed()
    }

    async fn time(&self, _: &str) -> Result<Timestamp, StoreError> {
        self.run("read the clock", |contents| Ok(contents.clock.now())).await
    }
}

fn id_of<K: Kind>(key: &Key) -> Id {
    Id { kind: K::kind(&()).into_owned(), key: key.clone() }
}

fn known<K: Kind>(object: &K) -> Known {
    let meta = object.meta();
    Known {
        id: id_of::<K>(&Key::of(object)),
        uid: meta.uid.clone().unwrap_or_default(),
        version: meta.resource_version.clone().unwrap_or_default(),
    }
}
