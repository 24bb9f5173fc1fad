use std::{path::PathBuf, sync::Arc, time::Duration};

use clap::Args;

use crate::{
    audit::AuditFolder,
    controllers,
    git::GitRepositories,
    ports::Ports,
    pve::Proxmox,
    store::kube::{ExpectedPolicies, KubeSecrets, KubeStore, own_name},
    system::{Alone, SystemClock},
    telemetry,
};

use super::Failure;

#[derive(Debug, Args)]
pub(super) struct Operator {
    /// Look after this namespace only; all of them if absent.
    #[arg(long, env = "PROXMOX_AGENT_NAMESPACE")]
    namespace: Option<String>,
    /// The folder of the audit log. Nothing is sent unless it can be written. Each replica needs one of its own.
    #[arg(long, env = "PROXMOX_AGENT_AUDIT", default_value = "/var/lib/proxmox-agent/audit")]
    audit: PathBuf,
    /// What this replica is called in the audit log.
    #[arg(long, env = "HOSTNAME", default_value = "operator")]
    replica: String,
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
}

impl Operator {
    pub(super) async fn run(self) -> Result<(), Failure> {
        telemetry::init();
        let client = client().await?;
        let policies = self.expected_policies(&client).await?;
        let ports = Ports {
            store: KubeStore::new(client.clone(), self.namespace, policies),
            hypervisors: Proxmox::default(),
            secrets: Arc::new(KubeSecrets::new(client)),
            repositories: Arc::new(GitRepositories::new(self.git, Arc::new(SystemClock))),
            audit: Arc::new(AuditFolder::open(&self.audit, &self.replica, &SystemClock)?),
            leadership: Arc::new(Alone),
            clock: Arc::new(SystemClock),
        };
        tracing::info!(audit = %self.audit.display(), "the operator runs");
        controllers::run(ports, telemetry::shutdown()).await;
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

/// A client that never repeats a call by itself: a write that may have arrived is never sent again unasked.
async fn client() -> Result<kube::Client, Failure> {
    let mut config = kube::Config::infer().await?;
    config.default_retry = false;
    config.connect_timeout = Some(Duration::from_secs(5));
    Ok(kube::Client::try_from(config)?)
}
