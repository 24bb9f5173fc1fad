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
    holds: watch::Sender<bool>,
    connections: Arc<AtomicUsize>,
    held: Arc<AtomicUsize>,
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
        let holds = watch::Sender::new(false);
        let (connections, held) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let line = Line { told, holds: holds.subscribe(), held: Arc::clone(&held) };
        let accepting = tokio::spawn(accept(listener, line, Arc::clone(&connections)));
        Self { address, leads_to, holds, connections, held, accepting }
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

    /// From now on whoever comes is let in, and nothing that it says goes any further.
    pub(crate) fn hold(&self) {
        self.holds.send_replace(true);
    }

    pub(crate) fn let_go(&self) {
        self.holds.send_replace(false);
    }

    /// How many were held.
    pub(crate) fn held(&self) -> usize {
        self.held.load(Ordering::SeqCst)
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

/// How those who come are passed on.
#[derive(Clone)]
struct Line {
    told: watch::Receiver<Option<SocketAddr>>,
    holds: watch::Receiver<bool>,
    held: Arc<AtomicUsize>,
}

async fn accept(listener: TcpListener, line: Line, connections: Arc<AtomicUsize>) {
    while let Ok((stream, _)) = listener.accept().await {
        connections.fetch_add(1, Ordering::SeqCst);
        tokio::spawn(pass_on(stream, line.clone()));
    }
}

async fn pass_on(mut stream: TcpStream, Line { mut told, mut holds, held }: Line) {
    if *holds.borrow_and_update() {
        held.fetch_add(1, Ordering::SeqCst);
        if holds.wait_for(|holds| !holds).await.is_err() {
            return;
        }
    }
    let Some(target) = *told.borrow_and_update() else { return };
    let mut onward = TcpStream::connect(target).await.unwrap();
    tokio::select! {
        _ = tokio::io::copy_bidirectional(&mut stream, &mut onward) => {}
        _ = told.changed() => {}
    }
}
