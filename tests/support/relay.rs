//! An address of its own that leads to a simulated Proxmox, and can be taken away.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use proxmox_agent::pve::sim::Simulator;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

pub(crate) struct Relay {
    address: SocketAddr,
    leads_to: watch::Sender<Option<SocketAddr>>,
    connections: Arc<AtomicUsize>,
    accepting: JoinHandle<()>,
}

impl Relay {
    /// An address of this Proxmox.
    pub(crate) async fn to(sim: &Simulator) -> Self {
        Self::at(Some(address_of(sim))).await
    }

    /// An address where nobody is.
    pub(crate) async fn nowhere() -> Self {
        Self::at(None).await
    }

    async fn at(target: Option<SocketAddr>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (leads_to, told) = watch::channel(target);
        let connections = Arc::<AtomicUsize>::default();
        let accepting = tokio::spawn(accept(listener, told, Arc::clone(&connections)));
        Self { address, leads_to, connections, accepting }
    }

    pub(crate) fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// Every connection breaks and no new one comes about: a handshake is never answered.
    pub(crate) fn cut(&self) {
        self.leads_to.send_replace(None);
    }

    pub(crate) fn lead_to(&self, sim: &Simulator) {
        self.leads_to.send_replace(Some(address_of(sim)));
    }

    /// How often somebody came.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

fn address_of(sim: &Simulator) -> SocketAddr {
    sim.url().trim_start_matches("https://").parse().unwrap()
}

async fn accept(
    listener: TcpListener,
    told: watch::Receiver<Option<SocketAddr>>,
    connections: Arc<AtomicUsize>,
) {
    while let Ok((stream, _)) = listener.accept().await {
        connections.fetch_add(1, Ordering::SeqCst);
        tokio::spawn(pass_on(stream, told.clone()));
    }
}

async fn pass_on(mut stream: TcpStream, mut told: watch::Receiver<Option<SocketAddr>>) {
    let Some(target) = *told.borrow_and_update() else { return };
    let mut onward = TcpStream::connect(target).await.unwrap();
    tokio::select! {
        _ = tokio::io::copy_bidirectional(&mut stream, &mut onward) => {}
        _ = told.changed() => {}
    }
}
