//! Watches that lag, forget, repeat themselves or end: they may delay an operator, and never make it act.

use kube::{
    Api,
    api::DeleteParams,
    runtime::wait::{await_condition, conditions::is_deleted},
};
use proxmox_agent::api::{Phase, ProxmoxActionPlan};
use serde_json::{Value, json};

use crate::{
    classes::named,
    people::{PATIENCE, PLAN, People},
    process::Process,
    site::{Site, Stage, sites},
    support::{
        cluster::Cluster,
        patience::{until, until_async},
        rows::Row,
    },
};

const APPROVALS: &str = "proxmoxactionapprovals";
const PLANS: &str = "proxmoxactionplans";

/// Somewhere a guest is to be deleted, which has to be approved, and an operator waits for that.
async fn waiting_for_approval() -> (Site, Stage, std::sync::Arc<Process>, ProxmoxActionPlan) {
    let mut site = sites(&Cluster::shared(), 1).await.remove(0);
    let stage = site.set(&named("delete")).await;
    let operator = site.start(&stage.volume);
    site.gate.quiet().await;
    site.people.ask(&named("delete")).await;
    let plan = in_phase(&site.people, Phase::AwaitingApproval).await;
    site.gate.quiet().await;
    (site, stage, operator, plan)
}

async fn in_phase(people: &People, phase: Phase) -> ProxmoxActionPlan {
    let is_there = |plan: Option<&ProxmoxActionPlan>| {
        plan.and_then(|plan| plan.status.as_ref()).is_some_and(|status| status.phase == phase)
    };
    let waiting = await_condition(people.plans.clone(), PLAN, is_there);
    let found = tokio::time::timeout(PATIENCE, waiting).await;
    found.unwrap_or_else(|_| panic!("the plan is never {phase}")).unwrap().unwrap()
}

async fn gone<K>(objects: &Api<K>, name: &str)
where
    K: kube::Resource<DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned
        + Send
        + 'static,
{
    let object = objects.get(name).await.unwrap();
    let uid = object.meta().uid.clone().unwrap();
    objects.delete(name, &DeleteParams::default()).await.unwrap();
    tokio::time::timeout(PATIENCE, await_condition(objects.clone(), name, is_deleted(&uid)))
        .await
        .unwrap()
        .unwrap();
}

/// It has looked at the approvals once more, and come to rest.
async fn looks_again(site: &Site, before: usize) {
    until("it looks again", || looks(site) > before).await;
    site.gate.quiet().await;
}

fn looks(site: &Site) -> usize {
    let of_approvals = |call: &str| call == "LIST proxmoxactionapprovals";
    site.gate.trace().iter().filter(|(at, _)| of_approvals(&at.call)).count()
}

fn is(type_: &str) -> impl Fn(&Value) -> bool {
    move |event| event["type"] == type_
}

/// What is approved now is carried out, once.
async fn ends_well(site: &Site, stage: Stage, what: &str) {
    site.people.bring_to_an_end().await.unwrap();
    let plan = site.people.plans.get(PLAN).await.unwrap();
    assert_eq!(plan.status.unwrap().phase, Phase::Succeeded);
    assert_eq!(stage.sim.ledger().len(), 1, "{:?}", stage.sim.ledger());
    assert!(site.witness.problems().is_empty(), "{:?}", site.witness.problems());
    stage.sim.stop().await;
    Row { part: "watches", what, tried: 1, unit: "runs", violations: 0 }.note();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_that_is_seen_only_after_it_was_revoked_sends_nothing() {
    let (site, stage, _operator, plan) = waiting_for_approval().await;
    site.kubernetes.watches().freeze(APPROVALS);
    site.people.approve("revoked", &plan).await;
    gone(&site.people.approvals, "revoked").await;
    let before = looks(&site);
    let replayed = async || site.kubernetes.watches().replay(APPROVALS, is("ADDED")) > 0;
    until_async("its creation is told", replayed).await;
    looks_again(&site, before).await;
    assert!(stage.sim.ledger().is_empty());
    site.kubernetes.watches().thaw();
    site.gate.quiet().await;
    assert!(stage.sim.ledger().is_empty());
    ends_well(&site, stage, "an approval that is seen after it was revoked").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_that_is_revoked_unseen_while_its_plan_waits_for_its_time_sends_nothing() {
    let mut site = sites(&Cluster::shared(), 1).await.remove(0);
    let stage = site.set(&named("delete")).await;
    let _operator = site.start(&stage.volume);
    site.gate.quiet().await;
    let soon = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(8);
    site.people.ask_with(&named("delete"), &json!({"notBefore": soon})).await;
    let plan = in_phase(&site.people, Phase::AwaitingApproval).await;
    site.people.approve("revoked", &plan).await;
    in_phase(&site.people, Phase::Approved).await;
    site.kubernetes.watches().freeze(APPROVALS);
    gone(&site.people.approvals, "revoked").await;
    in_phase(&site.people, Phase::AwaitingApproval).await;
    assert!(stage.sim.ledger().is_empty());
    site.kubernetes.watches().thaw();
    ends_well(&site, stage, "an approval that was revoked unseen").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_made_anew_under_its_name_inherits_nothing_from_the_old_one() {
    let (site, stage, _operator, old) = waiting_for_approval().await;
    site.kubernetes.watches().freeze(PLANS);
    gone(&site.people.plans, PLAN).await;
    site.people.ask(&named("delete")).await;
    let before = looks(&site);
    site.people.approve("of-the-old-one", &old).await;
    looks_again(&site, before).await;
    let before = looks(&site);
    assert!(site.kubernetes.watches().replay(PLANS, is("ADDED")) > 0);
    assert!(site.kubernetes.watches().replay(PLANS, is("MODIFIED")) > 0);
    looks_again(&site, before).await;
    assert!(stage.sim.ledger().is_empty());
    site.kubernetes.watches().thaw();
    ends_well(&site, stage, "a plan made anew under its name").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_made_while_the_watch_was_down_is_found_when_it_is_back() {
    let (site, stage, _operator, plan) = waiting_for_approval().await;
    site.kubernetes.watches().take_down();
    site.people.approve("unseen", &plan).await;
    site.kubernetes.watches().bring_up();
    ends_well(&site, stage, "an approval made while the watch was down").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_watch_has_swallowed_is_found_when_it_begins_anew() {
    let (site, stage, _operator, plan) = waiting_for_approval().await;
    site.kubernetes.watches().drop_events_of(APPROVALS);
    site.people.approve("swallowed", &plan).await;
    let is_told = async || site.kubernetes.watches().has_swallowed_any();
    until_async("it has been swallowed", is_told).await;
    assert!(stage.sim.ledger().is_empty());
    site.kubernetes.watches().bring_up();
    ends_well(&site, stage, "an approval whose events were lost").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_told_again_after_the_end_changes_nothing() {
    let (site, stage, _operator, plan) = waiting_for_approval().await;
    site.people.approve("once", &plan).await;
    in_phase(&site.people, Phase::Succeeded).await;
    site.gate.quiet().await;
    let reads = || site.gate.trace().iter().filter(|(at, _)| at.call == "GET proxmoxactionplans/p").count();
    let before = reads();
    site.kubernetes.watches().replay(PLANS, is("ADDED"));
    site.kubernetes.watches().replay(PLANS, is("MODIFIED"));
    site.kubernetes.watches().replay(APPROVALS, is("ADDED"));
    until("it looks again", || reads() > before).await;
    site.gate.quiet().await;
    ends_well(&site, stage, "old events after the end").await;
}
