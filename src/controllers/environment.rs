//! Finds out whether an environment's Proxmox answers to its token, and says so.

use futures::{StreamExt, stream};
use jiff::{SignedDuration, Timestamp};

use crate::{
    api::{EnvironmentStatus, NodeStatus, ProxmoxEnvironment, READY, RECONCILING, STALLED, set_condition},
    core::{clock, observe::NodeRow},
    ports::{Hypervisor, HypervisorError, Hypervisors, Key, Notice, Ports, Severity, Store},
};

use super::{
    Error,
    admission::keep_record,
    scene::{ENDPOINTS_DISAGREE, connect},
};

/// When to knock again at a Proxmox that did not answer.
const RETRY: SignedDuration = SignedDuration::from_secs(30);
/// When to look again at one that did.
const NEXT_LOOK: SignedDuration = SignedDuration::from_secs(5 * 60);
/// Clusters have no more than about thirty; a status holds so many.
const MOST_NODES: usize = 64;
/// So many nodes are asked for their time at once.
const AT_ONCE: usize = 4;

/// What was found at the other end.
struct Found {
    ready: bool,
    reason: String,
    message: String,
    version: Option<String>,
    token_id: Option<String>,
    nodes: Vec<NodeStatus>,
}

/// Looks at an environment. Returns when to look again.
pub(super) async fn reconcile<S: Store, H: Hypervisors>(
    ports: &Ports<S, H>,
    key: &Key,
) -> Result<Option<Timestamp>, Error> {
    let Some(environment) = ports.store.get::<ProxmoxEnvironment>(key).await? else { return Ok(None) };
    // First, for a Proxmox may take its time.
    let environment = keep_record(ports, environment).await?;
    let found = knock(ports, key, &environment).await;
    let pause = if found.ready { NEXT_LOOK } else { RETRY };
    report(ports, environment, found).await?;
    Ok(ports.clock.now().saturating_add(pause).ok())
}

async fn knock<S: Store, H: Hypervisors>(
    ports: &Ports<S, H>,
    key: &Key,
    environment: &ProxmoxEnvironment,
) -> Found {
    let before = known_nodes(environment);
    let not_ready = |reason: &str, message: String, token_id: Option<String>| Found {
        ready: false,
        reason: reason.to_owned(),
        message,
        version: None,
        token_id,
        // Whoever comes back is recognised by them.
        nodes: before.to_vec(),
    };
    let hypervisor = match connect(ports, key, environment).await {
        Ok(hypervisor) => hypervisor,
        Err(missing) => return not_ready(&missing.reason, missing.message, None),
    };
    let token_id = Some(hypervisor.token_id());
    let silent = match hypervisor.meet_anew().await {
        Ok(silent) => silent,
        Err(error) => return not_ready(ENDPOINTS_DISAGREE, error.message, token_id),
    };
    match survey(ports, &hypervisor).await {
        Ok((version, nodes)) => {
            let nodes = clock::steadied(nodes, before);
            let silent = silent.into_iter().map(|endpoint| format!("; {endpoint} does not"));
            let clocks = clock::complaint(&nodes).map(|text| format!("; {text}"));
            let complaints: String = silent.chain(clocks).collect();
            Found {
                ready: true,
                reason: "Reachable".to_owned(),
                message: format!("Proxmox VE {version} answers{complaints}"),
                version: Some(version.chars().take(64).collect()),
                token_id,
                nodes,
            }
        }
        Err(error) => not_ready("ProxmoxUnavailable", error.message, token_id),
    }
}

/// What is on record of the cluster that these endpoints lead to.
fn known_nodes(environment: &ProxmoxEnvironment) -> &[NodeStatus] {
    let status = environment.status.as_ref();
    let of_these_endpoints =
        status.filter(|status| status.observed_generation == environment.metadata.generation);
    of_these_endpoints.map(|status| status.nodes.as_slice()).unwrap_or_default()
}

async fn survey<S: Store, H: Hypervisors>(
    ports: &Ports<S, H>,
    hypervisor: &H::Connection,
) -> Result<(String, Vec<NodeStatus>), HypervisorError> {
    let version = hypervisor.version().await?;
    let mut listed = hypervisor.nodes().await?;
    listed.sort_by(|one, other| one.name.cmp(&other.name));
    let measured = listed.into_iter().take(MOST_NODES).map(|node| measure(ports, hypervisor, node));
    Ok((version, stream::iter(measured).buffered(AT_ONCE).collect().await))
}

/// A node with the difference between its clock and ours, as far as it can be asked.
async fn measure<S: Store, H: Hypervisors>(
    ports: &Ports<S, H>,
    hypervisor: &H::Connection,
    node: NodeRow,
) -> NodeStatus {
    let asked = ports.clock.now();
    let told = if node.online { hypervisor.node_time(&node.name).await.ok() } else { None };
    let ahead = told.map(|told| clock::seconds_ahead(told, asked, ports.clock.now()));
    NodeStatus {
        name: node.name.chars().take(253).collect(),
        certificate: node.certificate.chars().take(128).collect(),
        clock_ahead_seconds: ahead,
    }
}

async fn report<S: Store, H: Hypervisors>(
    ports: &Ports<S, H>,
    mut environment: ProxmoxEnvironment,
    found: Found,
) -> Result<(), Error> {
    let status = status(ports, &environment, &found);
    let before = environment.status.take().unwrap_or_default();
    if before == status {
        return Ok(());
    }
    let skew =
        clock::complaint(&status.nodes).filter(|skew| clock::complaint(&before.nodes).as_ref() != Some(skew));
    let is_news = before.conditions != status.conditions;
    environment.status = Some(status);
    let environment = ports.store.replace_status(&environment).await?;
    if is_news {
        let severity = if found.ready { Severity::Normal } else { Severity::Warning };
        let notice = Notice { severity, reason: found.reason, message: found.message };
        ports.store.publish(&environment, notice).await;
    }
    if let Some(message) = skew {
        let notice = Notice { severity: Severity::Warning, reason: "ClockSkew".to_owned(), message };
        ports.store.publish(&environment, notice).await;
    }
    Ok(())
}

fn status<S: Store, H: Hypervisors>(
    ports: &Ports<S, H>,
    environment: &ProxmoxEnvironment,
    found: &Found,
) -> EnvironmentStatus {
    let generation = environment.metadata.generation;
    let EnvironmentStatus { approvals, admission, audit, mut conditions, .. } =
        environment.status.clone().unwrap_or_default();
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
    EnvironmentStatus {
        version: found.version.clone(),
        token_id: found.token_id.clone(),
        approvals,
        admission,
        nodes: found.nodes.clone(),
        audit,
        observed_generation: generation,
        conditions,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures::{FutureExt, future::BoxFuture};
    use secrecy::SecretString;
    use serde_json::json;

    use super::*;
    use crate::{
        api::SecretKeyRef,
        audit::AuditFolder,
        git::GitRepositories,
        ports::{SecretError, Secrets},
        pve::{
            Proxmox,
            sim::{Options, Simulator},
        },
        store::directory::{DirectoryOptions, DirectoryStore},
        system::{Alone, SystemClock},
    };

    #[derive(Debug)]
    struct OneToken(String);

    impl Secrets for OneToken {
        fn read<'a>(
            &'a self,
            _: &'a str,
            _: &'a SecretKeyRef,
        ) -> BoxFuture<'a, Result<SecretString, SecretError>> {
            async { Ok(SecretString::from(self.0.clone())) }.boxed()
        }
    }

    #[tokio::test]
    async fn one_that_is_ready_is_looked_at_again_after_minutes_and_one_that_is_not_sooner() {
        let folder = tempfile::tempdir().unwrap();
        let sim = Simulator::start(Options::default()).await.unwrap();
        let environment = json!({
            "apiVersion": "proxmox-agent.io/v1alpha1", "kind": "ProxmoxEnvironment",
            "metadata": {"name": "home", "namespace": "default"},
            "spec": {
                "endpoints": [sim.url()], "tier": "lab", "tls": {"insecureSkipVerify": true},
                "credentials": {"secretRef": {"name": "x"}}, "requestTimeoutSeconds": 2,
            },
        });
        std::fs::write(folder.path().join("home.yaml"), environment.to_string()).unwrap();
        let options = DirectoryOptions {
            dir: folder.path().to_owned(),
            state: folder.path().join("state"),
            clock: Arc::new(SystemClock),
        };
        let ports = Ports {
            store: DirectoryStore::open(options).unwrap(),
            hypervisors: Proxmox::default(),
            secrets: Arc::new(OneToken(format!("agent@pve!operator={}", sim.tokens()["agent@pve!operator"]))),
            repositories: Arc::new(GitRepositories::new(folder.path().join("git"), Arc::new(SystemClock))),
            audit: Arc::new(AuditFolder::open(&folder.path().join("audit"), "test", &SystemClock).unwrap()),
            leadership: Arc::new(Alone),
            clock: Arc::new(SystemClock),
        };
        ports.store.taken_in().await.unwrap();
        let next_look = async || {
            let before = Timestamp::now();
            let wake_at = reconcile(&ports, &Key::new("default", "home")).await.unwrap().unwrap();
            before + NEXT_LOOK <= wake_at
        };
        assert!(next_look().await, "it is Ready");
        sim.stop().await;
        assert!(!next_look().await, "it does not answer any more");
    }
}
