//! The engine on a directory, within the process of the test.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::{FutureExt, future::BoxFuture};
use jiff::{SignedDuration, Timestamp};
use proxmox_agent::{
    api::{EnvironmentStatus, PlanStatus, ProxmoxActionPlan, ProxmoxEnvironment, SecretKeyRef},
    audit::AuditFolder,
    controllers,
    git::GitRepositories,
    ports::{Clock, Key, Ports, SecretError, Secrets, Store},
    pve::{
        Proxmox,
        sim::{Options, Simulator, World},
    },
    store::directory::{DirectoryOptions, DirectoryStore},
    system::{Alone, SystemClock},
};
use secrecy::SecretString;
use serde_json::{Value, json};

use super::{manifests::with, patience::until_async, stage::TOKEN};

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
    fn monotonic(&self) -> Duration {
        SystemClock.monotonic()
    }
    fn nonce(&self) -> String {
        uuid::Uuid::new_v4().to_string()
    }
    fn fraction(&self) -> f64 {
        SystemClock.fraction()
    }
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        tokio::time::sleep(duration).boxed()
    }
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

/// A directory of plans with an environment `home`, and a clock that can be put forward.
pub(crate) struct Home {
    folder: tempfile::TempDir,
    pub(crate) ports: Ports<DirectoryStore, Proxmox>,
    pub(crate) clock: Arc<Skewed>,
}

impl Home {
    /// An environment `home` with these endpoints and whatever else is in its spec.
    pub(crate) fn with(endpoints: &[String], secret: &str, more: &Value) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("dir")).unwrap();
        let clock = Arc::default();
        let ports = ports(&folder, &clock);
        let home = Self { folder, ports, clock };
        home.set_token(secret);
        home.environment("home", endpoints, more);
        home
    }

    pub(crate) fn before(sim: &Simulator, more: &Value) -> Self {
        Self::with(&[sim.url().to_owned()], &sim.tokens()[TOKEN], more)
    }

    /// With a simulated Proxmox of its own, which it does not wait for long.
    pub(crate) async fn beside(world: World) -> (Self, Simulator) {
        let sim = Simulator::start(Options { world, ..Options::default() }).await.unwrap();
        let home = Self::before(&sim, &impatiently(&sim));
        (home, sim)
    }

    /// The same directory, looked at by a process that knows nothing yet.
    pub(crate) fn restarted(self) -> Self {
        let Self { folder, ports: old, clock } = self;
        drop(old);
        let ports = ports(&folder, &clock);
        Self { folder, ports, clock }
    }

    pub(crate) fn environment(&self, name: &str, endpoints: &[String], more: &Value) {
        let spec = json!({
            "endpoints": endpoints, "credentials": {"secretRef": {"name": "x"}},
            "tls": {"insecureSkipVerify": true}, "tier": "lab", "requestTimeoutSeconds": 5,
        });
        self.write("ProxmoxEnvironment", name, &with(spec, more));
    }

    pub(crate) fn set_token(&self, secret: &str) {
        fs::write(self.folder.path().join("token"), format!("{TOKEN}={secret}")).unwrap();
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

    /// A plan for `home`, if nothing else is in `more`.
    pub(crate) fn plan(&self, name: &str, action: &str, target: &str, more: &Value) {
        let spec = json!({"environment": "home", "action": action, "target": target, "requestedBy": "alice"});
        self.write("ProxmoxActionPlan", name, &with(spec, more));
    }

    /// Approves a plan as it is judged now.
    pub(crate) async fn approve(&self, plan: &str, name: &str) {
        self.approve_by(plan, name, "bob").await;
    }

    /// The same, in a file that is called after who approves.
    pub(crate) async fn approve_as(&self, plan: &str, who: &str) {
        self.approve_by(plan, who, who).await;
    }

    async fn approve_by(&self, plan: &str, name: &str, who: &str) {
        let key = Key::new("default", plan);
        let found: ProxmoxActionPlan = self.ports.store.get(&key).await.unwrap().unwrap();
        let status = found.status.unwrap_or_default();
        let spec = json!({
            "planRef": {"name": plan, "uid": found.metadata.uid}, "planHash": status.plan_hash, "risk": status.risk,
            "decision": "Approve", "approved_by": who, "environment": "home", "expiresAt": "2999-01-01T00:00:00Z",
        });
        self.write("ProxmoxActionApproval", name, &spec);
    }

    /// The ports with another store.
    pub(crate) fn ports_with<S: Store>(&self, store: S) -> Ports<S, Proxmox> {
        let Ports { hypervisors, secrets, repositories, audit, leadership, clock, .. } = self.ports.clone();
        Ports { store, hypervisors, secrets, repositories, audit, leadership, clock }
    }

    /// One pass over everything that the directory holds by now.
    pub(crate) async fn settle(&self) -> Vec<(String, PlanStatus)> {
        self.settle_with(self.ports.clone()).await
    }

    pub(crate) async fn settle_with<S: Store>(&self, ports: Ports<S, Proxmox>) -> Vec<(String, PlanStatus)> {
        self.ports.store.taken_in().await.unwrap();
        controllers::settle(ports)
            .await
            .into_iter()
            .map(|plan| (plan.metadata.name.unwrap(), plan.status.unwrap_or_default()))
            .collect()
    }

    /// The engine.
    pub(crate) fn run(&self) -> Running {
        Self::run_with(self.ports.clone())
    }

    pub(crate) fn run_with<S: Store>(ports: Ports<S, Proxmox>) -> Running {
        let never = std::future::pending().boxed().shared();
        Running { engine: tokio::spawn(controllers::run(ports, never)) }
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

    pub(crate) async fn environment_status(&self, name: &str) -> EnvironmentStatus {
        let key = Key::new("default", name);
        let found = self.ports.store.get::<ProxmoxEnvironment>(&key).await.unwrap();
        found.and_then(|environment| environment.status).unwrap_or_default()
    }

    /// Waits until the plan's status is as asked.
    pub(crate) async fn plan_when(&self, plan: &str, holds: impl Fn(&PlanStatus) -> bool) -> PlanStatus {
        until_async(&format!("{plan} is as wanted"), async || holds(&self.status(plan).await)).await;
        self.status(plan).await
    }

    pub(crate) fn audit_folder(&self) -> PathBuf {
        self.folder.path().join("audit")
    }

    /// The audit log, line by line, without what it tells of itself.
    pub(crate) fn records(&self) -> Vec<Value> {
        records_in(&self.audit_folder())
    }

    /// The audit log's events, in order.
    pub(crate) fn audited(&self) -> Vec<Value> {
        self.records().into_iter().map(|record| record["event"].clone()).collect()
    }

    pub(crate) fn events(&self) -> String {
        fs::read_to_string(self.folder.path().join("state/events.jsonl")).unwrap_or_default()
    }
}

/// What is in the spec of an environment that trusts this Proxmox alone, and does not wait for it long.
pub(crate) fn impatiently(sim: &Simulator) -> Value {
    json!({"tls": {"fingerprint": sim.fingerprint()}, "requestTimeoutSeconds": 1})
}

fn ports(folder: &tempfile::TempDir, clock: &Arc<Skewed>) -> Ports<DirectoryStore, Proxmox> {
    let options = DirectoryOptions {
        dir: folder.path().join("dir"),
        state: folder.path().join("state"),
        clock: clock.clone(),
    };
    Ports {
        store: DirectoryStore::open(options).unwrap(),
        hypervisors: Proxmox::default(),
        secrets: Arc::new(TokenFile(folder.path().join("token"))),
        repositories: Arc::new(GitRepositories::new(folder.path().join("git"), clock.clone())),
        audit: Arc::new(AuditFolder::open(&folder.path().join("audit"), "test", &SystemClock).unwrap()),
        leadership: Arc::new(Alone),
        clock: clock.clone(),
    }
}

/// What an audit log tells, line by line, without what it tells of itself.
pub(crate) fn records_in(folder: &Path) -> Vec<Value> {
    let Ok(entries) = fs::read_dir(folder) else { return vec![] };
    let mut segments: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    segments.retain(|path| path.extension().is_some_and(|ending| ending == "jsonl"));
    segments.sort();
    let text: String = segments.iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    // The last line may be on its way.
    let whole = text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
    let records = whole.map(|line| serde_json::from_str::<Value>(line).unwrap());
    records.filter(|record| record["event"] != "began" && record["event"] != "tookOver").collect()
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
