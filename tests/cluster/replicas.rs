//! Several replicas: one leads, the others stand by; whoever stops hands over, and whoever was stopped sends nothing.

use futures::{StreamExt, future::join_all};
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use kube::{
    Api,
    runtime::{WatchStreamExt, watcher},
};
use proxmox_agent::api::{Phase, ProxmoxActionPlan};
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use serde_json::json;

use crate::support::{
    home::records_in,
    patience::{PATIENCE, until, until_async},
    relay::Relay,
    stage::{Setting, Stage, signal},
    worlds,
};

/// How long a replica leads after it was last heard of.
const LASTS: f64 = 15.0;

fn leases(stage: &Stage) -> Api<Lease> {
    Api::namespaced(stage.admin.clone(), &stage.namespace)
}

async fn lease(stage: &Stage) -> LeaseSpec {
    let lease = leases(stage).get_opt(&format!("proxmox-agent-{}", stage.namespace)).await.unwrap();
    lease.and_then(|lease| lease.spec).unwrap_or_default()
}

async fn leads(stage: &Stage, replica: &str) {
    let holder = async || lease(stage).await.holder_identity.as_deref() == Some(replica);
    until_async(&format!("{replica} leads"), holder).await;
}

fn log_of(stage: &Stage, replica: &str) -> String {
    std::fs::read_to_string(stage.log_of(replica)).unwrap_or_default()
}

/// How many calls a replica has announced.
fn announced_by(stage: &Stage, replica: &str) -> usize {
    records_in(&stage.audit_of(replica)).iter().filter(|record| record["event"] == "intent").count()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_two_replicas_acts_and_the_other_takes_over_at_once_when_it_is_asked_to_stop() {
    let mut stage = Stage::new().await;
    leads(&stage, "one").await;
    let _two = stage.replica("two", &[]);
    until("the second one stands by", || log_of(&stage, "two").contains("this one stands by")).await;
    stage.request(&stage.plan("a", "start_guest", "qemu/101", &json!({})), Phase::Succeeded).await;
    assert_eq!(announced_by(&stage, "one"), 1);
    assert!(records_in(&stage.audit_of("two")).is_empty(), "whoever stands by does nothing");

    let written = watcher(leases(&stage), watcher::Config::default()).applied_objects();
    let mut written = Box::pin(written.filter_map(async |lease| lease.unwrap().spec));
    assert_eq!(written.next().await.unwrap().lease_transitions, Some(0));
    assert!(stage.ask_operator_to_stop().await.success());
    let mut released = None;
    let taken = loop {
        let spec = tokio::time::timeout(PATIENCE, written.next()).await.unwrap().unwrap();
        match spec.holder_identity.as_deref() {
            Some("one") => {}
            Some("two") => break spec,
            _ => released = spec.renew_time,
        }
    };
    assert_eq!(taken.lease_transitions, Some(1));
    let gap = taken.acquire_time.unwrap().0.duration_since(released.expect("it was handed over").0);
    assert!(gap.as_secs_f64() < LASTS / 2.0, "nobody led for {gap}");

    stage.request(&stage.plan("b", "start_guest", "lxc/201", &json!({})), Phase::Succeeded).await;
    assert_eq!((announced_by(&stage, "one"), announced_by(&stage, "two")), (1, 1));
    assert_eq!(stage.calls().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_stood_still_between_the_announcement_and_the_call_sends_nothing() {
    let stage = Stage::without_operator(Setting::default()).await;
    let relay = Relay::to(&stage.sim).await;
    let by_relay = json!({"endpoints": [relay.url()], "requestTimeoutSeconds": 10});
    stage.apply_as_admin(&stage.environment(&by_relay, None)).await;
    let one = stage.replica("one", &[]);
    leads(&stage, "one").await;
    // What is asked before the call goes over connections that are there by then.
    let dry = json!({"dryRun": true});
    let names = ["a", "b", "c", "d", "e", "f"];
    let rehearsals = names.map(|name| stage.plan(name, "start_guest", "qemu/101", &dry));
    join_all(rehearsals.iter().map(|plan| stage.request(plan, Phase::Succeeded))).await;
    let _two = stage.replica("two", &[]);
    until("the second one stands by", || log_of(&stage, "two").contains("this one stands by")).await;

    relay.hold();
    stage.apply("requester", &stage.plan("p", "start_guest", "qemu/101", &json!({}))).await;
    until("it is about to send", || relay.held() > 0).await;
    signal(&one, "STOP").await;
    let announced = stage.plan_when("p", "announced", |status| status.intent.is_some()).await;
    assert_eq!(announced.status.unwrap().phase, Phase::Dispatching);
    leads(&stage, "two").await;
    relay.let_go();
    let settled = stage.plan_in("p", Phase::Indeterminate).await;
    signal(&one, "CONT").await;
    until("it has noticed", || log_of(&stage, "one").contains("this replica leads no more")).await;
    assert_eq!(stage.calls(), Vec::<String>::new());
    assert_eq!(stage.plan_in("p", Phase::Indeterminate).await.status, settled.status);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_asked_to_stop_while_its_call_is_out_writes_down_what_came_of_it() {
    let world = Some(worlds::start_meets("fault: lateResponse, seconds: 3"));
    let environment = json!({"requestTimeoutSeconds": 20});
    let mut stage = Stage::with(Setting { world, environment, ..Setting::default() }).await;
    stage.apply("requester", &stage.plan("p", "start_guest", "qemu/101", &json!({}))).await;
    stage.received(1).await;
    assert_eq!(stage.plan_in("p", Phase::Dispatching).await.status.unwrap().upid, None);
    assert!(stage.ask_operator_to_stop().await.success());
    let plan: ProxmoxActionPlan = stage.api().get("p").await.unwrap();
    assert_eq!(plan.status.unwrap().upid, stage.mutations()[0].upid);
    assert!(log_of(&stage, "one").contains("finishing what has begun"), "{}", log_of(&stage, "one"));
    assert_eq!(lease(&stage).await.holder_identity.as_deref(), Some(""), "the lead is handed over last");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_takes_the_name_of_another_ends_the_other() {
    let stage = Stage::without_operator(Setting::default()).await;
    let mut first = stage.replica("one", &[]);
    leads(&stage, "one").await;
    let _second = stage.replica("two", &["--replica", "one"]);
    let ended = tokio::time::timeout(PATIENCE, first.wait()).await.unwrap().unwrap();
    assert_eq!(ended.code(), Some(1));
    let log = log_of(&stage, "one");
    assert!(log.contains("another process calls itself one as well"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_turns_readiness_red_and_nothing_is_sent_until_there_is_room() {
    let stage = Stage::without_operator(Setting::default()).await;
    let one = stage.replica_under(&["env", "--ignore-signal=XFSZ"], "one", &[]);
    leads(&stage, "one").await;
    let readiness = format!("http://{}/readyz", stage.health_of("one").await);
    let ask = async || {
        let answer = reqwest::get(&readiness).await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    assert_eq!(ask().await, (200, "ok\n".to_owned()));
    let process = Pid::from_raw(one.id().unwrap().try_into().unwrap());
    let before = getrlimit(Resource::Fsize);
    prlimit(process, Resource::Fsize, Rlimit { current: Some(0), ..before }).unwrap();
    until_async("it is not ready", async || ask().await.0 == 503).await;
    assert!(ask().await.1.starts_with("audit log: failed to write"), "{:?}", ask().await);
    stage.apply("requester", &stage.plan("p", "start_guest", "qemu/101", &json!({}))).await;
    until("the plan was judged", || stage.sim.reads().keys().any(|path| path.contains("/qemu/101/"))).await;
    let plan: ProxmoxActionPlan = stage.api().get("p").await.unwrap();
    assert_eq!(plan.status.unwrap_or_default().phase, Phase::Pending);
    prlimit(process, Resource::Fsize, before).unwrap();
    until_async("it is ready again", async || ask().await.0 == 200).await;
    stage.plan_in("p", Phase::Succeeded).await;
    assert_eq!(stage.calls().len(), 1);
}
