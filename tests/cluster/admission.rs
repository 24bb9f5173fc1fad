//! What the API server lets nobody write, with real users and real roles, and what it lets them.

use proxmox_agent::api::{ApprovalVerdict, Phase, ProxmoxActionApproval, ProxmoxActionPlan};
use serde_json::{Value, json};

use crate::support::{
    chart::{ARGOCD, OPERATOR, give_roles},
    cluster::{Outcome, taken},
    stage::{Setting, Stage},
};

const AUTOMATION: &str = "system:serviceaccount:automation:nightly";
/// Kubernetes' own role for everything. Bound in a namespace it lets its holder write whatever admission does not refuse.
const EVERYTHING: &str = "cluster-admin";

/// By the policy of this name, and with this message.
fn refused_by(outcome: &Outcome, policy: &str, message: &str) {
    assert_ne!(outcome.code, 0, "it was taken: {}", outcome.stdout);
    assert!(
        outcome.stderr.contains(&format!("ValidatingAdmissionPolicy 'proxmox-agent-{policy}'"))
            && outcome.stderr.contains(message),
        "`{message}` is missing in: {}",
        outcome.stderr
    );
}

/// A critical plan that waits.
async fn waiting(stage: &Stage) -> ProxmoxActionPlan {
    let plan = stage.plan("delete", "delete_guest", "qemu/101", &json!({}));
    stage.request(&plan, Phase::AwaitingApproval).await
}

async fn patched(stage: &Stage, who: &str, what: &str, more: &[&str], patch: &Value) -> Outcome {
    let patch = patch.to_string();
    stage.kubectl(who, &[&["patch", what, "--type=merge", "-p", &patch], more].concat()).await
}

async fn refused_however_it_is_written(stage: &Stage, who: &str, yaml: &str, policy: &str, message: &str) {
    let nameless = nameless(yaml);
    for (yaml, how) in [
        (yaml, &["create", "-f", "-"][..]),
        (&nameless, &["create", "-f", "-"]),
        (yaml, &["apply", "-f", "-"]),
        (yaml, &["create", "--dry-run=server", "-f", "-"]),
    ] {
        refused_by(&stage.cluster.kubectl_reading(yaml, who, how).await, policy, message);
    }
}

/// An object without its name, to be given one by the API server.
fn nameless(yaml: &str) -> String {
    let mut object: Value = serde_json::from_str(yaml).unwrap();
    object["metadata"].as_object_mut().unwrap().remove("name");
    object["metadata"]["generateName"] = json!("any-");
    object.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_is_its_writers_own_and_within_their_rights() {
    let stage = Stage::new().await;
    let plan = waiting(&stage).await;
    for user in ["outsider@example.test", "low-approver@example.test"] {
        stage.give(user, "proxmox-agent-approver-low").await;
    }
    for user in [ARGOCD, AUTOMATION, OPERATOR] {
        stage.give(user, EVERYTHING).await;
    }
    let lacks = |user: &str, verb: &str, risk: &str| {
        format!(
            "{user} lacks the verb {verb} on proxmoxenvironments/{risk} named home in namespace {}",
            stage.namespace
        )
    };
    let reserved = format!("source: git is reserved for the git syncers ({ARGOCD})");
    for (who, change, message) in [
        (
            "approver",
            json!({"approved_by": "second-approver@example.test"}),
            "approved_by must be approver@example.test, the authenticated user, not second-approver@example.test"
                .to_owned(),
        ),
        ("admin", json!({}), "approved_by must be admin, the authenticated user".to_owned()),
        (
            "outsider",
            json!({"approved_by": "outsider@example.test"}),
            lacks("outsider@example.test", "approve", "critical"),
        ),
        (
            "low-approver",
            json!({"approved_by": "low-approver@example.test"}),
            lacks("low-approver@example.test", "approve", "critical"),
        ),
        (
            "low-approver",
            json!({"approved_by": "low-approver@example.test", "decision": "Deny"}),
            lacks("low-approver@example.test", "deny", "critical"),
        ),
        (
            "approver",
            json!({"approverGroups": ["approvers", "platform"]}),
            "approverGroups names platform, but approver@example.test is only in approvers".to_owned(),
        ),
        ("approver", json!({"source": "git"}), reserved.clone()),
        ("admin", json!({"approved_by": "admin", "source": "git"}), reserved),
        ("argocd", json!({}), format!("{ARGOCD} is a git syncer and approves nothing by itself")),
        ("argocd", json!({"approved_by": ARGOCD}), "approves nothing by itself".to_owned()),
        ("automation", json!({"approved_by": AUTOMATION}), format!("only people approve, and {AUTOMATION} is none")),
        ("automation", json!({}), "only people approve".to_owned()),
        ("operator", json!({"approved_by": OPERATOR}), "only people approve".to_owned()),
        ("operator", json!({}), "only people approve".to_owned()),
    ] {
        let yaml = stage.approval("forged", &plan, &change);
        refused_however_it_is_written(&stage, who, &yaml, "approvals", &message).await;
    }
    assert!(stage.api::<ProxmoxActionApproval>().list(&Default::default()).await.unwrap().items.is_empty());
    assert!(stage.sim.ledger().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_create_no_approval_at_all_is_stopped_by_the_roles_alone() {
    let stage = Stage::new().await;
    let plan = waiting(&stage).await;
    for who in ["operator", "requester", "auditor", "argocd", "automation", "outsider"] {
        let refused = stage.apply(who, &stage.approval("no", &plan, &json!({}))).await;
        assert!(
            refused.stderr.contains("cannot create resource \"proxmoxactionapprovals\""),
            "{}",
            refused.stderr
        );
    }
    assert!(stage.sim.ledger().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_right_ends_at_its_namespace_and_at_its_environment() {
    let stage = Stage::new().await;
    let plan = waiting(&stage).await;
    let elsewhere = stage.approval("elsewhere", &plan, &json!({"environment": "cloud"}));
    let message = "lacks the verb approve on proxmoxenvironments/critical named cloud";
    refused_by(&stage.apply("approver", &elsewhere).await, "approvals", message);
    // In another namespace it needs other roles, whether there is such an environment or not.
    let other = stage.cluster.namespace().await;
    let there = stage.approval("there", &plan, &json!({})).replace(&stage.namespace, &other);
    let refused = stage.apply("approver", &there).await;
    assert!(
        refused.stderr.contains("cannot create resource \"proxmoxactionapprovals\""),
        "{}",
        refused.stderr
    );
    give_roles(&stage.cluster, &[&other]).await;
    taken(&stage.apply("approver", &there).await);
    assert!(stage.sim.ledger().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_only_say_no_says_no_and_who_may_only_say_yes_says_yes() {
    let mut stage = Stage::new().await;
    let plan = waiting(&stage).await;
    stage.kill_operator().await;
    for (who, verb) in [("outsider", "deny"), ("auditor", "approve")] {
        let rules = json!([
            {"apiGroups": ["proxmox-agent.io"], "resources": ["proxmoxactionapprovals"], "verbs": ["create"]},
            {"apiGroups": ["proxmox-agent.io"], "resources": ["proxmoxenvironments/critical"], "verbs": [verb]},
        ]);
        let metadata = json!({"name": format!("only-{verb}"), "namespace": stage.namespace});
        let group = "rbac.authorization.k8s.io";
        let role = json!({"apiVersion": format!("{group}/v1"), "kind": "Role", "metadata": metadata, "rules": rules});
        let binding = json!({
            "apiVersion": format!("{group}/v1"), "kind": "RoleBinding", "metadata": metadata,
            "roleRef": {"apiGroup": group, "kind": "Role", "name": format!("only-{verb}")},
            "subjects": [{"apiGroup": group, "kind": "User", "name": format!("{who}@example.test")}],
        });
        for object in [role, binding] {
            stage.apply_as_admin(&object.to_string()).await;
        }
        let says = |decision: &str| {
            let change = json!({"approved_by": format!("{who}@example.test"), "decision": decision});
            nameless(&stage.approval("word", &plan, &change))
        };
        let (may, may_not, lacks) =
            if verb == "deny" { ("Deny", "Approve", "approve") } else { ("Approve", "Deny", "deny") };
        taken(&stage.apply(who, &says(may)).await);
        let message = format!("{who}@example.test lacks the verb {lacks} on proxmoxenvironments/critical");
        refused_by(&stage.apply(who, &says(may_not)).await, "approvals", &message);
    }
    assert!(stage.sim.ledger().is_empty());
}

/// Admission can't look into the plan: the operator does.
#[tokio::test(flavor = "multi_thread")]
async fn a_high_risk_that_is_called_low_by_an_approver_for_low_is_approved_by_nobody() {
    let stage = Stage::new().await;
    let plan = waiting(&stage).await;
    let called_low = json!({"approved_by": "low-approver@example.test", "risk": "low"});
    taken(&stage.apply("low-approver", &stage.approval("low", &plan, &called_low)).await);
    let status = stage.answered("low").await.status.unwrap();
    assert_eq!((status.verdict, status.reason.as_str()), (Some(ApprovalVerdict::Refused), "OtherRisk"));
    let audit = std::fs::read_to_string(stage.cluster.dir().join("audit.log")).unwrap();
    let annotation = r#""proxmox-agent-approvals/approver":"low-approver@example.test uid=uid-low-approver""#;
    assert!(audit.contains(annotation), "the API server's own log does not say who it was");
    assert_eq!(
        stage.plan_in("delete", Phase::AwaitingApproval).await.status.unwrap().approvals.unwrap().progress,
        "0/1"
    );
    assert!(stage.sim.ledger().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_the_approver_is_in_is_spoken_for() {
    let stage = Stage::new().await;
    let plan = waiting(&stage).await;
    let change = json!({"approved_by": "second-approver@example.test", "approverGroups": ["platform"]});
    taken(&stage.apply("second-approver", &stage.approval("platform", &plan, &change)).await);
    let done = stage.plan_in("delete", Phase::Succeeded).await.status.unwrap().approvals.unwrap();
    assert_eq!(done.granted[0].groups, ["platform"]);
    assert_eq!(stage.calls().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_is_asked_for_by_who_writes_it_and_by_nobody_else() {
    let stage = Stage::new().await;
    for user in [ARGOCD, AUTOMATION] {
        stage.give(user, "proxmox-agent-requester").await;
    }
    let must_be = |user: &str| format!("requestedBy must be {user}, the authenticated user, not ");
    for (who, change, message) in [
        ("requester", json!({"requestedBy": "approver@example.test"}), must_be("requester@example.test")),
        ("admin", json!({}), must_be("admin")),
        ("automation", json!({}), must_be(AUTOMATION)),
        (
            "requester",
            json!({"source": "git", "notAfter": "2999-01-01T00:00:00Z"}),
            "source: git is reserved for the git syncers".to_owned(),
        ),
        (
            "argocd",
            json!({}),
            "what a git syncer brings in the name of another has to say source: git".to_owned(),
        ),
    ] {
        let yaml = stage.plan("forged", "start_guest", "qemu/101", &change);
        refused_however_it_is_written(&stage, who, &yaml, "plans", &message).await;
    }
    assert!(stage.api::<ProxmoxActionPlan>().list(&Default::default()).await.unwrap().items.is_empty());
    assert!(stage.sim.ledger().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_ask_in_their_own_name_and_a_syncer_brings_what_others_ask_for() {
    let stage = Stage::new().await;
    for user in [ARGOCD, AUTOMATION] {
        stage.give(user, "proxmox-agent-requester").await;
    }
    let own = |user: &str| json!({"requestedBy": user, "dryRun": true});
    taken(
        &stage.apply("automation", &stage.plan("nightly", "start_guest", "qemu/101", &own(AUTOMATION))).await,
    );
    taken(&stage.apply("argocd", &stage.plan("synced", "start_guest", "qemu/101", &own(ARGOCD))).await);
    for name in ["nightly", "synced"] {
        stage.plan_in(name, Phase::Succeeded).await;
    }
    let brought = json!({"source": "git", "dryRun": true, "notAfter": "2999-01-01T00:00:00Z"});
    taken(&stage.apply("argocd", &stage.plan("brought", "start_guest", "qemu/101", &brought)).await);
    assert!(stage.sim.ledger().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_roles_of_a_syncer_nobody_approves_and_nobody_else_brings_what_others_ask_for() {
    let stage = Stage::new().await;
    let plan = waiting(&stage).await;
    for user in [ARGOCD, "outsider@example.test"] {
        stage.give(user, "proxmox-agent-plan-syncer").await;
        stage.give(user, "proxmox-agent-approval-syncer").await;
    }
    let by_git = json!({"source": "git"});
    let asked_by_git = json!({"source": "git", "notAfter": "2999-01-01T00:00:00Z"});
    let own = json!({"approved_by": "outsider@example.test"});
    for (who, change, message) in [
        ("argocd", json!({}), "a git syncer and approves nothing by itself"),
        ("argocd", json!({"approved_by": ARGOCD}), "a git syncer and approves nothing by itself"),
        ("outsider", by_git.clone(), "source: git is reserved for the git syncers"),
        ("outsider", own, "lacks the verb approve on proxmoxenvironments/critical"),
    ] {
        refused_by(&stage.apply(who, &stage.approval("forged", &plan, &change)).await, "approvals", message);
    }
    for (who, change, message) in [
        ("argocd", json!({}), "has to say source: git"),
        ("outsider", asked_by_git.clone(), "source: git is reserved for the git syncers"),
        ("outsider", json!({}), "nobody asks in the name of another"),
    ] {
        let forged = stage.plan("forged", "start_guest", "qemu/101", &change);
        refused_by(&stage.apply(who, &forged).await, "plans", message);
    }
    let brought = stage.approval("brought", &plan, &by_git);
    taken(&stage.apply("argocd", &brought).await);
    assert_eq!(stage.answered("brought").await.status.unwrap().reason, "GitNotConfigured");
    taken(&stage.apply("argocd", &stage.plan("asked", "start_guest", "qemu/101", &asked_by_git)).await);
    // What a syncer does besides: it marks what is its own, and tidies up.
    taken(&stage.kubectl("argocd", &["label", "pxa", "brought", "app=infra"]).await);
    taken(&stage.kubectl("argocd", &["delete", "pxa", "brought"]).await);
    taken(&stage.kubectl("argocd", &["delete", "plan", "asked"]).await);
    assert!(stage.sim.ledger().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_stays_and_what_says_nothing_may_change() {
    let mut stage = Stage::new().await;
    let plan = waiting(&stage).await;
    stage.kill_operator().await;
    for user in
        ["approver@example.test", "second-approver@example.test", "requester@example.test", AUTOMATION]
    {
        stage.give(user, EVERYTHING).await;
    }
    let approval = stage.approval("mine", &plan, &json!({}));
    let apply = ["apply", "-f", "-"];
    for _ in 0..2 {
        taken(&stage.cluster.kubectl_reading(&approval, "approver", &apply).await);
    }
    for (what, spec, why) in [
        ("pxa/mine", json!({"approved_by": "second-approver@example.test"}), "approvals are immutable"),
        ("pxa/mine", json!({"approverGroups": ["platform"]}), "approvals are immutable"),
        ("pxa/mine", json!({"source": "git"}), "approvals are immutable"),
        ("plan/delete", json!({"requestedBy": "second-approver@example.test"}), "spec is immutable"),
        ("plan/delete", json!({"source": "git"}), "spec is immutable"),
    ] {
        for who in ["approver", "second-approver", "admin"] {
            let refused = patched(&stage, who, what, &[], &json!({"spec": spec})).await;
            assert!(refused.stderr.contains(why), "{}", refused.stderr);
        }
    }
    // Whoever cleans up, and whoever hangs a label on it, is not asked who they are.
    for patch in [
        json!({"metadata": {"labels": {"colour": "red"}}}),
        json!({"metadata": {"finalizers": ["example.test/keep"]}}),
        json!({"metadata": {"finalizers": null}}),
    ] {
        for what in ["pxa/mine", "plan/delete"] {
            taken(&patched(&stage, "automation", what, &[], &patch).await);
        }
    }
    taken(&stage.cluster.kubectl_reading(&approval, "approver", &apply).await);
    assert!(stage.sim.ledger().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_operator_writes_status_whatever_the_roles_of_others() {
    let mut stage = Stage::with(Setting { preset: Some("balanced"), ..Setting::default() }).await;
    let plan = waiting(&stage).await;
    let stale = json!({"planHash": format!("sha256:{}", "0".repeat(64))});
    taken(&stage.apply("approver", &stage.approval("refused", &plan, &stale)).await);
    stage.answered("refused").await;
    // It has nothing more to say, and is not there to correct what others write.
    stage.kill_operator().await;
    let before = stage.plan_in("delete", Phase::AwaitingApproval).await.status;
    stage.give("approver@example.test", EVERYTHING).await;
    stage.give(AUTOMATION, EVERYTHING).await;
    let message = format!("only the operator, {OPERATOR}, writes status, not ");
    for (what, status) in [
        ("plan/delete", json!({"phase": "Approved"})),
        ("pxa/refused", json!({"verdict": "Counted", "reason": "Counted"})),
        ("pxe/home", json!({"admission": {"revision": "sha256:0", "since": "2020-01-01T00:00:00Z"}})),
        ("pxpol/house", json!({"observedGeneration": 1})),
    ] {
        for who in ["approver", "automation", "admin"] {
            let status = json!({"status": status});
            let refused = patched(&stage, who, what, &["--subresource=status"], &status).await;
            refused_by(&refused, "status", &message);
            // Beside the spec it is simply not taken.
            patched(&stage, who, what, &[], &status).await;
        }
    }
    assert_eq!(stage.plan_in("delete", Phase::AwaitingApproval).await.status, before);
    assert_eq!(stage.answered("refused").await.status.unwrap().reason, "OtherPlanHash");
    assert!(stage.sim.ledger().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_no_is_taken_back_only_by_who_has_said_it() {
    let mut stage = Stage::new().await;
    let plan = waiting(&stage).await;
    stage.kill_operator().await;
    taken(&stage.apply("approver", &stage.approval("no", &plan, &json!({"decision": "Deny"}))).await);
    taken(&stage.apply("approver", &stage.approval("yes", &plan, &json!({}))).await);
    let message =
        "only approver@example.test, who has denied, takes it back, not second-approver@example.test";
    refused_by(&stage.kubectl("second-approver", &["delete", "pxa", "no"]).await, "revocations", message);
    refused_by(&stage.kubectl("second-approver", &["delete", "pxa", "--all"]).await, "revocations", message);
    // A yes goes whoever of the approvers takes it away: that only makes things safer.
    assert!(stage.api::<ProxmoxActionApproval>().get_opt("yes").await.unwrap().is_none());
    stage.start_operator();
    assert_eq!(stage.plan_in("delete", Phase::Denied).await.status.unwrap().reason, "DeniedByApprover");
    taken(&stage.kubectl("approver", &["delete", "pxa", "no"]).await);
    // Who may remove the environment may tidy up.
    taken(&stage.apply("approver", &stage.approval("again", &plan, &json!({"decision": "Deny"}))).await);
    taken(&stage.kubectl("admin", &["delete", "pxa", "again"]).await);
    assert!(stage.sim.ledger().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_no_that_came_by_git_goes_by_git_also_for_who_has_said_it() {
    let mut stage = Stage::new().await;
    let plan = waiting(&stage).await;
    stage.kill_operator().await;
    // Of those who may create and delete approvals at all, and may not remove the environment.
    stage.give(ARGOCD, "proxmox-agent-approver-low").await;
    let no = stage.approval("no", &plan, &json!({"decision": "Deny", "source": "git"}));
    taken(&stage.apply("argocd", &no).await);
    for who in ["approver", "second-approver"] {
        let refused = stage.kubectl(who, &["delete", "pxa", "no"]).await;
        refused_by(
            &refused,
            "revocations",
            &format!(
                "this denial came by git: whoever has denied takes it out of the repository, and {who}@example.test"
            ),
        );
    }
    taken(&stage.kubectl("argocd", &["delete", "pxa", "no"]).await);
    assert!(stage.sim.ledger().is_empty());
}
