//! Starting and stopping a simulated Proxmox.
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};

use super::contract::Contract;
use super::faults::{Fault, Faults};
use super::http::{Certificate, Listener, TlsError};
use super::ledger::{Ledger, LedgerEntry};
use super::simulation::{Front, Simulation};
use super::world::{World, WorldError};

/// The version of Proxmox VE whose API is imitated.
pub const IMITATED_VERSION: &str = "9.2";

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
}

impl Default for Options {
    fn default() -> Self {
        Self {
            world: World::sample(),
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            ledger: None,
            plain_http: false,
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
    /// The built-in table of operations is broken, which a test rules out.
    #[error("failed to read the built-in table of API operations: {0}; report this as a bug")]
    Contract(#[from] serde_json::Error),
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
        let certificate = Certificate::generate(&options.listen.ip().to_string())?;
        let simulation = Arc::new(Simulation::new(options.world, Contract::load()?, ledger));
        let acceptor = (!options.plain_http).then(|| certificate.acceptor.clone());
        let listener = Listener::start(options.listen, acceptor, Arc::new(Front(Arc::clone(&simulation))))
            .await
            .map_err(|source| SimError::Listen { address: options.listen, source })?;
        simulation.on_restart(Box::new(listener.cutter()));
        let scheme = if options.plain_http { "http" } else { "https" };
        let ca_file = write_ca(&certificate.ca_pem)?;
        Ok(Self {
            url: format!("{scheme}://{}", listener.address()),
            tokens: tokens(&simulation),
            simulation,
            listener,
            certificate,
            ca_file,
        })
    }

    /// Where it listens, such as `https://127.0.0.1:40123`.
    pub fn url(&self) -> &str {
        &self.url
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
            "imitates": format!("Proxmox VE {IMITATED_VERSION}"),
            "fingerprint": self.certificate.fingerprint,
            "caFile": self.ca_file,
            "tokens": self.tokens,
        })
    }

    /// Ends every connection and frees the port.
    pub async fn stop(self) {
        self.listener.stop().await;
        if let Err(error) = std::fs::remove_file(&self.ca_file) {
            tracing::debug!(%error, path = %self.ca_file.display(), "the temporary CA file is already gone");
        }
    }
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
