//! A server for tests that does exactly what it is told, byte by byte, and remembers every request that reached it.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{
    ServerConfig, SupportedProtocolVersion,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
    version::TLS13,
};
use sha2::{Digest, Sha256};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Notify,
    task::{AbortHandle, JoinSet},
};
use tokio_rustls::TlsAcceptor;

use super::{ApiToken, Client, Trust};

/// Occurs in no text that leaves this room.
pub const CANARY: &str = "7d1f4a4e-canary-4cc3-9c3f-2f6a1f3c0e55";

/// What the server does with the next request.
#[derive(Clone, Debug)]
pub enum Reply {
    /// Answers these bytes and keeps the connection.
    Say(String),
    /// Answers these bytes and closes the connection.
    SayAndClose(String),
    /// Reads the whole request and closes.
    Close,
    /// Resets the connection before it reads anything.
    Reset,
    /// Accepts the connection and does nothing, not even a handshake.
    Ignore,
    /// Accepts the connection and waits with the handshake until it is told to go on.
    Dawdle(Arc<Notify>),
    /// Reads the whole request and never answers.
    Silence,
    /// Repeats the request's head in an answer of this status.
    Echo(u16),
}

impl Reply {
    /// An answer of Proxmox.
    pub fn json(status: u16, reason: &str, body: &str) -> Self {
        let length = body.len();
        Self::Say(format!(
            "HTTP/1.1 {status} {reason}\r\nConnection: Keep-Alive\r\nContent-Type: application/json;charset=UTF-8\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        ))
    }

    pub fn ok(body: &str) -> Self {
        Self::json(200, "OK", body)
    }
}

#[derive(Debug, Default)]
struct Seen {
    script: VecDeque<Reply>,
    connections: usize,
    requests: Vec<String>,
}

#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    scheme: &'static str,
    seen: Arc<Mutex<Seen>>,
    accepting: AbortHandle,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Server {
    pub async fn plain(script: impl IntoIterator<Item = Reply>) -> Self {
        Self::start(None, script).await
    }

    pub async fn tls(identity: &Identity, script: impl IntoIterator<Item = Reply>) -> Self {
        Self::start(Some(identity.acceptor()), script).await
    }

    async fn start(tls: Option<TlsAcceptor>, script: impl IntoIterator<Item = Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let seen = Arc::new(Mutex::new(Seen { script: script.into_iter().collect(), ..Seen::default() }));
        let accepting = tokio::spawn(accept(listener, tls, seen.clone())).abort_handle();
        Self { address, scheme, seen, accepting }
    }

    pub fn endpoint(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// A client that waits as long as a busy machine may take.
    pub fn client(&self, trust: &Trust) -> Client {
        Client::new(&[self.endpoint()], token(), trust, Duration::from_secs(20)).unwrap()
    }

    /// A client for tests in which the time has to run out.
    pub fn impatient_client(&self, trust: &Trust) -> Client {
        impatient_client(&self.endpoint(), trust)
    }

    pub fn connections(&self) -> usize {
        lock(&self.seen).connections
    }

    /// Heads and bodies, as they came.
    pub fn requests(&self) -> Vec<String> {
        lock(&self.seen).requests.clone()
    }
}

pub fn impatient_client(endpoint: &str, trust: &Trust) -> Client {
    Client::new(&[endpoint], token(), trust, Duration::from_millis(400)).unwrap()
}

pub fn token() -> ApiToken {
    format!("agent@pve!plans={CANARY}").parse().unwrap()
}

fn lock(seen: &Mutex<Seen>) -> std::sync::MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, seen: Arc<Mutex<Seen>>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        lock(&seen).connections += 1;
        connections.spawn(connection(stream, tls.clone(), seen.clone()));
    }
}

async fn connection(stream: TcpStream, tls: Option<TlsAcceptor>, seen: Arc<Mutex<Seen>>) {
    let first = lock(&seen).script.front().cloned();
    match first {
        Some(Reply::Reset) => {
            lock(&seen).script.pop_front();
            return stream.set_zero_linger().unwrap();
        }
        Some(Reply::Ignore) => return std::future::pending().await,
        Some(Reply::Dawdle(go_on)) => {
            lock(&seen).script.pop_front();
            go_on.notified().await;
        }
        _ => {}
    }
    match tls {
        Some(tls) => {
            if let Ok(stream) = tls.accept(stream).await {
                serve(stream, &seen).await;
            }
        }
        None => serve(stream, &seen).await,
    }
}

async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, seen: &Mutex<Seen>) {
    while let Some(request) = read_request(&mut stream).await {
        let reply = {
            let mut seen = lock(seen);
            seen.requests.push(request.clone());
            seen.script.pop_front()
        };
        match reply {
            Some(Reply::Say(answer)) => stream.write_all(answer.as_bytes()).await.unwrap(),
            Some(Reply::SayAndClose(answer)) => {
                stream.write_all(answer.as_bytes()).await.unwrap();
                return drop(stream.shutdown().await);
            }
            Some(Reply::Echo(status)) => {
                let answer = format!(
                    "HTTP/1.1 {status} {}\r\nContent-Length: 0\r\n\r\n",
                    request.replace("\r\n", " ")
                );
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
            Some(Reply::Silence) => std::future::pending().await,
            Some(Reply::Close | Reply::Reset | Reply::Ignore | Reply::Dawdle(_)) | None => return,
        }
    }
}

async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                return Some(text);
            }
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}

/// Who the server says it is.
#[derive(Debug)]
pub struct Identity {
    pub certificate: CertificateDer<'static>,
    /// The authority that signed it.
    pub authority_pem: String,
    key: KeyPair,
    version: &'static SupportedProtocolVersion,
}

impl Identity {
    pub fn new() -> Self {
        let mut authority = CertificateParams::new(Vec::new()).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let leaf =
            CertificateParams::new(["127.0.0.1".to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
        Self { certificate: leaf.der().clone(), authority_pem: authority.pem(), key, version: &TLS13 }
    }

    /// Shows this identity's certificate without having its key, as anyone could who once met the real server.
    pub fn impersonated(&self) -> Self {
        Self {
            certificate: self.certificate.clone(),
            authority_pem: self.authority_pem.clone(),
            key: KeyPair::generate().unwrap(),
            version: self.version,
        }
    }

    pub fn speaking(self, version: &'static SupportedProtocolVersion) -> Self {
        Self { version, ..self }
    }

    pub fn fingerprint(&self) -> [u8; 32] {
        Sha256::digest(&self.certificate).into()
    }

    fn acceptor(&self) -> TlsAcceptor {
        let key = PrivateKeyDer::try_from(self.key.serialize_der()).unwrap();
        let key = ring::sign::any_supported_type(&key).unwrap();
        let shown = CertifiedKey::new(vec![self.certificate.clone()], key);
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[self.version])
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(Always(Arc::new(shown))));
        TlsAcceptor::from(Arc::new(config))
    }
}

/// Unlike rustls's own, it does not ask whether certificate and key belong together.
#[derive(Debug)]
struct Always(Arc<CertifiedKey>);

impl ResolvesServerCert for Always {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }
}
