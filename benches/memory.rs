//! How much memory a plan costs that waits for its approval: a real API server, a real operator, ten thousand plans.
//!
//! The operator judges one plan. Its status is what the operator would write for any plan that asks for the same, so the
//! others are created with it, by the operator's own identity: judging each of them takes a Proxmox minutes and says
//! nothing about memory. Then the operator begins anew, reads them all, looks at each, and dispatches the one that is
//! approved. Fails if a plan costs more than [`LIMIT`].
//!
//! Then as many plans have ended instead, and one is dispatched under hourly limits: all that ended are read for it, and how
//! much memory that takes at its peak must not depend on how many there are.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what can't go on stops")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use futures::{StreamExt, stream};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, PostParams},
    runtime::wait::{await_condition, conditions::is_deleted},
};
use proxmox_agent::api::{Phase, PlanStatus, ProxmoxActionPlan};
use serde_json::{Value, json};
use support::{
    manifests::with,
    stage::{Setting, Stage},
    worlds,
};

/// KiB that one plan may cost.
const LIMIT: f64 = 6.0;
const PLANS: usize = 10_000;
/// Plans that are created at the same time.
const AT_ONCE: usize = 32;
/// Nothing takes so long.
const LONG: Duration = Duration::from_secs(600);
/// Memory that has not changed by more than this for so long is what the operator needs. Connections that nobody uses are
/// closed after a minute and a half.
const STEADY: (f64, Duration) = (0.005, Duration::from_secs(95));

#[tokio::main]
async fn main() -> ExitCode {
    let plans = std::env::var("PLANS").map_or(PLANS, |plans| plans.parse().expect("PLANS is a number"));
    let waiting = that_wait(plans).await;
    let ended = that_ended(plans).await;
    if waiting <= LIMIT && ended <= LIMIT { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// KiB that each plan takes that waits.
async fn that_wait(plans: usize) -> f64 {
    let setting = Setting { world: Some(worlds::with_every_privilege()), ..Setting::default() };
    let mut stage = Stage::with(setting).await;
    let pattern = judged(&stage).await;
    stage.ask_operator_to_stop().await;

    stage.start_operator();
    let empty = steady(&stage).await;
    stage.ask_operator_to_stop().await;
    let began = Instant::now();
    fill(&stage, plans, "waiting", pattern.status.as_ref().unwrap()).await;
    println!(
        "{plans} plans that wait, each {:.1} KiB of JSON: made in {:.0} s",
        size(&pattern),
        began.elapsed().as_secs_f64()
    );

    stage.start_operator();
    let asked = Instant::now();
    approve_one(&stage).await;
    println!(
        "one of them is approved: dispatched and done {:.1} s after the operator began",
        asked.elapsed().as_secs_f64()
    );
    let full = steady(&stage).await;
    let each = (full - empty) / plans as f64;
    println!(
        "operator: {empty:.0} KiB without plans, {full:.0} KiB with {plans}: {each:.2} KiB a plan, at most {LIMIT}"
    );
    stage.ask_operator_to_stop().await;
    each
}

/// KiB that the peak of a dispatch under hourly limits grows by with each plan that ended.
async fn that_ended(plans: usize) -> f64 {
    let environment = json!({"policyKnobs": {"hourly": {"changes": 100_000}}});
    let setting = Setting { world: Some(worlds::with_every_privilege()), environment, ..Setting::default() };
    let mut stage = Stage::with(setting).await;
    let (without, alone) = peak_of_a_dispatch(&stage, "alone").await;
    stage.ask_operator_to_stop().await;
    let ended = stage.api::<ProxmoxActionPlan>().get("alone").await.unwrap();
    fill(&stage, plans, "ended", ended.status.as_ref().unwrap()).await;
    stage.start_operator();
    let (with, took) = peak_of_a_dispatch(&stage, "after-many").await;
    stage.ask_operator_to_stop().await;
    let each = (with - without) / plans as f64;
    println!(
        "{plans} plans that ended, each {:.1} KiB of JSON, and one is dispatched under hourly limits",
        size(&ended)
    );
    println!(
        "it is done {:.1} s after it was asked for, {:.1} s without them",
        took.as_secs_f64(),
        alone.as_secs_f64()
    );
    println!(
        "operator at its peak: {without:.0} KiB without them, {with:.0} KiB with: {each:.2} KiB a plan, at most {LIMIT}"
    );
    each
}

/// KiB that the operator takes at most in it, and how long it takes. What beginning takes is over by then.
async fn peak_of_a_dispatch(stage: &Stage, name: &str) -> (f64, Duration) {
    dispatch(stage, &format!("before-{name}")).await;
    std::fs::write(format!("/proc/{}/clear_refs", stage.operator_id()), "5").unwrap();
    let took = dispatch(stage, name).await;
    (peak(stage), took)
}

/// A plan from its request to its end. Returns how long that took.
async fn dispatch(stage: &Stage, name: &str) -> Duration {
    let asked = Instant::now();
    let plan = stage.plan(name, "set_guest_tags", "qemu/101", &json!({"params": {"tags": name}}));
    stage.request(&plan, Phase::Succeeded).await;
    asked.elapsed()
}

/// KiB that the operator has taken at most since that was forgotten.
fn peak(stage: &Stage) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", stage.operator_id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn asked(stage: &Stage, name: &str) -> ProxmoxActionPlan {
    let plan = stage.plan(name, "delete_guest", "qemu/101", &json!({"params": {"purge": true}}));
    serde_json::from_str(&plan).unwrap()
}

/// What the operator makes of such a plan. The plan itself is gone afterwards.
async fn judged(stage: &Stage) -> ProxmoxActionPlan {
    let yaml = serde_json::to_string(&asked(stage, "pattern")).unwrap();
    let plan = stage.request(&yaml, Phase::AwaitingApproval).await;
    stage.api::<ProxmoxActionPlan>().delete("pattern", &DeleteParams::default()).await.unwrap();
    let uid = plan.uid().unwrap();
    await_condition(stage.api::<ProxmoxActionPlan>(), "pattern", is_deleted(&uid)).await.unwrap();
    plan
}

fn size(plan: &ProxmoxActionPlan) -> f64 {
    serde_json::to_vec(plan).unwrap().len() as f64 / 1024.0
}

async fn fill(stage: &Stage, plans: usize, name: &str, status: &PlanStatus) {
    let requester: Api<ProxmoxActionPlan> =
        Api::namespaced(stage.cluster.client("requester").await, &stage.namespace);
    let operator: Api<ProxmoxActionPlan> =
        Api::namespaced(stage.cluster.client("operator").await, &stage.namespace);
    stream::iter(0..plans)
        .for_each_concurrent(AT_ONCE, async |number| {
            let wanted = asked(stage, &format!("{name}-{number}"));
            let mut plan = requester.create(&PostParams::default(), &wanted).await.unwrap();
            plan.status = Some(status.clone());
            operator.replace_status(&plan.name_any(), &PostParams::default(), &plan).await.unwrap();
        })
        .await;
}

/// Two people, for a critical plan.
async fn approve_one(stage: &Stage) {
    let plan = stage.api::<ProxmoxActionPlan>().get("waiting-0").await.unwrap();
    for (who, as_) in
        [("approver", "approver@example.test"), ("second-approver", "second-approver@example.test")]
    {
        let change = with(json!({"approved_by": as_}), &Value::Null);
        let given = stage.apply(who, &stage.approval(who, &plan, &change)).await;
        support::cluster::taken(&given);
    }
    let succeeded = |plan: Option<&ProxmoxActionPlan>| {
        plan.and_then(|plan| plan.status.as_ref()).is_some_and(|status| status.phase == Phase::Succeeded)
    };
    let done = await_condition(stage.api::<ProxmoxActionPlan>(), "waiting-0", succeeded);
    tokio::time::timeout(LONG, done).await.expect("it is done within minutes").unwrap();
    assert_eq!(stage.calls().len(), 1);
}

/// KiB that the operator alone takes, when that changes no more.
async fn steady(stage: &Stage) -> f64 {
    let (slack, long) = STEADY;
    let mut since = (memory(stage), Instant::now());
    loop {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let now = memory(stage);
        if (now - since.0).abs() > slack * since.0 {
            since = (now, Instant::now());
        } else if since.1.elapsed() >= long {
            return now;
        }
    }
}

fn memory(stage: &Stage) -> f64 {
    let rollup = std::fs::read_to_string(format!("/proc/{}/smaps_rollup", stage.operator_id())).unwrap();
    let line = rollup.lines().find(|line| line.starts_with("Pss:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
