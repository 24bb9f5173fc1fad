//! The home in a cluster: custom resources on the Kubernetes API.

use std::{sync::Arc, time::Duration};

use futures::{FutureExt, StreamExt};
use k8s_openapi::{api::core::v1::ObjectReference, api::core::v1::Secret};
use kube::{
    Api, Client, ResourceExt,
    api::{ListParams, Patch, PatchParams, PostParams},
    core::DeserializeGuard,
    runtime::{
        WatchStreamExt,
        events::{Event, EventType, Recorder, Reporter},
        watcher,
    },
};
use secrecy::SecretString;
use serde_json::json;

use crate::{
    api::{ProxmoxActionApproval, ProxmoxActionPlan, READY, RECONCILING, STALLED, SecretKeyRef},
    core::approval::Proof,
    ports::{
        Changes, Clock, FINALIZER, Key, Kind, Notice, SecretError, Secrets, Severity, Store, StoreError,
    },
};

/// No single call to the API server may take longer: a write that hangs must not hold up what comes after it.
const CALL_TIMEOUT: Duration = Duration::from_secs(20);

/// Custom resources as the store.
#[derive(Clone)]
pub struct KubeStore {
    client: Client,
    /// Only this namespace, or all of them.
    namespace: Option<String>,
    recorder: Recorder,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for KubeStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KubeStore").field("namespace", &self.namespace).finish_non_exhaustive()
    }
}

impl KubeStore {
    /// `client` must not repeat calls by itself: build it with `default_retry` off.
    pub fn new(client: Client, namespace: Option<String>, clock: Arc<dyn Clock>) -> Self {
        let reporter = Reporter { controller: "proxmox-agent".to_owned(), instance: None };
        Self { recorder: Recorder::new(client.clone(), reporter), client, namespace, clock }
    }

    fn api<K: Kind>(&self, namespace: &str) -> Api<K> {
        Api::namespaced(self.client.clone(), namespace)
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
        bounded("hold or release", &key, api.patch(&key.name, &params, &patch)).await
    }
}

/// Runs one call with a time limit and puts its error into our words.
async fn bounded<T>(
    what: &str,
    key: &Key,
    call: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, StoreError> {
    match tokio::time::timeout(CALL_TIMEOUT, call).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(in_our_words(what, key, error)),
        Err(_) => Err(StoreError::Unavailable {
            what: format!("{what} {key}"),
            why: format!("no answer from the API server within {} s", CALL_TIMEOUT.as_secs()),
        }),
    }
}

fn in_our_words(what: &str, key: &Key, error: kube::Error) -> StoreError {
    let object = key.to_string();
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
    async fn get<K: Kind>(&self, key: &Key) -> Result<Option<K>, StoreError> {
        // No resourceVersion: the API server answers from etcd's quorum, not from its watch cache.
        match bounded("read", key, self.api::<K>(&key.namespace).get(&key.name)).await {
            Ok(object) => Ok(Some(object)),
            Err(StoreError::Gone { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn approvals_of(&self, plan: &Key) -> Result<Vec<ProxmoxActionApproval>, StoreError> {
        let params = ListParams::default().fields(&format!("spec.planRef.name={}", plan.name));
        let api: Api<DeserializeGuard<ProxmoxActionApproval>> =
            Api::namespaced(self.client.clone(), &plan.namespace);
        let list = bounded("list the approvals of", plan, api.list(&params)).await?;
        // One that can't be read approves nothing, and is reported on itself.
        Ok(list.items.into_iter().filter_map(|guard| guard.0.ok()).collect())
    }

    async fn replace_status<K: Kind>(&self, object: &K) -> Result<K, StoreError> {
        let key = Key::of(object);
        let api = self.api::<K>(&key.namespace);
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
        let condition = |type_: &str, holds: bool| {
            json!({
                "type": type_,
                "status": if holds { "True" } else { "False" },
                "reason": "Malformed",
                "message": problem.chars().take(1024).collect::<String>(),
                "lastTransitionTime": self.clock.now().to_string(),
            })
        };
        let conditions = [condition(READY, false), condition(RECONCILING, false), condition(STALLED, true)];
        let patch = json!({"status": {"conditions": conditions}});
        let api: Api<DeserializeGuard<K>> = Api::namespaced(self.client.clone(), &key.namespace);
        let (params, patch) = (PatchParams::default(), Patch::Merge(&patch));
        let patched = api.patch_status(&key.name, &params, &patch).map(|answer| answer.map(|_| ()));
        match bounded("report on", key, patched).await {
            // Gone in the meantime: nothing is left to report on.
            Err(StoreError::Gone { .. }) => Ok(()),
            reported => reported,
        }
    }

    async fn publish<K: Kind>(&self, about: &K, notice: Notice) {
        let reference: ObjectReference = about.object_ref(&());
        let event = Event {
            type_: match notice.severity {
                Severity::Normal => EventType::Normal,
                Severity::Warning => EventType::Warning,
            },
            reason: notice.reason.chars().take(128).collect(),
            // The API server refuses notes of more than 1024 bytes.
            note: Some(within_bytes(&notice.message, 1000)),
            action: "Reconcile".to_owned(),
            secondary: None,
        };
        let key = Key::of(about);
        if let Err(error) =
            bounded("publish an event on", &key, self.recorder.publish(&event, &reference)).await
        {
            tracing::warn!(object = %key, %error, "an event was lost");
        }
    }

    fn watch<K: Kind>(&self) -> Changes<K> {
        let api: Api<DeserializeGuard<K>> = match &self.namespace {
            Some(namespace) => Api::namespaced(self.client.clone(), namespace),
            None => Api::all(self.client.clone()),
        };
        watcher(api, watcher::Config::default()).default_backoff().boxed()
    }

    fn approval_proof(&self) -> Proof {
        Proof::ApiServer
    }
}

fn within_bytes(text: &str, most: usize) -> String {
    let end = text.char_indices().map(|(at, c)| at + c.len_utf8()).take_while(|end| *end <= most).last();
    text[..end.unwrap_or(0)].to_owned()
}

/// Secrets of the cluster.
#[derive(Clone)]
pub struct KubeSecrets {
    client: Client,
}

impl std::fmt::Debug for KubeSecrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KubeSecrets")
    }
}

impl KubeSecrets {
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    async fn read_key(&self, namespace: &str, reference: &SecretKeyRef) -> Result<SecretString, String> {
        let api: Api<Secret> = Api::namespaced(self.client.clone(), namespace);
        let read = tokio::time::timeout(CALL_TIMEOUT, api.get_opt(&reference.name)).await;
        let secret = read
            .map_err(|_| "no answer from the API server".to_owned())?
            .map_err(|error| told(&error))?
            .ok_or_else(|| format!("there is no such Secret in namespace {namespace}: create it"))?;
        let value = secret.data.and_then(|mut data| data.remove(&reference.key));
        let value = value.ok_or_else(|| "the Secret has no such key: add it".to_owned())?;
        let text = String::from_utf8(value.0).map_err(|_| "the value is not text".to_owned())?;
        Ok(SecretString::from(text.trim_end_matches('\n').to_owned()))
    }
}

impl Secrets for KubeSecrets {
    fn read<'a>(
        &'a self,
        namespace: &'a str,
        reference: &'a SecretKeyRef,
    ) -> futures::future::BoxFuture<'a, Result<SecretString, SecretError>> {
        async move {
            self.read_key(namespace, reference).await.map_err(|why| SecretError {
                secret: format!("{namespace}/{}", reference.name),
                key: reference.key.clone(),
                why,
            })
        }
        .boxed()
    }
}
