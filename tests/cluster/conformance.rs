//! The API server as a home: the contract that every home keeps.

use std::sync::Arc;

use kube::{Api, api::DeleteParams};
use proxmox_agent::{
    ports::{Key, Kind},
    store::kube::KubeStore,
};

use crate::support::{
    chart::{give_roles, install},
    cluster::{Cluster, taken},
    conformance::Home,
    patience::PATIENCE,
};

/// A namespace of its own.
struct KubeHome {
    cluster: Arc<Cluster>,
    namespace: String,
    client: kube::Client,
    operator: kube::Client,
}

impl KubeHome {
    async fn new() -> Self {
        let cluster = Cluster::shared();
        install(&cluster).await;
        let namespace = cluster.namespace().await;
        cluster.kubectl("admin", &["create", "namespace", "other"]).await;
        give_roles(&cluster, &[&namespace, "other"]).await;
        // No role of ours allows to change what is immutable: here everybody may try.
        for who in ["requesters", "approvers"] {
            let try_to_change = ["create", "rolebinding", who, "--clusterrole=cluster-admin", "--group", who];
            taken(&cluster.kubectl("admin", &[&["-n", &namespace], &try_to_change[..]].concat()).await);
        }
        let client = cluster.client("admin").await;
        let operator = cluster.client("operator").await;
        Self { cluster, namespace, client, operator }
    }

    fn api<K: Kind>(&self) -> Api<K> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }
}

impl Home for KubeHome {
    type S = KubeStore;

    fn store(&self) -> KubeStore {
        KubeStore::new(self.operator.clone(), Some(self.namespace.clone()), None)
    }

    fn namespace(&self) -> &str {
        &self.namespace
    }

    async fn apply(&self, yaml: &str) -> Result<(), String> {
        let mut object: serde_json::Value = serde_json::from_str(yaml).unwrap();
        object["metadata"]["namespace"] = self.namespace.as_str().into();
        let who = match object["kind"].as_str().unwrap() {
            "ProxmoxActionPlan" => "requester",
            "ProxmoxActionApproval" => "approver",
            _ => "admin",
        };
        let outcome = self.cluster.kubectl_reading(&object.to_string(), who, &["apply", "-f", "-"]).await;
        if outcome.code == 0 { Ok(()) } else { Err(outcome.stderr) }
    }

    async fn delete<K: Kind>(&self, key: &Key) {
        self.api::<K>().delete(&key.name, &DeleteParams::default()).await.unwrap();
    }

    async fn refusal<K: Kind>(&self, _: &Key) -> Option<String> {
        None
    }

    async fn forgotten<K: Kind>(&self, key: &Key) {
        let gone = |object: Option<&K>| object.is_none();
        let waiting = kube::runtime::wait::await_condition(self.api::<K>(), &key.name, gone);
        tokio::time::timeout(PATIENCE, waiting).await.unwrap().unwrap();
    }
}

crate::conformance!(KubeHome::new().await);
