//! Who may write a status, and what.

use proxmox_agent::{
    api::{ApprovalProgress, EarlierAttempt, GrantedApproval, Intent, Phase, PlanStatus, ProxmoxActionPlan},
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
    let read: ProxmoxActionPlan = store.get(&key(home, "p")).await.unwrap().unwrap();
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
    refused_because(
        store.replace_status(&in_phase(&sent, Phase::AwaitingApproval)).await,
        "only the outcome",
    );
    refused_because(store.replace_status(&in_phase(&sent, Phase::Cancelled)).await, "only the outcome");
    store.replace_status(&in_phase(&sent, Phase::Indeterminate)).await.unwrap();
}

/// As another writer would have it.
fn rewritten(plan: &ProxmoxActionPlan, change: impl FnOnce(&mut PlanStatus)) -> ProxmoxActionPlan {
    let mut status = plan.status.clone().unwrap_or_default();
    change(&mut status);
    with_status(plan, status)
}

/// The next attempt, with the one before on record.
fn attempted_again(status: &mut PlanStatus) {
    let before = status.intent.clone().unwrap();
    status.phase = Phase::Dispatching;
    status.attempts += 1;
    status.upid = None;
    status.intent = Some(Intent { attempt: status.attempts, nonce: "another".into(), ..before.clone() });
    status.earlier.push(EarlierAttempt {
        since: before.at.clone(),
        intent: before,
        upid: None,
        reason: "NoTaskFound".into(),
        message: "nobody knows".into(),
        approvals: vec![],
    });
}

pub async fn an_unknown_outcome_is_left_by_another_attempt_only<H: Home>(home: &H) {
    let (store, plan) = (home.store(), a_plan(home, "p").await);
    let sent = store.replace_status(&dispatching(&plan)).await.unwrap();
    let sent = rewritten(&sent, |status| {
        status.phase = Phase::Indeterminate;
        status.upid = Some("UPID:pve1:00001619:00062D39:6B00EAFE:qmstart:100:root@pam!a:".into());
    });
    let unknown = store.replace_status(&sent).await.unwrap();
    for phase in [Phase::Failed, Phase::Succeeded, Phase::Running, Phase::Dispatching, Phase::Cancelled] {
        refused_because(store.replace_status(&in_phase(&unknown, phase)).await, "stays unknown");
    }
    let refused = async |why: &str, change: &dyn Fn(&mut PlanStatus)| {
        refused_because(store.replace_status(&rewritten(&unknown, change)).await, why);
    };
    refused("upid is write-once", &|status| status.upid = None).await;
    refused("intent is write-once", &|status| {
        status.intent = dispatching(&plan)
            .status
            .unwrap()
            .intent
            .map(|intent| Intent { nonce: "forged".into(), ..intent });
    })
    .await;
    refused("begins with its announcement", &|status| {
        attempted_again(status);
        status.phase = Phase::Indeterminate;
    })
    .await;
    refused("stays on record", &|status| {
        attempted_again(status);
        status.earlier.clear();
    })
    .await;
    let reworded = rewritten(&unknown, |status| status.message = "somebody wants it left as it is".into());
    let reworded = store.replace_status(&reworded).await.unwrap();
    let again = store.replace_status(&rewritten(&reworded, attempted_again)).await.unwrap();
    let forgotten = rewritten(&again, |status| status.earlier[0].reason = "TaskOk".into());
    refused_because(store.replace_status(&forgotten).await, "stays on record");
    store.replace_status(&rewritten(&again, attempted_again)).await.unwrap();
}

fn judged_as(plan: &ProxmoxActionPlan, phase: Phase, plan_hash: Option<&str>) -> ProxmoxActionPlan {
    let mut judged = in_phase(plan, phase);
    judged.status.as_mut().unwrap().plan_hash = plan_hash.map(str::to_owned);
    judged
}

pub async fn an_approved_plan_may_wait_again_for_another_judgement<H: Home>(home: &H) {
    let mut plan = a_plan(home, "p").await;
    for (phase, hash) in [
        (Phase::AwaitingApproval, HASH),
        (Phase::Approved, HASH),
        (Phase::AwaitingApproval, OTHER_HASH),
        (Phase::Approved, OTHER_HASH),
        (Phase::AwaitingApproval, OTHER_HASH),
        (Phase::Approved, HASH),
    ] {
        plan = home.store().replace_status(&judged_as(&plan, phase, Some(hash))).await.unwrap();
    }
}

pub async fn a_judgement_changes_only_while_nothing_is_announced<H: Home>(home: &H) {
    let (store, plan) = (home.store(), a_plan(home, "p").await);
    let waiting = judged_as(&plan, Phase::AwaitingApproval, Some(HASH));
    let waiting = store.replace_status(&waiting).await.unwrap();
    for phase in [Phase::Cancelled, Phase::Denied, Phase::Expired] {
        let ended = judged_as(&waiting, phase, Some(OTHER_HASH));
        refused_because(store.replace_status(&ended).await, "planHash only changes while a plan waits");
    }
    let unjudged = judged_as(&waiting, Phase::AwaitingApproval, None);
    refused_because(store.replace_status(&unjudged).await, "planHash only changes");
    let sent = judged_as(&dispatching(&waiting), Phase::Dispatching, Some(OTHER_HASH));
    refused_because(store.replace_status(&sent).await, "planHash only changes");
    let mut announced = dispatching(&waiting);
    announced.status.as_mut().unwrap().phase = Phase::Approved;
    refused_because(store.replace_status(&announced).await, "nothing waits any more");
    let announced = judged_as(&announced, Phase::AwaitingApproval, Some(OTHER_HASH));
    refused_because(store.replace_status(&announced).await, "nothing waits any more");
}

pub async fn approvals_do_not_follow_to_another_judgement<H: Home>(home: &H) {
    let (store, plan) = (home.store(), a_plan(home, "p").await);
    let mut approved = judged_as(&plan, Phase::Approved, Some(HASH));
    let granted =
        GrantedApproval { name: "a".into(), uid: "u".into(), approved_by: "bob".into(), groups: vec![] };
    let progress = ApprovalProgress { required: 1, granted: vec![granted], ..ApprovalProgress::default() };
    approved.status.as_mut().unwrap().approvals = Some(progress);
    let approved = store.replace_status(&approved).await.unwrap();
    for phase in [Phase::Approved, Phase::AwaitingApproval] {
        let taken_along = judged_as(&approved, phase, Some(OTHER_HASH));
        refused_because(store.replace_status(&taken_along).await, "approvals of another planHash");
    }
    let mut emptied = judged_as(&approved, Phase::AwaitingApproval, Some(OTHER_HASH));
    emptied.status.as_mut().unwrap().approvals = Some(ApprovalProgress { required: 1, ..Default::default() });
    store.replace_status(&emptied).await.unwrap();
}

pub async fn upid_and_request_hash_are_written_once<H: Home>(home: &H) {
    let (store, plan) = (home.store(), a_plan(home, "p").await);
    let mut sent = dispatching(&plan);
    let status = sent.status.as_mut().unwrap();
    status.request_hash = Some(HASH.to_owned());
    (status.plan_hash, status.upid) = (Some(HASH.to_owned()), Some("UPID:one".to_owned()));
    let sent = store.replace_status(&sent).await.unwrap();
    type Change = fn(&mut PlanStatus);
    let changes: [(&str, Change); 7] = [
        ("planHash only changes", |status| status.plan_hash = Some(OTHER_HASH.to_owned())),
        ("planHash only changes", |status| status.plan_hash = None),
        ("requestHash is write-once", |status| status.request_hash = Some(OTHER_HASH.to_owned())),
        ("requestHash is write-once", |status| status.request_hash = None),
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
    let read: ProxmoxActionPlan = store.get(&key(home, "p")).await.unwrap().unwrap();
    assert_eq!(read.spec, plan.spec);
    assert_eq!(read.metadata.generation, Some(1));
}
