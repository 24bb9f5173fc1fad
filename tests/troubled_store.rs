//! The engine over a store that gives it trouble: lost answers, other writers, slow events.
// A test that can't prepare its world has nothing better to do than to stop.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::{
    fs,
    sync::{Arc, Mutex},
};

use futures::stream::BoxStream;
use jiff::{SignedDuration, Timestamp};
use proxmox_agent::{
    api::{Phase, PlanStatus, ProxmoxActionApproval, ProxmoxActionPlan, ProxmoxPolicy},
    core::admission::Admission,
    ports::{Changes, Key, Kind, Notice, Ports, Store, StoreError},
    pve::{
        Proxmox,
        sim::{Fault, Trigger, World},
    },
    store::directory::DirectoryStore,
};
use serde_json::json;
use support::{
    home::{Home, Skewed, impatiently},
    proxmox,
    stage::until_async,
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
    async fn plans_of(
        &self,
        namespace: &str,
        environment: &str,
    ) -> Result<Vec<ProxmoxActionPlan>, StoreError> {
        self.inner.plans_of(namespace, environment).await
    }
    async fn policies_of(&self, namespace: &str) -> Result<Vec<ProxmoxPolicy>, StoreError> {
        self.inner.policies_of(namespace).await
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
                self.clock.set(long);
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
    async fn admission(&self) -> Result<Admission, StoreError> {
        self.inner.admission().await
    }
    fn admission_changes(&self) -> BoxStream<'static, ()> {
        self.inner.admission_changes()
    }
    async fn time(&self, namespace: &str) -> Result<Timestamp, StoreError> {
        self.inner.time(namespace).await
    }
}

/// A home whose store gives trouble.
trait InTrouble {
    fn troubled(&self, trouble: Trouble) -> Ports<Troubled, Proxmox>;
    async fn settle_in(&self, trouble: Trouble) -> Vec<(String, PlanStatus)>;
}

impl InTrouble for Home {
    fn troubled(&self, trouble: Trouble) -> Ports<Troubled, Proxmox> {
        let trouble = Arc::new(Mutex::new(trouble));
        self.ports_with(Troubled { inner: self.ports.store.clone(), trouble, clock: self.clock.clone() })
    }

    async fn settle_in(&self, trouble: Trouble) -> Vec<(String, PlanStatus)> {
        self.settle_with(self.troubled(trouble)).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_intent_whose_write_was_not_answered_is_not_taken_for_a_call_that_left() {
    let (home, sim) = Home::beside(World::sample()).await;
    home.plan("p", "start_guest", "qemu/101", &json!({}));
    let plans = home.settle_in(Trouble::AnswerOfWriteLost(Phase::Dispatching)).await;
    assert_eq!(proxmox::executed(&sim), if plans[0].1.phase == Phase::Succeeded { 1 } else { 0 });
    assert_ne!(plans[0].1.phase, Phase::Indeterminate, "nothing was ever sent: {}", plans[0].1.message);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_kept_although_somebody_else_wrote_to_the_plan_meanwhile() {
    let (home, _sim) = Home::beside(worlds::start_meets("fault: answer, status: 403")).await;
    home.plan("p", "start_guest", "qemu/101", &json!({}));
    let plans = home.settle_in(Trouble::Conflict(Phase::Failed)).await;
    assert_eq!(plans[0].1.phase, Phase::Failed, "{}: {}", plans[0].1.reason, plans[0].1.message);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_sent_after_not_after_however_long_the_intent_takes_to_be_written() {
    let (home, sim) = Home::beside(World::sample()).await;
    let end = Timestamp::from_second(Timestamp::now().as_second() + 600).unwrap();
    home.plan("p", "start_guest", "qemu/101", &json!({"notAfter": end.to_string()}));
    let plans = home.settle_in(Trouble::SlowIntent(SignedDuration::from_hours(1))).await;
    assert_eq!(proxmox::executed(&sim), 0, "sent 50 minutes after notAfter");
    assert_eq!((plans[0].1.phase, plans[0].1.reason.as_str()), (Phase::Failed, "NotSent"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_does_not_adopt_the_task_of_another_plan() {
    let (home, sim) = Home::beside(World::sample()).await;
    let when = Trigger { path: Some("/nodes/*/*/*/snapshot".to_owned()), ..Trigger::default() };
    sim.set_faults(vec![Fault::LostRequest { when }]);
    home.plan("one", "create_snapshot", "qemu/101", &json!({}));
    home.plan("two", "create_snapshot", "qemu/101", &json!({}));
    let plans = home.settle_in(Trouble::None).await;
    assert_eq!(proxmox::executed(&sim), 1);
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
    let (home, _sim) = Home::beside(worlds::slow("qmstart", 600)).await;
    home.plan("p", "start_guest", "qemu/101", &json!({}));
    let running = Home::run_with(home.troubled(Trouble::None));
    until_async("the plan runs", async || home.status("p").await.phase == Phase::Running).await;
    running.kill().await;
    fs::remove_file(home.file("ProxmoxEnvironment", "home")).unwrap();
    let plans = home.settle_in(Trouble::None).await;
    assert_eq!((plans[0].1.phase, plans[0].1.reason.as_str()), (Phase::Running, "EnvironmentNotFound"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_is_put_right_lets_its_plans_go_on() {
    let (home, sim) = Home::beside(World::sample()).await;
    let mut spec = impatiently(&sim);
    spec["policyRef"] = json!({"name": "house"});
    home.environment("home", &[sim.url().to_owned()], &spec);
    home.write("ProxmoxPolicy", "house", &json!({"preset": "nonsense"}));
    home.plan("p", "start_guest", "qemu/101", &json!({}));
    let running = Home::run_with(home.troubled(Trouble::None));
    let blocked = ["Malformed", "PolicyNotFound"];
    until_async("the plan is blocked", async || blocked.contains(&home.status("p").await.reason.as_str()))
        .await;
    home.write("ProxmoxPolicy", "house", &json!({"preset": "permissive"}));
    until_async("the plan goes on", async || home.status("p").await.phase == Phase::Succeeded).await;
    running.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_somebody_else_has_announced_is_not_sent() {
    let (home, sim) = Home::beside(World::sample()).await;
    home.plan("p", "start_guest", "qemu/101", &json!({}));
    let plans = home.settle_in(Trouble::AnotherReplica).await;
    assert_eq!(proxmox::executed(&sim), 0);
    assert_eq!(plans[0].1.intent.as_ref().unwrap().nonce, "theirs");
}
