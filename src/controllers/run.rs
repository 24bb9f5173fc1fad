//! Keeps all controllers running: every change and every timer leads to one look at one object.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use futures::{
    FutureExt, Stream, StreamExt,
    future::{self, BoxFuture, Shared},
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{
    Resource, ResourceExt,
    core::DeserializeGuard,
    runtime::{
        Controller, WatchStreamExt,
        controller::{Action, Config},
        reflector::{self, ObjectRef},
        watcher,
    },
};

use crate::{
    api::{ProxmoxActionApproval, ProxmoxActionPlan, ProxmoxEnvironment, ProxmoxPolicy},
    ports::{Changes, Hypervisors, Key, Kind, Ports, Store},
};

use super::{
    Error, Together, approval, crowd::Crowd, environment, places::Places, plan, policy, slots::Slots,
};

/// So many objects of a kind are looked at, or have their task watched, at the same time.
const CONCURRENCY: u16 = 256;
/// Of one environment not more than so many stand in line behind those that ask its Proxmox.
const IN_LINE: usize = 16;

/// Resolves when the process is to end. Looks that have begun are finished first.
pub type Shutdown = Shared<BoxFuture<'static, ()>>;

type Look = BoxFuture<'static, Result<Option<Timestamp>, Error>>;
type Cache<K> = reflector::Store<DeserializeGuard<K>>;

/// Runs until `shutdown`.
pub async fn run<S: Store, H: Hypervisors>(ports: Ports<S, H>, shutdown: Shutdown) {
    let ports = Arc::new(ports);
    let plans = run_plans(Arc::clone(&ports), shutdown.clone());
    let approvals = run_approvals(Arc::clone(&ports), shutdown.clone());
    let environments = run_environments(Arc::clone(&ports), shutdown.clone());
    let policies = run_policies(ports, shutdown);
    futures::join!(plans, approvals, environments, policies);
}

async fn run_plans<S: Store, H: Hypervisors>(ports: Arc<Ports<S, H>>, shutdown: Shutdown) {
    let (controller, plans) = controller::<ProxmoxActionPlan, S>(&ports.store);
    let approvals = touched(ports.store.watch::<ProxmoxActionApproval>(), what_writers_change);
    let environments = forgotten_when_gone(&ports);
    let environments = touched(environments, what_plans_depend_on);
    let policies = touched(ports.store.watch::<ProxmoxPolicy>(), what_writers_change);
    let (waiting, listed) = (plans.clone(), plans.clone());
    let (places, turns) = Places::new();
    let together =
        Arc::new(Together { places, crowd: Crowd::with_line_of(IN_LINE), slots: Slots::default() });
    let called = futures::stream::unfold(turns, |mut turns| async {
        turns.recv().await.map(|plan| (ObjectRef::new(&plan.name).within(&plan.namespace), turns))
    });
    let controller = controller
        .reconcile_on(called)
        .watches_stream(approvals, |approval| {
            let plan = approval.0.as_ref().ok().map(|approval| approval.spec.plan_ref.name.clone());
            plan.map(|name| reference(&name, &approval))
        })
        .watches_stream(environments, move |environment| plans_in(&plans, &environment))
        .watches_stream(policies, move |policy| plans_beside(&waiting, &policy));
    drive(controller, listed, ports, shutdown, move |ports, key| {
        let together = Arc::clone(&together);
        async move { plan::reconcile(&ports, &together, &key).await }.boxed()
    })
    .await;
}

async fn run_approvals<S: Store, H: Hypervisors>(ports: Arc<Ports<S, H>>, shutdown: Shutdown) {
    let (controller, approvals) = controller::<ProxmoxActionApproval, S>(&ports.store);
    let plans = touched(ports.store.watch::<ProxmoxActionPlan>(), what_approvals_depend_on);
    let others = touched(ports.store.watch::<ProxmoxActionApproval>(), what_writers_change);
    let environments = touched(ports.store.watch::<ProxmoxEnvironment>(), what_plans_depend_on);
    let (beside, within, listed) = (approvals.clone(), approvals.clone(), approvals.clone());
    let controller = controller
        .watches_stream(plans, move |plan| approvals_on(&approvals, plan.meta()))
        .watches_stream(environments, move |environment| approvals_in(&within, environment.meta()))
        // Whether one person's second approval counts depends on the first.
        .watches_stream(others, move |other| approvals_beside(&beside, &other));
    drive(controller, listed, ports, shutdown, |ports, key| {
        async move { approval::reconcile(&ports, &key).await }.boxed()
    })
    .await;
}

async fn run_environments<S: Store, H: Hypervisors>(ports: Arc<Ports<S, H>>, shutdown: Shutdown) {
    let (controller, listed) = controller::<ProxmoxEnvironment, S>(&ports.store);
    let controller = controller.reconcile_all_on(ports.store.admission_changes());
    drive(controller, listed, ports, shutdown, |ports, key| {
        async move { environment::reconcile(&ports, &key).await }.boxed()
    })
    .await;
}

async fn run_policies<S: Store, H: Hypervisors>(ports: Arc<Ports<S, H>>, shutdown: Shutdown) {
    let (controller, listed) = controller::<ProxmoxPolicy, S>(&ports.store);
    drive(controller, listed, ports, shutdown, |ports, key| {
        async move { policy::reconcile(&ports, &key).await }.boxed()
    })
    .await;
}

/// A controller over a store's changes. Our own status writes are no reason for another look.
fn controller<K: Kind, S: Store>(store: &S) -> (Controller<DeserializeGuard<K>>, Cache<K>) {
    let (reader, writer) = reflector::store();
    let changes = store.watch::<K>().modify(|object| object.managed_fields_mut().clear()).reflect(writer);
    let changes = touched(changes.boxed(), what_writers_change);
    let config = Config::default().concurrency(CONCURRENCY).debounce(Duration::ZERO);
    (Controller::for_stream(changes, reader.clone()).with_config(config), reader)
}

/// Changes of environments. Of one that is gone no connection and no token is kept.
fn forgotten_when_gone<S: Store, H: Hypervisors>(ports: &Ports<S, H>) -> Changes<ProxmoxEnvironment> {
    let hypervisors = ports.hypervisors.clone();
    let forget = move |change: &Result<watcher::Event<DeserializeGuard<ProxmoxEnvironment>>, _>| {
        if let Ok(watcher::Event::Delete(environment)) = change {
            hypervisors.forget(&Key::of(environment));
        }
    };
    ports.store.watch::<ProxmoxEnvironment>().inspect(forget).boxed()
}

/// Objects, each time that what counts about them changes, and when they go.
fn touched<K: Kind>(
    changes: Changes<K>,
    what_counts: fn(&DeserializeGuard<K>) -> u64,
) -> impl Stream<Item = Result<DeserializeGuard<K>, watcher::Error>> + Send {
    let mut seen = HashMap::new();
    changes.filter_map(move |change| {
        let told = match change {
            Ok(watcher::Event::Apply(object) | watcher::Event::InitApply(object)) => {
                let now = what_counts(&object);
                (seen.insert(Key::of(&object), now) != Some(now)).then_some(Ok(object))
            }
            Ok(watcher::Event::Delete(object)) => {
                seen.remove(&Key::of(&object));
                Some(Ok(object))
            }
            Ok(watcher::Event::Init | watcher::Event::InitDone) => None,
            Err(error) => Some(Err(error)),
        };
        future::ready(told)
    })
}

/// Changes whenever somebody else than this program changes the object.
fn what_writers_change<K: Kind>(object: &DeserializeGuard<K>) -> u64 {
    let meta = object.meta();
    digest((&meta.uid, meta.generation, meta.deletion_timestamp.is_some(), object.0.is_ok()))
}

/// Changes whenever somebody changes the environment, and when names in approvals begin or cease to be worth something.
fn what_plans_depend_on(object: &DeserializeGuard<ProxmoxEnvironment>) -> u64 {
    let status = object.0.as_ref().ok().and_then(|environment| environment.status.as_ref());
    let admission = status.and_then(|status| status.admission.as_ref());
    let admission = admission.map(|record| (&record.revision, record.since.0));
    digest((what_writers_change(object), admission))
}

/// Changes whenever an approval may have to be answered otherwise.
fn what_approvals_depend_on(object: &DeserializeGuard<ProxmoxActionPlan>) -> u64 {
    let status = object.0.as_ref().ok().and_then(|plan| plan.status.as_ref());
    let granted = status.and_then(|status| status.approvals.as_ref()).map(|approvals| &approvals.granted);
    let counted: Vec<&str> = granted.into_iter().flatten().map(|granted| granted.uid.as_str()).collect();
    digest((&object.meta().uid, status.map(|status| (status.phase, &status.plan_hash)), counted))
}

fn digest(what: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    hasher.finish()
}

fn reference<K: Kind, O: Resource>(name: &str, beside: &O) -> ObjectRef<DeserializeGuard<K>> {
    ObjectRef::new(name).within(beside.meta().namespace.as_deref().unwrap_or_default())
}

/// The plans that wait for an environment, or are carried out in it.
fn plans_in(
    plans: &Cache<ProxmoxActionPlan>,
    environment: &DeserializeGuard<ProxmoxEnvironment>,
) -> Vec<ObjectRef<DeserializeGuard<ProxmoxActionPlan>>> {
    let concerned = |plan: &ProxmoxActionPlan| {
        plan.metadata.namespace == environment.meta().namespace
            && Some(&plan.spec.environment) == environment.meta().name.as_ref()
            && is_open(plan)
    };
    select(plans, concerned)
}

/// The plans that a policy may rule: those of its namespace that have not ended.
fn plans_beside(
    plans: &Cache<ProxmoxActionPlan>,
    policy: &DeserializeGuard<ProxmoxPolicy>,
) -> Vec<ObjectRef<DeserializeGuard<ProxmoxActionPlan>>> {
    select(plans, |plan| plan.metadata.namespace == policy.meta().namespace && is_open(plan))
}

fn is_open(plan: &ProxmoxActionPlan) -> bool {
    !plan.status.as_ref().is_some_and(|status| status.phase.is_terminal())
}

/// The approvals on a plan.
fn approvals_on(
    approvals: &Cache<ProxmoxActionApproval>,
    plan: &ObjectMeta,
) -> Vec<ObjectRef<DeserializeGuard<ProxmoxActionApproval>>> {
    let concerned = |approval: &ProxmoxActionApproval| {
        approval.metadata.namespace == plan.namespace
            && Some(&approval.spec.plan_ref.name) == plan.name.as_ref()
    };
    select(approvals, concerned)
}

/// The approvals that name an environment.
fn approvals_in(
    approvals: &Cache<ProxmoxActionApproval>,
    environment: &ObjectMeta,
) -> Vec<ObjectRef<DeserializeGuard<ProxmoxActionApproval>>> {
    let concerned = |approval: &ProxmoxActionApproval| {
        approval.metadata.namespace == environment.namespace
            && Some(&approval.spec.environment) == environment.name.as_ref()
    };
    select(approvals, concerned)
}

/// The approvals on the plan of another one.
fn approvals_beside(
    approvals: &Cache<ProxmoxActionApproval>,
    other: &DeserializeGuard<ProxmoxActionApproval>,
) -> Vec<ObjectRef<DeserializeGuard<ProxmoxActionApproval>>> {
    let Ok(other) = &other.0 else { return vec![] };
    let concerned = |approval: &ProxmoxActionApproval| {
        approval.metadata.namespace == other.metadata.namespace
            && approval.spec.plan_ref.name == other.spec.plan_ref.name
    };
    select(approvals, concerned)
}

fn select<K: Kind>(cache: &Cache<K>, concerned: impl Fn(&K) -> bool) -> Vec<ObjectRef<DeserializeGuard<K>>> {
    let objects = cache.state();
    objects
        .iter()
        .filter(|object| object.0.as_ref().is_ok_and(&concerned))
        .map(|object| ObjectRef::from_obj(object.as_ref()))
        .collect()
}

/// Runs one controller to its end.
async fn drive<K, S, H, F>(
    controller: Controller<DeserializeGuard<K>>,
    listed: Cache<K>,
    ports: Arc<Ports<S, H>>,
    shutdown: Shutdown,
    look: F,
) where
    K: Kind,
    S: Store,
    H: Hypervisors,
    F: Fn(Arc<Ports<S, H>>, Key) -> Look + Send + Sync + 'static,
{
    let look = Arc::new(look);
    let reconcile = move |object: Arc<DeserializeGuard<K>>, ports: Arc<Ports<S, H>>| {
        let look = Arc::clone(&look);
        async move {
            let key = Key::of(object.as_ref());
            if let Err(invalid) = &object.0 {
                ports.store.report_malformed::<K>(&key, &invalid.error).await?;
                return Ok(Action::await_change());
            }
            let wake_at = look(Arc::clone(&ports), key).await?;
            Ok(wake_at.map_or_else(Action::await_change, |moment| Action::requeue(pause(&ports, moment))))
        }
    };
    let on_error = |_: Arc<DeserializeGuard<K>>, error: &Error, _: Arc<Ports<S, H>>| {
        error.retry_after().map_or_else(Action::await_change, Action::requeue)
    };
    let nothing_began = asked_to_stop_before_the_first_list(listed, shutdown.clone());
    let to_its_end = controller.graceful_shutdown_on(shutdown).run(reconcile, on_error, ports).for_each(
        |looked| async move {
            if let Err(error) = looked {
                tracing::warn!(kind = %K::kind(&()), %error, "a look was not finished");
            }
        },
    );
    future::select(pin!(to_its_end), pin!(nothing_began)).await;
}

/// Until the objects were listed once no look begins, and the controller would wait for that list, whoever asks it to
/// stop: for ever, where the right to list is missing.
async fn asked_to_stop_before_the_first_list<K: Kind>(listed: Cache<K>, shutdown: Shutdown) {
    shutdown.await;
    if listed.wait_until_ready().now_or_never().is_some() {
        future::pending::<()>().await;
    }
}

/// Timers only reach so far; a plan for next year is looked at once a day.
const LONGEST_PAUSE: Duration = Duration::from_secs(24 * 60 * 60);

fn pause<S: Store, H: Hypervisors>(ports: &Ports<S, H>, moment: Timestamp) -> Duration {
    let pause = Duration::try_from(moment.duration_since(ports.clock.now())).unwrap_or(Duration::ZERO);
    pause.min(LONGEST_PAUSE)
}
