//! Everything that a plan's environment refers to, read live.

use crate::{
    api::{ProxmoxEnvironment, ProxmoxPolicy},
    core::lifecycle::Blocked,
    ports::{Hypervisors, Key, Ports, Store, StoreError},
};

/// An environment with the policy that rules it and a connection to its Proxmox.
pub(super) struct Scene<C> {
    pub environment: ProxmoxEnvironment,
    pub policy: Option<ProxmoxPolicy>,
    pub hypervisor: C,
}

/// Resolves an environment by name, or says what is missing.
pub(super) async fn resolve<S: Store, H: Hypervisors>(
    ports: &Ports<S, H>,
    key: &Key,
) -> Result<Result<Scene<H::Connection>, Blocked>, StoreError> {
    let Some(environment) = ports.store.get::<ProxmoxEnvironment>(key).await? else {
        let message = format!(
            "spec.environment: there is no ProxmoxEnvironment `{}` in namespace {}; create it, or make a plan for one that exists",
            key.name, key.namespace
        );
        return Ok(Err(blocked("EnvironmentNotFound", message)));
    };
    let policy = match &environment.spec.policy_ref {
        None => None,
        Some(reference) => {
            let policy_key = Key::new(&key.namespace, &reference.name);
            let Some(policy) = ports.store.get::<ProxmoxPolicy>(&policy_key).await? else {
                let message =
                    format!("environment {} names the policy {policy_key}, which does not exist", key.name);
                return Ok(Err(blocked("PolicyNotFound", message)));
            };
            Some(policy)
        }
    };
    Ok(connect(ports, key, &environment).await.map(|hypervisor| Scene { environment, policy, hypervisor }))
}

/// Connects to an environment's Proxmox with its own token.
pub(super) async fn connect<S: Store, H: Hypervisors>(
    ports: &Ports<S, H>,
    key: &Key,
    environment: &ProxmoxEnvironment,
) -> Result<H::Connection, Blocked> {
    let reference = &environment.spec.credentials.secret_ref;
    let token = ports
        .secrets
        .read(&key.namespace, reference)
        .await
        .map_err(|error| blocked("SecretUnavailable", format!("environment {}: {error}", key.name)))?;
    ports
        .hypervisors
        .connect(environment, &token)
        .map_err(|error| blocked("BadEnvironment", format!("environment {}: {error}", key.name)))
}

pub(super) fn blocked(reason: &str, message: impl Into<String>) -> Blocked {
    Blocked { reason: reason.to_owned(), message: message.into() }
}
