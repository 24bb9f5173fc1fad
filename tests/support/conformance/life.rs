//! How objects come, go and are told of.

use kube::{Resource, core::DeserializeGuard, runtime::watcher::Event};
use proxmox_agent::{
    api::{ApprovalStatus, ApprovalVerdict, Phase, ProxmoxActionApproval, ProxmoxActionPlan, ProxmoxPolicy},
    ports::{Changes, Key, Kind, Notice, Severity, Store, StoreError},
};

use super::{Home, a_plan, applied, dispatching, in_phase, initialised, key, next_about};
use crate::support::manifests::{REQUESTER, approval, manifest, plan, policy};
use serde_json::json;

pub async fn a_recreated_object_is_another_one<H: Home>(home: &H) {
    let (store, plan) = (home.store(), a_plan(home, "p").await);
    let denied = store.replace_status(&in_phase(&plan, Phase::Denied)).await.unwrap();
    home.delete::<ProxmoxActionPlan>(&key(home, "p")).await;
    home.forgotten::<ProxmoxActionPlan>(&key(home, "p")).await;
    assert_eq!(store.get::<ProxmoxActionPlan>(&key(home, "p")).await.unwrap(), None);
    let again = a_plan(home, "p").await;
    assert_ne!(again.metadata.uid, plan.metadata.uid);
    assert_eq!(again.status, None);
    // Who still knows the former one can't write to this one.
    let late = store.replace_status(&denied).await;
    assert!(matches!(late, Err(StoreError::Gone { .. } | StoreError::Conflict { .. })), "{late:?}");
    // Not even with a version that happens to be the same.
    let mut mistaken = in_phase(&again, Phase::Denied);
    mistaken.metadata.uid = denied.metadata.uid;
    let late = store.replace_status(&mistaken).await;
    assert!(matches!(late, Err(StoreError::Gone { .. } | StoreError::Conflict { .. })), "{late:?}");
}

pub async fn an_approval_deleted_a_moment_ago_is_not_read<H: Home>(home: &H) {
    let (store, plan) = (home.store(), a_plan(home, "p").await);
    let uid = plan.metadata.uid.unwrap();
    for name in ["a1", "a2", "a3"] {
        let _: ProxmoxActionApproval = applied(home, &approval(name, "p", &uid), name).await;
        assert_eq!(store.approvals_of(&key(home, "p")).await.unwrap().len(), 1);
        home.delete::<ProxmoxActionApproval>(&key(home, name)).await;
        assert_eq!(store.approvals_of(&key(home, "p")).await.unwrap(), []);
        assert_eq!(store.get::<ProxmoxActionApproval>(&key(home, name)).await.unwrap(), None);
    }
}

pub async fn plans_in_flight_are_found_by_their_environment<H: Home>(home: &H) {
    let store = home.store();
    a_plan(home, "waits").await;
    let running = a_plan(home, "runs").await;
    let ended = a_plan(home, "over").await;
    let elsewhere = json!({"environment": "other", "action": "start_guest", "target": "qemu/100", "requestedBy": REQUESTER});
    let elsewhere: ProxmoxActionPlan =
        applied(home, &manifest("ProxmoxActionPlan", "elsewhere", &elsewhere), "elsewhere").await;
    for plan in [&running, &elsewhere] {
        store.replace_status(&dispatching(plan)).await.unwrap();
    }
    store.replace_status(&in_phase(&ended, Phase::Denied)).await.unwrap();
    let names = async |environment: &str| -> Vec<String> {
        let found = store.plans_in_flight(home.namespace(), environment).await.unwrap();
        found.into_iter().filter_map(|plan| plan.metadata.name).collect()
    };
    assert_eq!(names("home").await, ["runs"]);
    assert_eq!(names("other").await, ["elsewhere"]);
    let running: ProxmoxActionPlan = store.get(&key(home, "runs")).await.unwrap().unwrap();
    store.replace_status(&in_phase(&running, Phase::Running)).await.unwrap();
    assert_eq!(names("home").await, ["runs"]);
}

pub async fn approvals_are_found_by_their_plan<H: Home>(home: &H) {
    let (store, plan) = (home.store(), a_plan(home, "p").await);
    let uid = plan.metadata.uid.unwrap();
    for (name, of) in [("a1", "p"), ("a2", "p"), ("a3", "p2"), ("a4", "p.p")] {
        let _: ProxmoxActionApproval = applied(home, &approval(name, of, &uid), name).await;
    }
    let found = store.approvals_of(&key(home, "p")).await.unwrap();
    let mut names: Vec<_> = found.iter().map(|a| a.metadata.name.clone().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["a1", "a2"]);
    assert_eq!(store.approvals_of(&Key::new("other", "p")).await.unwrap(), []);
    // A verdict is written to it without making it another one.
    let status = ApprovalStatus { verdict: Some(ApprovalVerdict::Counted), ..ApprovalStatus::default() };
    let judged = ProxmoxActionApproval { status: Some(status), ..found[0].clone() };
    let judged = store.replace_status(&judged).await.unwrap();
    assert!(store.approvals_of(&key(home, "p")).await.unwrap().contains(&judged));
}

pub async fn a_held_plan_outlives_its_deletion<H: Home>(home: &H) {
    let (store, plan) = (home.store(), a_plan(home, "p").await);
    let held = store.hold(&plan).await.unwrap();
    assert_eq!(store.hold(&held).await.unwrap(), held, "held already");
    let mut changes = store.watch::<ProxmoxActionPlan>();
    initialised(&mut changes).await;
    home.delete::<ProxmoxActionPlan>(&key(home, "p")).await;
    loop {
        match next_about(&mut changes, "p").await {
            Event::Apply(DeserializeGuard(Ok(plan))) if plan.metadata.deletion_timestamp.is_some() => break,
            Event::Apply(_) => {}
            other => panic!("a held plan is there: {other:?}"),
        }
    }
    let read: ProxmoxActionPlan = store.get(&key(home, "p")).await.unwrap().expect("a held plan is there");
    assert_eq!(read.metadata.uid, plan.metadata.uid);
    let read = store.replace_status(&dispatching(&read)).await.expect("its task is still followed");
    store.release(&read).await.unwrap();
    assert!(matches!(next_about_deletion(&mut changes, "p").await, Event::Delete(_)));
    assert_eq!(store.get::<ProxmoxActionPlan>(&key(home, "p")).await.unwrap(), None);
    let late = store.replace_status(&read).await;
    assert!(matches!(late, Err(StoreError::Gone { .. })), "{late:?}");
}

async fn next_about_deletion<K: Kind>(changes: &mut Changes<K>, name: &str) -> Event<DeserializeGuard<K>> {
    loop {
        let event = next_about(changes, name).await;
        if matches!(event, Event::Delete(_)) {
            return event;
        }
    }
}

pub async fn a_plan_that_is_not_held_goes_at_once<H: Home>(home: &H) {
    let (store, plan) = (home.store(), a_plan(home, "p").await);
    let held = store.hold(&plan).await.unwrap();
    let free = store.release(&held).await.unwrap();
    assert_eq!(free.metadata.uid, plan.metadata.uid);
    home.delete::<ProxmoxActionPlan>(&key(home, "p")).await;
    assert_eq!(store.get::<ProxmoxActionPlan>(&key(home, "p")).await.unwrap(), None);
    let late = store.replace_status(&in_phase(&free, Phase::Denied)).await;
    assert!(matches!(late, Err(StoreError::Gone { .. })), "{late:?}");
}

pub async fn a_watch_begins_with_everything_and_then_tells_changes<H: Home>(home: &H) {
    let store = home.store();
    let _: ProxmoxPolicy = applied(home, &policy("other-kind", "strict"), "other-kind").await;
    let (one, _) = (a_plan(home, "one").await, a_plan(home, "two").await);
    let mut changes = store.watch::<ProxmoxActionPlan>();
    let all = initialised(&mut changes).await;
    let mut names: Vec<_> = all.iter().filter_map(|object| object.meta().name.clone()).collect();
    names.sort();
    assert_eq!(names, ["one", "two"]);

    home.apply(&plan("three")).await.unwrap();
    let event = next_about(&mut changes, "three").await;
    assert!(matches!(event, Event::Apply(DeserializeGuard(Ok(_)))), "{event:?}");

    store.replace_status(&in_phase(&one, Phase::Denied)).await.unwrap();
    match next_about(&mut changes, "one").await {
        Event::Apply(DeserializeGuard(Ok(plan))) => assert_eq!(plan.status.unwrap().phase, Phase::Denied),
        other => panic!("{other:?}"),
    }

    home.delete::<ProxmoxActionPlan>(&key(home, "two")).await;
    let event = next_about(&mut changes, "two").await;
    assert!(matches!(event, Event::Delete(_)), "{event:?}");
}

pub async fn several_watchers_see_the_same<H: Home>(home: &H) {
    let store = home.store();
    let mut watchers: Vec<_> = (0..3).map(|_| store.watch::<ProxmoxActionPlan>()).collect();
    for changes in &mut watchers {
        assert!(initialised(changes).await.is_empty());
    }
    home.apply(&plan("p")).await.unwrap();
    for changes in &mut watchers {
        assert!(matches!(next_about(changes, "p").await, Event::Apply(_)));
    }
}

pub async fn what_is_published_stops_nobody<H: Home>(home: &H) {
    let (store, plan) = (home.store(), a_plan(home, "p").await);
    for severity in [Severity::Normal, Severity::Warning] {
        let notice = Notice { severity, reason: "Tested".to_owned(), message: "two\nlines".to_owned() };
        store.publish(&plan, notice).await;
    }
    let read: ProxmoxActionPlan = store.get(&key(home, "p")).await.unwrap().unwrap();
    assert_eq!(read, plan);
}
