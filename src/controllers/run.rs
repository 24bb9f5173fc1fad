//! Keeps all controllers running: every change and every timer leads to one look at one object.

use std::{pin::pin, sync::Arc, time::Duration};

use backon::ExponentialBuilder;
use futures::{
    FutureExt, StreamExt,
    future::{self, BoxFuture, Shared},
};
use jiff::Timestamp;
use kube::{
    Resource,
    core::DeserializeGuard,
    runtime::{
        Controller, WatchStreamExt,
        controller::{Action, Config},
        reflector::{self, ObjectRef},
        watcher::ExponentialBackoff,
    },
};

use crate::{
    api::{ProxmoxActionApproval, ProxmoxActionPlan, ProxmoxEnvironment, ProxmoxPolicy},
    ports::{Changes, Hypervisors, Key, Kind, Ports, Store},
};

use super::{
    Error, Together,
    anchors::{anchor, keep_anchored},
    approval,
    changes::{
        forgotten_when_gone, touched, what_approvals_depend_on, what_plans_depend_on, what_writers_change,
    },
    concerned::{
        Cache, Remembered, approvals_beside, approvals_in, approvals_on, forget_the_rest, plans_beside,
        plans_in, reference,
    },
    crowd::Crowd,
    environment,
    gone::{self, deleted},
    looks::Looks,
    places::Places,
    plan, policy, refusals,
    setbacks::Setbacks,
};

/// So many objects of a kind are looked at, or have their task watched, at the same time.
const CONCURRENCY: u16 = 256;
/// Of one environment not more than so many stand in line behind those that ask its Proxmox.
const IN_LINE: usize = 16;

/// Longer than any request may take, and the writes around it: a look that has not ended by then never will.
const STOP_WITHIN: Duration = Duration::from_secs(330);

/// Resolves when the controllers are to end. Looks that have begun are finished first.
pub type Shutdown = Shared<BoxFuture<'static, ()>>;

type Look = BoxFuture<'static, Result<Option<Timestamp>, Error>>;

/// Runs until `shutdown`, and then until what has begun is finished.
pub async fn run<S: Store, H: Hypervisors>(ports: Ports<S, H>, shutdown: Shutdown) {
    let engine = Engine { ports: Arc::new(ports), looks: Looks::default(), shutdown };
    let plans = run_plans(engine.clone());
    let approvals = run_approvals(engine.clone());
    let environments = run_environments(engine.clone());
    let policies = run_policies(engine.clone());
    let controllers = future::join4(plans, approvals, environments, policies);
    let refusals = refusals::keep_on_record(&engine.ports, engine.shutdown.clone());
    let anchors = keep_anchored(&engine.ports, engine.shutdown.clone());
    let everything = future::join3(controllers, refusals, anchors);
    future::select(pin!(everything), pin!(engine.patience())).await;
    // What was told last is known to nobody else yet.
    refusals::record_all(&engine.ports).await;
    anchor(&engine.ports).await;
}

/// What all controllers work with.
struct Engine<S, H> {
    ports: Arc<Ports<S, H>>,
    looks: Looks,
    shutdown: Shutdown,
}

impl<S, H> Clone for Engine<S, H> {
    fn clone(&self) -> Self {
        let Self { ports, looks, shutdown } = self;
        Self { ports: Arc::clone(ports), looks: looks.clone(), shutdown: shutdown.clone() }
    }
}

impl<S: Store, H: Hypervisors> Engine<S, H> {
    /// Until those who are asked to stop have had all the time that they may need. What they leave is on record: the call
    /// of a plan in `Dispatching` is settled by whoever looks next, and never sent again.
    async fn patience(&self) {
        self.shutdown.clone().await;
        let looks = self.looks.unfinished();
        if !looks.is_empty() {
            tracing::info!(?looks, "finishing what has begun");
        }
        self.ports.clock.sleep(STOP_WITHIN).await;
        tracing::error!(looks = ?self.looks.unfinished(), "left unfinished: whoever runs next goes on from the record");
    }
}

async fn run_plans<S: Store, H: Hypervisors>(engine: Engine<S, H>) {
    let ports = &engine.ports;
    let (changes, gone) = deleted(ports.store.watch());
    let (controller, plans) = controller::<ProxmoxActionPlan>(changes);
    let approvals = touched(ports.store.watch::<ProxmoxActionApproval>(), what_writers_change);
    let environments = forgotten_when_gone(ports);
    let environments = touched(environments, what_plans_depend_on);
    let policies = touched(ports.store.watch::<ProxmoxPolicy>(), what_writers_change);
    let (waiting, listed) = (plans.clone(), plans.clone());
    let (places, turns) = Places::new();
    let crowd = Crowd::with_line_of(IN_LINE);
    let together = Arc::new(Together::new(places, crowd));
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
    let (seen_off, on) = (Arc::clone(&together), engine.clone());
    let driven = drive(controller, listed, engine, move |ports, key| {
        let together = Arc::clone(&together);
        async move { plan::reconcile(&ports, &together, &key).await }.boxed()
    });
    future::join(driven, gone::keep_on_record(&on.ports, &seen_off, gone, on.shutdown.clone())).await;
}

async fn run_approvals<S: Store, H: Hypervisors>(engine: Engine<S, H>) {
    let ports = &engine.ports;
    let (controller, approvals) = controller::<ProxmoxActionApproval>(ports.store.watch());
    let plans = touched(ports.store.watch::<ProxmoxActionPlan>(), what_approvals_depend_on);
    let others = touched(ports.store.watch::<ProxmoxActionApproval>(), what_writers_change);
    let environments = touched(ports.store.watch::<ProxmoxEnvironment>(), what_plans_depend_on);
    let (beside, within, listed) = (approvals.clone(), approvals.clone(), approvals.clone());
    let controller = controller
        .watches_stream(plans, move |plan| approvals_on(&approvals, plan.meta()))
        .watches_stream(environments, move |environment| approvals_in(&within, environment.meta()))
        // Whether one person's second approval counts depends on the first.
        .watches_stream(others, move |other| approvals_beside(&beside, &other));
    drive(controller, listed, engine, |ports, key| {
        async move { approval::reconcile(&ports, &key).await }.boxed()
    })
    .await;
}

async fn run_environments<S: Store, H: Hypervisors>(engine: Engine<S, H>) {
    let ports = &engine.ports;
    let (controller, listed) = controller::<ProxmoxEnvironment>(ports.store.watch());
    let controller = controller.reconcile_all_on(ports.store.admission_changes());
    drive(controller, listed, engine, |ports, key| {
        async move { environment::reconcile(&ports, &key).await }.boxed()
    })
    .await;
}

async fn run_policies<S: Store, H: Hypervisors>(engine: Engine<S, H>) {
    let ports = &engine.ports;
    let (controller, listed) = controller::<ProxmoxPolicy>(ports.store.watch());
    drive(controller, listed, engine, |ports, key| {
        async move { policy::reconcile(&ports, &key).await }.boxed()
    })
    .await;
}

/// A controller over changes. Our own status writes are no reason for another look.
fn controller<K: Remembered>(changes: Changes<K>) -> (Controller<DeserializeGuard<K>>, Cache<K>) {
    let (reader, writer) = reflector::store();
    let changes = changes.modify(forget_the_rest).reflect(writer);
    let changes = touched(changes.boxed(), what_writers_change);
    let config = Config::default().concurrency(CONCURRENCY).debounce(Duration::ZERO);
    let controller = Controller::for_stream(changes, reader.clone()).with_config(config);
    (controller.trigger_backoff(without_a_pause()), reader)
}

/// Each of the streams that a controller hears pauses by itself after an error. Nobody has to pause with it: approvals would
/// not be seen because a watch of environments broke.
fn without_a_pause() -> ExponentialBackoff {
    let pauses = ExponentialBuilder::default().with_min_delay(Duration::ZERO).with_max_delay(Duration::ZERO);
    pauses.without_max_times().into()
}

/// Runs one controller to its end.
async fn drive<K, S, H, F>(
    controller: Controller<DeserializeGuard<K>>,
    listed: Cache<K>,
    engine: Engine<S, H>,
    look: F,
) where
    K: Kind,
    S: Store,
    H: Hypervisors,
    F: Fn(Arc<Ports<S, H>>, Key) -> Look + Send + Sync + 'static,
{
    let Engine { ports, looks, shutdown } = engine;
    let (look, setbacks) = (Arc::new(look), Arc::new(Setbacks::default()));
    let failed = Arc::clone(&setbacks);
    let reconcile = move |object: Arc<DeserializeGuard<K>>, ports: Arc<Ports<S, H>>| {
        let (look, looks, setbacks) = (Arc::clone(&look), looks.clone(), Arc::clone(&setbacks));
        async move {
            let key = Key::of(object.as_ref());
            let _begun = looks.begin::<K>(&key);
            if let Err(invalid) = &object.0 {
                ports.store.report_malformed::<K>(&key, &invalid.error).await?;
                return Ok(Action::await_change());
            }
            let wake_at = look(Arc::clone(&ports), key.clone()).await?;
            setbacks.forget(&key);
            Ok(wake_at.map_or_else(Action::await_change, |moment| Action::requeue(pause(&ports, moment))))
        }
    };
    let on_error = move |object: Arc<DeserializeGuard<K>>, error: &Error, ports: Arc<Ports<S, H>>| {
        let key = Key::of(object.as_ref());
        let Some(first) = error.first_pause() else {
            failed.forget(&key);
            return Action::await_change();
        };
        Action::requeue(failed.pause(&key, first, ports.clock.as_ref()))
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
