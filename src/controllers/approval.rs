//! Answers every approval: does it count, and if not, why not. Decides nothing about the plan.

use jiff::Timestamp;
use kube::ResourceExt;

use crate::{
    api::{
        ApprovalStatus, ApprovalVerdict, ProxmoxActionApproval, ProxmoxActionPlan, READY, RECONCILING,
        STALLED, set_condition,
    },
    core::{
        approval::{Verdict, verdict},
        audit::{Actor, ApprovalOnRecord, AuditEvent, AuditRecord, FromGit, of_approval},
        lifecycle,
        provenance::{GIT_UNAVAILABLE, Traced},
    },
    ports::{Hypervisors, Key, Notice, Ports, Severity, Store},
};

use super::{
    Error, RETRY,
    ground::{Traces, gather},
};

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
    let wake_at = found.verdict.until;
    report(ports, approval, plan, found).await?;
    Ok(wake_at)
}

async fn judge<S: Store, H: Hypervisors>(
    ports: &Ports<S, H>,
    approval: &ProxmoxActionApproval,
    plan: Option<&ProxmoxActionPlan>,
) -> Result<Found, Error> {
    let Some(plan) = plan else {
        return Ok(Found::without_provenance(Verdict::open(
            "PlanNotFound",
            "spec.planRef.name: there is no such plan in this namespace",
        )));
    };
    let status = plan.status.clone().unwrap_or_default();
    let Some(judged) = lifecycle::judged(&status) else {
        let ended = status.phase.is_terminal();
        return Ok(Found::without_provenance(if ended {
            Verdict::too_late(status.phase)
        } else {
            Verdict::open("PlanNotJudged", "the plan is not judged yet")
        }));
    };
    // One whose file is being changed is not among them.
    let gathered = gather(ports, plan, Some(approval), Traces::default(), || ()).await?;
    let candidate = gathered.candidate(approval.clone());
    let question = lifecycle::read(Some(&status)).ok().and_then(|state| state.question());
    let bench = gathered.ground.bench(ports, plan, &judged, question);
    let verdict = verdict(&candidate, &gathered.candidates, Some(&status), bench);
    Ok(Found { verdict, traced: candidate.traced }.with_patience(ports.clock.now()))
}

/// The answer to an approval, and where it comes from if that was looked for.
struct Found {
    verdict: Verdict,
    traced: Option<Traced>,
}

impl Found {
    fn without_provenance(verdict: Verdict) -> Self {
        Self { verdict, traced: None }
    }

    /// A repository that can't be read right now is no answer for good: it is asked again.
    fn with_patience(self, now: Timestamp) -> Self {
        if self.verdict.reason != GIT_UNAVAILABLE {
            return self;
        }
        let until = now.saturating_add(RETRY).ok();
        Self { verdict: Verdict { until, ..Verdict::open(GIT_UNAVAILABLE, &self.verdict.message) }, ..self }
    }
}

async fn report<S: Store, H: Hypervisors>(
    ports: &Ports<S, H>,
    mut approval: ProxmoxActionApproval,
    plan: Option<ProxmoxActionPlan>,
    Found { verdict: found, traced }: Found,
) -> Result<(), Error> {
    let status = status(&approval, &found, traced.as_ref(), ports.clock.now());
    if approval.status.as_ref() == Some(&status) {
        return Ok(());
    }
    let refused = found.verdict == Some(ApprovalVerdict::Refused);
    if refused {
        let record = record(&approval, &status, traced.as_ref(), plan.as_ref(), ports.clock.now());
        ports.audit.append(record).await.map_err(Error::Audit)?;
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

fn status(
    approval: &ProxmoxActionApproval,
    found: &Verdict,
    traced: Option<&Traced>,
    now: Timestamp,
) -> ApprovalStatus {
    let before = approval.status.as_ref().and_then(|status| status.provenance.clone());
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
        provenance: traced.map(|traced| traced.provenance.clone()).or(before),
        observed_generation: generation,
        conditions,
    }
}

fn record(
    approval: &ProxmoxActionApproval,
    status: &ApprovalStatus,
    traced: Option<&Traced>,
    plan: Option<&ProxmoxActionPlan>,
    now: Timestamp,
) -> AuditRecord {
    let named = of_approval(&approval.name_any());
    let spec = &approval.spec;
    let plan_spec = plan.map(|plan| &plan.spec);
    let before = || Some(FromGit::named(named.clone(), status.provenance.clone()?));
    let from_git = traced.map(|traced| FromGit::of(named.clone(), traced, true)).or_else(before);
    AuditRecord {
        namespace: approval.namespace().unwrap_or_default(),
        environment: spec.environment.clone(),
        plan: spec.plan_ref.name.clone(),
        plan_uid: spec.plan_ref.uid.clone(),
        action: plan_spec.map(|spec| spec.action.clone()).unwrap_or_default(),
        target: plan_spec.map(|spec| spec.target.clone()).unwrap_or_default(),
        requested_by: plan_spec.map(|spec| spec.requested_by.clone()).unwrap_or_default(),
        plan_hash: Some(spec.plan_hash.clone()),
        decision: Some(spec.decision),
        approvals: vec![ApprovalOnRecord::from(approval)],
        attempt: spec.attempt,
        from_git: from_git.into_iter().collect(),
        ..AuditRecord::new(
            now,
            AuditEvent::ApprovalRefused,
            Actor::approver(&spec.approved_by),
            format!("{named}: {}", status.message),
        )
    }
}
