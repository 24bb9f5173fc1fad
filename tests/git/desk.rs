//! A workshop, the environment's list of signers, and somebody who looks things up.

use std::{path::PathBuf, sync::Arc};

use proxmox_agent::{
    api::{GitTrust, ProxmoxActionPlanSpec},
    core::provenance::{Sighting, Signature, Wanted},
    git::GitRepositories,
    ports::{Repositories, RepositoryError},
};
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::support::{
    git::{Key, Workshop},
    home::Skewed,
    manifests::with,
};

pub(crate) struct Desk {
    pub(crate) workshop: Workshop,
    pub(crate) clock: Arc<Skewed>,
    pub(crate) trust: GitTrust,
    pub(crate) credentials: Option<SecretString>,
    repositories: GitRepositories,
}

/// The plan that everybody looks for.
pub(crate) fn plan(more: &Value) -> Value {
    let spec = json!({
        "environment": "home", "action": "start_guest", "target": "qemu/100", "requestedBy": "alice",
        "source": "git", "notAfter": "2999-01-01T00:00:00Z",
    });
    with(spec, more)
}

pub(crate) fn document(name: &str, spec: &Value) -> String {
    format!(
        "apiVersion: proxmox-agent.io/v1alpha1\nkind: ProxmoxActionPlan\nmetadata:\n  name: {name}\nspec: {spec}\n"
    )
}

impl Desk {
    pub(crate) fn new() -> Self {
        let workshop = Workshop::new();
        let clock = Arc::<Skewed>::default();
        let trust = serde_json::from_value(json!({"repository": workshop.url()})).unwrap();
        let repositories = GitRepositories::new(workshop.path().join("fetched"), clock.clone());
        Self { workshop, clock, trust, credentials: None, repositories }
    }

    /// With an SSH key for each of these people.
    pub(crate) fn with_signers<const N: usize>(names: [&str; N]) -> (Self, [Key; N]) {
        let mut desk = Self::new();
        let keys = names.map(|name| desk.workshop.ssh_key(name, "ed25519"));
        for (name, key) in names.iter().zip(&keys) {
            desk.allow(name, &[key]);
        }
        (desk, keys)
    }

    pub(crate) fn allow(&mut self, name: &str, keys: &[&Key]) {
        self.trust.signers.push(serde_json::from_value(self.workshop.signer(name, keys)).unwrap());
    }

    /// The folder in which the one fetched branch is kept.
    pub(crate) fn fetched(&self) -> PathBuf {
        let mut all = std::fs::read_dir(self.workshop.path().join("fetched")).unwrap();
        all.next().unwrap().unwrap().path()
    }

    pub(crate) async fn try_look(&self, wanted: Wanted) -> Result<Sighting, RepositoryError> {
        let (namespace, credentials) = (wanted.namespace.clone(), self.credentials.clone());
        let looked = self.repositories.look_up(&namespace, &self.trust, credentials, vec![wanted]);
        looked.await.map(|mut seen| seen.remove(0))
    }

    pub(crate) async fn look(&self, wanted: Wanted) -> Sighting {
        self.try_look(wanted).await.unwrap()
    }

    /// What the repository says about the plan `p`.
    pub(crate) async fn see(&self) -> Sighting {
        self.look(wanted("p", &plan(&json!({})))).await
    }

    pub(crate) async fn signature(&self) -> Signature {
        match self.see().await {
            Sighting::Brought { signature, .. } => signature,
            other => panic!("{other:?}"),
        }
    }

    /// Who brought the plan, by file and commit.
    pub(crate) async fn origin(&self) -> (String, String) {
        match self.see().await {
            Sighting::Brought { file, commit, .. } => (file, commit),
            other => panic!("{other:?}"),
        }
    }
}

/// As the engine asks for a plan that was applied.
pub(crate) fn wanted(name: &str, spec: &Value) -> Wanted {
    let typed: ProxmoxActionPlanSpec = serde_json::from_value(spec.clone()).unwrap();
    Wanted {
        kind: "ProxmoxActionPlan".to_owned(),
        namespace: "default".to_owned(),
        name: name.to_owned(),
        spec: serde_json::to_value(typed).unwrap(),
        recorded_commit: None,
    }
}
