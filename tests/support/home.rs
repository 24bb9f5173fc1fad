//! The engine on a directory, within the process of the test.

use std::{
    fs,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::{FutureExt, future::BoxFuture};
use jiff::{SignedDuration, Timestamp};
use proxmox_agent::{
    api::{PlanStatus, ProxmoxActionPlan, SecretKeyRef},
    audit::AuditFile,
    controllers,
    ports::{Clock, Key, Ports, SecretError, Secrets, Store},
    pve::{
        Proxmox,
        sim::{self, Options, Simulator, World},
    },
    store::directory::{DirectoryOptions, DirectoryStore},
};
use secrecy::SecretString;
use serde_json::{Value, json};

use super::stage::TOKEN;

/// The clock of the machine, put forward.
#[derive(Debug, Default)]
pub(crate) struct Skewed(Mutex<SignedDuration>);

impl Skewed {
    /// From now on it is so much later than it is.
    pub(crate) fn set(&self, ahead: SignedDuration) {
        *self.0.lock().unwrap() = ahead;
    }
}

impl Clock for Skewed {
    fn now(&self) -> Timestamp {
        Timestamp::now() + *self.0.lock().unwrap()
    }
    fn nonce(&self) -> String {
        uuid::Uuid::new_v4().to_string()
    }
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        tokio::time::sleep(duration).boxed()
    }
}

#[derive(Debug)]
struct OneToken(String);

impl Secrets for OneToken {
    fn read<'a>(
        &'a self,
        _: &'a str,
        _: &'a SecretKeyRef,
    ) -> BoxFuture<'a, Result<SecretString, SecretError>> {
        async { Ok(SecretString::from(self.0.clone())) }.boxed()
    }
}

/// A directory of plans, a simulated Proxmox behind it, and a clock that can be put forward.
pub(crate) struct Home {
    folder: tempfile::TempDir,
    pub(crate) sim: Simulator,
    store: Option<DirectoryStore>,
    pub(crate) clock: Arc<Skewed>,
}

impl Home {
    pub(crate) async fn new(world: World) -> Self {
        let sim = Simulator::start(Options { world, ..Options::default() }).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("dir")).unwrap();
        let mut home = Self { folder, sim, store: None, clock: Arc::default() };
        home.write(
            "ProxmoxEnvironment",
            "home",
            &json!({
                "endpoints": [home.sim.url()], "credentials": {"secretRef": {"name": "x"}},
                "tls": {"fingerprint": home.sim.fingerprint()}, "tier": "lab", "requestTimeoutSeconds": 1,
            }),
        );
        let options = DirectoryOptions {
            dir: home.folder.path().join("dir"),
            state: home.folder.path().join("state"),
            clock: home.clock.clone(),
        };
        home.store = Some(DirectoryStore::open(options).unwrap());
        home
    }

    pub(crate) fn file(&self, kind: &str, name: &str) -> PathBuf {
        self.folder.path().join(format!("dir/{kind}-{name}.yaml"))
    }

    pub(crate) fn write(&self, kind: &str, name: &str, spec: &Value) {
        let object = json!({
            "apiVersion": "proxmox-agent.io/v1alpha1", "kind": kind,
            "metadata": {"name": name, "namespace": "default"}, "spec": spec,
        });
        fs::write(self.file(kind, name), object.to_string()).unwrap();
    }

    pub(crate) fn plan(&self, name: &str, action: &str, target: &str, more: &Value) {
        let mut spec =
            json!({"environment": "home", "action": action, "target": target, "requestedBy": "alice"});
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.write("ProxmoxActionPlan", name, &spec);
    }

    pub(crate) fn store(&self) -> DirectoryStore {
        self.store.clone().unwrap()
    }

    pub(crate) fn ports<S: Store>(&self, store: S) -> Ports<S, Proxmox> {
        let token = format!("{TOKEN}={}", self.sim.tokens()[TOKEN]);
        Ports {
            store,
            hypervisors: Proxmox,
            secrets: Arc::new(OneToken(token)),
            audit: Arc::new(AuditFile::open(&self.folder.path().join("audit.jsonl")).unwrap()),
            clock: self.clock.clone(),
        }
    }

    /// One pass over everything that the directory holds by now.
    pub(crate) async fn settle_with<S: Store>(&self, ports: Ports<S, Proxmox>) -> Vec<(String, PlanStatus)> {
        self.store().taken_in().await.unwrap();
        controllers::settle(ports)
            .await
            .into_iter()
            .map(|plan| (plan.metadata.name.unwrap(), plan.status.unwrap_or_default()))
            .collect()
    }

    /// The audit log's events, in order.
    pub(crate) fn audited(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.folder.path().join("audit.jsonl")).unwrap();
        text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["event"].clone()).collect()
    }

    pub(crate) async fn status(&self, plan: &str) -> PlanStatus {
        let read = self.store.as_ref().unwrap().get::<ProxmoxActionPlan>(&Key::new("default", plan)).await;
        read.ok().flatten().and_then(|plan| plan.status).unwrap_or_default()
    }

    pub(crate) fn executed(&self) -> usize {
        self.sim.ledger().iter().filter(|e| e.who == TOKEN && e.outcome != sim::Outcome::NotExecuted).count()
    }
}
