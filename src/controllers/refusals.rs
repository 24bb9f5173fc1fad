//! Puts on record what was offered and not accepted.

use std::time::Duration;

use futures::{FutureExt, StreamExt, future};

use crate::{
    core::audit::{Actor, AuditEvent, AuditRecord, Role},
    ports::{Hypervisors, Ports, Refusal, Store},
};

use super::Shutdown;

/// When to try again to write a log that could not be written.
const RETRY: Duration = Duration::from_secs(30);

/// Until `shutdown`.
pub(super) async fn keep_on_record<S: Store, H: Hypervisors>(ports: &Ports<S, H>, shutdown: Shutdown) {
    let mut refusals = ports.store.refusals();
    let recording = async {
        while let Some(refusal) = refusals.next().await {
            while !put(ports, &refusal).await {
                ports.clock.sleep(ports.clock.about(RETRY)).await;
            }
        }
    };
    future::select(Box::pin(recording), shutdown).await;
}

/// What has been told by now.
pub(super) async fn record_all<S: Store, H: Hypervisors>(ports: &Ports<S, H>) {
    let mut refusals = ports.store.refusals();
    while let Some(Some(refusal)) = refusals.next().now_or_never() {
        put(ports, &refusal).await;
    }
}

async fn put<S: Store, H: Hypervisors>(ports: &Ports<S, H>, refusal: &Refusal) -> bool {
    let Refusal { namespace, object, why } = refusal.clone();
    let writer = Actor { role: Role::Unknown, name: String::new() };
    let is_plan = object.kind == "ProxmoxActionPlan";
    let record = AuditRecord {
        namespace,
        plan: if is_plan { object.name.clone() } else { String::new() },
        plan_uid: if is_plan { object.uid.clone() } else { String::new() },
        refused: Some(object),
        ..AuditRecord::new(ports.clock.now(), AuditEvent::Refused, writer, why)
    };
    let kept = ports.audit.append(record).await;
    if let Err(error) = &kept {
        tracing::warn!(%error, "a refusal is not on record");
    }
    kept.is_ok()
}
