//! What policies do to plans.

use jiff::Timestamp;
use kube::runtime::wait::await_condition;
use proxmox_agent::api::{Phase, PlanStatus, ProxmoxActionPlan, ProxmoxPolicy, Risk};
use serde_json::{Value, json};

use crate::support::{
    cluster::taken,
    manifests::manifest_in,
    patience::{PATIENCE, until_async},
    stage::{Setting, Stage},
};

fn policy(stage: &Stage, name: &str, spec: &Value) -> String {
    manifest_in(&stage.namespace, "ProxmoxPolicy", name, spec)
}

/// A stage whose environment names this policy.
async fn under(spec: Value) -> Stage {
    let mut stage = Stage::without_operator(Setting { preset: Some("balanced"), ..Setting::default() }).await;
    stage.apply_as_admin(&policy(&stage, "house", &spec)).await;
    stage.start_operator();
    stage
}

fn held(reason: &'static str) -> impl Fn(&PlanStatus) -> bool {
    move |status| status.phase == Phase::Approved && status.reason == reason
}

/// The policy, once its condition `Ready` has this reason.
async fn told(stage: &Stage, name: &str, reason: &'static str) -> String {
    let said = |policy: &ProxmoxPolicy| {
        let conditions = policy.status.clone().unwrap_or_default().conditions;
        conditions.into_iter().find(|one| one.type_ == "Ready" && one.reason == reason)
    };
    let is_told = |policy: Option<&ProxmoxPolicy>| policy.is_some_and(|policy| said(policy).is_some());
    let waited = tokio::time::timeout(PATIENCE, await_condition(stage.api(), name, is_told)).await;
    let Ok(found) = waited else { panic!("{name} is never {reason}\n{}", stage.log()) };
    said(&found.unwrap().unwrap()).unwrap().message
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guard_that_fails_stops_under_balanced_and_warns_under_permissive() {
    let protection = json!({"targets": ["qemu/101"]});
    let stage = under(json!({"preset": "balanced", "protection": protection})).await;
    let plan = stage.plan("stopped", "delete_guest", "qemu/101", &json!({}));
    let status = stage.request(&plan, Phase::Denied).await.status.unwrap();
    assert_eq!(status.reason, "TargetProtected");
    assert!(status.message.contains("protection of policy house, revision"), "{}", status.message);
    stage
        .apply_as_admin(&policy(&stage, "house", &json!({"preset": "permissive", "protection": protection})))
        .await;
    let plan = stage.plan("warned", "delete_guest", "qemu/101", &json!({}));
    let status = stage.request(&plan, Phase::AwaitingApproval).await.status.unwrap();
    let warnings = status.preview.unwrap().warnings;
    assert!(warnings[0].contains("qemu/101 is named as protected"), "{warnings:?}");
    assert!(warnings[0].contains("only a warning by preset permissive"), "{warnings:?}");
    assert!(stage.sim.ledger().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_raises_the_risk_and_says_whose_approval_that_needs() {
    let stage = under(json!({
        "rules": [
            {"name": "not-alone", "when": "plan.target == 'qemu/101'", "raiseRiskTo": "high", "warn": "ask the owner"},
            {"name": "by-two", "when": "risk == 'high'", "approvals": [{"count": 1, "group": "dba"}, {"count": 1, "group": "net"}]},
        ],
    }))
    .await;
    let plan = stage.plan("start", "start_guest", "qemu/101", &json!({}));
    let status = stage.request(&plan, Phase::AwaitingApproval).await.status.unwrap();
    assert_eq!(status.risk, Some(Risk::High));
    assert_eq!(status.risk_reasons[1], "low -> high: rule not-alone");
    let approvals = status.approvals.unwrap();
    assert_eq!(approvals.required, 2);
    let groups: Vec<String> =
        approvals.groups.iter().map(|of| format!("{} {}", of.count, of.group)).collect();
    assert_eq!(groups, ["1 dba", "1 net"]);
    assert_eq!(status.preview.unwrap().warnings[0], "ask the owner (rule not-alone)");
    let decided = status.policy.unwrap();
    assert_eq!(decided.name.as_deref(), Some("house"));
    let by: Vec<String> = decided.decisions.into_iter().map(|one| one.by).collect();
    assert_eq!(by, ["rule not-alone", "preset balanced", "rule by-two", "preset balanced", "rule not-alone"]);
    assert!(stage.sim.ledger().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_that_denies_ends_the_plan_and_names_itself_and_its_revision() {
    let rule = json!({"name": "hands-off", "when": "'dns' == target.name || plan.target == 'qemu/101'", "deny": "it is the house's DNS"});
    let stage = under(json!({"preset": "permissive", "rules": [rule]})).await;
    let house = stage.api::<ProxmoxPolicy>().get("house").await.unwrap().metadata;
    let plan = stage.plan("start", "start_guest", "qemu/101", &json!({}));
    let status = stage.request(&plan, Phase::Denied).await.status.unwrap();
    assert_eq!(status.reason, "PolicyDenied");
    let revision = format!("{}/{}", house.uid.unwrap(), house.generation.unwrap());
    assert_eq!(
        status.message,
        format!("rule hands-off of policy house, revision {revision}: it is the house's DNS")
    );
    assert!(stage.sim.ledger().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_does_not_compile_says_so_and_its_plans_wait_until_it_is_mended() {
    let broken = json!({"rules": [{"name": "typo", "when": "target.naem == 'dns'", "deny": "no"}]});
    let stage = under(broken).await;
    let message = told(&stage, "house", "DoesNotCompile").await;
    assert!(message.contains("rule typo: `target` has no field `naem`"), "{message}");
    let plan = stage.plan("start", "start_guest", "qemu/101", &json!({}));
    stage.apply("requester", &plan).await;
    let blocked = |status: &PlanStatus| status.phase == Phase::Pending && status.reason == "PolicyInvalid";
    let status = stage.plan_when("start", "blocked", blocked).await.status.unwrap();
    assert!(status.message.contains("rule typo: `target` has no field `naem`"), "{}", status.message);
    assert!(stage.sim.ledger().is_empty());
    let mended = json!({"rules": [{"name": "typo", "when": "target.name == 'dns'", "deny": "no"}]});
    stage.apply_as_admin(&policy(&stage, "house", &mended)).await;
    told(&stage, "house", "Compiled").await;
    stage.plan_in("start", Phase::Succeeded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_breaks_stops_an_approved_plan_before_it_is_sent() {
    let stage = under(json!({})).await;
    let plan = stage.plan("delete", "delete_guest", "qemu/101", &json!({}));
    let plan = stage.request(&plan, Phase::AwaitingApproval).await;
    let broken = json!({"timeZone": "Europe/Wien"});
    stage.apply_as_admin(&policy(&stage, "house", &broken)).await;
    told(&stage, "house", "DoesNotCompile").await;
    let approved = stage.apply("approver", &stage.approval("mine", &plan, &json!({}))).await;
    taken(&approved);
    stage.plan_when("delete", "blocked", held("PolicyInvalid")).await;
    assert!(stage.sim.ledger().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_global_freeze_of_any_policy_holds_an_approved_plan_and_lets_it_go_afterwards() {
    let stage = Stage::new().await;
    stage
        .apply_as_admin(&policy(&stage, "ice", &json!({"globalFreeze": {"reason": "fire in the attic"}})))
        .await;
    let plan = stage.plan("delete", "delete_guest", "qemu/101", &json!({}));
    let plan = stage.request(&plan, Phase::AwaitingApproval).await;
    let warnings = plan.status.unwrap().preview.unwrap().warnings;
    assert_eq!(warnings[0], "frozen until it is taken away by globalFreeze of policy ice: fire in the attic");
    let approved = stage.approve("approver", &["delete", "--yes"]).await;
    taken(&approved);
    let status = stage.plan_when("delete", "frozen", held("Frozen")).await.status.unwrap();
    assert!(status.message.contains("fire in the attic"), "{}", status.message);
    let stalled = status.conditions.iter().find(|one| one.type_ == "Stalled").unwrap();
    assert_eq!(stalled.status, "False");
    assert!(stage.sim.ledger().is_empty());
    let gone = stage.kubectl("admin", &["delete", "pxpol", "ice"]).await;
    taken(&gone);
    stage.plan_in("delete", Phase::Succeeded).await;
    assert_eq!(stage.calls(), ["DELETE /nodes/pve1/qemu/101"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_wakes_up_by_itself_when_a_freeze_window_ends() {
    let frozen = |until: &str| json!({"freezeWindows": [{"name": "move", "until": until, "reason": "the rack is moved"}]});
    let stage = under(frozen("2999-01-01T00:00:00Z")).await;
    stage.apply("requester", &stage.plan("start", "start_guest", "qemu/101", &json!({}))).await;
    stage.plan_when("start", "frozen", held("Frozen")).await;
    // A whole second, as the status keeps times.
    let until = Timestamp::from_second(Timestamp::now().as_second() + 4).unwrap();
    stage.apply_as_admin(&policy(&stage, "house", &frozen(&until.to_string()))).await;
    let status = stage.plan_in("start", Phase::Succeeded).await.status.unwrap();
    assert!(status.intent.unwrap().at.0 >= until, "it was sent while it was frozen");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hourly_limit_holds_what_exceeds_it_until_there_is_room() {
    let limit = |changes: u32| json!({"policyKnobs": {"hourly": {"changes": changes}}});
    let stage = Stage::with(Setting { environment: limit(1), ..Setting::default() }).await;
    stage.request(&stage.plan("first", "start_guest", "qemu/101", &json!({})), Phase::Succeeded).await;
    stage.apply("requester", &stage.plan("second", "start_guest", "lxc/201", &json!({}))).await;
    let status = stage.plan_when("second", "held", held("HourlyLimitReached")).await.status.unwrap();
    assert!(status.message.contains("knob hourly.changes of environment home"), "{}", status.message);
    assert_eq!(stage.mutations().len(), 1);
    let read = stage.plan("read", "read_inventory", "inventory/all", &json!({}));
    stage.request(&read, Phase::Succeeded).await;
    stage.apply_as_admin(&stage.environment(&limit(2), None)).await;
    stage.plan_in("second", Phase::Succeeded).await;
    assert_eq!(stage.mutations().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_plans_that_race_for_the_last_one_of_the_hour_one_is_sent() {
    let environment = json!({"policyKnobs": {"hourly": {"changes": 1}}});
    let mut stage = Stage::without_operator(Setting { environment, ..Setting::default() }).await;
    for (name, target) in [("one", "qemu/101"), ("other", "lxc/201")] {
        let made = stage.apply("requester", &stage.plan(name, "start_guest", target, &json!({}))).await;
        taken(&made);
    }
    stage.start_operator();
    let is_held = held("HourlyLimitReached");
    until_async("one is sent and the other one held", async || {
        let (mut sent, mut waiting) = (0, 0);
        for name in ["one", "other"] {
            let plan: ProxmoxActionPlan = stage.api().get(name).await.unwrap();
            let status = plan.status.unwrap_or_default();
            sent += usize::from(status.phase == Phase::Succeeded);
            waiting += usize::from(is_held(&status));
        }
        (sent, waiting) == (1, 1)
    })
    .await;
    assert_eq!(stage.sim.ledger().len(), 1, "{:?}", stage.calls());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_makes_no_sense_is_refused_when_it_is_written() {
    let stage = Stage::without_operator(Setting::default()).await;
    let rule = |name: &str| json!({"name": name, "when": "true", "warn": "x"});
    for (spec, words) in [
        (json!({"rules": [{"name": "idle", "when": "true"}]}), "nothing follows from this rule"),
        (json!({"rules": [rule("twice"), rule("twice")]}), "rules have different names"),
        (
            json!({"freezeWindows": [{"name": "never", "from": "2026-01-02T00:00:00Z", "until": "2026-01-01T00:00:00Z"}]}),
            "this window would never be on",
        ),
        (json!({"knobs": {"approvals": {"high": 0}}}), "greater than or equal to 1"),
    ] {
        let refused = stage.apply("admin", &policy(&stage, "odd", &spec)).await;
        assert_ne!(refused.code, 0, "{spec}");
        assert!(refused.stderr.contains(words), "{}", refused.stderr);
    }
}

/// The API server takes a date that this program can't read: it is later than any that it knows.
#[tokio::test(flavor = "multi_thread")]
async fn a_freeze_that_can_not_be_read_is_none_that_is_over() {
    let stage = Stage::with(Setting { preset: Some("balanced"), ..Setting::default() }).await;
    let for_good = json!({"globalFreeze": {"reason": "for good", "until": "9999-12-31T23:59:59Z"}});
    stage.apply_as_admin(&policy(&stage, "beside", &for_good)).await;
    let plan = stage.plan("start", "start_guest", "qemu/101", &json!({}));
    stage.apply("requester", &plan).await;
    let is_blocked = |status: &PlanStatus| status.reason == "Malformed";
    let status = stage.plan_when("start", "blocked", is_blocked).await.status.unwrap();
    assert!(status.message.contains("beside"), "{}", status.message);
    assert!(stage.sim.ledger().is_empty());
}
