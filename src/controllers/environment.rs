//! Finds out whether an environment's Proxmox answers to its token, and says so.

use jiff::{SignedDuration, Timestamp};

use crate::{
    api::{EnvironmentStatus, ProxmoxEnvironment, READY, RECONCILING, STALLED, set_condition},
    ports::{Hypervisor, Hypervisors, Key, Notice, Ports, Severity, Store},
};

use super::{Error, scene::connect};

/// When to knock again at a Proxmox that did not answer.
const RETRY: SignedDuration = SignedDuration::from_secs(30);

/// What was found at the other end.
struct Found {
    ready: bool,
    reason: String,
    message: String,
    version: Option<String>,
    token_id: Option<String>,
}

/// Looks at an environment. One that answers is not asked again until it changes.
pub(super) async fn reconcile<S: Store, H: Hypervisors>(
    ports: &Ports<S, H>,
    key: &Key,
) -> Result<Option<Timestamp>, Error> {
    let Some(environment) = ports.store.get::<ProxmoxEnvironment>(key).await? else { return Ok(None) };
    let found = knock(ports, key, &environment).await;
    let again = if found.ready { None } else { ports.clock.now().saturating_add(RETRY).ok() };
    report(ports, environment, found).await?;
    Ok(again)
}

async fn knock<S: Store, H: Hypervisors>(
    ports: &Ports<S, H>,
    key: &Key,
    environment: &ProxmoxEnvironment,
) -> Found {
    let hypervisor = match connect(ports, key, environment).await {
        Ok(hypervisor) => hypervisor,
        Err(missing) => return not_ready(&missing.reason, missing.message, None),
    };
    let token_id = Some(hypervisor.token_id());
    match hypervisor.version().await {
        Ok(version) => Found {
            ready: true,
            reason: "Reachable".to_owned(),
            message: format!("Proxmox VE {version} answers"),
            version: Some(version.chars().take(64).collect()),
            token_id,
        },
        Err(error) => not_ready("ProxmoxUnavailable", error.message, token_id),
    }
}

fn not_ready(reason: &str, message: String, token_id: Option<String>) -> Found {
    Found { ready: false, reason: reason.to_owned(), message, version: None, token_id }
}

async fn report<S: Store, H: Hypervisors>(
    ports: &Ports<S, H>,
    mut environment: ProxmoxEnvironment,
    found: Found,
) -> Result<(), Error> {
    let status = status(ports, &environment, &found);
    if environment.status.as_ref() == Some(&status) {
        return Ok(());
    }
    environment.status = Some(status);
    let environment = ports.store.replace_status(&environment).await?;
    let severity = if found.ready { Severity::Normal } else { Severity::Warning };
    ports
        .store
        .publish(&environment, Notice { severity, reason: found.reason, message: found.message })
        .await;
    Ok(())
}

fn status<S: Store, H: Hypervisors>(
    ports: &Ports<S, H>,
    environment: &ProxmoxEnvironment,
    found: &Found,
) -> EnvironmentStatus {
    let generation = environment.metadata.generation;
    let proof = ports.store.approval_proof();
    let mut conditions =
        environment.status.as_ref().map(|status| status.conditions.clone()).unwrap_or_default();
    let message: String = found.message.chars().take(1024).collect();
    for (type_, holds) in [(READY, found.ready), (RECONCILING, false), (STALLED, !found.ready)] {
        set_condition(
            &mut conditions,
            type_,
            holds,
            (&found.reason, &message),
            generation,
            ports.clock.now(),
        );
    }
    let refused = if proof.is_enough_for(environment.spec.tier) {
        ""
    } else {
        "; tier production does not accept that, so nothing that needs an approval can run here"
    };
    EnvironmentStatus {
        version: found.version.clone(),
        token_id: found.token_id.clone(),
        approvals: format!("{}{refused}", proof.described()),
        observed_generation: generation,
        conditions,
    }
}
