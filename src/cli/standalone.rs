//! The engine on a directory, for the time before there is a cluster.

use std::{path::PathBuf, process::ExitCode, sync::Arc};

use clap::Args;
use kube::ResourceExt;

use crate::{
    api::{Phase, ProxmoxActionPlan},
    audit::AuditFolder,
    controllers,
    git::GitRepositories,
    ports::Ports,
    pve::Proxmox,
    secrets::MountedSecrets,
    store::directory::{DirectoryOptions, DirectoryStore},
    system::{Alone, SystemClock},
    telemetry,
};

use super::{Failure, files::Folder};

#[derive(Debug, Args)]
pub(super) struct Standalone {
    #[command(flatten)]
    folder: Folder,
    /// Where API tokens are kept, one folder for each Secret; `secrets` in the state directory if absent.
    #[arg(long)]
    secrets: Option<PathBuf>,
    /// Take everything as far as it goes without waiting for people, print how the plans stand, and end.
    /// Exit code 0: all plans succeeded; 1: one ended otherwise, or a file was refused; 4: one waits for somebody.
    #[arg(long)]
    once: bool,
}

/// What a chain is called whose replica is the only one.
const STANDALONE: &str = "standalone";
/// Something waits for a person.
const WAITING: u8 = 4;

impl Standalone {
    pub(super) async fn run(self) -> Result<ExitCode, Failure> {
        telemetry::init();
        let state = self.folder.state();
        let clock = Arc::new(SystemClock);
        let store = DirectoryStore::open(DirectoryOptions {
            dir: self.folder.dir.clone(),
            state: state.clone(),
            clock: clock.clone(),
        })?;
        let secrets = self.secrets.clone().unwrap_or_else(|| state.join("secrets"));
        let ports = Ports {
            store,
            hypervisors: Proxmox::default(),
            secrets: Arc::new(MountedSecrets::new(secrets)),
            repositories: Arc::new(GitRepositories::new(state.join("git"), clock.clone())),
            audit: Arc::new(AuditFolder::open(&state.join("audit"), STANDALONE, &SystemClock)?),
            leadership: Arc::new(Alone),
            clock,
        };
        if self.once {
            let refusals = ports.store.taken_in().await?;
            for refusal in &refusals {
                eprintln!("refused: {refusal}");
            }
            let plans = controllers::settle(ports).await;
            if plans.is_empty() && refusals.is_empty() {
                eprintln!("there is no plan in {}", self.folder.dir.display());
            }
            return Ok(if refusals.is_empty() { report(&plans) } else { ExitCode::FAILURE });
        }
        tracing::info!(dir = %self.folder.dir.display(), state = %state.display(), "watching the directory");
        controllers::run(ports, telemetry::shutdown()).await;
        Ok(ExitCode::SUCCESS)
    }
}

fn report(plans: &[ProxmoxActionPlan]) -> ExitCode {
    let phases: Vec<Phase> = plans.iter().map(print).collect();
    if phases.iter().any(|phase| phase.is_terminal() && *phase != Phase::Succeeded) {
        ExitCode::FAILURE
    } else if phases.iter().any(|phase| !phase.is_terminal()) {
        ExitCode::from(WAITING)
    } else {
        ExitCode::SUCCESS
    }
}

fn print(plan: &ProxmoxActionPlan) -> Phase {
    let status = plan.status.clone().unwrap_or_default();
    let name = format!("{}/{}", plan.namespace().unwrap_or_default(), plan.name_any());
    println!("{name}  {}  {}", status.phase, status.message);
    status.phase
}
