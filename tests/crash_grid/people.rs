//! Those who ask and those who approve.

use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::coordination::v1::Lease;
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
    runtime::{WatchStreamExt, watcher::watch_object},
};
use proxmox_agent::api::{Phase, PlanStatus, ProxmoxActionApproval, ProxmoxActionPlan};
use serde_json::{Value, json};

use crate::{
    classes::Class,
    support::{
        cluster::Cluster,
        manifests::{APPROVER, REQUESTER, with},
        patience::until_async,
    },
};

/// Longer than any pause that the operator makes. Only a run that fails takes so long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(150);

/// What every plan is called, so that all runs make the same calls.
pub(crate) const PLAN: &str = "p";

pub(crate) struct People {
    requester: Api<ProxmoxActionPlan>,
    approver: Api<ProxmoxActionApproval>,
    pub(crate) plans: Api<ProxmoxActionPlan>,
    pub(crate) approvals: Api<ProxmoxActionApproval>,
    leases: Api<Lease>,
}

impl People {
    pub(crate) async fn of(cluster: &Cluster, namespace: &str) -> Self {
        let admin = cluster.client("admin").await;
        Self {
            requester: Api::namespaced(cluster.client("requester").await, namespace),
            approver: Api::namespaced(cluster.client("approver").await, namespace),
            plans: Api::namespaced(admin.clone(), namespace),
            approvals: Api::namespaced(admin.clone(), namespace),
            leases: Api::namespaced(admin, namespace),
        }
    }

    pub(crate) async fn ask(&self, class: &Class) -> ProxmoxActionPlan {
        self.ask_with(class, &json!({})).await
    }

    /// With `more` in the plan's spec.
    pub(crate) async fn ask_with(&self, class: &Class, more: &Value) -> ProxmoxActionPlan {
        let spec = json!({"action": class.action, "target": class.target, "params": class.params, "dryRun": class.dry_run});
        self.ask_for(PLAN, &with(spec, more)).await
    }

    pub(crate) async fn ask_for(&self, name: &str, what: &Value) -> ProxmoxActionPlan {
        let plan = json!({
            "apiVersion": "proxmox-agent.io/v1alpha1", "kind": "ProxmoxActionPlan", "metadata": {"name": name},
            "spec": with(json!({"environment": "home", "requestedBy": REQUESTER}), what),
        });
        let plan = serde_json::from_value(plan).unwrap();
        self.requester.create(&PostParams::default(), &plan).await.unwrap()
    }

    pub(crate) async fn approve(&self, name: &str, plan: &ProxmoxActionPlan) {
        self.decide(name, plan, &json!({"decision": "Approve"})).await;
    }

    /// Says what is to become of an attempt whose outcome is unknown.
    pub(crate) async fn decide_about(&self, attempt: i64, decision: &str) {
        let plan = self.plans.get(PLAN).await.unwrap();
        let name = format!("{PLAN}-about-{attempt}");
        self.decide(&name, &plan, &json!({"decision": decision, "attempt": attempt})).await;
    }

    async fn decide(&self, name: &str, plan: &ProxmoxActionPlan, decision: &Value) {
        let status = plan.status.clone().unwrap_or_default();
        let spec = json!({
            "planRef": {"name": plan.name_any(), "uid": plan.uid()}, "planHash": status.plan_hash,
            "approved_by": APPROVER, "environment": "home", "risk": status.risk,
            "expiresAt": "2999-01-01T00:00:00Z",
        });
        let approval = json!({
            "apiVersion": "proxmox-agent.io/v1alpha1", "kind": "ProxmoxActionApproval", "metadata": {"name": name},
            "spec": with(spec, decision),
        });
        let approval = serde_json::from_value(approval).unwrap();
        // The API server may be in trouble, too.
        until_async("it can be approved", async || {
            match self.approver.create(&PostParams::default(), &approval).await {
                Ok(_) => true,
                // It was approved before an operator died, or the answer was lost.
                Err(kube::Error::Api(status)) if status.is_already_exists() => true,
                Err(error) => {
                    println!("{name}: {error}");
                    false
                }
            }
        })
        .await;
    }

    pub(crate) async fn bring_to_an_end(&self) -> Result<(), String> {
        self.bring_plan_to_an_end(PLAN).await
    }

    pub(crate) async fn bring_plan_to_an_end(&self, name: &str) -> Result<(), String> {
        self.bring_plan_to(name, |status| status.phase.is_terminal()).await
    }

    /// Approves what waits for it, until the plan has come to this.
    pub(crate) async fn bring_plan_to(
        &self,
        name: &str,
        has_ended: impl Fn(&PlanStatus) -> bool,
    ) -> Result<(), String> {
        let mut looks = watch_object(self.plans.clone(), name).default_backoff().boxed();
        let mut approved: Option<String> = None;
        let mut last = None;
        let following = async {
            while let Some(look) = looks.next().await {
                let Ok(Some(plan)) = look else { continue };
                let status = plan.status.clone().unwrap_or_default();
                if has_ended(&status) {
                    return Some(());
                }
                if status.phase == Phase::AwaitingApproval && approved != status.plan_hash {
                    approved.clone_from(&status.plan_hash);
                    let hash = status.plan_hash.clone().unwrap_or_default();
                    let tail = &hash[hash.len() - 8..];
                    self.approve(&format!("{name}-{tail}"), &plan).await;
                }
                last = Some(plan);
            }
            None
        };
        let ended = tokio::time::timeout(PATIENCE, following).await.ok().flatten();
        ended.ok_or_else(|| format!("it has not ended: {:?}", last.map(|plan| plan.status)))
    }

    /// Takes everything away, for the next run.
    pub(crate) async fn clear(&self) {
        for lease in self.leases.list(&ListParams::default()).await.unwrap() {
            let _ = self.leases.delete(&lease.name_any(), &DeleteParams::default()).await;
        }
        for plan in self.plans.list(&ListParams::default()).await.unwrap() {
            let name = plan.name_any();
            let free = json!({"metadata": {"finalizers": null}});
            let _ = self.plans.patch(&name, &PatchParams::default(), &Patch::Merge(&free)).await;
            let _ = self.plans.delete(&name, &DeleteParams::default()).await;
        }
        for approval in self.approvals.list(&ListParams::default()).await.unwrap() {
            let _ = self.approvals.delete(&approval.name_any(), &DeleteParams::default()).await;
        }
    }
}
