//! `proxmox-agent simulate`: a Proxmox to try things out on.
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;

use tokio::signal::unix::{SignalKind, signal};

use crate::pve::sim::{Options, SimError, Simulator, World};

/// Serve a simulated Proxmox VE until stopped.
#[derive(Debug, clap::Args)]
pub struct Simulate {
    /// Where to listen; port 0 takes any free port.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// A YAML file that describes the world to begin with, instead of the sample world.
    #[arg(long, value_name = "FILE")]
    world: Option<PathBuf>,
    /// A file to which every mutation that arrives is appended, as JSON lines.
    #[arg(long, value_name = "FILE")]
    ledger: Option<PathBuf>,
    /// Serve HTTP without TLS.
    #[arg(long)]
    plain_http: bool,
}

impl Simulate {
    /// Prints one line of JSON that says how to connect, then serves until SIGINT or SIGTERM.
    ///
    /// # Errors
    /// Says what could not be read, written or listened on.
    pub async fn run(self) -> Result<(), SimError> {
        let world = self.world.map_or_else(|| Ok(World::sample()), read_world)?;
        let options = Options {
            world,
            listen: self.listen,
            ledger: self.ledger,
            plain_http: self.plain_http,
            shown_for_it: None,
        };
        let simulator = Simulator::start(options).await?;
        announce(&simulator).map_err(SimError::Announce)?;
        wait_for_signal().await.map_err(SimError::Signal)?;
        simulator.stop().await;
        Ok(())
    }
}

fn read_world(path: PathBuf) -> Result<World, SimError> {
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(World::from_yaml(&text)?),
        Err(source) => Err(SimError::ReadWorld { path, source }),
    }
}

fn announce(simulator: &Simulator) -> std::io::Result<()> {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{}", simulator.banner())?;
    stdout.flush()
}

async fn wait_for_signal() -> std::io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}
