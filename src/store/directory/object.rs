//! An object as the store keeps it.

use std::path::PathBuf;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::document::{Declared, Id};
use crate::{
    api::{GROUP, VERSION},
    ports::{FINALIZER, Key, Kind, StoreError},
};

/// What was accepted, and everything found out about it. Reads like `kubectl get -o yaml`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Object {
    /// Where it was last declared, below the directory.
    pub(super) file: PathBuf,
    api_version: String,
    kind: String,
    pub(super) metadata: ObjectMeta,
    pub(super) spec: Value,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) status: Option<Value>,
}

impl Object {
    pub(super) fn new(declared: &Declared, file: PathBuf, uid: String, version: u64, created: Time) -> Self {
        Self {
            file,
            api_version: format!("{GROUP}/{VERSION}"),
            kind: declared.id.kind.clone(),
            metadata: ObjectMeta {
                name: Some(declared.id.key.name.clone()),
                namespace: Some(declared.id.key.namespace.clone()),
                uid: Some(uid),
                resource_version: Some(version.to_string()),
                generation: Some(1),
                creation_timestamp: Some(created),
                labels: Some(declared.labels.clone()).filter(|l| !l.is_empty()),
                annotations: Some(declared.annotations.clone()).filter(|a| !a.is_empty()),
                ..ObjectMeta::default()
            },
            spec: declared.spec.clone(),
            status: None,
        }
    }

    pub(super) fn id(&self) -> Id {
        let key = Key::new(
            self.metadata.namespace.as_deref().unwrap_or_default(),
            self.metadata.name.as_deref().unwrap_or_default(),
        );
        Id { kind: self.kind.clone(), key }
    }

    pub(super) fn uid(&self) -> &str {
        self.metadata.uid.as_deref().unwrap_or_default()
    }

    pub(super) fn version(&self) -> &str {
        self.metadata.resource_version.as_deref().unwrap_or_default()
    }

    pub(super) fn is_held(&self) -> bool {
        self.metadata.finalizers.as_ref().is_some_and(|held| held.iter().any(|by| by == FINALIZER))
    }

    pub(super) fn hold(&mut self) {
        self.metadata.finalizers.get_or_insert_default().push(FINALIZER.to_owned());
    }

    /// A plan whose call is announced, or whose task runs.
    pub(super) fn is_being_carried_out(&self) -> bool {
        let phase = self.status.as_ref().and_then(|status| status["phase"].as_str());
        self.kind == "ProxmoxActionPlan" && matches!(phase, Some("Dispatching" | "Running"))
    }

    pub(super) fn is_going(&self) -> bool {
        self.metadata.deletion_timestamp.is_some()
    }

    /// Only what its file still says may let something happen; a denial stands until its file is gone.
    pub(super) fn is_approval_to_act(&self) -> bool {
        self.kind == "ProxmoxActionApproval" && self.spec["decision"] != "Deny"
    }

    /// The object as an API server would show it.
    pub(super) fn shown(&self) -> Value {
        let mut shown = json!({
            "apiVersion": self.api_version, "kind": self.kind, "metadata": self.metadata, "spec": self.spec,
        });
        if let Some(status) = &self.status {
            shown["status"] = status.clone();
        }
        shown
    }

    pub(super) fn typed<K: Kind>(&self) -> Result<K, StoreError> {
        serde_json::from_value(self.shown())
            .map_err(|error| StoreError::Malformed { object: self.id().to_string(), why: error.to_string() })
    }
}
