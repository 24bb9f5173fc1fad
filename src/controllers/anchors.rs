//! Keeps in every environment how far the audit log has come.

use std::{pin::pin, time::Duration};

use futures::future::{self, Either};
use kube::ResourceExt;

use crate::{
    api::ProxmoxEnvironment,
    core::audit::{Actor, AuditEvent, AuditRecord, BETWEEN_ANCHORS, Head, anchored, seen_of_others},
    ports::{Hypervisors, Key, Notice, Ports, Severity, Store, StoreError},
};

use super::{Shutdown, listed::objects};

/// As long as whoever ends may wait for it.
const PATIENCE: Duration = Duration::from_secs(10);

/// Until `shutdown`.
pub(super) async fn keep_anchored<S: Store, H: Hypervisors>(ports: &Ports<S, H>, shutdown: Shutdown) {
    let keeping = async {
        let mut last = None;
        loop {
            ports.clock.sleep(BETWEEN_ANCHORS.unsigned_abs()).await;
            let head = ports.audit.head();
            if last.as_ref() != Some(&head) && anchor(ports).await {
                last = Some(head);
            }
        }
    };
    future::select(pin!(keeping), shutdown).await;
}

/// Whether all environments have it. One that can't be written now is written a minute later.
pub(super) async fn anchor<S: Store, H: Hypervisors>(ports: &Ports<S, H>) -> bool {
    let everywhere = pin!(anchor_everywhere(ports));
    match future::select(everywhere, ports.clock.sleep(PATIENCE)).await {
        Either::Left((is_done, _)) => is_done,
        Either::Right(_) => {
            tracing::warn!("the audit log could not be anchored within {PATIENCE:?}");
            false
        }
    }
}

async fn anchor_everywhere<S: Store, H: Hypervisors>(ports: &Ports<S, H>) -> bool {
    let head = ports.audit.head();
    let mut everywhere = true;
    for environment in environments(ports).await {
        if let Err(error) = anchor_in(ports, &Key::of(&environment), &head).await {
            tracing::warn!(environment = environment.name_any(), %error, "the audit log could not be anchored");
            everywhere = false;
        }
    }
    everywhere
}

async fn anchor_in<S: Store, H: Hypervisors>(
    ports: &Ports<S, H>,
    key: &Key,
    head: &Head,
) -> Result<(), StoreError> {
    let Some(mut environment) = ports.store.get::<ProxmoxEnvironment>(key).await? else { return Ok(()) };
    let mut status = environment.status.take().unwrap_or_default();
    let Some(anchors) = anchored(&status.audit, head, ports.clock.now()) else { return Ok(()) };
    status.audit = anchors;
    environment.status = Some(status);
    let environment = ports.store.replace_status(&environment).await?;
    let Head { chain, sequence, hash } = head;
    let message = format!("line {sequence} of audit log {chain} is {hash}");
    let reason = "AuditAnchored".to_owned();
    ports.store.publish(&environment, Notice { severity: Severity::Normal, reason, message }).await;
    Ok(())
}

/// Says in this replica's chain how far the others had come when it took the lead. Nothing is done before that is on disk.
pub async fn took_over<S: Store, H: Hypervisors>(ports: &Ports<S, H>) -> std::io::Result<()> {
    let environments = environments(ports).await;
    let anchors = environments.iter().filter_map(|environment| environment.status.as_ref());
    let links = seen_of_others(anchors.flat_map(|status| &status.audit), &ports.audit.head().chain);
    let message = match links.len() {
        0 => "took the lead; no other chain was ever seen".to_owned(),
        others => format!("took the lead; {others} other chains were seen"),
    };
    let taken = AuditRecord::new(ports.clock.now(), AuditEvent::TookOver, Actor::operator(""), message);
    ports.audit.append(AuditRecord { links, ..taken }).await
}

async fn environments<S: Store, H: Hypervisors>(ports: &Ports<S, H>) -> Vec<ProxmoxEnvironment> {
    objects::<ProxmoxEnvironment, S>(ports).await.into_iter().filter_map(|guard| guard.0.ok()).collect()
}
