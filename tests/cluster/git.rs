//! Plans and approvals by git, brought by Argo CD's account and believed by their signed commits.

use proxmox_agent::api::{ApprovalStatus, Phase, PlanStatus, ProxmoxActionPlan};
use serde_json::{Value, json};

use crate::support::{
    chart::ARGOCD,
    cluster::taken,
    git::{Key, Workshop},
    manifests::{APPROVER, REQUESTER, with},
    stage::{Setting, Stage},
};

struct Story {
    stage: Stage,
    workshop: Workshop,
    requester: Key,
    approver: Key,
}

impl Story {
    async fn begin() -> Self {
        Self::under("balanced").await
    }

    async fn under(preset: &'static str) -> Self {
        let workshop = Workshop::new();
        let requester = workshop.ssh_key("requester", "ed25519");
        let approver = workshop.openpgp_key("approver", "never", None);
        let trust = json!({
            "repository": workshop.url(), "path": "plans",
            "signers": [workshop.signer(REQUESTER, &[&requester]), workshop.signer(APPROVER, &[&approver])],
        });
        let environment = json!({"git": trust, "tier": "production"});
        let stage = Stage::with(Setting { environment, preset: Some(preset), ..Setting::default() }).await;
        stage.give(ARGOCD, "proxmox-agent-plan-syncer").await;
        stage.give(ARGOCD, "proxmox-agent-approval-syncer").await;
        Self { stage, workshop, requester, approver }
    }

    /// Commits a file, and applies what it holds as Argo CD does.
    async fn sync(&self, file: &str, text: &str, signed_by: Option<&Key>) -> String {
        let commit = self.workshop.bring(&format!("plans/{file}.yaml"), text, signed_by);
        let applied = self.stage.apply("argocd", text).await;
        taken(&applied);
        commit
    }

    fn plan(&self, more: &Value) -> String {
        let by_git = json!({"source": "git", "notAfter": "2999-01-01T00:00:00Z"});
        self.stage.plan("delete", "delete_guest", "qemu/101", &with(by_git, more))
    }

    /// A plan that its requester has signed, waiting for approval.
    async fn waiting(&self, more: &Value) -> (ProxmoxActionPlan, String) {
        let commit = self.sync("delete", &self.plan(more), Some(&self.requester)).await;
        (self.stage.plan_in("delete", Phase::AwaitingApproval).await, commit)
    }

    fn approval(&self, name: &str, plan: &ProxmoxActionPlan) -> String {
        self.stage.approval(name, plan, &json!({"source": "git"}))
    }

    async fn answer(&self, name: &str) -> ApprovalStatus {
        self.stage.answered(name).await.status.unwrap()
    }

    async fn ended(&self, phase: Phase) -> PlanStatus {
        self.stage.plan_in("delete", phase).await.status.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_argo_cd_brings_is_done_once_when_requester_and_approver_have_signed_for_it() {
    let story = Story::begin().await;
    let (plan, asked) = story.waiting(&json!({})).await;
    let provenance = plan.status.as_ref().unwrap().provenance.clone().unwrap();
    assert_eq!((provenance.commit.as_str(), provenance.signer.as_str()), (asked.as_str(), REQUESTER));
    let approved = story.sync("yes", &story.approval("yes", &plan), Some(&story.approver)).await;
    let status = story.ended(Phase::Succeeded).await;
    assert_eq!(status.plan_hash, plan.status.unwrap().plan_hash, "committing the approval changed nothing");
    assert_eq!(status.provenance.unwrap().commit, asked);
    assert_eq!(story.stage.calls().len(), 1);
    let answer = story.answer("yes").await;
    assert_eq!(answer.reason, "Counted", "{}", answer.message);
    let provenance = answer.provenance.unwrap();
    assert_eq!((provenance.commit.as_str(), provenance.signer.as_str()), (approved.as_str(), APPROVER));
    let intent = story.stage.audit().into_iter().find(|line| line["event"] == "intent").unwrap();
    let signers: Vec<&Value> =
        intent["fromGit"].as_array().unwrap().iter().map(|from| &from["signer"]).collect();
    assert_eq!(signers, [REQUESTER, APPROVER]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_that_argo_cd_brings_counts_for_nothing_unless_its_approver_has_signed() {
    let story = Story::begin().await;
    let (plan, _) = story.waiting(&json!({})).await;
    let stranger = story.workshop.ssh_key("stranger", "ed25519");
    for (name, signed_by, reason) in [
        ("unsigned", None, "Unsigned"),
        ("unknown", Some(&stranger), "UnknownSigner"),
        ("another", Some(&story.requester), "SignerIsNotApprover"),
    ] {
        story.sync(name, &story.approval(name, &plan), signed_by).await;
        let answer = story.answer(name).await;
        assert_eq!(answer.reason, reason, "{}", answer.message);
        assert_eq!(answer.provenance.unwrap().verdict, reason);
    }
    let applied = story.stage.apply("argocd", &story.approval("nowhere", &plan)).await;
    taken(&applied);
    assert_eq!(story.answer("nowhere").await.reason, "NotInGit");
    story.ended(Phase::AwaitingApproval).await;
    assert!(story.stage.sim.ledger().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_that_argo_cd_brings_is_denied_unless_its_requester_has_signed() {
    for (signs, reason) in [(false, "Unsigned"), (true, "SignerIsNotRequester")] {
        let story = Story::begin().await;
        story.sync("delete", &story.plan(&json!({})), signs.then_some(&story.approver)).await;
        let status = story.ended(Phase::Denied).await;
        assert_eq!(status.reason, reason, "{}", status.message);
        assert!(story.stage.sim.ledger().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_requester_does_not_approve_by_git_what_they_have_asked_for() {
    let story = Story::begin().await;
    let (plan, _) = story.waiting(&json!({})).await;
    let own = story.stage.approval("own", &plan, &json!({"source": "git", "approved_by": REQUESTER}));
    story.sync("own", &own, Some(&story.requester)).await;
    assert_eq!(story.answer("own").await.reason, "OwnPlan");
    assert!(story.stage.sim.ledger().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_whose_commit_was_replaced_is_cancelled_when_the_last_approval_comes() {
    let story = Story::under("strict").await;
    story.workshop.bring("first.yaml", "a: 1\n", None);
    let (_, asked) = story.waiting(&json!({})).await;
    taken(&story.stage.approve("approver", &["delete", "--yes"]).await);
    // The same file, signed by the same person, but not by the commit that was believed.
    story.workshop.amend(Some(&story.requester));
    story.workshop.push();
    taken(&story.stage.approve("second-approver", &["delete", "--yes"]).await);
    let status = story.ended(Phase::Cancelled).await;
    assert_eq!(status.reason, "HistoryRewritten", "{}", status.message);
    assert_eq!(status.provenance.unwrap().commit, asked, "what was believed stays on record");
    assert!(story.stage.sim.ledger().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_whose_commit_was_replaced_no_longer_counts() {
    let story = Story::under("strict").await;
    let (plan, _) = story.waiting(&json!({})).await;
    story.sync("yes", &story.approval("yes", &plan), Some(&story.approver)).await;
    assert_eq!(story.answer("yes").await.reason, "Counted");
    story.workshop.amend(Some(&story.approver));
    story.workshop.push();
    taken(&story.stage.approve("second-approver", &["delete", "--yes"]).await);
    let rewritten = ["wait", "pxa/yes", "--for=jsonpath={.status.reason}=HistoryRewritten", "--timeout=30s"];
    taken(&story.stage.kubectl("auditor", &rewritten).await);
    let only_the_other = |status: &PlanStatus| {
        let granted = status.approvals.as_ref().map(|approvals| &approvals.granted[..]).unwrap_or_default();
        matches!(granted, [one] if one.approved_by == "second-approver@example.test")
    };
    let plan = story.stage.plan_when("delete", "approved by the other alone", only_the_other).await;
    assert_eq!(plan.status.unwrap().phase, Phase::AwaitingApproval);
    assert!(story.stage.sim.ledger().is_empty());
}
