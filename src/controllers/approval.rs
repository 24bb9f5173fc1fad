//! Answers every approval: does it count, and if not, why not. Decides nothing about the plan.

use jiff::Timestamp;
use kube::ResourceExt;

use crate::{
    api::{
        ApprovalStatus, ApprovalVerdict, ProxmoxActionApproval, ProxmoxActionPlan, ProxmoxEnvironment, READY,
        RECONCILING, STALLED, Tier, set_condition,
    },
    core::{
        approval::{Bench, Verdict, verdict},
        audit::{AuditEvent, AuditRecord},
        lifecycle,
    },
    ports::{Hypervisors, Key, Notice, Ports, Severity, Store},
};

use super::Error;

/// Looks at an approval. Returns when it ends, if its end would change the answer.
pub(super) async fn reconcile<S: Store, H: Hypervisors>(
    ports: &Ports<S, H>,
    key: &Key,
) -> Result<Option<Timestamp>, Error> {
    let Some(approval) = ports.store.get::<ProxmoxActionApproval>(key).await? else { return Ok(None) };
    if approval.metadata.deletion_timestamp.is_some() {
        return Ok(None);
    }
    let plan_key = Key::new(&key.namespace, &approval.spec.plan_ref.name);
    let plan = ports.store.get::<ProxmoxActionPlan>(&plan_key).await?;
    let found = judge(ports, &approval, plan.as_ref()).await?;
    let wake_at = found.until.filter(|_| found.verdict == Some(ApprovalVerdict::Counted));
    report(ports, approval, plan, found).await?;
    Ok(wake_at)
}

async fn judge<S: Store, H: Hypervisors>(
    ports: &Ports<S, H>,
    approval: &ProxmoxActionApproval,
    plan: Option<&ProxmoxActionPlan>,
) -> Result<Verdict, Error> {
    let Some(plan) = plan else {
        return Ok(Verdict::open(
            "PlanNotFound",
            "spec.planRef.name: there is no such plan in this namespace",
        ));
    };
    let judged = plan.status.as_ref().and_then(lifecycle::judged);
    let Some(judged) = judged else {
        return Ok(Verdict::open("PlanNotJudged", "the plan is not judged yet"));
    };
    let environment = Key::new(&plan.namespace().unwrap_or_default(), &plan.spec.environment);
    let environment = ports.store.get::<ProxmoxEnvironment>(&environment).await?;
    let bench = Bench {
        plan: &plan.metadata,
        requested_by: &plan.spec.requested_by,
        environment: &plan.spec.environment,
        tier: environment.map_or(Tier::Production, |environment| environment.spec.tier),
        judged: &judged,
        proof: ports.store.approval_proof(),
        now: ports.clock.now(),
    };
    Ok(verdict(approval, plan.status.as_ref(), bench))
}

async fn report<S: Store, H: Hypervisors>(
    ports: &Ports<S, H>,
    mut approval: ProxmoxActionApproval,
    plan: Option<ProxmoxActionPlan>,
    found: Verdict,
) -> Result<(), Error> {
    let status = status(&approval, &found, ports.clock.now());
    if approval.status.as_ref() == Some(&status) {
        return Ok(());
    }
    let refused = found.verdict == Some(ApprovalVerdict::Refused);
    if refused {
        super::append(ports, record(&approval, plan.as_ref(), &found, ports.clock.now())).await?;
    }
    approval.status = Some(status);
    let approval = ports.store.replace_status(&approval).await?;
    if refused {
        let message = format!("approval {}: {}", approval.name_any(), found.message);
        let notice =
            Notice { severity: Severity::Warning, reason: format!("Approval{}", found.reason), message };
        if let Some(plan) = &plan {
            ports.store.publish(plan, notice.clone()).await;
        }
        ports.store.publish(&approval, notice).await;
    }
    Ok(())
}

fn status(approval: &ProxmoxActionApproval, found: &Verdict, now: Timestamp) -> ApprovalStatus {
    let generation = approval.metadata.generation;
    let mut conditions = approval.status.as_ref().map(|status| status.conditions.clone()).unwrap_or_default();
    let counted = found.verdict == Some(ApprovalVerdict::Counted);
    let refused = found.verdict == Some(ApprovalVerdict::Refused);
    let answer = (found.reason.as_str(), found.message.as_str());
    for (type_, holds) in [(READY, counted), (RECONCILING, !counted && !refused), (STALLED, refused)] {
        set_condition(&mut conditions, type_, holds, answer, generation, now);
    }
    ApprovalStatus {
        verdict: found.verdict,
        reason: found.reason.clone(),
        message: found.message.clone(),
        observed_generation: generation,
        conditions,
    }
}

fn record(
    approval: &ProxmoxActionApproval,
    plan: Option<&ProxmoxActionPlan>,
    found: &Verdict,
    now: Timestamp,
) -> AuditRecord {
    let spec = &approval.spec;
    let plan_spec = plan.map(|plan| &plan.spec);
    AuditRecord {
        time: now,
        event: AuditEvent::ApprovalRefused,
        namespace: approval.namespace().unwrap_or_default(),
        plan: spec.plan_ref.name.clone(),
        plan_uid: spec.plan_ref.uid.clone(),
        environment: spec.environment.clone(),
        action: plan_spec.map(|spec| spec.action.clone()).unwrap_or_default(),
        target: plan_spec.map(|spec| spec.target.clone()).unwrap_or_default(),
        requested_by: plan_spec.map(|spec| spec.requested_by.clone()).unwrap_or_default(),
        request_hash: None,
        plan_hash: Some(spec.plan_hash.clone()),
        approved_by: vec![spec.approved_by.clone()],
        attempt: spec.attempt,
        upid: None,
        message: format!("approval {}: {}", approval.name_any(), found.message),
    }
}
