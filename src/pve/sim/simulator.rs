//! Starting and stopping a simulated Proxmox.
use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::endpoints::Endpoints;
use super::faults::{Fault, Faults};
use super::http::{Certificate, Listener, TlsError};
use super::ledger::{Ledger, LedgerEntry};
use super::simulation::{Front, Simulation};
use super::world::{World, WorldError};

/// How to start a simulation.
#[derive(Debug)]
pub struct Options {
    /// The world to begin with.
    pub world: World,
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// A file to which the ledger is appended.
    pub ledger: Option<PathBuf>,
    /// Serve without TLS.
    pub plain_http: bool,
    /// The fingerprint of what somebody in front of it shows in its place.
    pub shown_for_it: Option<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            world: World::sample(),
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            ledger: None,
            plain_http: false,
            shown_for_it: None,
        }
    }
}

/// Why a simulation could not start.
#[derive(Debug, thiserror::Error)]
pub enum SimError {
    /// The world does not make sense.
    #[error(transparent)]
    World(#[from] WorldError),
    /// The world file could not be read.
    #[error("failed to read the world file {path}: {source}; name a readable YAML file")]
    ReadWorld {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The ledger file could not be opened.
    #[error(
        "failed to open the ledger file {path} for appending: {source}; name a file in a writable folder"
    )]
    OpenLedger {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The address could not be listened on.
    #[error(
        "failed to listen on {address}: {source}; choose another --listen address, or port 0 for any free port"
    )]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// No certificate.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The CA file could not be written.
    #[error(
        "failed to write the CA certificate to {path}: {source}; make the folder for temporary files writable"
    )]
    WriteCa {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Standard output is closed.
    #[error("failed to print where the simulation listens: {0}; keep its standard output open")]
    Announce(#[source] std::io::Error),
    /// Signals can't be listened for.
    #[error("failed to wait for a signal to stop: {0}")]
    Signal(#[source] std::io::Error),
}

/// A running simulation. It stops when it is told to; dropping it leaves its port open until the runtime ends.
#[derive(Debug)]
pub struct Simulator {
    simulation: Arc<Simulation>,
    listener: Listener,
    endpoints: Endpoints,
    scheme: &'static str,
    url: String,
    certificate: Certificate,
    ca_file: PathBuf,
    tokens: BTreeMap<String, String>,
}

impl Simulator {
    /// Starts listening; when this returns, requests are answered.
    ///
    /// # Errors
    /// Says what could not be read, written or listened on.
    pub async fn start(options: Options) -> Result<Self, SimError> {
        let ledger = Ledger::open(options.ledger.as_deref()).map_err(|source| {
            let path = options.ledger.clone().unwrap_or_default();
            SimError::OpenLedger { path, source }
        })?;
        let certificate = Certificate::generate(&hosts(&options))?;
        let simulation = Arc::new(Simulation::new(options.world, ledger));
        let own = (!options.plain_http).then(|| certificate.fingerprint.clone());
        simulation.state().certificate = options.shown_for_it.or(own);
        let acceptor = (!options.plain_http).then(|| certificate.acceptor.clone());
        let refused = |(address, source)| SimError::Listen { address, source };
        // The port that was asked for comes first: one of the nodes might happen to get it.
        let socket =
            TcpListener::bind(options.listen).await.map_err(|error| refused((options.listen, error)))?;
        let endpoints = Endpoints::start(&simulation, options.listen, acceptor.as_ref()).map_err(refused)?;
        let front = Front { simulation: Arc::clone(&simulation), node: None };
        let listener = Listener::start(socket, acceptor, Arc::new(front))
            .map_err(|error| refused((options.listen, error)))?;
        let (cut_main, cut_nodes) = (listener.cutter(), endpoints.cutter());
        simulation.on_restart(Box::new(move || {
            cut_main();
            cut_nodes();
        }));
        let scheme = if options.plain_http { "http" } else { "https" };
        let ca_file = write_ca(&certificate.ca_pem)?;
        Ok(Self {
            url: format!("{scheme}://{}", listener.address()),
            tokens: tokens(&simulation),
            scheme,
            simulation,
            listener,
            endpoints,
            certificate,
            ca_file,
        })
    }

    /// Where it listens, such as `https://127.0.0.1:40123`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Where every node answers itself, by its name. A node that is switched off refuses connections there.
    pub fn node_urls(&self) -> BTreeMap<String, String> {
        let url =
            |(node, address): (&String, &SocketAddr)| (node.clone(), format!("{}://{address}", self.scheme));
        self.endpoints.addresses.iter().map(url).collect()
    }

    /// The SHA-256 of the certificate that is served, such as `AA:BB:…`.
    pub fn fingerprint(&self) -> &str {
        &self.certificate.fingerprint
    }

    /// The certificate of the authority that clients may trust.
    pub fn ca_pem(&self) -> &str {
        &self.certificate.ca_pem
    }

    /// A file that holds `ca_pem`, until the simulation stops.
    pub fn ca_file(&self) -> &Path {
        &self.ca_file
    }

    /// The secret of every token, by its full id (`user@realm!name`).
    pub fn tokens(&self) -> &BTreeMap<String, String> {
        &self.tokens
    }

    /// Every mutation that has been received so far.
    pub fn ledger(&self) -> Vec<LedgerEntry> {
        self.simulation.ledger().entries()
    }

    /// How often each path below `/api2/json` was read, logins included.
    pub fn reads(&self) -> BTreeMap<String, u64> {
        self.simulation.reads().clone()
    }

    /// Replaces the faults that are switched on.
    pub fn set_faults(&self, faults: Vec<Fault>) {
        self.simulation.state().faults = Faults::new(faults);
    }

    /// Restarts every node: running tasks are gone, connections break.
    pub fn restart(&self) {
        self.simulation.restart();
    }

    /// What a client needs to connect, as the command line prints it.
    pub fn banner(&self) -> Value {
        json!({
            "url": self.url,
            "nodes": self.node_urls(),
            "imitates": format!("Proxmox VE {}", self.simulation.state().world.release()),
            "fingerprint": self.certificate.fingerprint,
            "caFile": self.ca_file,
            "tokens": self.tokens,
        })
    }

    /// Ends every connection and frees the port.
    pub async fn stop(self) {
        self.endpoints.stop().await;
        self.listener.stop().await;
        if let Err(error) = std::fs::remove_file(&self.ca_file) {
            tracing::debug!(%error, path = %self.ca_file.display(), "the temporary CA file is already gone");
        }
    }
}

/// The names under which clients reach the simulation.
fn hosts(options: &Options) -> BTreeSet<String> {
    let nodes = options.world.nodes.values().filter_map(|node| node.listen);
    let addresses = nodes.chain([options.listen]).map(|address| address.ip().to_string());
    addresses.chain(["localhost", "127.0.0.1", "::1"].map(str::to_owned)).collect()
}

fn write_ca(pem: &str) -> Result<PathBuf, SimError> {
    let path = std::env::temp_dir().join(format!("simulated-proxmox-ca-{}.pem", uuid::Uuid::new_v4()));
    std::fs::write(&path, pem).map_err(|source| SimError::WriteCa { path: path.clone(), source })?;
    Ok(path)
}

fn tokens(simulation: &Simulation) -> BTreeMap<String, String> {
    let state = simulation.state();
    let mut tokens = BTreeMap::new();
    for (user_id, user) in &state.world.users {
        for (name, token) in &user.tokens {
            tokens.insert(format!("{user_id}!{name}"), token.secret.clone().unwrap_or_default());
        }
    }
    tokens
}
