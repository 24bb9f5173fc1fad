//! What the engine relies on, whatever it lives in. Each function is one sentence of the contract of `ports::Store`
//! and runs against every home.

mod admission;
mod life;
mod status;

use std::{future::Future, time::Duration};

use futures::StreamExt;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{Resource, core::DeserializeGuard, runtime::watcher::Event};
use proxmox_agent::{
    api::{Intent, Phase, PlanStatus, ProxmoxActionPlan},
    ports::{Changes, Key, Kind, Store, StoreError},
};

pub use admission::*;
pub use life::*;
pub use status::*;

use super::manifests::plan;

/// Nothing that a home does of its own accord takes longer.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// A store and what its users can do beside it.
pub trait Home {
    type S: Store;

    fn store(&self) -> Self::S;

    /// Where its objects are.
    fn namespace(&self) -> &str;

    /// Creates or changes an object there as a user would. Where a refusal comes at once, it is the error.
    fn apply(&self, yaml: &str) -> impl Future<Output = Result<(), String>>;

    /// Deletes an object as a user would.
    fn delete<K: Kind>(&self, key: &Key) -> impl Future<Output = ()>;

    /// What the home says on an object that it did not take as it was applied last, where that does not come at once.
    fn refusal<K: Kind>(&self, key: &Key) -> impl Future<Output = Option<String>>;

    /// Waits until a deleted object has left no trace that could become a new one's.
    fn forgotten<K: Kind>(&self, key: &Key) -> impl Future<Output = ()>;
}

/// Every sentence, one after the other, on a home of its own each.
#[macro_export]
macro_rules! conformance {
    ($home:expr) => {
        $crate::conformance!($home;
            a_status_write_with_a_stale_version_is_refused, an_equal_status_is_no_write, a_spec_never_changes,
            an_end_is_final, an_unknown_outcome_is_left_by_another_attempt_only, phases_never_go_back, upid_and_request_hash_are_written_once,
            an_approved_plan_may_wait_again_for_another_judgement, a_judgement_changes_only_while_nothing_is_announced,
            approvals_do_not_follow_to_another_judgement, a_status_is_never_removed,
            a_status_over_its_bound_is_refused, a_recreated_object_is_another_one,
            an_approval_deleted_a_moment_ago_is_not_read, plans_in_flight_are_found_by_their_environment, approvals_are_found_by_their_plan,
            a_held_plan_outlives_its_deletion, a_plan_that_is_not_held_goes_at_once,
            a_watch_begins_with_everything_and_then_tells_changes, several_watchers_see_the_same,
            a_malformed_object_stops_nobody_else, an_unknown_field_is_refused, a_missing_field_is_refused,
            a_value_of_the_wrong_type_is_refused, a_value_over_its_bound_is_refused, a_policy_may_change,
            a_status_write_leaves_the_spec_alone, what_is_published_stops_nobody,
        );
    };
    ($home:expr; $($sentence:ident),+ $(,)?) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $sentence() {
                let home = $home;
                tokio::time::timeout(
                    3 * $crate::support::conformance::DEADLINE,
                    $crate::support::conformance::$sentence(&home),
                )
                .await
                .expect("the home answers in time");
            }
        )+
    };
}

fn key<H: Home>(home: &H, name: &str) -> Key {
    Key::new(home.namespace(), name)
}

async fn applied<H: Home, K: Kind>(home: &H, yaml: &str, name: &str) -> K {
    home.apply(yaml).await.expect("a good object is taken");
    home.store().get(&key(home, name)).await.expect("readable").expect("there")
}

async fn a_plan<H: Home>(home: &H, name: &str) -> ProxmoxActionPlan {
    applied(home, &plan(name), name).await
}

fn with_status(plan: &ProxmoxActionPlan, status: PlanStatus) -> ProxmoxActionPlan {
    ProxmoxActionPlan { status: Some(status), ..plan.clone() }
}

fn in_phase(plan: &ProxmoxActionPlan, phase: Phase) -> ProxmoxActionPlan {
    with_status(plan, PlanStatus { phase, ..plan.status.clone().unwrap_or_default() })
}

fn intent() -> Intent {
    let now = Time(jiff::Timestamp::UNIX_EPOCH);
    Intent {
        attempt: 1,
        nonce: "n".to_owned(),
        node: "pve1".to_owned(),
        storages: vec!["tank".to_owned()],
        task_id: "100".to_owned(),
        task_types: vec!["qmstart".to_owned()],
        sender: "root@pam!a".to_owned(),
        node_time: now.clone(),
        at: now.clone(),
        settles_at: now,
        digest: None,
    }
}

pub(crate) fn dispatching(plan: &ProxmoxActionPlan) -> ProxmoxActionPlan {
    let status = plan.status.clone().unwrap_or_default();
    let status = PlanStatus { phase: Phase::Dispatching, attempts: 1, intent: Some(intent()), ..status };
    with_status(plan, status)
}

fn refused_because<T: std::fmt::Debug>(result: Result<T, StoreError>, expected: &str) {
    match result {
        Err(StoreError::Refused { why, .. }) if why.contains(expected) => {}
        other => panic!("expected a refusal that says `{expected}`, got {other:?}"),
    }
}

/// The object was not taken, and the home says why: at once, or when asked.
async fn is_refused<H: Home, K: Kind>(home: &H, applied: Result<(), String>, name: &str, expected: &str) {
    let why = match applied {
        Err(why) => why,
        Ok(()) => {
            // Reading waits for what is being written.
            let read = home.store().get::<K>(&key(home, name)).await;
            assert!(matches!(read, Err(StoreError::Malformed { .. })), "{read:?}");
            home.refusal::<K>(&key(home, name)).await.expect("a refusal is told")
        }
    };
    assert!(why.contains(expected), "`{expected}` is missing in: {why}");
    assert!(why.len() < 4096, "too long: {} bytes", why.len());
}

async fn next<K: Kind>(changes: &mut Changes<K>) -> Event<DeserializeGuard<K>> {
    let next = tokio::time::timeout(DEADLINE, changes.next()).await;
    next.expect("a change is told in time").expect("the stream goes on").expect("no error")
}

/// The next change of this object; others may come in between.
async fn next_about<K: Kind>(changes: &mut Changes<K>, name: &str) -> Event<DeserializeGuard<K>> {
    loop {
        let event = next(changes).await;
        match &event {
            Event::Apply(object) | Event::Delete(object) | Event::InitApply(object)
                if object.meta().name.as_deref() == Some(name) =>
            {
                return event;
            }
            _ => {}
        }
    }
}

async fn initialised<K: Kind>(changes: &mut Changes<K>) -> Vec<DeserializeGuard<K>> {
    assert!(matches!(next(changes).await, Event::Init));
    let mut all = Vec::new();
    loop {
        match next(changes).await {
            Event::InitApply(object) => all.push(object),
            Event::InitDone => return all,
            other => panic!("unexpected while it begins: {other:?}"),
        }
    }
}
