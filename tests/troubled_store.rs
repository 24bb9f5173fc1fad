//! The engine over a store that gives it trouble: lost answers, other writers, slow events.
// A test that can't prepare its world has nothing better to do than to stop.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::{
    fs,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::{FutureExt, future::BoxFuture};
use jiff::{SignedDuration, Timestamp};
use proxmox_agent::{
    api::{Phase, PlanStatus, ProxmoxActionApproval, ProxmoxActionPlan, SecretKeyRef},
    audit::AuditFile,
    controllers,
    core::approval::Proof,
    ports::{Changes, Clock, Key, Kind, Notice, Ports, SecretError, Secrets, Store, StoreError},
    pve::{
        Proxmox,
        sim::{self, Fault, Options, Simulator, Trigger, World},
    },
    store::directory::{DirectoryOptions, DirectoryStore},
};
use secrecy::SecretString;
use serde_json::{Value, json};
use support::{
    stage::{TOKEN, until_async},
    worlds,
};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Trouble {
    None,
    /// The write of this phase is kept, but its answer does not come. Once.
    AnswerOfWriteLost(Phase),
    /// Somebody else wrote a label just before the write of this phase. Once.
    Conflict(Phase),
    /// Somebody else has announced the same call a moment before.
    AnotherReplica,
    /// The write of the intent takes so long.
    SlowIntent(SignedDuration),
}

#[derive(Clone)]
struct Troubled {
    inner: DirectoryStore,
    trouble: Arc<Mutex<Trouble>>,
    clock: Arc<Skewed>,
}

#[derive(Debug, Default)]
struct Skewed(Mutex<SignedDuration>);

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

impl Store for Troubled {
    async fn get<K: Kind>(&self, key: &Key) -> Result<Option<K>, StoreError> {
        self.inner.get(key).await
    }
    async fn approvals_of(&self, plan: &Key) -> Result<Vec<ProxmoxActionApproval>, StoreError> {
        self.inner.approvals_of(plan).await
    }
    async fn plans_for(&self, namespace: &str, target: &str) -> Result<Vec<ProxmoxActionPlan>, StoreError> {
        self.inner.plans_for(namespace, target).await
    }
    async fn plans_in_flight(
        &self,
        namespace: &str,
        environment: &str,
    ) -> Result<Vec<ProxmoxActionPlan>, StoreError> {
        self.inner.plans_in_flight(namespace, environment).await
    }
    async fn replace_status<K: Kind>(&self, object: &K) -> Result<K, StoreError> {
        let phase = serde_json::to_value(object).unwrap()["status"]["phase"].clone();
        let is = |wanted: Phase| phase == json!(wanted);
        let trouble = *self.trouble.lock().unwrap();
        match trouble {
            Trouble::AnswerOfWriteLost(wanted) if is(wanted) => {
                *self.trouble.lock().unwrap() = Trouble::None;
                self.inner.replace_status(object).await?;
                Err(StoreError::Unavailable { what: "write".into(), why: "504".into() })
            }
            Trouble::SlowIntent(long) if is(Phase::Dispatching) => {
                *self.trouble.lock().unwrap() = Trouble::None;
                *self.clock.0.lock().unwrap() = long;
                self.inner.replace_status(object).await
            }
            Trouble::AnotherReplica if is(Phase::Dispatching) => {
                *self.trouble.lock().unwrap() = Trouble::None;
                let mut theirs = serde_json::to_value(object).unwrap();
                theirs["status"]["intent"]["nonce"] = json!("theirs");
                self.inner.replace_status(&serde_json::from_value::<K>(theirs).unwrap()).await?;
                self.inner.replace_status(object).await
            }
            Trouble::Conflict(wanted) if is(wanted) => {
                *self.trouble.lock().unwrap() = Trouble::None;
                Err(StoreError::Conflict { object: "the plan".into() })
            }
            _ => self.inner.replace_status(object).await,
        }
    }
    async fn hold(&self, plan: &ProxmoxActionPlan) -> Result<ProxmoxActionPlan, StoreError> {
        self.inner.hold(plan).await
    }
    async fn release(&self, plan: &ProxmoxActionPlan) -> Result<ProxmoxActionPlan, StoreError> {
        self.inner.release(plan).await
    }
    async fn report_malformed<K: Kind>(&self, key: &Key, problem: &str) -> Result<(), StoreError> {
        self.inner.report_malformed::<K>(key, problem).await
    }
    async fn publish<K: Kind>(&self, about: &K, notice: Notice) {
        self.inner.publish(about, notice).await;
    }
    fn watch<K: Kind>(&self) -> Changes<K> {
        self.inner.watch()
    }
    fn approval_proof(&self) -> Proof {
        self.inner.approval_proof()
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

struct Home {
    folder: tempfile::TempDir,
    sim: Simulator,
    store: Option<DirectoryStore>,
    clock: Arc<Skewed>,
}

impl Home {
    async fn new(world: World) -> Self {
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

    fn file(&self, kind: &str, name: &str) -> PathBuf {
        self.folder.path().join(format!("dir/{kind}-{name}.yaml"))
    }

    fn write(&self, kind: &str, name: &str, spec: &Value) {
        let object = json!({
            "apiVersion": "proxmox-agent.io/v1alpha1", "kind": kind,
            "metadata": {"name": name, "namespace": "default"}, "spec": spec,
        });
        fs::write(self.file(kind, name), object.to_string()).unwrap();
    }

    fn plan(&self, name: &str, action: &str, target: &str, more: &Value) {
        let mut spec =
            json!({"environment": "home", "action": action, "target": target, "requestedBy": "alice"});
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.write("ProxmoxActionPlan", name, &spec);
    }

    fn ports(&self, trouble: Trouble) -> Ports<Troubled, Proxmox> {
        let token = format!("{TOKEN}={}", self.sim.tokens()[TOKEN]);
        Ports {
            store: Troubled {
                inner: self.store.clone().unwrap(),
                trouble: Arc::new(Mutex::new(trouble)),
                clock: self.clock.clone(),
            },
            hypervisors: Proxmox::default(),
            secrets: Arc::new(OneToken(token)),
            audit: Arc::new(AuditFile::open(&self.folder.path().join("audit.jsonl")).unwrap()),
            clock: self.clock.clone(),
        }
    }

    async fn settle(&self, trouble: Trouble) -> Vec<(String, PlanStatus)> {
        self.store.as_ref().unwrap().taken_in().await.unwrap();
        controllers::settle(self.ports(trouble))
            .await
            .into_iter()
            .map(|plan| (plan.metadata.name.unwrap(), plan.status.unwrap_or_default()))
            .collect()
    }

    async fn status(&self, plan: &str) -> PlanStatus {
        let read = self.store.as_ref().unwrap().get::<ProxmoxActionPlan>(&Key::new("default", plan)).await;
        read.ok().flatten().and_then(|plan| plan.status).unwrap_or_default()
    }

    fn executed(&self) -> usize {
        self.sim.ledger().iter().filter(|e| e.who == TOKEN && e.outcome != sim::Outcome::NotExecuted).count()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_intent_whose_write_was_not_answered_is_not_taken_for_a_call_that_left() {
    let home = Home::new(World::sample()).await;
    home.plan("p", "start_guest", "qemu/101", &json!({}));
    let plans = home.settle(Trouble::AnswerOfWriteLost(Phase::Dispatching)).await;
    assert_eq!(home.executed(), if plans[0].1.phase == Phase::Succeeded { 1 } else { 0 });
    assert_ne!(plans[0].1.phase, Phase::Indeterminate, "nothing was ever sent: {}", plans[0].1.message);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_kept_although_somebody_else_wrote_to_the_plan_meanwhile() {
    let home = Home::new(worlds::start_meets("fault: answer, status: 403")).await;
    home.plan("p", "start_guest", "qemu/101", &json!({}));
    let plans = home.settle(Trouble::Conflict(Phase::Failed)).await;
    assert_eq!(plans[0].1.phase, Phase::Failed, "{}: {}", plans[0].1.reason, plans[0].1.message);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_sent_after_not_after_however_long_the_intent_takes_to_be_written() {
    let home = Home::new(World::sample()).await;
    let end = Timestamp::from_second(Timestamp::now().as_second() + 600).unwrap();
    home.plan("p", "start_guest", "qemu/101", &json!({"notAfter": end.to_string()}));
    let plans = home.settle(Trouble::SlowIntent(SignedDuration::from_hours(1))).await;
    assert_eq!(home.executed(), 0, "sent 50 minutes after notAfter");
    assert_eq!((plans[0].1.phase, plans[0].1.reason.as_str()), (Phase::Failed, "NotSent"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_does_not_adopt_the_task_of_another_plan() {
    let home = Home::new(World::sample()).await;
    let when = Trigger { path: Some("/nodes/*/*/*/snapshot".to_owned()), ..Trigger::default() };
    home.sim.set_faults(vec![Fault::LostRequest { when }]);
    home.plan("one", "create_snapshot", "qemu/101", &json!({}));
    home.plan("two", "create_snapshot", "qemu/101", &json!({}));
    let plans = home.settle(Trouble::None).await;
    assert_eq!(home.executed(), 1);
    let succeeded: Vec<_> = plans.iter().filter(|(_, status)| status.phase == Phase::Succeeded).collect();
    assert_eq!(
        succeeded.len(),
        1,
        "one snapshot was taken, but: {:?}",
        plans.iter().map(|(name, s)| (name, s.phase, &s.upid, &s.message)).collect::<Vec<_>>()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn once_ends_although_the_environment_of_a_running_plan_is_gone() {
    let home = Home::new(worlds::slow("qmstart", 600)).await;
    home.plan("p", "start_guest", "qemu/101", &json!({}));
    let running = tokio::spawn(controllers::run(
        home.ports(Trouble::None),
        futures::future::pending().boxed().shared(),
    ));
    until_async("the plan runs", async || home.status("p").await.phase == Phase::Running).await;
    running.abort();
    fs::remove_file(home.file("ProxmoxEnvironment", "home")).unwrap();
    let plans = home.settle(Trouble::None).await;
    assert_eq!((plans[0].1.phase, plans[0].1.reason.as_str()), (Phase::Running, "EnvironmentNotFound"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_is_put_right_lets_its_plans_go_on() {
    let home = Home::new(World::sample()).await;
    home.write(
        "ProxmoxEnvironment",
        "home",
        &json!({
            "endpoints": [home.sim.url()], "credentials": {"secretRef": {"name": "x"}}, "policyRef": {"name": "house"},
            "tls": {"fingerprint": home.sim.fingerprint()}, "tier": "lab", "requestTimeoutSeconds": 1,
        }),
    );
    home.write("ProxmoxPolicy", "house", &json!({"preset": "nonsense"}));
    home.plan("p", "start_guest", "qemu/101", &json!({}));
    let running = tokio::spawn(controllers::run(
        home.ports(Trouble::None),
        futures::future::pending().boxed().shared(),
    ));
    let blocked = ["Malformed", "PolicyNotFound"];
    until_async("the plan is blocked", async || blocked.contains(&home.status("p").await.reason.as_str()))
        .await;
    home.write("ProxmoxPolicy", "house", &json!({"preset": "permissive"}));
    until_async("the plan goes on", async || home.status("p").await.phase == Phase::Succeeded).await;
    running.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_somebody_else_has_announced_is_not_sent() {
    let home = Home::new(World::sample()).await;
    home.plan("p", "start_guest", "qemu/101", &json!({}));
    let plans = home.settle(Trouble::AnotherReplica).await;
    assert_eq!(home.executed(), 0);
    assert_eq!(plans[0].1.intent.as_ref().unwrap().nonce, "theirs");
}
