//! What the API server itself refuses, whoever asks.

use proxmox_agent::api::Phase;
use serde_json::{Value, json};

use crate::support::{
    cluster::{Outcome, taken},
    stage::{Setting, Stage},
};

async fn patched(stage: &Stage, what: &str, patch: &Value) -> Outcome {
    stage.kubectl("admin", &["patch", what, "--type=merge", "-p", &patch.to_string()]).await
}

async fn status_patched(stage: &Stage, what: &str, status: &Value) -> Outcome {
    let patch = json!({"status": status}).to_string();
    stage.kubectl("operator", &["patch", what, "--subresource=status", "--type=merge", "-p", &patch]).await
}

fn refused(outcome: &Outcome, why: &str) {
    assert_ne!(outcome.code, 0, "{}", outcome.stdout);
    assert!(outcome.stderr.contains(why), "{}", outcome.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_spec_ever_changes_not_even_a_parameter() {
    let stage = Stage::without_operator(Setting::default()).await;
    let params = json!({"params": {"timeout": 60, "forceStop": true}});
    stage.apply("requester", &stage.plan("p", "shutdown_guest", "qemu/100", &params)).await;
    for change in [
        json!({"target": "qemu/101"}),
        json!({"params": {"timeout": 61}}),
        json!({"params": {"timeout": "60"}}),
        json!({"params": {"forceStop": null}}),
        json!({"params": {"more": 1}}),
        json!({"dryRun": true}),
        json!({"notAfter": "2999-01-01T00:00:00Z"}),
    ] {
        refused(&patched(&stage, "plan/p", &json!({"spec": change})).await, "spec is immutable");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_never_changes() {
    let mut stage = Stage::new().await;
    let plan = stage.plan("p", "delete_guest", "qemu/101", &json!({}));
    let plan = stage.request(&plan, Phase::AwaitingApproval).await;
    stage.kill_operator().await;
    stage.apply("approver", &stage.approval("a", &plan, &json!({"expiresAt": "2020-01-01T00:00:00Z"}))).await;
    for change in
        [json!({"expiresAt": "2999-01-01T00:00:00Z"}), json!({"approved_by": "other"}), json!({"attempt": 1})]
    {
        refused(&patched(&stage, "pxa/a", &json!({"spec": change})).await, "approvals are immutable");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_status_only_moves_forward_and_back_only_while_nothing_is_announced() {
    let stage = Stage::without_operator(Setting::default()).await;
    stage.apply("requester", &stage.plan("p", "start_guest", "qemu/101", &json!({}))).await;
    let hash = |digit: char| format!("sha256:{}", digit.to_string().repeat(64));
    let intent = json!({
        "attempt": 1, "nonce": "n", "node": "pve1", "taskId": "101", "taskTypes": ["qmstart"], "sender": "a@pve!t",
        "nodeTime": "2026-01-01T00:00:00Z", "at": "2026-01-01T00:00:00Z", "settlesAt": "2026-01-01T00:00:00Z",
    });
    let upid = "UPID:pve1:00001619:00062D39:6B00EAFE:qmstart:101:a@pve!t:";
    let accepted = async |status: Value| {
        let outcome = status_patched(&stage, "plan/p", &status).await;
        taken(&outcome);
    };
    accepted(json!({"phase": "AwaitingApproval", "planHash": hash('a')})).await;
    refused(&status_patched(&stage, "plan/p", &json!({"phase": "Pending"})).await, "never go back");
    accepted(json!({"planHash": hash('b')})).await;
    refused(&status_patched(&stage, "plan/p", &json!({"planHash": null})).await, "planHash only changes");
    refused(&status_patched(&stage, "plan/p", &json!({"phase": "Dispatching"})).await, "without an intent");
    refused(&status_patched(&stage, "plan/p", &json!({"phase": "Lost"})).await, "Unsupported value");
    accepted(json!({"phase": "Approved"})).await;
    refused(&status_patched(&stage, "plan/p", &json!({"phase": "Pending"})).await, "never go back");
    accepted(json!({"phase": "AwaitingApproval", "planHash": hash('c')})).await;
    accepted(json!({"phase": "Approved"})).await;
    let announced = json!({"intent": intent, "attempts": 1});
    refused(&status_patched(&stage, "plan/p", &announced).await, "nothing waits any more");
    let judged_anew = json!({"phase": "Dispatching", "intent": intent, "attempts": 1, "planHash": hash('b')});
    refused(&status_patched(&stage, "plan/p", &judged_anew).await, "planHash only changes");
    accepted(json!({"phase": "Dispatching", "intent": intent, "attempts": 1})).await;
    refused(
        &status_patched(&stage, "plan/p", &json!({"planHash": hash('b')})).await,
        "planHash only changes",
    );
    let taken_back =
        json!({"phase": "AwaitingApproval", "planHash": hash('b'), "intent": null, "attempts": 0});
    refused(&status_patched(&stage, "plan/p", &taken_back).await, "only the outcome can follow");
    refused(&status_patched(&stage, "plan/p", &json!({"attempts": 0})).await, "only count up");
    refused(&status_patched(&stage, "plan/p", &json!({"attempts": 3})).await, "only count up");
    refused(
        &status_patched(&stage, "plan/p", &json!({"phase": "Denied"})).await,
        "only the outcome can follow",
    );
    accepted(json!({"phase": "Running", "upid": upid})).await;
    refused(
        &status_patched(&stage, "plan/p", &json!({"upid": upid.replace("101", "102")})).await,
        "write-once",
    );
    refused(
        &status_patched(&stage, "plan/p", &json!({"phase": "Dispatching"})).await,
        "only the outcome can follow",
    );
    accepted(json!({"phase": "Succeeded"})).await;
    refused(&status_patched(&stage, "plan/p", &json!({"phase": "Failed"})).await, "status is final");
    refused(&status_patched(&stage, "plan/p", &json!({"message": "rewritten"})).await, "status is final");
}

#[tokio::test(flavor = "multi_thread")]
async fn production_never_goes_without_verified_tls() {
    let stage = Stage::without_operator(Setting::default()).await;
    let insecure =
        |tier: &str| stage.environment(&json!({"tier": tier, "tls": {"insecureSkipVerify": true}}), None);
    let refusal =
        stage.cluster.kubectl_reading(&insecure("production"), "admin", &["apply", "-f", "-"]).await;
    refused(&refusal, "insecureSkipVerify is refused where tier is production");
    stage.apply_as_admin(&insecure("lab")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn plans_can_be_selected_by_what_they_are_about() {
    let stage = Stage::new().await;
    stage.request(&stage.plan("one", "start_guest", "qemu/101", &json!({})), Phase::Succeeded).await;
    stage.request(&stage.plan("two", "delete_guest", "lxc/201", &json!({})), Phase::AwaitingApproval).await;
    for (selector, expected) in [
        ("status.phase=AwaitingApproval", "two"),
        ("spec.action=start_guest", "one"),
        ("spec.target=lxc/201", "two"),
    ] {
        let found =
            stage.kubectl("auditor", &["get", "plan", "--field-selector", selector, "-o", "name"]).await;
        assert_eq!(found.stdout.trim(), format!("proxmoxactionplan.proxmox-agent.io/{expected}"));
    }
    let table = stage.kubectl("auditor", &["get", "proxmox"]).await.stdout;
    assert!(table.contains("start_guest") && table.contains("critical") && table.contains("0/1"), "{table}");
}
