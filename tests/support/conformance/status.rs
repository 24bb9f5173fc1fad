//! Who may write a status, and what.

use proxmox_agent::{
    api::{Phase, PlanStatus, ProxmoxActionPlan},
    ports::{Store, StoreError},
};

use super::{Home, a_plan, dispatching, in_phase, key, refused_because, with_status};
use crate::support::manifests::{HASH, OTHER_HASH};

pub async fn a_status_write_with_a_stale_version_is_refused<H: Home>(home: &H) {
    let (store, plan) = (home.store(), a_plan(home, "p").await);
    let written = store.replace_status(&in_phase(&plan, Phase::AwaitingApproval)).await.unwrap();
    assert_ne!(written.metadata.resource_version, plan.metadata.resource_version);
    let stale = store.replace_status(&in_phase(&plan, Phase::Denied)).await;
    assert!(matches!(stale, Err(StoreError::Conflict { .. })), "{stale:?}");
    let read: ProxmoxActionPlan = store.get(&key("p")).await.unwrap().unwrap();
    assert_eq!(read, written);
    // Two writers that have read the same: one of them wins.
    let (one, other) = (in_phase(&written, Phase::Approved), in_phase(&written, Phase::Denied));
    let (one, other) = tokio::join!(store.replace_status(&one), store.replace_status(&other));
    assert!(one.is_ok() != other.is_ok(), "{one:?} {other:?}");
}

pub async fn an_equal_status_is_no_write<H: Home>(home: &H) {
    let (store, plan) = (home.store(), a_plan(home, "p").await);
    let written = store.replace_status(&in_phase(&plan, Phase::Denied)).await.unwrap();
    assert_eq!(store.replace_status(&written).await.unwrap(), written);
}

pub async fn an_end_is_final<H: Home>(home: &H) {
    for phase in [Phase::Denied, Phase::Expired, Phase::Cancelled] {
        let name = format!("p-{phase}").to_lowercase();
        let (store, plan) = (home.store(), a_plan(home, &name).await);
        let ended = store.replace_status(&in_phase(&plan, phase)).await.unwrap();
        refused_because(store.replace_status(&in_phase(&ended, Phase::Approved)).await, "final");
        let mut reworded = ended.clone();
        reworded.status.as_mut().unwrap().message = "or so".to_owned();
        refused_because(store.replace_status(&reworded).await, "final");
    }
}

pub async fn phases_never_go_back<H: Home>(home: &H) {
    let (store, plan) = (home.store(), a_plan(home, "p").await);
    let approved = store.replace_status(&in_phase(&plan, Phase::Approved)).await.unwrap();
    refused_because(store.replace_status(&in_phase(&approved, Phase::Pending)).await, "phases never go back");
    refused_because(store.replace_status(&in_phase(&approved, Phase::Dispatching)).await, "intent");
    let sent = store.replace_status(&dispatching(&approved)).await.unwrap();
    refused_because(store.replace_status(&in_phase(&sent, Phase::Approved)).await, "only the outcome");
    refused_because(store.replace_status(&in_phase(&sent, Phase::Cancelled)).await, "only the outcome");
    store.replace_status(&in_phase(&sent, Phase::Indeterminate)).await.unwrap();
}

pub async fn upid_and_plan_hash_are_written_once<H: Home>(home: &H) {
    let (store, plan) = (home.store(), a_plan(home, "p").await);
    let mut sent = dispatching(&plan);
    let status = sent.status.as_mut().unwrap();
    (status.plan_hash, status.upid) = (Some(HASH.to_owned()), Some("UPID:one".to_owned()));
    let sent = store.replace_status(&sent).await.unwrap();
    type Change = fn(&mut PlanStatus);
    let changes: [(&str, Change); 5] = [
        ("planHash is write-once", |status| status.plan_hash = Some(OTHER_HASH.to_owned())),
        ("planHash is write-once", |status| status.plan_hash = None),
        ("upid is write-once", |status| status.upid = Some("UPID:two".to_owned())),
        ("upid is write-once", |status| status.upid = None),
        ("attempts only count up", |status| status.attempts = 0),
    ];
    for (expected, change) in changes {
        let mut changed = sent.clone();
        change(changed.status.as_mut().unwrap());
        refused_because(store.replace_status(&changed).await, expected);
    }
}

pub async fn a_status_is_never_removed<H: Home>(home: &H) {
    let (store, plan) = (home.store(), a_plan(home, "p").await);
    let denied = store.replace_status(&in_phase(&plan, Phase::Denied)).await.unwrap();
    let bare = ProxmoxActionPlan { status: None, ..denied };
    refused_because(store.replace_status(&bare).await, "can't be removed");
}

pub async fn a_status_over_its_bound_is_refused<H: Home>(home: &H) {
    let (store, plan) = (home.store(), a_plan(home, "p").await);
    let long = PlanStatus { message: "x".repeat(5000), ..PlanStatus::default() };
    refused_because(store.replace_status(&with_status(&plan, long)).await, "status.message");
    let wrong = PlanStatus { plan_hash: Some("md5:1".to_owned()), ..PlanStatus::default() };
    refused_because(store.replace_status(&with_status(&plan, wrong)).await, "status.planHash");
}

pub async fn a_status_write_leaves_the_spec_alone<H: Home>(home: &H) {
    let (store, plan) = (home.store(), a_plan(home, "p").await);
    let mut wanted = in_phase(&plan, Phase::Denied);
    wanted.spec.target = "qemu/666".to_owned();
    // Refused or ignored: both are safe.
    let _ = store.replace_status(&wanted).await;
    let read: ProxmoxActionPlan = store.get(&key("p")).await.unwrap().unwrap();
    assert_eq!(read.spec, plan.spec);
    assert_eq!(read.metadata.generation, Some(1));
}
