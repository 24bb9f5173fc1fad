mod lead;

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use clap::Args;
use tokio::net::TcpListener;

use crate::{
    audit::AuditFolder,
    git::GitRepositories,
    http::health::{self, Health},
    ports::{AuditLog, Clock, Ports},
    pve::Proxmox,
    store::kube::{Candidate, ExpectedPolicies, KubeSecrets, KubeStore, Lead, own_name},
    system::{SystemClock, host_name},
    telemetry,
};

use lead::lead_in_turns;

use super::Failure;

#[derive(Debug, Args)]
pub(super) struct Operator {
    /// Look after this namespace only; all of them if absent.
    #[arg(long, env = "PROXMOX_AGENT_NAMESPACE")]
    namespace: Option<String>,
    /// The folder of the audit log. Nothing is sent unless it can be written. Each replica needs one of its own.
    #[arg(long, env = "PROXMOX_AGENT_AUDIT", default_value = "/var/lib/proxmox-agent/audit")]
    audit: PathBuf,
    /// Where fetched repositories are kept; it may be lost at any time.
    #[arg(long, env = "PROXMOX_AGENT_GIT", default_value = "/var/lib/proxmox-agent/git")]
    git: PathBuf,
    /// A user that brings plans and approvals out of git, as in the chart's `gitSyncers`. May be given several times.
    #[arg(
        long = "git-syncer",
        env = "PROXMOX_AGENT_GIT_SYNCERS",
        value_name = "USER",
        value_delimiter = ',',
        default_value = "system:serviceaccount:argocd:argocd-application-controller"
    )]
    git_syncers: Vec<String>,
    /// Believe the names in plans and approvals without the admission policies that force them to be true: an approval is
    /// worth the right to create approvals, no more.
    #[arg(long, env = "PROXMOX_AGENT_WITHOUT_ADMISSION_POLICIES")]
    without_admission_policies: bool,
    /// The Lease that decides which of several replicas acts; `proxmox-agent`, or `proxmox-agent-<namespace>` of the one
    /// that is looked after, if absent.
    #[arg(long, env = "PROXMOX_AGENT_LEASE")]
    lease: Option<String>,
    /// The namespace of the Lease; the one that this process belongs to if absent.
    #[arg(long, env = "PROXMOX_AGENT_LEASE_NAMESPACE")]
    lease_namespace: Option<String>,
    /// What this replica is called: no other may have the same name at the same time. The name of the host or pod if absent.
    #[arg(long, env = "PROXMOX_AGENT_REPLICA")]
    replica: Option<String>,
    /// Where to answer /livez and /readyz.
    #[arg(long, env = "PROXMOX_AGENT_HEALTH", value_name = "ADDR", default_value = "0.0.0.0:8081")]
    health: SocketAddr,
}

impl Operator {
    pub(super) async fn run(self) -> Result<(), Failure> {
        telemetry::init();
        let client = client().await?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let candidate = self.candidate(&client, &clock);
        let audit = AuditFolder::open(&self.audit, candidate.replica(), clock.as_ref())?;
        let audit: Arc<dyn AuditLog> = Arc::new(audit);
        self.answer_for_health(&audit, candidate.lead()).await?;
        let policies = self.expected_policies(&client).await?;
        let ports = Ports {
            store: KubeStore::new(client.clone(), self.namespace, policies),
            hypervisors: Proxmox::default(),
            secrets: Arc::new(KubeSecrets::new(client)),
            repositories: Arc::new(GitRepositories::new(self.git, Arc::clone(&clock))),
            audit,
            leadership: candidate.lead(),
            clock,
        };
        tracing::info!(audit = %self.audit.display(), replica = candidate.replica(), "the operator runs");
        lead_in_turns(ports, candidate, telemetry::shutdown()).await
    }

    fn candidate(&self, client: &kube::Client, clock: &Arc<dyn Clock>) -> Candidate {
        let namespace = self.lease_namespace.as_deref().unwrap_or(client.default_namespace());
        let lease = match (&self.lease, &self.namespace) {
            (Some(name), _) => name.clone(),
            (None, Some(namespace)) => format!("proxmox-agent-{namespace}"),
            (None, None) => "proxmox-agent".to_owned(),
        };
        let replica = self.replica.clone().unwrap_or_else(host_name);
        Candidate::new(client.clone(), namespace, &lease, &replica, Arc::clone(clock))
    }

    async fn answer_for_health(&self, audit: &Arc<dyn AuditLog>, lead: Arc<Lead>) -> Result<(), Failure> {
        let refused = |error| format!("failed to listen on {} (--health): {error}", self.health);
        let listener = TcpListener::bind(self.health).await.map_err(refused)?;
        tracing::info!(address = %listener.local_addr()?, "answering /livez and /readyz");
        tokio::spawn(health::serve(listener, Health::of(Arc::clone(audit), move || lead.silence())));
        Ok(())
    }

    /// What has to stand on the API server before an approval counts. `None` if the owner does without.
    async fn expected_policies(&self, client: &kube::Client) -> Result<Option<ExpectedPolicies>, Failure> {
        if self.without_admission_policies {
            tracing::warn!(
                "admission policies are waived (--without-admission-policies): whoever may create approvals approves in any name"
            );
            return Ok(None);
        }
        let me = own_name(client).await?;
        let syncers = self.git_syncers.iter().filter(|name| !name.is_empty()).cloned().collect();
        let policies = ExpectedPolicies::new(&me, &syncers)?;
        tracing::info!(%me, ?syncers, "approvals count while the admission policies are in force");
        Ok(Some(policies))
    }
}

/// A server tells its watches every minute that it is there. One that says nothing for twice as long has gone without a
/// word, and whoever waits for it would wait for ever.
const SILENCE: Duration = Duration::from_secs(120);

/// A client that never repeats a call by itself: a write that may have arrived is never sent again unasked.
async fn client() -> Result<kube::Client, Failure> {
    let mut config = kube::Config::infer().await?;
    config.default_retry = false;
    config.connect_timeout = Some(Duration::from_secs(5));
    (config.read_timeout, config.reset_reader_on_write) = (Some(SILENCE), true);
    Ok(kube::Client::try_from(config)?)
}
