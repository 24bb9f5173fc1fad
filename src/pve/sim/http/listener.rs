//! Accepting connections and serving requests on them.
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use http::{HeaderValue, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::ext::ReasonPhrase;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use super::{Request, Response};

/// The connection ends without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the simulation closed the connection without an answer")]
pub(in crate::pve::sim) struct Lost;

/// Whatever answers requests. `Lost` closes the connection, as a crash between request and answer would.
pub(in crate::pve::sim) trait Service: Send + Sync + 'static {
    fn serve(&self, request: Request) -> impl Future<Output = Result<Response, Lost>> + Send;
}

/// What the connections are told: to go on, to end because of a restart, to answer what they were asked and end, or to
/// end for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Signal {
    Epoch(u64),
    Leave,
    Stop,
}

/// Cuts every connection, as a restarted daemon does.
pub(in crate::pve::sim) type Cutter = Box<dyn Fn() + Send + Sync>;

#[derive(Debug)]
pub(in crate::pve::sim) struct Listener {
    address: SocketAddr,
    signal: Arc<watch::Sender<Signal>>,
    accepting: JoinHandle<()>,
}

impl Listener {
    pub(in crate::pve::sim) fn start<S: Service>(
        socket: TcpListener,
        tls: Option<TlsAcceptor>,
        service: Arc<S>,
    ) -> std::io::Result<Self> {
        let address = socket.local_addr()?;
        let (signal, told) = watch::channel(Signal::Epoch(0));
        let accepting = tokio::spawn(accept(socket, tls, service, told));
        Ok(Self { address, signal: Arc::new(signal), accepting })
    }

    pub(in crate::pve::sim) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(in crate::pve::sim) fn cutter(&self) -> Cutter {
        let signal = Arc::clone(&self.signal);
        Box::new(move || {
            signal.send_modify(|signal| {
                if let Signal::Epoch(epoch) = signal {
                    *signal = Signal::Epoch(*epoch + 1);
                }
            });
        })
    }

    /// Frees the port, as a daemon that shuts down: what has been asked for is still answered.
    pub(in crate::pve::sim) async fn leave(self) {
        self.end(Signal::Leave).await;
    }

    pub(in crate::pve::sim) async fn stop(self) {
        self.end(Signal::Stop).await;
    }

    async fn end(self, signal: Signal) {
        self.signal.send_replace(signal);
        // A panic in the accept loop has already been reported by the runtime; ending it is what was asked for.
        let _ = self.accepting.await;
    }
}

async fn accept<S: Service>(
    socket: TcpListener,
    tls: Option<TlsAcceptor>,
    service: Arc<S>,
    mut told: watch::Receiver<Signal>,
) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = socket.accept() => accepted,
            () = is_told(&mut told, is_last) => break,
        };
        while connections.try_join_next().is_some() {}
        match accepted {
            Ok((stream, _)) => {
                connections.spawn(connection(stream, tls.clone(), Arc::clone(&service), told.clone()));
            }
            Err(error) => {
                tracing::warn!(%error, "failed to accept a connection to the simulated Proxmox");
            }
        }
    }
    drop(socket);
    if *told.borrow() == Signal::Leave {
        connections.detach_all();
    } else {
        connections.shutdown().await;
    }
}

/// Waits for a signal; a listener that is gone has nothing more to say.
async fn is_told(told: &mut watch::Receiver<Signal>, wanted: impl Fn(Signal) -> bool) {
    if told.wait_for(|signal| wanted(*signal)).await.is_err() {
        std::future::pending::<()>().await;
    }
}

fn is_last(signal: Signal) -> bool {
    matches!(signal, Signal::Leave | Signal::Stop)
}

async fn connection<S: Service>(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    service: Arc<S>,
    mut told: watch::Receiver<Signal>,
) {
    let epoch = *told.borrow_and_update();
    let leaving = told.clone();
    let served = async {
        match tls {
            None => serve(stream, service, leaving).await,
            Some(acceptor) => match acceptor.accept(stream).await {
                Ok(stream) => serve(stream, service, leaving).await,
                Err(error) => tracing::debug!(%error, "a client gave up during the TLS handshake"),
            },
        }
    };
    tokio::select! {
        () = served => {}
        () = is_told(&mut told, |signal| signal != epoch && signal != Signal::Leave) => {}
    }
}

async fn serve<S: Service, I: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: I,
    service: Arc<S>,
    mut told: watch::Receiver<Signal>,
) {
    let handler = service_fn(move |request: hyper::Request<Incoming>| {
        let service = Arc::clone(&service);
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.map_err(|_| Lost)?.to_bytes();
            let request = Request { method: head.method, uri: head.uri, headers: head.headers, body };
            service.serve(request).await.map(on_the_wire)
        }
    });
    let served = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), handler);
    tokio::pin!(served);
    let ended = tokio::select! {
        ended = served.as_mut() => ended,
        () = is_told(&mut told, |signal| signal == Signal::Leave) => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection to the simulated Proxmox ended early");
    }
}

fn on_the_wire(
    response: Response,
) -> hyper::Response<http_body_util::combinators::BoxBody<Bytes, Infallible>> {
    let has_type = response.body.is_some() && !response.content_type.is_empty();
    let body = response.body.unwrap_or_default();
    let mut wire = hyper::Response::new(Full::new(Bytes::from(body)).boxed());
    *wire.status_mut() = StatusCode::from_u16(response.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if let Ok(reason) = ReasonPhrase::try_from(printable(&response.reason).into_bytes()) {
        wire.extensions_mut().insert(reason);
    }
    let headers = wire.headers_mut();
    headers.insert("server", HeaderValue::from_static("pve-api-daemon/3.0"));
    headers.insert("cache-control", HeaderValue::from_static("max-age=0"));
    headers.insert("pragma", HeaderValue::from_static("no-cache"));
    if has_type {
        headers.insert("content-type", HeaderValue::from_static(response.content_type));
    }
    wire
}

/// A status line holds one line of bytes that no header could misread.
fn printable(reason: &str) -> String {
    reason.chars().filter(|c| !c.is_control()).collect()
}
