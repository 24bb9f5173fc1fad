//! Which changes of an object are a reason for a look. Our own status writes are none, but for what others wait for.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
};

use futures::{Stream, StreamExt, future};
use kube::{Resource, core::DeserializeGuard, runtime::watcher};

use crate::{
    api::{Phase, ProxmoxActionPlan, ProxmoxEnvironment},
    ports::{Changes, Hypervisors, Key, Kind, Ports, Store},
};

/// Changes of environments. Of one that is gone no connection and no token is kept.
pub(super) fn forgotten_when_gone<S: Store, H: Hypervisors>(
    ports: &Ports<S, H>,
) -> Changes<ProxmoxEnvironment> {
    let hypervisors = ports.hypervisors.clone();
    let forget = move |change: &Result<watcher::Event<DeserializeGuard<ProxmoxEnvironment>>, _>| {
        if let Ok(watcher::Event::Delete(environment)) = change {
            hypervisors.forget(&Key::of(environment));
        }
    };
    ports.store.watch::<ProxmoxEnvironment>().inspect(forget).boxed()
}

/// Objects, each time that what counts about them changes, and when they go.
pub(super) fn touched<K: Kind>(
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
pub(super) fn what_writers_change<K: Kind>(object: &DeserializeGuard<K>) -> u64 {
    let meta = object.meta();
    digest((&meta.uid, meta.generation, meta.deletion_timestamp.is_some(), object.0.is_ok()))
}

/// Changes whenever somebody changes the environment, and when names in approvals begin or cease to be worth something.
pub(super) fn what_plans_depend_on(object: &DeserializeGuard<ProxmoxEnvironment>) -> u64 {
    let status = object.0.as_ref().ok().and_then(|environment| environment.status.as_ref());
    let admission = status.and_then(|status| status.admission.as_ref());
    let admission = admission.map(|record| (&record.revision, record.since.0));
    digest((what_writers_change(object), admission))
}

/// Changes whenever an approval may have to be answered otherwise.
pub(super) fn what_approvals_depend_on(object: &DeserializeGuard<ProxmoxActionPlan>) -> u64 {
    let status = object.0.as_ref().ok().and_then(|plan| plan.status.as_ref());
    let granted = status.and_then(|status| status.approvals.as_ref()).map(|approvals| &approvals.granted);
    let counted: Vec<&str> = granted.into_iter().flatten().map(|granted| granted.uid.as_str()).collect();
    // What has become of the question whether to make another attempt.
    let answer = status.filter(|status| status.phase == Phase::Indeterminate);
    let answer = answer.map(|status| (status.attempts, &status.reason));
    digest((&object.meta().uid, status.map(|status| (status.phase, &status.plan_hash)), counted, answer))
}

fn digest(what: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    hasher.finish()
}
