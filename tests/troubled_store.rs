//! The engine over a store that gives it trouble: lost answers, other writers, slow events, admission policies that come
//! and go.
// A test that can't prepare its world has nothing better to do than to stop.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::{
    fs,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use futures::stream::BoxStream;
use jiff::{SignedDuration, Timestamp};
use proxmox_agent::{
    api::{Phase, PlanStatus, ProxmoxActionApproval, ProxmoxActionPlan, ProxmoxPolicy},
    core::{
        admission::{Admission, Policies},
        lifecycle,
    },
    ports::{Changes, Key, Kind, Notice, Ports, Refusal, Store, StoreError},
    pve::{
        Proxmox,
        sim::{Fault, Simulator, Trigger, World},
    },
    store::directory::DirectoryStore,
};
use serde_json::json;
use support::{
    home::{Home, Skewed, impatiently},
    patience::until_async,
    proxmox, worlds,
};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Trouble {
    None,
    /// The write of this phase is kept, but its answer does not come. Once.
    AnswerOfWriteLost(Phase),
    /// Somebody else wrote a label just before the write of this phase. Once.
    Conflict(Phase),
    /// Another replica has followed the task to its end while this one looked at it. Once.
    Overtaken,
    /// From then on nothing but an end may be written.
    EndedByAnother,
    /// Somebody else has announced the same call a moment before.
    AnotherReplica,
    /// The write of the intent takes so long.
    SlowIntent(SignedDuration),
    /// Its own clock is so far ahead.
    ClockAhead(SignedDuration),
    /// There are admission policies, unchanged since then.
    PoliciesSince(Timestamp),
    PoliciesMissing,
    /// They can't be read from the moment on at which a call is announced.
    PoliciesUnreadableOnceAnnounced,
    PoliciesUnreadable,
    /// They are gone when the approvals have been read so often.
    PoliciesGoneAfter(usize),
    /// The approvals are gone when they have been read so often.
    RevokedAfter(usize),
    /// No environment can be read.
    EnvironmentsMalformed,
}

const LONG_AGO: Timestamp = Timestamp::UNIX_EPOCH;

fn policies(unchanged_since: Timestamp, problems: &[&str]) -> Admission {
    Admission::Policies(Policies {
        revision: "1".into(),
        unchanged_since: Some(unchanged_since),
        problems: problems.iter().map(|problem| (*problem).to_owned()).collect(),
    })
}

#[derive(Clone)]
struct Troubled {
    inner: DirectoryStore,
    trouble: Arc<Mutex<Trouble>>,
    clock: Arc<Skewed>,
    /// How often approvals were read.
    readings: Arc<AtomicUsize>,
}

impl Store for Troubled {
    fn home(&self) -> lifecycle::Home {
        self.inner.home()
    }

    async fn get<K: Kind>(&self, key: &Key) -> Result<Option<K>, StoreError> {
        let in_trouble = *self.trouble.lock().unwrap() == Trouble::EnvironmentsMalformed;
        if in_trouble && K::kind(&()) == "ProxmoxEnvironment" {
            return Err(StoreError::Malformed { object: key.to_string(), why: "nonsense".to_owned() });
        }
        self.inner.get(key).await
    }
    async fn approvals_of(&self, plan: &Key) -> Result<Vec<ProxmoxActionApproval>, StoreError> {
        let before = self.readings.fetch_add(1, Ordering::SeqCst);
        match *self.trouble.lock().unwrap() {
            Trouble::RevokedAfter(readings) if before >= readings => return Ok(vec![]),
            _ => {}
        }
        self.inner.approvals_of(plan).await
    }
    async fn plans_for<T: Send + 'static>(
        &self,
        namespace: &str,
        target: &str,
        of_interest: impl Fn(ProxmoxActionPlan) -> Option<T> + Send + Sync,
    ) -> Result<Vec<T>, StoreError> {
        self.inner.plans_for(namespace, target, of_interest).await
    }
    async fn plans_sent<T: Send + 'static>(
        &self,
        namespace: &str,
        environment: &str,
        of_interest: impl Fn(ProxmoxActionPlan) -> Option<T> + Send + Sync,
    ) -> Result<Vec<T>, StoreError> {
        self.inner.plans_sent(namespace, environment, of_interest).await
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
            Trouble::PoliciesUnreadableOnceAnnounced if is(Phase::Dispatching) => {
                *self.trouble.lock().unwrap() = Trouble::PoliciesUnreadable;
                self.inner.replace_status(object).await
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
            Trouble::Overtaken if is(Phase::Running) => {
                *self.trouble.lock().unwrap() = Trouble::EndedByAnother;
                let mut theirs = serde_json::to_value(object).unwrap();
                theirs["status"]["phase"] = json!(Phase::Failed);
                self.inner.replace_status(&serde_json::from_value::<K>(theirs).unwrap()).await?;
                Err(StoreError::Conflict { object: "the plan".into() })
            }
            Trouble::EndedByAnother if is(Phase::Dispatching) || is(Phase::Running) => {
                panic!("{phase} was written over an end")
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
    fn refusals(&self) -> BoxStream<'static, Refusal> {
        self.inner.refusals()
    }
    async fn publish<K: Kind>(&self, about: &K, notice: Notice) {
        self.inner.publish(about, notice).await;
    }
    fn watch<K: Kind>(&self) -> Changes<K> {
        self.inner.watch()
    }
    async fn admission(&self) -> Result<Admission, StoreError> {
        let readings = self.readings.load(Ordering::SeqCst);
        let trouble = *self.trouble.lock().unwrap();
        Ok(match trouble {
            Trouble::PoliciesSince(then) => policies(then, &[]),
            Trouble::PoliciesUnreadable => {
                return Err(StoreError::Unavailable { what: "read the policies".into(), why: "503".into() });
            }
            Trouble::PoliciesUnreadableOnceAnnounced => policies(LONG_AGO, &[]),
            Trouble::PoliciesMissing => policies(LONG_AGO, &["binding approvals is missing"]),
            Trouble::PoliciesGoneAfter(enough) if readings >= enough => {
                policies(LONG_AGO, &["binding approvals is missing"])
            }
            Trouble::PoliciesGoneAfter(_) | Trouble::RevokedAfter(_) => policies(LONG_AGO, &[]),
            _ => self.inner.admission().await?,
        })
    }
    fn admission_changes(&self) -> BoxStream<'static, ()> {
        self.inner.admission_changes()
    }
    async fn time(&self, namespace: &str) -> Result<Timestamp, StoreError> {
        let time = self.inner.time(namespace).await?;
        Ok(match *self.trouble.lock().unwrap() {
            Trouble::ClockAhead(ahead) => time + ahead,
            _ => time,
        })
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
        let (inner, clock) = (self.ports.store.clone(), self.clock.clone());
        self.ports_with(Troubled { inner, trouble, clock, readings: Arc::default() })
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
async fn an_end_that_another_replica_has_written_is_not_written_over() {
    let (home, _sim) = Home::beside(World::sample()).await;
    home.plan("p", "start_guest", "qemu/101", &json!({}));
    let plans = home.settle_in(Trouble::Overtaken).await;
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
async fn what_has_ended_by_the_clock_of_the_store_is_not_sent() {
    let (home, sim) = Home::beside(World::sample()).await;
    let end = Timestamp::from_second(Timestamp::now().as_second() + 600).unwrap();
    home.plan("p", "start_guest", "qemu/101", &json!({"notAfter": end.to_string()}));
    let plans = home.settle_in(Trouble::ClockAhead(SignedDuration::from_hours(1))).await;
    assert_eq!(proxmox::executed(&sim), 0, "sent 50 minutes after notAfter");
    assert_eq!(plans[0].1.phase, Phase::Expired, "{}", plans[0].1.message);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_became_of_a_call_is_kept_though_the_admission_policies_can_not_be_read_any_more() {
    let (home, sim) = Home::beside(World::sample()).await;
    home.plan("p", "start_guest", "qemu/101", &json!({}));
    let plans = home.settle_in(Trouble::PoliciesUnreadableOnceAnnounced).await;
    assert_eq!(proxmox::executed(&sim), 1);
    assert_eq!(plans[0].1.phase, Phase::Succeeded, "{}", plans[0].1.message);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_does_not_adopt_the_task_of_another_plan() {
    let (home, sim) = Home::beside(World::sample()).await;
    let when = Trigger { path: Some("/nodes/*/vzdump".to_owned()), ..Trigger::default() };
    sim.set_faults(vec![Fault::LostRequest { when }]);
    home.plan("one", "backup_guest", "qemu/101", &json!({"params": {"storage": "local"}}));
    home.plan("two", "backup_guest", "qemu/101", &json!({"params": {"storage": "local"}}));
    let plans = home.settle_in(Trouble::None).await;
    assert_eq!(proxmox::executed(&sim), 1, "{plans:?}");
    let succeeded: Vec<_> = plans.iter().filter(|(_, status)| status.phase == Phase::Succeeded).collect();
    assert_eq!(
        succeeded.len(),
        1,
        "one backup was made, but: {:?}",
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
async fn a_plan_says_that_its_environment_can_not_be_read() {
    let (home, sim) = Home::beside(World::sample()).await;
    home.plan("p", "start_guest", "qemu/101", &json!({}));
    let plans = home.settle_in(Trouble::EnvironmentsMalformed).await;
    assert_eq!((plans[0].1.phase, plans[0].1.reason.as_str()), (Phase::Pending, "Malformed"));
    assert_eq!(proxmox::executed(&sim), 0);
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

/// A plan that one person has approved.
async fn approved_home() -> (Home, Simulator) {
    let (home, sim) = Home::beside(World::sample()).await;
    home.plan("p", "stop_guest", "qemu/100", &json!({}));
    home.settle_in(Trouble::PoliciesSince(LONG_AGO)).await;
    home.approve("p", "yes").await;
    (home, sim)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_that_admission_let_in_is_enough() {
    let (home, sim) = approved_home().await;
    let plans = home.settle_in(Trouble::PoliciesSince(LONG_AGO)).await;
    assert_eq!(plans[0].1.phase, Phase::Succeeded, "{}", plans[0].1.message);
    assert_eq!(proxmox::executed(&sim), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_sent_without_the_admission_policies_not_even_what_nobody_has_to_approve() {
    let (home, sim) = Home::beside(World::sample()).await;
    home.plan("p", "start_guest", "qemu/101", &json!({}));
    home.plan("q", "stop_guest", "qemu/100", &json!({}));
    home.plan("r", "read_inventory", "inventory/all", &json!({}));
    let plans = home.settle_in(Trouble::PoliciesMissing).await;
    let told: Vec<_> = plans.iter().map(|(_, status)| (status.phase, status.reason.as_str())).collect();
    let waits = "AdmissionNotInForce";
    assert_eq!(
        told,
        [(Phase::Approved, waits), (Phase::AwaitingApproval, waits), (Phase::Succeeded, "Read")]
    );
    assert!(plans[0].1.message.contains("binding approvals is missing"), "{}", plans[0].1.message);
    assert!(sim.ledger().is_empty());
    let plans = home.settle_in(Trouble::PoliciesSince(LONG_AGO)).await;
    assert_eq!((plans[0].1.phase, plans[1].1.reason.as_str()), (Phase::Succeeded, "AwaitingApproval"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_that_came_in_before_the_policies_is_told_so_and_so_is_its_plan() {
    let (home, sim) = approved_home().await;
    let an_hour_on = Timestamp::now() + SignedDuration::from_hours(1);
    home.settle_in(Trouble::PoliciesMissing).await;
    let status = home.status("p").await;
    assert_eq!((status.phase, status.reason.as_str()), (Phase::AwaitingApproval, "AdmissionNotInForce"));
    let approvals = status.approvals.unwrap();
    assert_eq!((approvals.granted.len(), approvals.refused[0].reason.as_str()), (0, "NotAdmitted"));
    let plans = home.settle_in(Trouble::PoliciesSince(an_hour_on)).await;
    assert_eq!((plans[0].1.phase, plans[0].1.reason.as_str()), (Phase::Cancelled, "RequesterNotProven"));
    assert!(sim.ledger().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_sent_if_the_policies_or_the_approvals_go_in_the_very_last_moment() {
    for (trouble, reason) in [
        (Trouble::PoliciesGoneAfter(3), "AdmissionNotInForce"),
        (Trouble::PoliciesGoneAfter(1), "AdmissionNotInForce"),
        (Trouble::RevokedAfter(3), "AwaitingApproval"),
        (Trouble::RevokedAfter(2), "AwaitingApproval"),
    ] {
        let (home, sim) = approved_home().await;
        home.settle_in(trouble).await;
        let status = home.status("p").await;
        assert_eq!((status.phase, status.reason.as_str()), (Phase::AwaitingApproval, reason), "{trouble:?}");
        assert!(sim.ledger().is_empty(), "{trouble:?}");
    }
}
