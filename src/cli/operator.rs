use std::{path::PathBuf, sync::Arc, time::Duration};

use clap::Args;

use crate::{
    audit::AuditFile,
    controllers,
    git::GitRepositories,
    ports::Ports,
    pve::Proxmox,
    store::kube::{KubeSecrets, KubeStore},
    system::SystemClock,
    telemetry,
};

use super::Failure;

#[derive(Debug, Args)]
pub(super) struct Operator {
    /// Look after this namespace only; all of them if absent.
    #[arg(long, env = "PROXMOX_AGENT_NAMESPACE")]
    namespace: Option<String>,
    /// The audit log. Nothing is sent unless it can be written.
    #[arg(long, env = "PROXMOX_AGENT_AUDIT", default_value = "/var/lib/proxmox-agent/audit.jsonl")]
    audit: PathBuf,
    /// Where fetched repositories are kept; it may be lost at any time.
    #[arg(long, env = "PROXMOX_AGENT_GIT", default_value = "/var/lib/proxmox-agent/git")]
    git: PathBuf,
}

impl Operator {
    pub(super) async fn run(self) -> Result<(), Failure> {
        telemetry::init();
        let client = client().await?;
        let ports = Ports {
            store: KubeStore::new(client.clone(), self.namespace),
            hypervisors: Proxmox::default(),
            secrets: Arc::new(KubeSecrets::new(client)),
            repositories: Arc::new(GitRepositories::new(self.git, Arc::new(SystemClock))),
            audit: Arc::new(AuditFile::open(&self.audit)?),
            clock: Arc::new(SystemClock),
        };
        tracing::info!(audit = %self.audit.display(), "the operator runs");
        controllers::run(ports, telemetry::shutdown()).await;
        Ok(())
    }
}

/// A client that never repeats a call by itself: a write that may have arrived is never sent again unasked.
async fn client() -> Result<kube::Client, Failure> {
    let mut config = kube::Config::infer().await?;
    config.default_retry = false;
    config.connect_timeout = Some(Duration::from_secs(5));
    Ok(kube::Client::try_from(config)?)
}
