//! A process that dies and begins again never sends twice.

use kube::ResourceExt;
use proxmox_agent::api::{Phase, ProxmoxActionPlan};
use proxmox_agent::pve::sim::World;
use serde_json::{Value, json};

use crate::support::{
    chart::let_lead,
    cluster::taken,
    manifests::APPROVER,
    patience::{until, until_async},
    stage::{Setting, Stage},
    worlds,
};

async fn stage(world: World) -> Stage {
    let environment = json!({"requestTimeoutSeconds": 1});
    Stage::with(Setting { world: Some(world), environment, ..Setting::default() }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_that_may_not_even_look_says_so_and_ends_when_it_is_asked_to() {
    let mut stage = Stage::without_operator(Setting::default()).await;
    stage.namespace = stage.cluster.namespace().await;
    stage.start_operator();
    let told = |what: &str| std::fs::read_to_string(stage.log_file()).unwrap().contains(what);
    until("it says that it may not lead", || told("waiting for the lease")).await;
    let_lead(&stage.cluster, &[&stage.namespace]).await;
    until("it says what it may not", || told("cannot list resource \"proxmoxenvironments\"")).await;
    let ended = stage.ask_operator_to_stop().await;
    assert!(ended.success(), "{ended}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_in_the_middle_of_a_task_finishes_its_plan() {
    let mut stage = stage(worlds::slow("qmstart", 3)).await;
    let running =
        stage.request(&stage.plan("p", "start_guest", "qemu/101", &json!({})), Phase::Running).await;
    stage.kill_operator().await;
    stage.start_operator();
    let done = stage.plan_in("p", Phase::Succeeded).await;
    assert_eq!(done.status.unwrap().upid, running.status.unwrap().upid);
    assert_eq!(stage.calls().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_killed_while_it_waits_for_the_answer_adopts_the_task() {
    let mut stage = stage(worlds::start_meets("fault: lateResponse, seconds: 30")).await;
    stage.apply("requester", &stage.plan("p", "start_guest", "qemu/101", &json!({}))).await;
    stage.received(1).await;
    stage.kill_operator().await;
    stage.start_operator();
    let done = stage.plan_in("p", Phase::Succeeded).await;
    assert_eq!(done.status.unwrap().upid, stage.mutations()[0].upid);
    assert_eq!(stage.calls().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_never_comes_is_read_from_the_task_list() {
    let stage = stage(worlds::start_meets("fault: lostResponse")).await;
    let done = stage.request(&stage.plan("p", "start_guest", "qemu/101", &json!({})), Phase::Succeeded).await;
    assert_eq!(done.status.unwrap().upid, stage.mutations()[0].upid);
    assert_eq!(stage.calls().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_was_lost_on_the_way_is_not_sent_again() {
    let stage = stage(worlds::start_meets("fault: lostRequest")).await;
    let plan = stage.plan("p", "start_guest", "qemu/101", &json!({}));
    let status = stage.request(&plan, Phase::Indeterminate).await.status.unwrap();
    assert_eq!(status.reason, "NoTaskFound");
    assert!(status.message.contains("unless somebody decides so"), "{}", status.message);
    assert!(stage.calls().is_empty(), "{:?}", stage.calls());
}

/// A plan whose call was lost on the way; the next one would arrive.
async fn lost_once() -> (Stage, ProxmoxActionPlan) {
    let stage = stage(worlds::start_meets("fault: lostRequest")).await;
    let plan = stage.plan("p", "start_guest", "qemu/101", &json!({}));
    let plan = stage.request(&plan, Phase::Indeterminate).await;
    stage.sim.set_faults(vec![]);
    (stage, plan)
}

async fn told(stage: &Stage, name: &str) -> (String, String) {
    let status = stage.answered(name).await.status.unwrap();
    (status.reason, status.message)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_outcome_is_left_by_nothing_but_a_decision_that_names_its_attempt() {
    let (mut stage, plan) = lost_once().await;
    for (name, change, reason) in
        [("none", json!({}), "AttemptNotNamed"), ("other", json!({"attempt": 2}), "OtherAttempt")]
    {
        taken(&stage.apply("approver", &stage.approval(name, &plan, &change)).await);
        let (told, message) = told(&stage, name).await;
        assert_eq!(told, reason);
        assert!(message.contains("attempt 1"), "{message}");
    }
    stage.kill_operator().await;
    stage.start_operator();
    taken(&stage.apply("approver", &stage.approval("probe", &plan, &json!({"attempt": 3}))).await);
    assert_eq!(told(&stage, "probe").await.0, "OtherAttempt");
    assert!(stage.calls().is_empty(), "{:?}", stage.calls());
    let still = stage.plan_in("p", Phase::Indeterminate).await.status.unwrap();
    assert_eq!((still.attempts, still.reason.as_str()), (1, "NoTaskFound"));

    taken(&stage.apply("approver", &stage.approval("yes", &plan, &json!({"attempt": 1}))).await);
    let done = stage.plan_passing("p", Phase::Succeeded).await.status.unwrap();
    assert_eq!((done.attempts, done.earlier.len(), done.earlier[0].reason.as_str()), (2, 1, "NoTaskFound"));
    assert_eq!(done.upid, stage.mutations()[0].upid);
    assert_eq!(stage.calls().len(), 1, "{:?}", stage.calls());
    assert_eq!(told(&stage, "yes").await.0, "Counted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_no_that_names_the_attempt_leaves_it_as_it_is() {
    let (stage, plan) = lost_once().await;
    let no = stage.approval("no", &plan, &json!({"attempt": 1, "decision": "Deny"}));
    taken(&stage.apply("approver", &no).await);
    taken(&stage.apply("approver", &stage.approval("yes", &plan, &json!({"attempt": 1}))).await);
    let left = |status: &proxmox_agent::api::PlanStatus| status.reason == "LeftAsItIs";
    let status = stage.plan_passing_when("p", "left", left).await.status.unwrap();
    assert_eq!((status.phase, status.attempts), (Phase::Indeterminate, 1));
    assert!(status.message.contains(APPROVER), "{}", status.message);
    let denied: Vec<_> = stage.audit().into_iter().filter(|line| line["event"] == "denied").collect();
    assert_eq!(denied.len(), 1, "{denied:#?}");
    assert_eq!(
        (&denied[0]["actor"]["role"], &denied[0]["actor"]["name"]),
        (&json!("approver"), &json!(APPROVER))
    );
    assert_eq!((&denied[0]["attempt"], &denied[0]["decision"]), (&json!(1), &json!("Deny")));
    assert_eq!(denied[0]["approvals"][0]["name"], "no");
    assert_eq!(told(&stage, "no").await.0, "Counted");
    assert!(stage.calls().is_empty(), "{:?}", stage.calls());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_moved_since_is_not_sent_again() {
    let (stage, plan) = lost_once().await;
    crate::support::proxmox::put(&stage.sim, "pve1/qemu/101", &[("name", "renamed")]).await;
    taken(&stage.apply("approver", &stage.approval("yes", &plan, &json!({"attempt": 1}))).await);
    let given_up = |status: &proxmox_agent::api::PlanStatus| status.reason == "NotSentAgain";
    let status = stage.plan_passing_when("p", "not sent again", given_up).await.status.unwrap();
    assert_eq!(status.phase, Phase::Indeterminate);
    assert!(status.message.contains("renamed"), "{}", status.message);
    let denied: Vec<_> = stage.audit().into_iter().filter(|line| line["event"] == "denied").collect();
    assert_eq!((denied.len(), &denied[0]["actor"]["role"]), (1, &json!("operator")), "{denied:#?}");
    assert_eq!(denied[0]["approvals"][0]["name"], "yes");
    assert!(stage.calls().is_empty(), "{:?}", stage.calls());
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_approve_shows_what_is_known_and_wants_the_attempt_named() {
    let (stage, _) = lost_once().await;
    let unnamed = stage.approve("approver", &["p", "--yes"]).await;
    assert_eq!(unnamed.code, 5, "{unnamed:?}");
    assert!(unnamed.stderr.contains("say --attempt 1"), "{}", unnamed.stderr);
    let wrong = stage.approve("approver", &["p", "--yes", "--attempt", "2"]).await;
    assert!(wrong.code == 5 && wrong.stderr.contains("attempt 1 of plan p"), "{}", wrong.stderr);
    for part in ["no answer came", "pvesh get /nodes/pve1/tasks", "kubectl approve p -n"] {
        assert!(wrong.stdout.contains(part), "`{part}` is missing in {}", wrong.stdout);
    }
    let listed = stage.approve("approver", &["list", "-o", "name"]).await;
    assert!(listed.stdout.contains("/p\n"), "{}", listed.stdout);
    let decided = stage.approve("approver", &["p", "--yes", "--attempt", "1"]).await;
    assert_eq!(decided.code, 0, "{decided:?}");
    stage.plan_passing("p", Phase::Succeeded).await;
    assert_eq!(stage.calls().len(), 1, "{:?}", stage.calls());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_proxmox_forgot_is_indeterminate_and_not_failed() {
    let stage = stage(worlds::slow("qmstart", 600)).await;
    stage.request(&stage.plan("p", "start_guest", "qemu/101", &json!({})), Phase::Running).await;
    crate::support::proxmox::restart(&stage.sim);
    let ended = |status: &proxmox_agent::api::PlanStatus| status.phase.is_terminal();
    let status = stage.plan_when("p", "ended", ended).await.status.unwrap();
    assert_eq!(status.phase, Phase::Indeterminate, "{}", status.message);
    assert_eq!(stage.calls().len(), 1);
}

async fn audited(stage: &Stage, event: &str) -> Value {
    let found = || stage.audit().into_iter().find(|line| line["event"] == event);
    until(event, || found().is_some()).await;
    found().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_sent_ends_on_record_though_its_plan_is_gone() {
    let stage = stage(worlds::slow("qmstart", 15)).await;
    let running =
        stage.request(&stage.plan("p", "start_guest", "qemu/101", &json!({})), Phase::Running).await;
    let plans = stage.api::<ProxmoxActionPlan>();
    until_async("it is held", async || !plans.get("p").await.unwrap().finalizers().is_empty()).await;
    taken(&stage.kubectl("admin", &["delete", "pxp/p", "--wait=false"]).await);
    let let_go = r#"{"metadata": {"finalizers": null}}"#;
    taken(&stage.kubectl("admin", &["patch", "pxp/p", "--type=merge", "-p", let_go]).await);
    let ended = audited(&stage, "ended").await;
    assert_eq!(ended["outcome"], "Succeeded", "{ended:#}");
    assert_eq!(ended["upid"], json!(running.status.unwrap().upid));
    assert_eq!(stage.calls().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn that_a_plan_was_deleted_before_it_was_sent_is_on_record() {
    let stage = Stage::new().await;
    let plan = stage.plan("p", "delete_guest", "qemu/101", &json!({}));
    let plan = stage.request(&plan, Phase::AwaitingApproval).await;
    taken(&stage.kubectl("admin", &["delete", "pxp/p", "--wait=false"]).await);
    let gone = audited(&stage, "gone").await;
    assert_eq!((&gone["plan"], &gone["planUid"]), (&json!("p"), &json!(plan.metadata.uid)));
    assert_eq!((&gone["actor"]["role"], &gone["intent"]), (&json!("unknown"), &Value::Null));
}

/// Kills at whatever moment the process is in when something has been seen to happen.
#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_is_killed_again_and_again_never_sends_twice() {
    let mut stage = stage(worlds::slow("qmstart", 1)).await;
    for (name, guest) in [("a", "qemu/101"), ("b", "lxc/201")] {
        let plan = stage.plan(name, "start_guest", guest, &json!({}));
        stage.apply("requester", &plan).await;
        for phase in [Phase::Dispatching, Phase::Running] {
            let there = |status: &proxmox_agent::api::PlanStatus| status.phase as u8 >= phase as u8;
            stage.plan_when(name, "there", there).await;
            stage.kill_operator().await;
            stage.start_operator();
        }
        let ended = |status: &proxmox_agent::api::PlanStatus| status.phase.is_terminal();
        let status = stage.plan_when(name, "ended", ended).await.status.unwrap();
        assert!(matches!(status.phase, Phase::Succeeded | Phase::Indeterminate), "{}", status.message);
    }
    let calls = stage.calls();
    assert!(
        calls.len() <= 2 && calls.iter().all(|call| calls.iter().filter(|c| *c == call).count() == 1),
        "{calls:?}"
    );
}
