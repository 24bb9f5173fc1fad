//! The home in a cluster: custom resources on the Kubernetes API.
//!
//! Reads are live, writes are fenced by the resourceVersion that was read, and nothing is repeated here. `admission` finds
//! out whether names are forced to be true, `again` when a watch that broke is asked for anew and `clock` what time the API server dates by: an approval counts only if it
//! came in later than that was known. `identity` says who this process is there, `lease` which of several such processes
//! leads, `pages` reads lists of any length, `secrets` reads what it may.

mod admission;
mod again;
mod clock;
mod identity;
mod lease;
mod pages;
mod secrets;
mod shared;

pub use admission::{ExpectedPolicies, UnfitName};
pub use identity::own_name;
pub use lease::{Candidate, Lead, Lost};
pub use secrets::KubeSecrets;

use std::{fmt::Display, sync::Arc, time::Duration};

use futures::{StreamExt, stream::BoxStream};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{Patch, PatchParams, PostParams},
    core::{DeserializeGuard, PartialObjectMeta},
    runtime::{
        WatchStreamExt,
        events::{Event, EventType, Recorder, Reporter},
        watcher,
    },
};
use serde_json::json;
use tokio::sync::Semaphore;

use crate::{
    api::{Phase, ProxmoxActionApproval, ProxmoxActionPlan, ProxmoxPolicy},
    core::{
        admission::{Admission, Policies},
        audit::RefusedObject,
        lifecycle::Home,
    },
    ports::{Changes, FINALIZER, Key, Kind, Notice, Refusal, Severity, Store, StoreError},
    store::refusals::Refusals,
};

use again::soon;
use shared::Shared;

/// No single call to the API server may take longer: a write that hangs must not hold up what comes after it.
const CALL_TIMEOUT: Duration = Duration::from_secs(20);
/// So many objects come in one answer: a page is held as a whole, as text and as objects.
const PAGE: u32 = 50;
/// In these no call was announced yet.
const WAITING: [Phase; 3] = [Phase::Pending, Phase::AwaitingApproval, Phase::Approved];
/// In these nothing was sent, though it may have been tried.
const UNSENT: [Phase; 3] = [Phase::Denied, Phase::Expired, Phase::Cancelled];
/// Each call has a connection of its own, and a connection keeps buffers: what reads ten thousand plans at once needs a
/// hundred times the memory that it works with.
const CALLS: usize = 16;
/// Who speaks in Events.
const CONTROLLER: &str = "proxmox-agent";

/// Custom resources as the store.
#[derive(Clone)]
pub struct KubeStore {
    client: Client,
    /// Only this namespace, or all of them.
    namespace: Option<String>,
    recorder: Recorder,
    /// As many calls as may be out at once.
    calls: Arc<Semaphore>,
    /// `None` if the owner does without them.
    policies: Option<ExpectedPolicies>,
    admission: Arc<Shared<Result<Policies, StoreError>>>,
    refusals: Refusals,
}

impl std::fmt::Debug for KubeStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KubeStore").field("namespace", &self.namespace).finish_non_exhaustive()
    }
}

impl KubeStore {
    /// `client` must not repeat calls by itself: build it with `default_retry` off. Without `policies`, names in plans and
    /// approvals are taken as they are written.
    pub fn new(client: Client, namespace: Option<String>, policies: Option<ExpectedPolicies>) -> Self {
        let reporter = Reporter { controller: CONTROLLER.to_owned(), instance: None };
        let recorder = Recorder::new(client.clone(), reporter);
        Self {
            recorder,
            client,
            namespace,
            policies,
            admission: Arc::default(),
            refusals: Refusals::default(),
            calls: Arc::new(Semaphore::new(CALLS)),
        }
    }

    fn api<K: Kind>(&self, namespace: &str) -> Api<K> {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// Kept while a call is out.
    async fn turn(&self) -> impl Sized + use<'_> {
        self.calls.acquire().await
    }

    async fn tell(&self, about: ObjectReference, key: &Key, severity: Severity, reason: &str, message: &str) {
        let event = Event {
            type_: match severity {
                Severity::Normal => EventType::Normal,
                Severity::Warning => EventType::Warning,
            },
            reason: reason.chars().take(128).collect(),
            // The API server refuses notes of more than 1024 bytes.
            note: Some(within_bytes(message, 1000)),
            action: "Reconcile".to_owned(),
            secondary: None,
        };
        let _turn = self.turn().await;
        if let Err(error) = bounded("publish an event on", key, self.recorder.publish(&event, &about)).await {
            tracing::warn!(object = %key, %error, "an event was lost");
        }
    }

    /// One JSON merge patch, fenced by the resourceVersion that was read.
    async fn set_finalizers(
        &self,
        plan: &ProxmoxActionPlan,
        finalizers: Vec<String>,
    ) -> Result<ProxmoxActionPlan, StoreError> {
        if plan.finalizers() == finalizers {
            return Ok(plan.clone());
        }
        let key = Key::of(plan);
        let patch =
            json!({"metadata": {"resourceVersion": plan.resource_version(), "finalizers": finalizers}});
        let api = self.api::<ProxmoxActionPlan>(&key.namespace);
        let (params, patch) = (PatchParams::default(), Patch::Merge(&patch));
        let _turn = self.turn().await;
        bounded("hold or release", &key, api.patch(&key.name, &params, &patch)).await
    }
}

/// Runs one call with a time limit and puts its error into our words.
async fn bounded<T>(
    what: &str,
    object: impl Display,
    call: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, StoreError> {
    bounded_by(CALL_TIMEOUT, what, object, call).await
}

async fn bounded_by<T>(
    limit: Duration,
    what: &str,
    object: impl Display,
    call: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, StoreError> {
    match tokio::time::timeout(limit, call).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(in_our_words(what, object.to_string(), error)),
        Err(_) => Err(StoreError::Unavailable {
            what: format!("{what} {object}"),
            why: format!("no answer from the API server within {} s", limit.as_secs()),
        }),
    }
}

fn in_our_words(what: &str, object: String, error: kube::Error) -> StoreError {
    match error {
        kube::Error::Api(status) if status.is_conflict() => StoreError::Conflict { object },
        kube::Error::Api(status) if status.is_not_found() => StoreError::Gone { object },
        kube::Error::Api(status) if status.is_invalid() || status.code == 400 => {
            StoreError::Refused { object, why: status.message }
        }
        kube::Error::SerdeError(error) => StoreError::Malformed { object, why: error.to_string() },
        error => StoreError::Unavailable { what: format!("{what} {object}"), why: told(&error) },
    }
}

/// What the API server said, without the form in which it said it.
pub(crate) fn told(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        error => error.to_string(),
    }
}

impl Store for KubeStore {
    fn home(&self) -> Home {
        Home::Cluster
    }

    async fn get<K: Kind>(&self, key: &Key) -> Result<Option<K>, StoreError> {
        let _turn = self.turn().await;
        // No resourceVersion: the API server answers from etcd's quorum, not from its watch cache.
        match bounded("read", key, self.api::<K>(&key.namespace).get(&key.name)).await {
            Ok(object) => Ok(Some(object)),
            Err(StoreError::Gone { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn approvals_of(&self, plan: &Key) -> Result<Vec<ProxmoxActionApproval>, StoreError> {
        self.list_whole("approval", &plan.namespace, &format!("spec.planRef.name={}", plan.name)).await
    }

    async fn plans_for<T: Send + 'static>(
        &self,
        namespace: &str,
        target: &str,
        of_interest: impl Fn(ProxmoxActionPlan) -> Option<T> + Send + Sync,
    ) -> Result<Vec<T>, StoreError> {
        self.list(namespace, &format!("spec.target={target}{}", but(&WAITING)), of_interest).await
    }

    async fn plans_sent<T: Send + 'static>(
        &self,
        namespace: &str,
        environment: &str,
        of_interest: impl Fn(ProxmoxActionPlan) -> Option<T> + Send + Sync,
    ) -> Result<Vec<T>, StoreError> {
        let fields = format!("spec.environment={environment}{}{}", but(&WAITING), but(&UNSENT));
        self.list(namespace, &fields, of_interest).await
    }

    async fn policies_of(&self, namespace: &str) -> Result<Vec<ProxmoxPolicy>, StoreError> {
        self.list_whole("policy", namespace, "").await
    }

    async fn plans_in_flight(
        &self,
        namespace: &str,
        environment: &str,
    ) -> Result<Vec<ProxmoxActionPlan>, StoreError> {
        let mut found = Vec::new();
        for phase in [Phase::Dispatching, Phase::Running] {
            let fields = format!("spec.environment={environment},status.phase={phase}");
            found.extend(self.list(namespace, &fields, Some).await?);
        }
        Ok(found)
    }

    async fn replace_status<K: Kind>(&self, object: &K) -> Result<K, StoreError> {
        let key = Key::of(object);
        let api = self.api::<K>(&key.namespace);
        let _turn = self.turn().await;
        bounded("write the status of", &key, api.replace_status(&key.name, &PostParams::default(), object))
            .await
    }

    async fn hold(&self, plan: &ProxmoxActionPlan) -> Result<ProxmoxActionPlan, StoreError> {
        let mut finalizers = plan.finalizers().to_vec();
        if !finalizers.iter().any(|name| name == FINALIZER) {
            finalizers.push(FINALIZER.to_owned());
        }
        self.set_finalizers(plan, finalizers).await
    }

    async fn release(&self, plan: &ProxmoxActionPlan) -> Result<ProxmoxActionPlan, StoreError> {
        let others = plan.finalizers().iter().filter(|name| *name != FINALIZER).cloned().collect();
        self.set_finalizers(plan, others).await
    }

    async fn report_malformed<K: Kind>(&self, key: &Key, problem: &str) -> Result<(), StoreError> {
        let api: Api<PartialObjectMeta<K>> = Api::namespaced(self.client.clone(), &key.namespace);
        let found = {
            let _turn = self.turn().await;
            bounded("read", key, api.get_metadata_opt(&key.name)).await?
        };
        let Some(object) = found else {
            return Ok(());
        };
        // The API server refuses every write to an object that its own schema no longer fits: only an Event gets through.
        self.tell(object.object_ref(&()), key, Severity::Warning, "Malformed", problem).await;
        let object = RefusedObject {
            kind: K::kind(&()).into_owned(),
            name: key.name.clone(),
            uid: object.metadata.uid.unwrap_or_default(),
            file: String::new(),
        };
        self.refusals.tell(Refusal { namespace: key.namespace.clone(), object, why: problem.to_owned() });
        Ok(())
    }

    fn refusals(&self) -> BoxStream<'static, Refusal> {
        self.refusals.hear()
    }

    async fn publish<K: Kind>(&self, about: &K, notice: Notice) {
        let Notice { severity, reason, message } = notice;
        self.tell(about.object_ref(&()), &Key::of(about), severity, &reason, &message).await;
    }

    fn watch<K: Kind>(&self) -> Changes<K> {
        let api: Api<DeserializeGuard<K>> = match &self.namespace {
            Some(namespace) => Api::namespaced(self.client.clone(), namespace),
            None => Api::all(self.client.clone()),
        };
        watcher(api, watcher::Config::default().page_size(PAGE)).backoff(soon()).boxed()
    }

    async fn admission(&self) -> Result<Admission, StoreError> {
        let Some(policies) = &self.policies else { return Ok(Admission::Waived) };
        let reading = async {
            let _turn = self.turn().await;
            policies.read(&self.client).await
        };
        self.admission.read(reading).await.map(Admission::Policies)
    }

    fn admission_changes(&self) -> BoxStream<'static, ()> {
        match &self.policies {
            Some(policies) => policies.changes(&self.client),
            None => futures::stream::pending().boxed(),
        }
    }

    async fn time(&self, namespace: &str) -> Result<Timestamp, StoreError> {
        let _turn = self.turn().await;
        clock::time(&self.client, namespace).await
    }
}

/// As a field selector goes on: none of these.
fn but(phases: &[Phase]) -> String {
    phases.iter().map(|phase| format!(",status.phase!={phase}")).collect()
}

fn within_bytes(text: &str, most: usize) -> String {
    let end = text.char_indices().map(|(at, c)| at + c.len_utf8()).take_while(|end| *end <= most).last();
    text[..end.unwrap_or(0)].to_owned()
}
