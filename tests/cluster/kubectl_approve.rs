//! `kubectl approve`, as people and scripts use it.

use jiff::{SignedDuration, Timestamp};
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use proxmox_agent::api::{Phase, ProxmoxActionApproval, ProxmoxActionPlan};
use serde_json::{Value, json};

use crate::support::{
    cluster::Outcome,
    stage::{Setting, Stage},
    terminal::Terminal,
};

/// A plan of critical risk that waits.
pub(crate) async fn deletion(stage: &Stage, name: &str) -> ProxmoxActionPlan {
    stage.request(&stage.plan(name, "delete_guest", "qemu/101", &json!({})), Phase::AwaitingApproval).await
}

/// What the operator writes when it has judged a plan of critical risk.
pub(crate) async fn judged(stage: &Stage, name: &str, approvals: Value) {
    let plans: Api<ProxmoxActionPlan> =
        Api::namespaced(stage.cluster.client("operator").await, &stage.namespace);
    let hash = format!("sha256:{}", "0".repeat(64));
    let status = json!({"status": {
        "phase": "AwaitingApproval", "risk": "critical", "planHash": hash, "approvals": approvals,
    }});
    plans.patch_status(name, &PatchParams::default(), &Patch::Merge(&status)).await.unwrap();
}

pub(crate) async fn approvals(stage: &Stage) -> Vec<ProxmoxActionApproval> {
    stage.api().list(&Default::default()).await.unwrap().items
}

fn one_line(outcome: &Outcome) -> &str {
    let text = outcome.stderr.trim_end();
    assert!(text.starts_with("error: ") && !text.contains('\n'), "{outcome:?}");
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn the_exit_code_says_what_became_of_it() {
    let stage = Stage::new().await;
    deletion(&stage, "delete").await;
    let nowhere = stage.plan("refused", "delete_guest", "qemu/999", &json!({}));
    stage.request(&nowhere, Phase::Denied).await;
    for (who, args, code, says) in [
        ("approver", &["refused", "--yes"][..], 5, "does not wait for approval: it is Denied"),
        ("approver", &["nothing", "--yes"], 1, "there is no plan `nothing`"),
        ("approver", &["delete"], 3, "there is nobody to ask"),
        ("auditor", &["delete", "--yes"], 4, "cannot create resource \"proxmoxactionapprovals\""),
        ("auditor", &["delete", "--dry-run=server"], 4, "cannot create resource"),
        ("outsider", &["delete", "--yes"], 4, "cannot get resource \"proxmoxactionplans\""),
    ] {
        let ended = stage.approve(who, args).await;
        assert_eq!(ended.code, code, "{args:?}: {ended:?}");
        assert!(one_line(&ended).contains(says), "{ended:?}");
    }
    assert!(approvals(&stage).await.is_empty());
    assert_eq!(stage.approve("approver", &["delete", "--deny", "--yes"]).await.code, 0);
    stage.plan_in("delete", Phase::Denied).await;
    let late = stage.approve("approver", &["plan/delete", "--yes"]).await;
    assert_eq!(late.code, 5);
    assert!(one_line(&late).contains("does not wait for approval: it is Denied"), "{late:?}");
    assert!(stage.sim.ledger().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_usage_is_told_before_anybody_is_asked() {
    let stage = Stage::without_operator(Setting::default()).await;
    let long = "x".repeat(1025);
    for (args, says) in [
        (&["delete", "--expires-in", "0s"][..], "a minute at least"),
        (&["delete", "--expires-in=-1h"], "a minute at least"),
        (&["delete", "--expires-in", "9999d"], "a year at most"),
        (&["delete", "--expires-in", "soon"], "30m, 2h or 7d"),
        (&["delete", "--reason", &long], "1024 are kept"),
        (&["delete", "--by", "somebody"], "--git"),
        (&["delete", "--git", "--dry-run=client"], "cannot be used with"),
        (&["secret/delete"], "give NAME or plan/NAME"),
        (&["delete", "list"], "does not belong to this command"),
        (&["--deny", "list"], "does not belong to this command"),
        (&[], "which plan?"),
        (&[""], "which plan?"),
    ] {
        let ended = stage.approve("approver", args).await;
        assert_eq!(ended.code, 2, "{args:?}: {ended:?}");
        assert!(ended.stderr.contains(says), "{args:?}: {ended:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_server_that_is_away_is_an_error_and_no_refusal() {
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = folder.path().join("config");
    std::fs::write(
        &kubeconfig,
        "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters: [{name: c, cluster: {server: 'https://127.0.0.1:1'}}]\n\
         users: [{name: u, user: {token: t}}]\ncontexts: [{name: c, context: {cluster: c, user: u}}]\n",
    )
    .unwrap();
    let approve = |args: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_kubectl-approve"));
        let output = command.args(args).env("KUBECONFIG", &kubeconfig).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, stderr) = approve(&["delete", "--yes"]);
    assert_eq!(code, Some(1));
    assert!(stderr.contains("kubectl cluster-info"), "{stderr}");
    let (code, stderr) = approve(&["delete", "--context", "elsewhere"]);
    assert_eq!(code, Some(1));
    assert!(stderr.contains("elsewhere") && stderr.contains("kubectl config get-contexts"), "{stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_lost_for_good_takes_its_name_and_not_a_reflex() {
    let stage = Stage::new().await;
    deletion(&stage, "delete").await;
    for typed in ["yes\n", "\n", "no\n", "\u{4}"] {
        let mut terminal = stage.approve_at_terminal("approver", &["delete"]);
        terminal.shows("Approve this as approver@example.test? Type delete: ");
        terminal.types(typed);
        let (code, screen) = terminal.ends();
        assert_eq!(code, 3, "{typed:?}: {screen}");
        assert!(screen.contains("nothing was created"), "{screen}");
    }
    assert!(approvals(&stage).await.is_empty());
    let mut terminal = stage.approve_at_terminal("approver", &["delete", "--reason", "checked"]);
    terminal.shows("Type delete: ");
    terminal.types("delete\n");
    let (code, screen) = terminal.ends();
    assert_eq!(code, 0, "{screen}");
    stage.plan_in("delete", Phase::Succeeded).await;
    assert_eq!(stage.calls(), ["DELETE /nodes/pve1/qemu/101"]);
    assert_eq!(approvals(&stage).await[0].spec.reason, "checked");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_no_takes_a_yes_only() {
    let stage = Stage::new().await;
    deletion(&stage, "delete").await;
    let mut terminal = stage.approve_at_terminal("approver", &["delete", "--deny"]);
    terminal.shows("Deny this as approver@example.test? Type yes: ");
    terminal.types("yes\n");
    assert_eq!(terminal.ends().0, 0);
    stage.plan_in("delete", Phase::Denied).await;
    assert!(stage.sim.ledger().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn colours_are_for_a_terminal_and_for_nobody_who_does_not_want_them() {
    let stage = Stage::new().await;
    deletion(&stage, "delete").await;
    let args = ["delete", "--dry-run=client"];
    let (_, screen) = stage.approve_at_terminal("approver", &args).ends();
    assert!(screen.contains("\u{1b}[1;31mcritical\u{1b}[0m"), "{screen:?}");
    let mut without = stage.approving("approver", &args);
    without.env("NO_COLOR", "1");
    let (_, screen) = Terminal::with(without).ends();
    assert!(screen.contains("critical") && !screen.contains('\u{1b}'), "{screen:?}");
    let piped = stage.approve("approver", &["delete", "--dry-run=client"]).await;
    assert!(piped.stdout.contains("critical") && !piped.stdout.contains('\u{1b}'), "{piped:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_writer_of_a_plan_hides_is_seen() {
    let stage = Stage::new().await;
    let reason = json!({"reason": "keep \u{202e}gnihton\u{202c} \u{1b}[8m of it"});
    let plan = stage.plan("delete", "delete_guest", "qemu/101", &reason);
    stage.request(&plan, Phase::AwaitingApproval).await;
    let shown = stage.approve("approver", &["delete", "--dry-run=client"]).await.stdout;
    assert!(shown.contains("keep <U+202E>gnihton<U+202C> <U+001B>[8m of it"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_that_changes_while_it_is_read_is_not_approved() {
    let stage = Stage::new().await;
    let before = deletion(&stage, "delete").await.status.unwrap().plan_hash;
    let mut terminal = stage.approve_at_terminal("approver", &["delete"]);
    terminal.shows("Type delete: ");
    assert_eq!(stage.kubectl("admin", &["delete", "plan", "delete"]).await.code, 0);
    let again = deletion(&stage, "delete").await.status.unwrap().plan_hash;
    assert_eq!(again, before, "only the UID tells them apart");
    terminal.types("delete\n");
    let (code, screen) = terminal.ends();
    assert_eq!(code, 5, "{screen}");
    assert!(screen.contains("has changed since it was shown"), "{screen}");
    assert!(approvals(&stage).await.is_empty());
    assert!(stage.sim.ledger().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_can_not_succeed_is_told_before_reading() {
    let stage = Stage::new().await;
    deletion(&stage, "delete").await;
    for (who, says) in [
        ("auditor", "auditor@example.test may not create approvals"),
        ("requester", "requester@example.test may not create approvals"),
        ("low-approver", "lacks the verb approve on proxmoxenvironments/critical named home"),
    ] {
        let (code, screen) = stage.approve_at_terminal(who, &["delete"]).ends();
        assert_eq!(code, 4, "{screen}");
        assert!(screen.contains(says) && !screen.contains("Type"), "{screen}");
    }
    // Who is not asked leaves it to the API server.
    let refused = stage.approve("low-approver", &["delete", "--yes"]).await;
    assert_eq!(refused.code, 4, "{refused:?}");
    assert!(one_line(&refused).contains("a role of proxmox-agent-approver-critical has it"), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_claims_the_groups_that_are_asked_for_and_no_others() {
    let stage = Stage::without_operator(Setting::default()).await;
    let plan = stage.plan("delete", "delete_guest", "qemu/101", &json!({}));
    assert_eq!(stage.apply("requester", &plan).await.code, 0);
    let early = stage.approve("approver", &["delete", "--yes"]).await;
    assert_eq!(early.code, 5, "{early:?}");
    assert!(one_line(&early).contains("is not judged yet"), "{early:?}");
    let groups = json!([{"group": "platform", "count": 1}, {"group": "storage", "count": 1}]);
    judged(&stage, "delete", json!({"required": 2, "progress": "0/2", "groups": groups})).await;
    for (who, claimed) in [("approver", &[][..]), ("second-approver", &["platform"])] {
        let created = stage.approve(who, &["delete", "--yes", "-o", "json"]).await;
        let approval: ProxmoxActionApproval = serde_json::from_str(&created.stdout).unwrap();
        assert_eq!(approval.spec.approver_groups, claimed);
        let is_told = created.stderr.contains("adds nothing: it waits for 1 of group");
        assert_eq!(is_told, claimed.is_empty(), "{}", created.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_operator_will_refuse_is_said_beforehand() {
    let stage = Stage::new().await;
    let own = stage.plan("own", "delete_guest", "qemu/101", &json!({"requestedBy": "admin"}));
    assert_eq!(stage.apply("admin", &own).await.code, 0);
    stage.plan_in("own", Phase::AwaitingApproval).await;
    let asked = stage.approve("admin", &["own", "--dry-run=client"]).await;
    assert!(asked.stdout.contains("note: admin asked for this plan"), "{asked:?}");
    let denied = stage.approve("admin", &["own", "--deny", "--dry-run=client"]).await;
    assert!(!denied.stdout.contains("note:"), "{denied:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_has_approved_already_is_told_so() {
    let stage = Stage::new().await;
    let later = json!({"notBefore": "2999-01-01T00:00:00Z"});
    let plan = stage.plan("delete", "delete_guest", "qemu/101", &later);
    stage.request(&plan, Phase::AwaitingApproval).await;
    assert_eq!(stage.approve("approver", &["delete", "--yes"]).await.code, 0);
    stage.plan_in("delete", Phase::Approved).await;
    let again = stage.approve("approver", &["delete", "--dry-run=client"]).await;
    assert!(
        again.stdout.contains("note: approver@example.test has approved it already (delete-"),
        "{again:?}"
    );
    let other = stage.approve("second-approver", &["delete", "--dry-run=client"]).await;
    assert!(other.stdout.contains("note: it has all approvals that it needs"), "{other:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_gets_the_object_and_nothing_else() {
    let stage = Stage::new().await;
    let later = json!({"notBefore": "2999-01-01T00:00:00Z"});
    let plan = stage.plan("delete", "delete_guest", "qemu/101", &later);
    let plan = stage.request(&plan, Phase::AwaitingApproval).await;
    let sent = stage.approve("approver", &["delete", "--dry-run=client", "-o", "yaml"]).await;
    assert!(sent.stderr.contains("Plan ") && !sent.stdout.contains("Plan "), "{sent:?}");
    assert!(approvals(&stage).await.is_empty());
    assert_eq!(stage.apply("approver", &sent.stdout).await.code, 0, "{}", sent.stdout);
    stage.plan_in("delete", Phase::Approved).await;
    let judged = stage.approve("approver", &["delete", "--dry-run=server", "-o", "json"]).await;
    let object: Value = serde_json::from_str(&judged.stdout).unwrap();
    assert_eq!(object["spec"]["planRef"]["uid"], plan.metadata.uid.unwrap());
    assert!(object["metadata"]["creationTimestamp"].is_string(), "the API server has not seen it");
    assert_eq!(approvals(&stage).await.len(), 1, "a dry run has left something behind");
    let named = stage.approve("approver", &["delete", "--yes", "-o", "name"]).await.stdout;
    let name = named.trim_end().strip_prefix("proxmoxactionapproval.proxmox-agent.io/").unwrap();
    assert!(approvals(&stage).await.iter().any(|approval| approval.metadata.name.as_deref() == Some(name)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decision_counts_as_long_as_was_said() {
    let stage = Stage::new().await;
    deletion(&stage, "delete").await;
    for (given, minutes) in
        [(&["--expires-in", "90m"][..], 90), (&[], 24 * 60), (&["--expires-in=7d"], 7 * 24 * 60)]
    {
        let lifetime = SignedDuration::from_mins(minutes);
        let args = [&["delete", "--dry-run=client", "-oyaml"], given].concat();
        let earliest = Timestamp::now() + lifetime - SignedDuration::from_secs(1);
        let printed = stage.approve("approver", &args).await.stdout;
        let latest = Timestamp::now() + lifetime;
        let approval: ProxmoxActionApproval = serde_saphyr::from_str(&printed).unwrap();
        let ends = approval.spec.expires_at.unwrap().0;
        assert!((earliest..=latest).contains(&ends), "{given:?}: {ends}");
    }
}
