//! Plans that are deleted before they have ended: puts that on record, and follows their calls to the end all the same.

use futures::{
    StreamExt,
    future::{self, Either},
    stream,
};
use kube::{ResourceExt, core::DeserializeGuard, runtime::watcher};
use tokio::sync::mpsc;

use crate::{
    api::{PlanStatus, ProxmoxActionPlan},
    core::audit::{Actor, AuditEvent, AuditRecord, Role},
    ports::{Changes, Hypervisors, Key, Ports, Store},
};

use super::{RETRY, Shutdown, Together, plan};

/// As they were last.
pub(super) type Deleted = mpsc::UnboundedReceiver<ProxmoxActionPlan>;

/// Changes of plans, and those that go without an end.
pub(super) fn deleted(changes: Changes<ProxmoxActionPlan>) -> (Changes<ProxmoxActionPlan>, Deleted) {
    let (tell, told) = mpsc::unbounded_channel();
    let note = move |change: &Result<watcher::Event<DeserializeGuard<ProxmoxActionPlan>>, _>| {
        let Ok(watcher::Event::Delete(DeserializeGuard(Ok(plan)))) = change else { return };
        if plan.status.as_ref().is_some_and(|status| !status.phase.is_terminal()) {
            // Nobody listens any more when the process ends.
            let _ = tell.send(plan.clone());
        }
    };
    (changes.inspect(note).boxed(), told)
}

/// Until `shutdown`, and then until it is on record what is left open.
pub(super) async fn keep_on_record<S: Store, H: Hypervisors>(
    ports: &Ports<S, H>,
    together: &Together,
    deleted: Deleted,
    shutdown: Shutdown,
) {
    let plans =
        stream::unfold(deleted, |mut deleted| async { deleted.recv().await.map(|plan| (plan, deleted)) });
    let until = shutdown.clone();
    plans
        .take_until(until)
        .for_each_concurrent(None, |plan| see_off(ports, together, plan, shutdown.clone()))
        .await;
}

async fn see_off<S: Store, H: Hypervisors>(
    ports: &Ports<S, H>,
    together: &Together,
    plan: ProxmoxActionPlan,
    shutdown: Shutdown,
) {
    let is_in_flight = plan.status.as_ref().is_some_and(|status| status.phase.is_in_flight());
    let told = if is_in_flight {
        "the plan was deleted while its call was under way; what becomes of that is put on record here"
    } else {
        "the plan was deleted before it was sent"
    };
    let followed = Box::pin(async {
        while !put(ports, &plan, told).await {
            ports.clock.sleep(ports.clock.about(RETRY)).await;
        }
        if is_in_flight && let Err(error) = plan::follow_to_its_end(ports, together, plan.clone()).await {
            tracing::warn!(plan = %Key::of(&plan), %error, "what became of the call of a deleted plan is not known");
        }
    });
    if let Either::Right(_) = future::select(followed, shutdown).await
        && is_in_flight
    {
        let told = "left open when this replica stopped: the plan is deleted, and its call was still under way. Look for its \
                    task in Proxmox";
        put(ports, &plan, told).await;
    }
}

async fn put<S: Store, H: Hypervisors>(ports: &Ports<S, H>, plan: &ProxmoxActionPlan, told: &str) -> bool {
    let who_deleted_it = Actor { role: Role::Unknown, name: String::new() };
    let PlanStatus { request_hash, plan_hash, intent, upid, .. } = plan.status.clone().unwrap_or_default();
    let record = AuditRecord {
        namespace: Key::of(plan).namespace,
        environment: plan.spec.environment.clone(),
        plan: plan.name_any(),
        plan_uid: plan.uid().unwrap_or_default(),
        action: plan.spec.action.clone(),
        target: plan.spec.target.chars().take(253).collect(),
        requested_by: plan.spec.requested_by.clone(),
        request_hash,
        plan_hash,
        attempt: intent.as_ref().map(|intent| intent.attempt),
        intent,
        upid,
        ..AuditRecord::new(ports.clock.now(), AuditEvent::Gone, who_deleted_it, told)
    };
    let kept = ports.audit.append(record).await;
    if let Err(error) = &kept {
        tracing::warn!(plan = %Key::of(plan), %error, "that a plan was deleted is not on record");
    }
    kept.is_ok()
}
