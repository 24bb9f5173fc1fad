//! Every node of the cluster answers on a port of its own, for as long as it is up.
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use super::http::{Cutter, Listener};
use super::simulation::{Front, Simulation};

/// How many connections may wait to be accepted.
const BACKLOG: u32 = 1024;

type Cutters = Arc<Mutex<BTreeMap<String, Cutter>>>;

#[derive(Debug)]
pub(super) struct Endpoints {
    pub(super) addresses: BTreeMap<String, SocketAddr>,
    serving: Vec<JoinHandle<()>>,
    cutters: Shared,
    stop: watch::Sender<bool>,
}

#[derive(Clone, Default)]
struct Shared(Cutters);

impl std::fmt::Debug for Shared {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl Shared {
    fn set(&self, node: &str, cutter: Cutter) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(node.to_owned(), cutter);
    }

    fn cut(&self) {
        for cutter in self.0.lock().unwrap_or_else(PoisonError::into_inner).values() {
            cutter();
        }
    }
}

/// The port of one node.
struct Endpoint {
    node: String,
    address: SocketAddr,
    tls: Option<TlsAcceptor>,
    simulation: Arc<Simulation>,
    cutters: Shared,
}

impl Endpoints {
    /// Takes a port for every node of the world; `usual` is where the nodes listen that do not say so themselves.
    pub(super) fn start(
        simulation: &Arc<Simulation>,
        usual: SocketAddr,
        tls: Option<&TlsAcceptor>,
    ) -> Result<Self, (SocketAddr, std::io::Error)> {
        let (stop, told) = watch::channel(false);
        let mut endpoints =
            Self { addresses: BTreeMap::new(), serving: Vec::new(), cutters: Shared::default(), stop };
        let wanted: Vec<(String, Option<SocketAddr>)> = {
            let state = simulation.state();
            state.world.nodes.iter().map(|(name, node)| (name.clone(), node.listen)).collect()
        };
        for (node, listen) in wanted {
            let listen = listen.unwrap_or_else(|| SocketAddr::new(usual.ip(), 0));
            let failed = |source| (listen, source);
            let socket = reserve(listen).map_err(failed)?;
            let address = socket.local_addr().map_err(failed)?;
            let endpoint = Endpoint {
                node: node.clone(),
                address,
                tls: tls.cloned(),
                simulation: Arc::clone(simulation),
                cutters: endpoints.cutters.clone(),
            };
            // A node that is up answers from the beginning on, not only when its turn has come.
            let up = simulation.state().world.nodes.get(&node).is_some_and(|node| node.online);
            let begins =
                if up { Port::Open(socket.listen(BACKLOG).map_err(failed)?) } else { Port::Closed(socket) };
            endpoints.serving.push(tokio::spawn(endpoint.serve(begins, told.clone())));
            endpoints.addresses.insert(node, address);
        }
        Ok(endpoints)
    }

    pub(super) fn cutter(&self) -> Cutter {
        let cutters = self.cutters.clone();
        Box::new(move || cutters.cut())
    }

    pub(super) async fn stop(self) {
        self.stop.send_replace(true);
        // A panic in there has already been reported by the runtime; ending it is what was asked for.
        futures::future::join_all(self.serving).await;
    }
}

/// A closed port is held without listening on it: nobody else gets it, and whoever connects is refused.
enum Port {
    Open(TcpListener),
    Closed(TcpSocket),
}

async fn is_told(told: &mut watch::Receiver<bool>) {
    drop(told.wait_for(|stop| *stop).await);
}

fn reserve(address: SocketAddr) -> std::io::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

impl Endpoint {
    async fn serve(self, mut port: Port, told: watch::Receiver<bool>) {
        loop {
            let next = match port {
                Port::Open(socket) => self.while_up(socket, told.clone()).await,
                Port::Closed(socket) => self.while_down(socket, told.clone()).await,
            };
            port = match next {
                Ok(Some(port)) => port,
                Ok(None) => return,
                Err(error) => {
                    let (node, address) = (&self.node, self.address);
                    tracing::error!(%error, node, %address, "a simulated node no longer answers: its port was taken");
                    return;
                }
            };
        }
    }

    /// `None` when everything ends.
    async fn while_up(
        &self,
        socket: TcpListener,
        mut told: watch::Receiver<bool>,
    ) -> std::io::Result<Option<Port>> {
        let front = Front { simulation: Arc::clone(&self.simulation), node: Some(self.node.clone()) };
        let listener = Listener::start(socket, self.tls.clone(), Arc::new(front))?;
        self.cutters.set(&self.node, listener.cutter());
        tokio::select! {
            () = self.simulation.wait_for_node(&self.node, false) => {
                listener.leave().await;
                Ok(Some(Port::Closed(reserve(self.address)?)))
            }
            () = is_told(&mut told) => {
                listener.stop().await;
                Ok(None)
            }
        }
    }

    async fn while_down(
        &self,
        socket: TcpSocket,
        mut told: watch::Receiver<bool>,
    ) -> std::io::Result<Option<Port>> {
        tokio::select! {
            () = self.simulation.wait_for_node(&self.node, true) => {
                Ok(Some(Port::Open(socket.listen(BACKLOG)?)))
            }
            () = is_told(&mut told) => Ok(None),
        }
    }
}
