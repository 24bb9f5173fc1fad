//! A plan and its approval by git, in a home that trusts the repository.

use jiff::{SignedDuration, Timestamp};
use proxmox_agent::{
    api::{ApprovalStatus, Phase, PlanStatus, ProxmoxActionApproval, ProxmoxActionPlan, Tier},
    ports::{Key as Name, Store},
    pve::sim::{Options, Simulator, World},
};
use serde_json::{Value, json};

use crate::support::{
    git::{Key, Workshop},
    home::Home,
    manifests::{manifest, with},
    proxmox::executed,
};

/// A home of tier production whose environment trusts a workshop, where alice asks and bob approves.
pub(crate) struct Story {
    pub(crate) home: Home,
    pub(crate) sim: Simulator,
    pub(crate) workshop: Workshop,
    pub(crate) alice: Key,
    pub(crate) bob: Key,
}

pub(crate) fn plan_spec(more: &Value) -> Value {
    let spec = json!({
        "environment": "home", "action": "delete_guest", "target": "qemu/101", "requestedBy": "alice",
        "source": "git", "notAfter": "2999-01-01T00:00:00Z",
    });
    with(spec, more)
}

impl Story {
    pub(crate) async fn begin() -> Self {
        let workshop = Workshop::new();
        let [alice, bob] = ["alice", "bob"].map(|name| workshop.ssh_key(name, "ed25519"));
        let options = Options { world: World::sample(), ..Options::default() };
        let sim = Simulator::start(options).await.unwrap();
        let trust = json!({
            "repository": workshop.url(),
            "signers": [workshop.signer("alice", &[&alice]), workshop.signer("bob", &[&bob])],
        });
        let home = Home::before(&sim, &environment(&sim, &trust));
        Self { home, sim, workshop, alice, bob }
    }

    /// With an approved plan that waits for its time.
    pub(crate) async fn approved_and_waiting() -> Self {
        let story = Self::begin().await;
        let soon = Timestamp::now() + SignedDuration::from_hours(1);
        story.workshop.bring("first.yaml", "a: 1\n", None);
        story.plan(&json!({"notBefore": soon.to_string()}), Some(&story.alice));
        story.settled().await;
        story.approval(&json!({}), Some(&story.bob)).await;
        let status = story.settled().await;
        assert_stands(&status, Phase::Approved, "NotBefore");
        story
    }

    pub(crate) fn trust(&self, trust: &Value) {
        self.home.environment("home", &[self.sim.url().to_owned()], &environment(&self.sim, trust));
    }

    /// In the repository and in the home, as a syncer keeps it.
    pub(crate) fn plan(&self, more: &Value, signed_by: Option<&Key>) -> String {
        let spec = plan_spec(more);
        self.home.write("ProxmoxActionPlan", "p", &spec);
        self.workshop.bring("plans/p.yaml", &manifest("ProxmoxActionPlan", "p", &spec), signed_by)
    }

    pub(crate) async fn read_plan(&self) -> ProxmoxActionPlan {
        self.home.ports.store.get(&Name::new("default", "p")).await.unwrap().unwrap()
    }

    pub(crate) async fn approval_spec(&self, more: &Value) -> Value {
        let plan = self.read_plan().await;
        let status = plan.status.unwrap();
        let spec = json!({
            "planRef": {"name": "p", "uid": plan.metadata.uid}, "planHash": status.plan_hash, "risk": status.risk,
            "decision": "Approve", "approved_by": "bob", "environment": "home", "source": "git",
            "expiresAt": "2999-01-01T00:00:00Z",
        });
        with(spec, more)
    }

    pub(crate) async fn approval(&self, more: &Value, signed_by: Option<&Key>) -> String {
        let spec = self.approval_spec(more).await;
        self.home.write("ProxmoxActionApproval", "a", &spec);
        self.workshop.bring("approvals/a.yaml", &manifest("ProxmoxActionApproval", "a", &spec), signed_by)
    }

    /// One pass, and how the plan stands then.
    pub(crate) async fn settled(&self) -> PlanStatus {
        self.home.settle().await.remove(0).1
    }

    pub(crate) async fn answer(&self) -> ApprovalStatus {
        let key = Name::new("default", "a");
        let approval: ProxmoxActionApproval = self.home.ports.store.get(&key).await.unwrap().unwrap();
        approval.status.unwrap()
    }

    pub(crate) fn executed(&self) -> usize {
        executed(&self.sim)
    }
}

fn environment(sim: &Simulator, trust: &Value) -> Value {
    json!({
        "tls": {"fingerprint": sim.fingerprint()}, "tier": Tier::Production, "requestTimeoutSeconds": 1,
        "git": trust,
    })
}

#[track_caller]
pub(crate) fn assert_stands(status: &PlanStatus, phase: Phase, reason: &str) {
    assert_eq!((status.phase, status.reason.as_str()), (phase, reason), "{}", status.message);
}
