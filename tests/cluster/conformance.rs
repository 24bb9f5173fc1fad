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
    cluster::Cluster,
    conformance::Home,
    stage::{PATIENCE, install},
};

/// The sentences speak of one namespace, so one at a time has it.
static STAGE: Mutex<()> = Mutex::const_new(());

struct KubeHome {
    cluster: Arc<Cluster>,
    client: kube::Client,
    _turn: MutexGuard<'static, ()>,
}

impl KubeHome {
    async fn new() -> Self {
        // Held while waiting for a turn, so that it does not end in between.
        let cluster = Cluster::shared();
        let turn = STAGE.lock().await;
        install(&cluster).await;
        let client = cluster.client("admin").await;
        let home = Self { cluster, client, _turn: turn };
        home.clear::<ProxmoxActionPlan>().await;
        home.clear::<ProxmoxActionApproval>().await;
        home.clear::<ProxmoxEnvironment>().await;
        home.clear::<ProxmoxPolicy>().await;
        home
    }

    fn api<K: Kind>(&self) -> Api<K> {
        Api::namespaced(self.client.clone(), "default")
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
        KubeStore::new(self.client.clone(), Some("default".to_owned()))
    }

    async fn apply(&self, yaml: &str) -> Result<(), String> {
        let outcome = self.cluster.kubectl_reading(yaml, "admin", &["apply", "-f", "-"]).await;
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
