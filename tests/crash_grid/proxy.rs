//! Stands between the operator and one of its neighbours: every request goes by way of it, one by one.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use http::{HeaderName, Request, Response, header, request::Parts};
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    body::{Bytes, Incoming},
    ext::ReasonPhrase,
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;

use crate::{
    call::{Call, Effect, Side},
    gate::{Fault, Gate, UnderWay},
    watching::Watches,
    witness::Witness,
};

/// Longer than a request to Proxmox may take here, and far shorter than one to Kubernetes.
const SLOW: Duration = Duration::from_millis(2500);
/// So long a call is on its way whose sender is dead: shorter than it takes until an outcome is judged without it.
const LATE: Duration = Duration::from_secs(3);
/// What is about one connection only.
const OF_THE_CONNECTION: [HeaderName; 5] = [
    header::HOST,
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::ACCEPT_ENCODING,
];

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// The connection ends without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the connection was cut")]
struct Cut;

pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    way: Arc<Way>,
    accepting: JoinHandle<()>,
}

struct Way {
    side: Side,
    /// Where it leads: `https://127.0.0.1:6443`.
    onward: Mutex<String>,
    client: reqwest::Client,
    gate: Arc<Gate>,
    witness: Arc<Witness>,
    watches: Arc<Watches>,
    is_away: AtomicBool,
}

impl Proxy {
    pub(crate) async fn to(
        side: Side,
        client: reqwest::Client,
        gate: &Arc<Gate>,
        witness: &Arc<Witness>,
        tls: Option<TlsAcceptor>,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let way = Arc::new(Way {
            side,
            onward: Mutex::default(),
            client,
            gate: Arc::clone(gate),
            witness: Arc::clone(witness),
            watches: Arc::default(),
            is_away: AtomicBool::new(false),
        });
        let accepting = tokio::spawn(accept(listener, tls, Arc::clone(&way)));
        Self { address, way, accepting }
    }

    pub(crate) fn lead_to(&self, url: &str) {
        url.clone_into(&mut self.way.onward.lock().unwrap());
    }

    /// Nobody is there: whatever was begun breaks off, whatever is asked for goes nowhere.
    pub(crate) fn go_away(&self) {
        self.way.is_away.store(true, Ordering::SeqCst);
        self.way.watches.take_down();
    }

    pub(crate) fn come_back(&self) {
        self.way.watches.bring_up();
        self.way.is_away.store(false, Ordering::SeqCst);
    }

    pub(crate) fn watches(&self) -> &Watches {
        &self.way.watches
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, way: Arc<Way>) {
    while let Ok((stream, _)) = listener.accept().await {
        let (tls, way) = (tls.clone(), Arc::clone(&way));
        if way.side == Side::Proxmox {
            way.gate.connects();
        }
        tokio::spawn(async move {
            match tls {
                None => serve(stream, way).await,
                Some(acceptor) => {
                    // Whoever gives up during the handshake has sent nothing.
                    if let Ok(stream) = acceptor.accept(stream).await {
                        serve(stream, way).await;
                    }
                }
            }
        });
    }
}

async fn serve<I: AsyncRead + AsyncWrite + Unpin + Send + 'static>(stream: I, way: Arc<Way>) {
    let service = service_fn(move |request: Request<Incoming>| {
        let way = Arc::clone(&way);
        // Whatever becomes of the connection: what has arrived goes its way.
        async move { tokio::spawn(way.pass(request)).await.unwrap_or(Err(Cut)) }
    });
    // It ends with an error wherever a fault cuts it.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

impl Way {
    async fn pass(self: Arc<Self>, request: Request<Incoming>) -> Result<Response<Body>, Cut> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.map_err(|_| Cut)?.to_bytes();
        let call = Call::of(self.side, &head);
        let (under_way, fault) = self.gate.arrive(&call);
        if self.is_away.load(Ordering::SeqCst) {
            return Err(Cut);
        }
        match fault {
            Some(Fault::KilledBefore) => {
                self.gate.kill().await;
                return Err(Cut);
            }
            Some(Fault::Lost) => {
                self.gate.has_sprung();
                return Err(Cut);
            }
            Some(Fault::KilledAndLate) => {
                self.gate.kill().await;
                self.gate.replaced().await;
                tokio::time::sleep(LATE).await;
                let _ = self.forward(&call, head, body).await;
                return Err(Cut);
            }
            Some(Fault::Stopped) => self.gate.stop(),
            _ => {}
        }
        let announces = announces_a_change(&call, &body);
        let answer = self.forward(&call, head, body).await?;
        // It was carried out, and nobody is left to say so.
        if self.is_away.load(Ordering::SeqCst) {
            return Err(Cut);
        }
        if announces && answer.status().is_success() {
            self.gate.announced();
        }
        match fault {
            Some(Fault::KilledUnanswered) => {
                self.gate.kill().await;
                Err(Cut)
            }
            Some(Fault::Unanswered) => {
                self.gate.has_sprung();
                Err(Cut)
            }
            Some(Fault::Slow) => {
                self.gate.has_sprung();
                tokio::time::sleep(SLOW).await;
                self.answered(call, answer, under_way, None).await
            }
            fault => self.answered(call, answer, under_way, fault).await,
        }
    }

    async fn forward(&self, call: &Call, head: Parts, body: Bytes) -> Result<reqwest::Response, Cut> {
        let arrived = Instant::now();
        if call.effect == Effect::Mutates {
            self.witness.sees(&call.words).await;
        }
        let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
        let url = format!("{}{path}", self.onward.lock().unwrap());
        let mut headers = head.headers;
        for name in OF_THE_CONNECTION {
            headers.remove(name);
        }
        let request = self.client.request(head.method, url).headers(headers).body(body);
        let answer = request.send().await.map_err(|_| Cut);
        if call.effect == Effect::Mutates {
            self.gate.answered_after(arrived.elapsed());
        }
        answer
    }

    async fn answered(
        &self,
        call: Call,
        answer: reqwest::Response,
        under_way: UnderWay,
        fault: Option<Fault>,
    ) -> Result<Response<Body>, Cut> {
        let mut response = Response::new(());
        *response.status_mut() = answer.status();
        *response.headers_mut() = answer.headers().clone();
        for name in OF_THE_CONNECTION {
            response.headers_mut().remove(name);
        }
        if let Some(reason) = answer.extensions().get::<ReasonPhrase>() {
            response.extensions_mut().insert(reason.clone());
        }
        let victim_of = (fault == Some(Fault::KilledAfter)).then(|| Arc::clone(&self.gate));
        let answered = Answered { victim_of, _under_way: under_way };
        if call.effect == Effect::Watches {
            let lines = self.watches.follow(&call.words, answer).ok_or(Cut)?;
            return Ok(response.map(|()| StreamBody::new(lines).boxed_unsync()));
        }
        let whole = answer.bytes().await.map_err(|_| Cut)?;
        let body = Full::new(whole).map_frame(move |frame| {
            let _until_it_is_written = &answered;
            frame
        });
        Ok(response.map(|()| body.boxed_unsync()))
    }
}

fn announces_a_change(call: &Call, body: &[u8]) -> bool {
    let is_dispatching = || {
        let plan: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
        plan["status"]["phase"] == "Dispatching"
    };
    call.words == "PUT proxmoxactionplans/p/status" && is_dispatching()
}

/// Dropped when the answer has been handed to the connection.
struct Answered {
    /// The operator dies of it.
    victim_of: Option<Arc<Gate>>,
    _under_way: UnderWay,
}

impl Drop for Answered {
    fn drop(&mut self) {
        if let Some(gate) = self.victim_of.take() {
            tokio::spawn(async move {
                // Handed over is not yet on the wire.
                tokio::time::sleep(Duration::from_millis(1)).await;
                gate.kill().await;
            });
        }
    }
}
