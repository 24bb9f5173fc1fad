//! What the engine needs from the world outside, as traits. Rooms to the right implement them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
    future::Future,
    sync::Arc,
    time::Duration,
};

use futures::{future::BoxFuture, stream::BoxStream};
use jiff::Timestamp;
use kube::{
    CustomResourceExt, Resource,
    core::{DeserializeGuard, NamespaceResourceScope},
    runtime::watcher,
};
use secrecy::SecretString;
use serde::{Serialize, de::DeserializeOwned};
use thiserror::Error;

use crate::{
    api::{
        GitTrust, ProxmoxActionApproval, ProxmoxActionPlan, ProxmoxEnvironment, ProxmoxPolicy, SecretKeyRef,
    },
    catalog::{Call, GuestRef, Reading},
    core::{
        admission::Admission,
        audit::{AuditRecord, Head, RefusedObject},
        ha::HaGuest,
        lifecycle::Home,
        observe::{NodeRow, Query, Readout, World},
        provenance::{Sighting, Wanted},
        task::{Sent, TaskLog, TaskState, Upid},
    },
};

/// On a plan whose task runs: keeps it readable until the task's end is known.
pub const FINALIZER: &str = "proxmox-agent.io/task";

/// The name of an object within its namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    pub namespace: String,
    pub name: String,
}

impl Key {
    pub fn new(namespace: &str, name: &str) -> Self {
        Self { namespace: namespace.to_owned(), name: name.to_owned() }
    }

    /// Objects that a store hands out always have both names.
    pub fn of<K: Resource>(object: &K) -> Self {
        let meta = object.meta();
        Self::new(meta.namespace.as_deref().unwrap_or_default(), meta.name.as_deref().unwrap_or_default())
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// One of our kinds.
pub trait Kind:
    Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + CustomResourceExt
    + Clone
    + Debug
    + PartialEq
    + Serialize
    + DeserializeOwned
    + Send
    + Sync
    + 'static
{
}

impl Kind for ProxmoxActionPlan {}
impl Kind for ProxmoxActionApproval {}
impl Kind for ProxmoxEnvironment {}
impl Kind for ProxmoxPolicy {}

/// A stream of changes, beginning with everything that exists.
pub type Changes<K> = BoxStream<'static, Result<watcher::Event<DeserializeGuard<K>>, watcher::Error>>;

/// Where plans and approvals live. The store, not the engine, keeps specs immutable and status rules true.
pub trait Store: Clone + Send + Sync + 'static {
    /// Where plans live, for whoever has to type something about one.
    fn home(&self) -> Home;

    /// A live read, never a cached one.
    fn get<K: Kind>(&self, key: &Key) -> impl Future<Output = Result<Option<K>, StoreError>> + Send;

    /// All approvals that name this plan, read live. One whose source is in doubt may be missing; none is ever added. Fails
    /// if one can't be understood: it may be a no.
    fn approvals_of(
        &self,
        plan: &Key,
    ) -> impl Future<Output = Result<Vec<ProxmoxActionApproval>, StoreError>> + Send;

    /// What is of interest in the plans of a namespace for this target whose call may have been announced, be it long ago,
    /// read live and as of one moment. Nothing else of them is kept: there may be any number.
    fn plans_for<T: Send + 'static>(
        &self,
        namespace: &str,
        target: &str,
        of_interest: impl Fn(ProxmoxActionPlan) -> Option<T> + Send + Sync,
    ) -> impl Future<Output = Result<Vec<T>, StoreError>> + Send;

    /// The same of the plans of an environment whose call was announced.
    fn plans_sent<T: Send + 'static>(
        &self,
        namespace: &str,
        environment: &str,
        of_interest: impl Fn(ProxmoxActionPlan) -> Option<T> + Send + Sync,
    ) -> impl Future<Output = Result<Vec<T>, StoreError>> + Send;

    /// All policies of a namespace, read live. One that can't be understood fails it: a freeze may be in it.
    fn policies_of(
        &self,
        namespace: &str,
    ) -> impl Future<Output = Result<Vec<ProxmoxPolicy>, StoreError>> + Send;

    /// All plans of an environment that are in flight, read live.
    fn plans_in_flight(
        &self,
        namespace: &str,
        environment: &str,
    ) -> impl Future<Output = Result<Vec<ProxmoxActionPlan>, StoreError>> + Send;

    /// Writes the status if nobody else has written the object since it was read (`resourceVersion`).
    fn replace_status<K: Kind>(&self, object: &K) -> impl Future<Output = Result<K, StoreError>> + Send;

    /// Keeps a deleted plan readable until it is released, because its task still runs. Fenced like a status write;
    /// holding what is held changes nothing.
    fn hold(
        &self,
        plan: &ProxmoxActionPlan,
    ) -> impl Future<Output = Result<ProxmoxActionPlan, StoreError>> + Send;

    /// Lets a plan go. Releasing what is not held changes nothing.
    fn release(
        &self,
        plan: &ProxmoxActionPlan,
    ) -> impl Future<Output = Result<ProxmoxActionPlan, StoreError>> + Send;

    /// Says on an object that can't be read why not.
    fn report_malformed<K: Kind>(
        &self,
        key: &Key,
        problem: &str,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// What is offered and not accepted, each once, whoever listens.
    fn refusals(&self) -> BoxStream<'static, Refusal>;

    /// Tells people what happened to an object. Losing one never stops the engine.
    fn publish<K: Kind>(&self, about: &K, notice: Notice) -> impl Future<Output = ()> + Send;

    fn watch<K: Kind>(&self) -> Changes<K>;

    /// How the policies stand that force names in plans and approvals to be their writers' own, read live.
    fn admission(&self) -> impl Future<Output = Result<Admission, StoreError>> + Send;

    /// Says something whenever one of those policies may have changed.
    fn admission_changes(&self) -> BoxStream<'static, ()>;

    /// By the clock that dates the objects of this namespace.
    fn time(&self, namespace: &str) -> impl Future<Output = Result<Timestamp, StoreError>> + Send;
}

/// Something that was offered and not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub namespace: String,
    pub object: RefusedObject,
    pub why: String,
}

/// A Kubernetes Event, or its likeness in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    pub severity: Severity,
    /// One word for programs.
    pub reason: String,
    /// A sentence for people.
    pub message: String,
}

/// Whether somebody should look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    Normal,
    Warning,
}

/// Why a store could not do what it was asked.
#[derive(Clone, Debug, Error)]
pub enum StoreError {
    #[error("{object} was changed by somebody else in the meantime")]
    Conflict { object: String },
    #[error("{object} is gone")]
    Gone { object: String },
    #[error("the store refused {object}: {why}")]
    Refused { object: String, why: String },
    #[error("{object} can't be read: {why}")]
    Malformed { object: String, why: String },
    #[error("failed to {what}: {why}")]
    Unavailable { what: String, why: String },
}

/// Connects to the Proxmox of an environment.
pub trait Hypervisors: Clone + Send + Sync + 'static {
    type Connection: Hypervisor;

    /// The connection of an environment: kept, and shared by everybody, until its endpoints, trust or token change.
    fn connect(
        &self,
        environment: &ProxmoxEnvironment,
        token: &SecretString,
    ) -> Result<Self::Connection, HypervisorError>;

    /// The environment is gone: nothing of it is kept.
    fn forget(&self, environment: &Key);
}

/// One Proxmox cluster, seen through one token.
pub trait Hypervisor: Send + Sync + 'static {
    /// `user@realm!tokenid`.
    fn token_id(&self) -> String;

    /// Makes sure that all endpoints belong to one cluster. Asks only if that was not found out before.
    fn meet(&self) -> impl Future<Output = Result<(), HypervisorError>> + Send;

    /// The same, whatever was found out before. Returns the endpoints that do not answer.
    fn meet_anew(&self) -> impl Future<Output = Result<Vec<String>, HypervisorError>> + Send;

    fn nodes(&self) -> impl Future<Output = Result<Vec<NodeRow>, HypervisorError>> + Send;

    fn version(&self) -> impl Future<Output = Result<String, HypervisorError>> + Send;

    /// What a reading action shows; of lists without an end at most so many rows.
    fn read(
        &self,
        reading: Reading,
        query: &Query,
        most: u32,
    ) -> impl Future<Output = Result<Readout, HypervisorError>> + Send;

    /// Everything that a judgement needs to know, as it is now. `places` are the paths at which the token's rights have to
    /// be known exactly.
    fn look(
        &self,
        query: &Query,
        places: &BTreeSet<String>,
    ) -> impl Future<Output = Result<World, HypervisorError>> + Send;

    fn node_time(&self, node: &str) -> impl Future<Output = Result<Timestamp, HypervisorError>> + Send;

    /// Sends a change, once. The only way in which anything is ever changed. `secrets` are the values of the parameters
    /// that the call only says the whereabouts of. Where an endpoint has certainly not passed it on, another one is tried
    /// as long as it may still leave; that is asked right before its first byte does.
    fn send(
        &self,
        call: &Call,
        secrets: &BTreeMap<String, SecretString>,
        departure: &Departure,
    ) -> impl Future<Output = Sent> + Send;

    /// What a task is doing, or was doing at most `tolerance` ago.
    fn task(
        &self,
        upid: &Upid,
        tolerance: Duration,
    ) -> impl Future<Output = Result<TaskState, HypervisorError>> + Send;

    /// The last lines that a task has written, told without the values of these secrets.
    fn task_log(
        &self,
        upid: &Upid,
        secrets: &BTreeMap<String, SecretString>,
    ) -> impl Future<Output = Result<TaskLog, HypervisorError>> + Send;

    /// A guest as the HA manager sees it, or `None` if this token sees none.
    fn ha_guest(
        &self,
        guest: GuestRef,
    ) -> impl Future<Output = Result<Option<HaGuest>, HypervisorError>> + Send;

    /// The tasks of a guest that began at `since` or later, finished or not.
    fn tasks_since(
        &self,
        node: &str,
        task_id: &str,
        since: Timestamp,
    ) -> impl Future<Output = Result<Vec<Upid>, HypervisorError>> + Send;
}

/// Why a Proxmox could not be reached or read.
#[derive(Clone, Debug, Error)]
#[error("{message}")]
pub struct HypervisorError {
    pub message: String,
}

/// Where API tokens are kept.
pub trait Secrets: Debug + Send + Sync {
    fn read<'a>(
        &'a self,
        namespace: &'a str,
        reference: &'a SecretKeyRef,
    ) -> BoxFuture<'a, Result<SecretString, SecretError>>;
}

/// Why a secret could not be had. Never says anything of its content.
#[derive(Clone, Debug, Error)]
#[error("failed to read key `{key}` of secret {secret}: {why}")]
pub struct SecretError {
    pub secret: String,
    pub key: String,
    pub why: String,
}

/// The repositories that plans and approvals come from.
pub trait Repositories: Debug + Send + Sync {
    /// What the branch says about each of these objects, all of one namespace, fetched now. `credentials` are
    /// `user:password`.
    fn look_up<'a>(
        &'a self,
        namespace: &'a str,
        trust: &'a GitTrust,
        credentials: Option<SecretString>,
        wanted: Vec<Wanted>,
    ) -> BoxFuture<'a, Result<Vec<Sighting>, RepositoryError>>;
}

/// Why a repository could not be read.
#[derive(Clone, Debug, Error)]
#[error("failed to read branch {branch} of {repository}: {why}")]
pub struct RepositoryError {
    pub repository: String,
    pub branch: String,
    pub why: String,
}

/// The record that outlives the process.
pub trait AuditLog: Debug + Send + Sync {
    /// Resolves only when the record is on disk.
    fn append(&self, record: AuditRecord) -> BoxFuture<'_, std::io::Result<()>>;

    /// Whether a call could be announced now. May be asked often.
    fn ready(&self) -> BoxFuture<'_, std::io::Result<()>>;

    /// The last line that is on disk.
    fn head(&self) -> Head;
}

/// Whether this process is the one that acts. It is a hint that keeps two from working at the same thing; what keeps them
/// from doing it twice is the `resourceVersion` of each status write.
pub trait Leadership: Debug + Send + Sync {
    /// Nobody else can have been chosen before so much time has passed, by a clock that never jumps.
    fn lasts(&self, pause: Duration) -> bool;
}

/// What time it is, and other things that can't be computed.
pub trait Clock: Debug + Send + Sync {
    /// May jump, in both directions.
    fn now(&self) -> Timestamp;
    /// Since some moment of the past. Never jumps, and goes on while the process stands still.
    fn monotonic(&self) -> Duration;
    /// A word that no other intent has.
    fn nonce(&self) -> String;
    /// Anything from 0 up to, but not, 1: so that not all who wait come back at the same moment.
    fn fraction(&self) -> f64;
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()>;
    /// Such a pause for many who wait for the same thing.
    fn about(&self, pause: Duration) -> Duration {
        pause.mul_f64(0.5 + self.fraction())
    }
}

/// Until when a call that was announced may leave.
#[derive(Clone, Debug)]
pub struct Departure {
    clock: Arc<dyn Clock>,
    leadership: Arc<dyn Leadership>,
    /// By both clocks: the one knows how long the process stood still, the other how late it is for people.
    until: (Timestamp, Duration),
}

impl Departure {
    pub fn within(clock: Arc<dyn Clock>, leadership: Arc<dyn Leadership>, pause: Duration) -> Self {
        let late = clock.now().saturating_add(pause).unwrap_or(Timestamp::MAX);
        let until = (late, clock.monotonic() + pause);
        Self { clock, leadership, until }
    }

    /// How long it still may, or why it may not any more.
    pub fn left(&self) -> Result<Duration, &'static str> {
        let (late, until) = self.until;
        let by_the_wall = Duration::try_from(late.duration_since(self.clock.now())).unwrap_or_default();
        let left = until.saturating_sub(self.clock.monotonic()).min(by_the_wall);
        if left.is_zero() {
            return Err("its time to leave has passed");
        }
        if !self.leadership.lasts(left) {
            return Err("this replica may not lead long enough any more");
        }
        Ok(left)
    }
}

/// Everything the engine works with.
#[derive(Clone, Debug)]
pub struct Ports<S, H> {
    pub store: S,
    pub hypervisors: H,
    pub secrets: Arc<dyn Secrets>,
    pub repositories: Arc<dyn Repositories>,
    pub audit: Arc<dyn AuditLog>,
    pub leadership: Arc<dyn Leadership>,
    pub clock: Arc<dyn Clock>,
}
