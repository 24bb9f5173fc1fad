//! The API server as a home: the contract that every home keeps.

use std::sync::Arc;

use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams},
};
use proxmox_agent::{
    api::{ProxmoxActionApproval, ProxmoxActionPlan, ProxmoxEnvironment, ProxmoxPolicy},
    ports::{Key, Kind},
    store::kube::KubeStore,
};
use tokio::sync::{Mutex, MutexGuard};

use crate::support::{
    chart::{give_roles, install},
    cluster::Cluster,
    conformance::Home,
    patience::PATIENCE,
};

const NAMESPACE: &str = "default";

/// The sentences speak of one namespace, so one at a time has it.
static STAGE: Mutex<()> = Mutex::const_new(());

struct KubeHome {
    cluster: Arc<Cluster>,
    client: kube::Client,
    operator: kube::Client,
    _turn: MutexGuard<'static, ()>,
}

impl KubeHome {
    async fn new() -> Self {
        // Held while waiting for a turn, so that it does not end in between.
        let cluster = Cluster::shared();
        let turn = STAGE.lock().await;
        install(&cluster).await;
        give_roles(&cluster, NAMESPACE).await;
        cluster.kubectl("admin", &["create", "namespace", "other"]).await;
        give_roles(&cluster, "other").await;
        // No role of ours allows to change what is immutable: here everybody may try.
        for who in ["requesters", "approvers"] {
            let try_to_change = ["create", "rolebinding", who, "--clusterrole=cluster-admin", "--group", who];
            cluster.kubectl("admin", &[&["-n", NAMESPACE], &try_to_change[..]].concat()).await;
        }
        let client = cluster.client("admin").await;
        let operator = cluster.client("operator").await;
        let home = Self { cluster, client, operator, _turn: turn };
        home.clear::<ProxmoxActionPlan>().await;
        home.clear::<ProxmoxActionApproval>().await;
        home.clear::<ProxmoxEnvironment>().await;
        home.clear::<ProxmoxPolicy>().await;
        home
    }

    fn api<K: Kind>(&self) -> Api<K> {
        Api::namespaced(self.client.clone(), NAMESPACE)
    }

    async fn clear<K: Kind>(&self) {
        let api = self.api::<K>();
        for object in api.list(&Default::default()).await.unwrap() {
            let name = object.meta().name.clone().unwrap();
            let free = Patch::Merge(serde_json::json!({"metadata": {"finalizers": []}}));
            let _ = api.patch(&name, &PatchParams::default(), &free).await;
            let _ = api.delete(&name, &DeleteParams::default()).await;
        }
    }
}

impl Home for KubeHome {
    type S = KubeStore;

    fn store(&self) -> KubeStore {
        KubeStore::new(self.operator.clone(), Some(NAMESPACE.to_owned()), None)
    }

    async fn apply(&self, yaml: &str) -> Result<(), String> {
        let object: serde_json::Value = serde_json::from_str(yaml).unwrap();
        let who = match object["kind"].as_str().unwrap() {
            "ProxmoxActionPlan" => "requester",
            "ProxmoxActionApproval" => "approver",
            _ => "admin",
        };
        let outcome = self.cluster.kubectl_reading(yaml, who, &["apply", "-f", "-"]).await;
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
