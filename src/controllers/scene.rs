//! Everything that a plan's environment refers to, read live.

use crate::{
    api::{ProxmoxEnvironment, ProxmoxPolicy},
    core::lifecycle::Blocked,
    ports::{Hypervisor, Hypervisors, Key, Ports, Store, StoreError},
};

/// The one obstacle that no waiting helps against once the plan itself is deleted.
pub(super) const ENVIRONMENT_NOT_FOUND: &str = "EnvironmentNotFound";
/// The endpoints do not belong to one cluster.
pub(super) const ENDPOINTS_DISAGREE: &str = "EndpointsDisagree";

/// An environment with the policy that rules it and a connection to its Proxmox.
pub(super) struct Scene<C> {
    pub environment: ProxmoxEnvironment,
    pub policy: Option<ProxmoxPolicy>,
    pub hypervisor: C,
}

/// Why there is no scene.
pub(super) struct Obstacle {
    pub blocked: Blocked,
    /// It is watched for: when it goes away, somebody looks again without being asked.
    pub is_watched: bool,
}

/// Resolves an environment by name, or says what is missing.
pub(super) async fn resolve<S: Store, H: Hypervisors>(
    ports: &Ports<S, H>,
    key: &Key,
) -> Result<Result<Scene<H::Connection>, Obstacle>, StoreError> {
    let found = match readable(ports.store.get::<ProxmoxEnvironment>(key).await)? {
        Ok(found) => found,
        Err(obstacle) => return Ok(Err(obstacle)),
    };
    let Some(environment) = found else {
        let message = format!(
            "spec.environment: there is no ProxmoxEnvironment `{}` in namespace {}; create it, or make a plan for one that exists",
            key.name, key.namespace
        );
        return Ok(Err(watched(ENVIRONMENT_NOT_FOUND, message)));
    };
    let policy = match &environment.spec.policy_ref {
        None => None,
        Some(reference) => {
            let policy_key = Key::new(&key.namespace, &reference.name);
            let found = match readable(ports.store.get::<ProxmoxPolicy>(&policy_key).await)? {
                Ok(found) => found,
                Err(obstacle) => return Ok(Err(obstacle)),
            };
            let Some(policy) = found else {
                let message =
                    format!("environment {} names the policy {policy_key}, which does not exist", key.name);
                return Ok(Err(watched("PolicyNotFound", message)));
            };
            Some(policy)
        }
    };
    let hypervisor = match connect(ports, key, &environment).await {
        Ok(hypervisor) => hypervisor,
        Err(blocked) => return Ok(Err(Obstacle { blocked, is_watched: false })),
    };
    Ok(match hypervisor.meet().await {
        Ok(()) => Ok(Scene { environment, policy, hypervisor }),
        Err(error) => {
            let message = format!("environment {}: {}", key.name, error.message);
            Err(Obstacle { blocked: blocked(ENDPOINTS_DISAGREE, message), is_watched: false })
        }
    })
}

/// What somebody else has to put right first stands in the way; it is no failure of this look.
pub(super) fn readable<T>(read: Result<T, StoreError>) -> Result<Result<T, Obstacle>, StoreError> {
    match read {
        Err(StoreError::Malformed { object, why }) => {
            Ok(Err(watched("Malformed", format!("{object} can't be read: {why}"))))
        }
        read => read.map(Ok),
    }
}

fn watched(reason: &str, message: String) -> Obstacle {
    Obstacle { blocked: blocked(reason, message), is_watched: true }
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
