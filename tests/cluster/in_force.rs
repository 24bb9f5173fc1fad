//! What came in while the admission policies were not in force never counts, also when they are back.

use std::sync::Arc;

use jiff::SignedDuration;
use proxmox_agent::{
    api::{EnvironmentStatus, Phase, PlanStatus, ProxmoxEnvironment},
    audit::AuditFolder,
    controllers,
    core::{admission::proof, approval::Proof},
    git::GitRepositories,
    ports::{Ports, Store},
    pve::Proxmox,
    store::kube::{KubeSecrets, KubeStore},
    system::Alone,
};
use serde_json::{Value, json};

use crate::support::{
    chart::expected_policies,
    cluster::{Cluster, taken},
    home::Skewed,
    patience::until_async,
    stage::{Setting, Stage},
};

const POLICY: &str = "validatingadmissionpolicy/proxmox-agent-approvals";
const BINDING: &str = "validatingadmissionpolicybinding/proxmox-agent-approvals";

/// A way to get round the policies, and how an administrator puts them back.
struct Tampering {
    how: Vec<String>,
    /// `apply` leaves alone what somebody has added to a list.
    put_back: &'static str,
    /// What the operator says about it.
    problem: &'static str,
    /// Whether something false gets in meanwhile.
    lets_in: bool,
}

fn deleting(what: &str, problem: &'static str) -> Tampering {
    let how = ["delete", what].map(str::to_owned).into();
    Tampering { how, put_back: "apply", problem, lets_in: true }
}

fn patching(what: &str, patch: &Value, problem: &'static str) -> Tampering {
    let how = ["patch", what, "--type=json", "-p", &patch.to_string()].map(str::to_owned).into();
    Tampering { how, put_back: "replace", problem, lets_in: true }
}

fn tamperings() -> Vec<Tampering> {
    let replace = |path: &str, value: Value| json!([{"op": "replace", "path": path, "value": value}]);
    let not_me =
        json!({"name": "not-me", "expression": "request.userInfo.username != 'approver@example.test'"});
    let excluded = json!([{"op": "add", "path": "/spec/matchConditions/-", "value": not_me}]);
    vec![
        deleting(POLICY, "ValidatingAdmissionPolicy proxmox-agent-approvals is missing"),
        deleting(BINDING, "ValidatingAdmissionPolicyBinding proxmox-agent-approvals is missing"),
        patching(
            BINDING,
            &replace("/spec/validationActions", json!(["Warn"])),
            "ValidatingAdmissionPolicyBinding proxmox-agent-approvals is changed: spec.validationActions",
        ),
        Tampering {
            lets_in: false,
            ..patching(
                POLICY,
                &replace("/spec/failurePolicy", json!("Ignore")),
                "is changed: spec.failurePolicy is \"Ignore\", not \"Fail\"",
            )
        },
        patching(
            POLICY,
            &replace("/spec/validations/3/expression", json!("true")),
            "is changed: spec.validations[3].expression is \"true\"",
        ),
        patching(POLICY, &excluded, "is changed: spec.matchConditions"),
    ]
}

/// On a control plane of its own: the policies are there for everybody.
async fn alone() -> Stage {
    let cluster = Some(Arc::new(Cluster::start()));
    Stage::with(Setting { cluster, ..Setting::default() }).await
}

async fn administer(stage: &Stage, args: &[&str], input: &str) {
    let done = stage.cluster.kubectl_reading(input, "admin", args).await;
    taken(&done);
}

async fn tamper(stage: &Stage, tampering: &Tampering) {
    let how: Vec<&str> = tampering.how.iter().map(String::as_str).collect();
    administer(stage, &how, "").await;
}

async fn put_back(stage: &Stage, how: &str) {
    let part = ["--show-only", "templates/admission.yaml"];
    let rendered = stage.cluster.rendered(&json!({}), &part).await;
    administer(stage, &[how, "-f", "-"], &rendered).await;
}

async fn environment(stage: &Stage) -> EnvironmentStatus {
    stage.api::<ProxmoxEnvironment>().get("home").await.unwrap().status.unwrap_or_default()
}

/// Waits until what is written from now on counts, by the operator's record and the API server's clock.
async fn in_force(stage: &Stage) {
    let store = KubeStore::new(stage.admin.clone(), None, Some(expected_policies()));
    until_async("approvals count again", async || {
        let record = environment(stage).await.admission;
        let admission = store.admission().await.unwrap();
        match proof(&admission, record.as_ref()) {
            Proof::Admission { since } => {
                record.is_some() && store.time(&stage.namespace).await.unwrap() > since
            }
            _ => false,
        }
    })
    .await;
}

/// An approval in another's name, as soon as the API server takes it; an honest one where it never will.
async fn approve_meanwhile(stage: &Stage, plan: &str, tampering: &Tampering) {
    let forged = json!({"approved_by": "second-approver@example.test"});
    let change = if tampering.lets_in { forged } else { json!({}) };
    let waiting = stage.plan_in(plan, Phase::AwaitingApproval).await;
    let approval = stage.approval(plan, &waiting, &change);
    until_async("it is taken", async || stage.apply("approver", &approval).await.code == 0).await;
}

fn not_in_force(status: &PlanStatus) -> bool {
    status.reason == "AdmissionNotInForce"
}

/// A critical plan that waits, asked for while all is well.
async fn request(stage: &Stage, name: &str) {
    stage.request(&stage.plan(name, "delete_guest", "qemu/101", &json!({})), Phase::AwaitingApproval).await;
}

/// Nobody knows any more who has asked for it.
async fn ends_unproven(stage: &Stage, plan: &str) {
    let status = stage.plan_in(plan, Phase::Cancelled).await.status.unwrap();
    assert_eq!(status.reason, "RequesterNotProven", "{}", status.message);
    let answer = stage.answered(plan).await.status.unwrap();
    assert_ne!(answer.reason, "Counted");
    assert!(stage.sim.ledger().is_empty(), "{:?}", stage.calls());
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_comes_in_while_the_policies_are_missing_unbound_or_changed_is_never_honoured() {
    let stage = alone().await;
    for (number, tampering) in tamperings().iter().enumerate() {
        in_force(&stage).await;
        let plan = format!("watched-{number}");
        request(&stage, &plan).await;
        tamper(&stage, tampering).await;
        // At once, without anything else that would draw attention to the plan.
        let status = stage.plan_when(&plan, "told", not_in_force).await.status.unwrap();
        assert!(status.message.contains(tampering.problem), "{}", status.message);
        approve_meanwhile(&stage, &plan, tampering).await;
        until_async("the environment says it too", async || {
            let status = environment(&stage).await;
            status.admission.is_none() && status.approvals.contains(tampering.problem)
        })
        .await;
        put_back(&stage, tampering.put_back).await;
        ends_unproven(&stage, &plan).await;
    }

    // After all of it, what is true counts.
    in_force(&stage).await;
    request(&stage, "honest").await;
    let approved = stage.approve("approver", &["honest", "--yes"]).await;
    taken(&approved);
    stage.plan_in("honest", Phase::Succeeded).await;
    assert_eq!(stage.calls(), ["DELETE /nodes/pve1/qemu/101"]);
    let events =
        stage.kubectl("admin", &["get", "events.events.k8s.io", "-o", "jsonpath={.items[*].reason}"]).await;
    for reason in ["AdmissionNotInForce", "AdmissionInForce"] {
        assert!(events.stdout.contains(reason), "{}", events.stdout);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_it_is_honoured_either_when_the_operator_was_away_meanwhile() {
    let mut stage = alone().await;
    for (number, tampering) in tamperings().iter().enumerate().filter(|(number, _)| [0, 2].contains(number)) {
        in_force(&stage).await;
        let plan = format!("unwatched-{number}");
        request(&stage, &plan).await;
        stage.kill_operator().await;
        tamper(&stage, tampering).await;
        approve_meanwhile(&stage, &plan, tampering).await;
        put_back(&stage, tampering.put_back).await;
        stage.start_operator();
        ends_unproven(&stage, &plan).await;
    }

    the_clock_of_the_operator_does_not_matter(&mut stage).await;
    the_owner_may_do_without_them_and_it_shows(&mut stage).await;
}

/// It is an hour ahead, and sees policies that were put back: it goes by the clock that dates approvals.
async fn the_clock_of_the_operator_does_not_matter(stage: &mut Stage) {
    stage.kill_operator().await;
    for validation_action in ["Warn", "Deny"] {
        let actions = json!([validation_action, "Audit"]);
        let patch =
            json!([{"op": "replace", "path": "/spec/validationActions", "value": actions}]).to_string();
        administer(stage, &["patch", BINDING, "--type=json", "-p", &patch], "").await;
    }
    let client = stage.cluster.client("operator").await;
    let namespace = Some(stage.namespace.clone());
    let store = KubeStore::new(client.clone(), namespace, Some(expected_policies()));
    let clock = Arc::new(Skewed::default());
    clock.set(SignedDuration::from_hours(1));
    let folder = tempfile::tempdir().unwrap();
    let ports = Ports {
        store: store.clone(),
        hypervisors: Proxmox::default(),
        secrets: Arc::new(KubeSecrets::new(client)),
        repositories: Arc::new(GitRepositories::new(folder.path().join("git"), clock.clone())),
        audit: Arc::new(AuditFolder::open(&folder.path().join("audit"), "test", &*clock).unwrap()),
        leadership: Arc::new(Alone),
        clock,
    };
    let before = store.time(&stage.namespace).await.unwrap();
    controllers::settle(ports).await;
    let after = store.time(&stage.namespace).await.unwrap();
    let since = environment(stage).await.admission.unwrap().since.0;
    assert!(before <= since && since <= after, "{before} {since} {after}");
    stage.start_operator();
}

/// On the same control plane, for nobody else could use it any more.
async fn the_owner_may_do_without_them_and_it_shows(stage: &mut Stage) {
    stage.kill_operator().await;
    for what in [POLICY, BINDING] {
        administer(stage, &["delete", what], "").await;
    }
    stage.start_operator_with(&["--without-admission-policies"]);
    until_async("the environment says so", async || {
        let status = environment(stage).await;
        status.admission.is_none() && status.approvals.contains("the right to create approvals")
    })
    .await;
    stage
        .request(&stage.plan("waived", "delete_guest", "lxc/201", &json!({})), Phase::AwaitingApproval)
        .await;
    let waiting = stage.plan_in("waived", Phase::AwaitingApproval).await;
    let in_anothers_name = json!({"approved_by": "second-approver@example.test"});
    let approval = stage.approval("waived", &waiting, &in_anothers_name);
    until_async("it is taken", async || stage.apply("approver", &approval).await.code == 0).await;
    let proof = stage.plan_in("waived", Phase::Succeeded).await.status.unwrap().approvals.unwrap().proof;
    assert!(proof.contains("the right to create approvals"), "{proof}");
    assert!(stage.log().contains("--without-admission-policies"));
}
