//! A directory with an environment, and the engine over it within this process.

use std::{fs, path::PathBuf, sync::Arc};

use futures::{FutureExt, future::BoxFuture};
use proxmox_agent::{
    api::{PlanStatus, ProxmoxActionPlan, ProxmoxEnvironment, SecretKeyRef},
    audit::AuditFile,
    controllers,
    ports::{Clock, Key, Ports, SecretError, Secrets, Store},
    pve::{
        Proxmox,
        sim::{Simulator, World},
    },
    store::directory::{DirectoryOptions, DirectoryStore},
    system::SystemClock,
};
use secrecy::SecretString;
use serde_json::{Value, json};

use super::stage::{TOKEN, until_async};

/// The operator's token in every world that [`shared_secret`] made.
pub(crate) const SECRET: &str = "11111111-2222-3333-4444-555555555555";

/// The sample world, in which the operator's token has a secret that other worlds know too.
pub(crate) fn shared_secret(more: &str) -> World {
    const SAMPLE: &str = include_str!("../../src/pve/sim/sample-world.yaml");
    let tokens = "operator: {privsep: 1}";
    assert!(SAMPLE.contains(tokens), "the sample has another token now");
    let known = format!("operator: {{privsep: 1, secret: {SECRET}}}");
    World::from_yaml(&format!("{}\n{more}\n", SAMPLE.replace(tokens, &known))).unwrap()
}

pub(crate) struct Home {
    folder: tempfile::TempDir,
    pub(crate) ports: Ports<DirectoryStore, Proxmox>,
}

/// A token that can be changed while the engine runs.
#[derive(Debug)]
struct TokenFile(PathBuf);

impl Secrets for TokenFile {
    fn read<'a>(
        &'a self,
        _: &'a str,
        _: &'a SecretKeyRef,
    ) -> BoxFuture<'a, Result<SecretString, SecretError>> {
        async { Ok(SecretString::from(fs::read_to_string(&self.0).unwrap())) }.boxed()
    }
}

impl Home {
    /// An environment `home` with these endpoints and whatever else is in its spec.
    pub(crate) fn with(endpoints: &[String], secret: &str, more: &Value) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("dir")).unwrap();
        fs::write(folder.path().join("token"), format!("{TOKEN}={secret}")).unwrap();
        let ports = ports(&folder);
        let home = Self { folder, ports };
        home.environment("home", endpoints, more);
        home
    }

    pub(crate) fn before(sim: &Simulator, more: &Value) -> Self {
        Self::with(&[sim.url().to_owned()], &sim.tokens()[TOKEN], more)
    }

    /// The same directory, looked at by a process that knows nothing yet.
    pub(crate) fn restarted(self) -> Self {
        let Self { folder, ports: old } = self;
        drop(old);
        let ports = ports(&folder);
        Self { folder, ports }
    }

    pub(crate) fn environment(&self, name: &str, endpoints: &[String], more: &Value) {
        let mut spec = json!({
            "endpoints": endpoints, "credentials": {"secretRef": {"name": "x"}},
            "tls": {"insecureSkipVerify": true}, "tier": "lab", "requestTimeoutSeconds": 5,
        });
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.write("ProxmoxEnvironment", name, &spec);
    }

    pub(crate) fn set_token(&self, secret: &str) {
        fs::write(self.folder.path().join("token"), format!("{TOKEN}={secret}")).unwrap();
    }

    fn write(&self, kind: &str, name: &str, spec: &Value) {
        let object = json!({
            "apiVersion": "proxmox-agent.io/v1alpha1", "kind": kind,
            "metadata": {"name": name, "namespace": "default"}, "spec": spec,
        });
        fs::write(self.folder.path().join(format!("dir/{kind}-{name}.yaml")), object.to_string()).unwrap();
    }

    /// A plan for `environment`.
    pub(crate) fn plan_in(&self, environment: &str, name: &str, action: &str, target: &str) {
        let spec = json!({
            "environment": environment, "action": action, "target": target, "requestedBy": "alice",
        });
        self.write("ProxmoxActionPlan", name, &spec);
    }

    pub(crate) fn plan(&self, name: &str, action: &str, target: &str) {
        self.plan_in("home", name, action, target);
    }

    /// One pass over everything.
    pub(crate) async fn settle(&self) {
        self.ports.store.taken_in().await.unwrap();
        controllers::settle(self.ports.clone()).await;
    }

    /// The engine.
    pub(crate) fn run(&self) -> Running {
        let never = std::future::pending().boxed().shared();
        Running { engine: tokio::spawn(controllers::run(self.ports.clone(), never)) }
    }

    pub(crate) async fn status(&self, plan: &str) -> PlanStatus {
        let key = Key::new("default", plan);
        let found = self.ports.store.get::<ProxmoxActionPlan>(&key).await.unwrap();
        found.and_then(|plan| plan.status).unwrap_or_default()
    }

    /// The reason of the environment's Ready condition, and its message.
    pub(crate) async fn readiness(&self, environment: &str) -> (String, String) {
        let status = self.environment_status(environment).await;
        let ready = status.conditions.iter().find(|condition| condition.type_ == "Ready");
        ready.map(|ready| (ready.reason.clone(), ready.message.clone())).unwrap_or_default()
    }

    pub(crate) async fn environment_status(&self, name: &str) -> proxmox_agent::api::EnvironmentStatus {
        let key = Key::new("default", name);
        let found = self.ports.store.get::<ProxmoxEnvironment>(&key).await.unwrap();
        found.and_then(|environment| environment.status).unwrap_or_default()
    }

    /// Waits until the plan's status is as asked.
    pub(crate) async fn plan_when(&self, plan: &str, holds: impl Fn(&PlanStatus) -> bool) -> PlanStatus {
        until_async(&format!("{plan} is as wanted"), async || holds(&self.status(plan).await)).await;
        self.status(plan).await
    }

    pub(crate) fn events(&self) -> String {
        fs::read_to_string(self.folder.path().join("state/events.jsonl")).unwrap_or_default()
    }
}

fn ports(folder: &tempfile::TempDir) -> Ports<DirectoryStore, Proxmox> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let options = DirectoryOptions {
        dir: folder.path().join("dir"),
        state: folder.path().join("state"),
        clock: clock.clone(),
    };
    Ports {
        store: DirectoryStore::open(options).unwrap(),
        hypervisors: Proxmox::default(),
        secrets: Arc::new(TokenFile(folder.path().join("token"))),
        audit: Arc::new(AuditFile::open(&folder.path().join("audit.jsonl")).unwrap()),
        clock,
    }
}

/// A running engine.
pub(crate) struct Running {
    engine: tokio::task::JoinHandle<()>,
}

impl Running {
    /// It has no chance to tidy up.
    pub(crate) async fn kill(self) {
        self.engine.abort();
        assert!(self.engine.await.unwrap_err().is_cancelled());
    }
}
