//! A namespace with an environment, and both ways out of it guarded. Runs take place in it one after the other.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use proxmox_agent::pve::sim::{Options, Simulator};
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, crypto::ring, pki_types::PrivateKeyDer},
};

use crate::{
    call::Side,
    classes::{Class, SECRET, TOKEN},
    gate::Gate,
    people::{PLAN, People},
    process::Process,
    proxy::Proxy,
    support::{
        chart::{give_roles, install, let_lead},
        cluster::{Cluster, taken},
        manifests::manifest_in,
    },
    witness::Witness,
};

/// How long the operator waits for a Proxmox. An unanswered call is settled some seconds later.
pub(crate) const REQUEST_SECONDS: u64 = 2;

pub(crate) struct Site {
    pub(crate) namespace: String,
    pub(crate) people: People,
    pub(crate) gate: Arc<Gate>,
    pub(crate) witness: Arc<Witness>,
    pub(crate) kubernetes: Proxy,
    proxmox: Proxy,
    kubeconfig: PathBuf,
    files: tempfile::TempDir,
    runs: u32,
    cluster: Arc<Cluster>,
}

/// A second operator's way to the same API server. Proxmox it reaches by the way that the environment names.
pub(crate) struct Beside {
    pub(crate) gate: Arc<Gate>,
    _kubernetes: Proxy,
    kubeconfig: PathBuf,
    namespace: String,
    volume: PathBuf,
}

/// What a run takes place in.
pub(crate) struct Stage {
    pub(crate) sim: Simulator,
    /// The volume of the operator.
    pub(crate) volume: PathBuf,
}

/// So many sites on one control plane.
pub(crate) async fn sites(cluster: &Arc<Cluster>, count: usize) -> Vec<Site> {
    install(cluster).await;
    let mut namespaces = vec![];
    for _ in 0..count {
        namespaces.push(cluster.namespace().await);
    }
    let names: Vec<&str> = namespaces.iter().map(String::as_str).collect();
    give_roles(cluster, &names).await;
    let_lead(cluster, &names).await;
    let sites: Vec<Site> =
        futures::future::join_all(namespaces.into_iter().map(|namespace| Site::new(cluster, namespace)))
            .await;
    let furniture: Vec<String> = sites.iter().map(Site::furniture).collect();
    let applied = cluster.kubectl_reading(&furniture.join("\n---\n"), "admin", &["apply", "-f", "-"]).await;
    taken(&applied);
    sites
}

impl Site {
    async fn new(cluster: &Arc<Cluster>, namespace: String) -> Self {
        let gate = Gate::new();
        let witness = Arc::new(Witness::new(cluster.client("admin").await, &namespace));
        let (tls, _) = certificate();
        let kubernetes = Proxy::to(Side::Kubernetes, client(), &gate, &witness, None).await;
        kubernetes.lead_to(cluster.server());
        let proxmox = Proxy::to(Side::Proxmox, client(), &gate, &witness, Some(tls.clone())).await;
        let files = tempfile::tempdir().unwrap();
        let kubeconfig = files.path().join("kubeconfig");
        write_kubeconfig(cluster, &kubernetes, &kubeconfig);
        let people = People::of(cluster, &namespace).await;
        let cluster = Arc::clone(cluster);
        Self { namespace, people, gate, witness, kubernetes, proxmox, kubeconfig, files, runs: 0, cluster }
    }

    /// What belongs to an environment, as its owner sets it up.
    fn furniture(&self) -> String {
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "pve-home", "namespace": self.namespace},
            "stringData": {"token": format!("{TOKEN}={SECRET}")},
        });
        let (_, fingerprint) = certificate();
        let spec = json!({
            "endpoints": [format!("https://{}", self.proxmox.address)],
            "credentials": {"secretRef": {"name": "pve-home"}}, "tls": {"fingerprint": fingerprint},
            "tier": "staging", "requestTimeoutSeconds": REQUEST_SECONDS,
        });
        format!("{secret}\n---\n{}", manifest_in(&self.namespace, "ProxmoxEnvironment", "home", &spec))
    }

    /// Begins a run: nobody knows anything of the one before.
    pub(crate) async fn set(&mut self, class: &Class) -> Stage {
        self.people.clear().await;
        self.runs += 1;
        let volume = self.files.path().join(format!("run-{}", self.runs));
        std::fs::create_dir(&volume).unwrap();
        let shown_for_it = Some(certificate().1.clone());
        let options = Options { world: class.world(), plain_http: true, shown_for_it, ..Options::default() };
        let sim = Simulator::start(options).await.unwrap();
        self.proxmox.lead_to(sim.url());
        self.witness.watches_over(PLAN, vec![volume.clone()]);
        Stage { sim, volume }
    }

    /// Those of all runs so far: the environment stays, and what leads next links to the chain that led last.
    pub(crate) fn volumes(&self) -> Vec<PathBuf> {
        let folders = std::fs::read_dir(self.files.path()).unwrap().map(|entry| entry.unwrap().path());
        folders.filter(|folder| folder.join("audit").is_dir()).collect()
    }

    /// Another operator begins.
    pub(crate) fn start(&self, volume: &Path) -> Arc<Process> {
        let process = Arc::new(Process::start(&self.kubeconfig, &self.namespace, "one", volume));
        self.gate.guards(&process);
        process
    }
}

impl Site {
    /// Where a second operator may begin, with a volume of its own.
    pub(crate) async fn beside(&self, stage: &Stage) -> Beside {
        let gate = Gate::new();
        let kubernetes = Proxy::to(Side::Kubernetes, client(), &gate, &self.witness, None).await;
        kubernetes.lead_to(self.cluster.server());
        let volume = stage.volume.with_extension("beside");
        std::fs::create_dir(&volume).unwrap();
        let kubeconfig = volume.join("kubeconfig");
        write_kubeconfig(&self.cluster, &kubernetes, &kubeconfig);
        self.witness.watches_over(PLAN, vec![stage.volume.clone(), volume.clone()]);
        Beside { gate, _kubernetes: kubernetes, kubeconfig, namespace: self.namespace.clone(), volume }
    }
}

impl Beside {
    pub(crate) fn start(&self) -> Arc<Process> {
        let process = Arc::new(Process::start(&self.kubeconfig, &self.namespace, "two", &self.volume));
        self.gate.guards(&process);
        process
    }

    pub(crate) fn volume(&self) -> &Path {
        &self.volume
    }
}

/// The operator's own identity, by way of a proxy.
fn write_kubeconfig(cluster: &Cluster, kubernetes: &Proxy, path: &Path) {
    let direct = std::fs::read_to_string(cluster.kubeconfig("operator")).unwrap();
    let by_way_of_us = direct.replace(cluster.server(), &format!("http://{}", kubernetes.address));
    std::fs::write(path, by_way_of_us).unwrap();
}

/// A client that does nothing of its own accord.
fn client() -> reqwest::Client {
    // The client can't be built without: of many that do so, one is first.
    drop(ring::default_provider().install_default());
    let builder = reqwest::Client::builder().no_proxy().http1_only().tls_danger_accept_invalid_certs(true);
    builder.retry(reqwest::retry::never()).build().unwrap()
}

/// What every Proxmox here shows, and its SHA-256.
fn certificate() -> &'static (TlsAcceptor, String) {
    static CERTIFICATE: OnceLock<(TlsAcceptor, String)> = OnceLock::new();
    CERTIFICATE.get_or_init(|| {
        let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
        let der = made.cert.der().clone();
        let fingerprint = Sha256::digest(&der).iter().map(|byte| format!("{byte:02x}")).collect();
        let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![der], key)
            .unwrap();
        (TlsAcceptor::from(Arc::new(config)), fingerprint)
    })
}
