//! One pass: takes everything as far as it goes without waiting for people, then returns.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures::future::join_all;
use jiff::Timestamp;
use tokio::sync::Semaphore;

use crate::{
    api::{ProxmoxActionApproval, ProxmoxActionPlan, ProxmoxEnvironment, ProxmoxPolicy},
    core::lifecycle,
    ports::{Hypervisors, Key, Kind, Ports, Store},
};

use super::{
    Error, Together, anchors::anchor, approval, crowd::Crowd, environment, listed::objects, places::Places,
    plan, policy, refusals,
};

/// Looks at every environment, policy, plan and approval until no plan is in flight any more. Returns all plans as they are then.
pub async fn settle<S: Store, H: Hypervisors>(ports: Ports<S, H>) -> Vec<ProxmoxActionPlan> {
    let ports = Arc::new(ports);
    for key in keys::<ProxmoxEnvironment, S>(&ports).await {
        log::<ProxmoxEnvironment>(&key, environment::reconcile(&ports, &key).await);
    }
    for key in keys::<ProxmoxPolicy, S>(&ports).await {
        log::<ProxmoxPolicy>(&key, policy::reconcile(&ports, &key).await);
    }
    let (places, mut turns) = Places::new();
    // Nobody else is held up by them: all have the time to stand in line.
    let crowd = Crowd::with_line_of(Semaphore::MAX_PERMITS / 2);
    let together = Together::new(places, crowd);
    let mut plans = keys::<ProxmoxActionPlan, S>(&ports).await;
    while !plans.is_empty() {
        join_all(plans.drain(..).map(|key| follow(&ports, &together, key))).await;
        // Places that became free meanwhile are for those that wait for one.
        let called: BTreeSet<Key> = std::iter::from_fn(|| turns.try_recv().ok()).collect();
        plans.extend(called);
    }
    for key in keys::<ProxmoxActionApproval, S>(&ports).await {
        log::<ProxmoxActionApproval>(&key, approval::reconcile(&ports, &key).await);
    }
    refusals::record_all(&ports).await;
    anchor(&ports).await;
    objects::<ProxmoxActionPlan, S>(&ports).await.into_iter().filter_map(|guard| guard.0.ok()).collect()
}

/// Looks at a plan until it waits for somebody, has ended, or can't be followed any further.
async fn follow<S: Store, H: Hypervisors>(ports: &Ports<S, H>, together: &Together, key: Key) {
    loop {
        let again = log::<ProxmoxActionPlan>(&key, plan::reconcile(ports, together, &key).await);
        let plan = ports.store.get::<ProxmoxActionPlan>(&key).await.ok().flatten();
        let Some(moment) = again.filter(|_| plan.is_some_and(|plan| is_under_way(&plan))) else { return };
        let pause = Duration::try_from(moment.duration_since(ports.clock.now())).unwrap_or(Duration::ZERO);
        ports.clock.sleep(pause).await;
    }
}

fn is_under_way(plan: &ProxmoxActionPlan) -> bool {
    plan.status.as_ref().is_some_and(lifecycle::is_under_way)
}

fn log<K: Kind>(key: &Key, looked: Result<Option<Timestamp>, Error>) -> Option<Timestamp> {
    looked.unwrap_or_else(|error| {
        tracing::warn!(kind = %K::kind(&()), object = %key, %error, "a look was not finished");
        None
    })
}

async fn keys<K: Kind, S: Store>(ports: &Ports<S, impl Hypervisors>) -> Vec<Key> {
    let mut keys = Vec::new();
    for object in objects::<K, S>(ports).await {
        let key = Key::of(&object);
        match object.0 {
            Ok(_) => keys.push(key),
            Err(invalid) => {
                log::<K>(
                    &key,
                    ports
                        .store
                        .report_malformed::<K>(&key, &invalid.error)
                        .await
                        .map(|()| None)
                        .map_err(Error::from),
                );
            }
        }
    }
    keys
}
