//! A server for a repository, over HTTPS and behind a password: git's own `http-backend`, called as CGI.

use std::{
    convert::Infallible,
    path::PathBuf,
    process::Stdio,
    sync::{Arc, Mutex},
};

use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::{
    body::{Bytes, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::{io::AsyncWriteExt, net::TcpListener, task::JoinHandle};
use tokio_rustls::TlsAcceptor;

use super::git::Workshop;

/// `reader:open sesame`, as a browser says it.
const LOGIN: &str = "Basic cmVhZGVyOm9wZW4gc2VzYW1l";
pub(crate) const CREDENTIALS: &str = "reader:open sesame";

pub(crate) struct GitServer {
    pub(crate) url: String,
    pub(crate) ca_pem: String,
    state: Arc<State>,
    serving: JoinHandle<()>,
}

struct State {
    root: PathBuf,
    asked: Mutex<Vec<String>>,
    sends_on_to: Mutex<Option<String>>,
}

impl GitServer {
    pub(crate) async fn of(workshop: &Workshop) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://127.0.0.1:{}/remote.git", listener.local_addr().unwrap().port());
        let (tls, ca_pem) = certificate();
        let root = workshop.path().to_owned();
        let state = Arc::new(State { root, asked: Mutex::default(), sends_on_to: Mutex::default() });
        let serving = tokio::spawn(serve(listener, tls, Arc::clone(&state)));
        Self { url, ca_pem, state, serving }
    }

    /// What was asked for, in order.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.state.asked.lock().unwrap().clone()
    }

    /// From now on it only names another address.
    pub(crate) fn send_on_to(&self, url: &str) {
        *self.state.sends_on_to.lock().unwrap() = Some(url.to_owned());
    }
}

impl Drop for GitServer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn certificate() -> (TlsAcceptor, String) {
    let ca_key = KeyPair::generate().unwrap();
    let mut ca = CertificateParams::default();
    ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let ca_certificate = ca.self_signed(&ca_key).unwrap();
    let issuer = Issuer::new(ca, ca_key);
    let key = KeyPair::generate().unwrap();
    let leaf =
        CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], key)
        .unwrap();
    (TlsAcceptor::from(Arc::new(config)), ca_certificate.pem())
}

async fn serve(listener: TcpListener, tls: TlsAcceptor, state: Arc<State>) {
    while let Ok((stream, _)) = listener.accept().await {
        let (tls, state) = (tls.clone(), Arc::clone(&state));
        tokio::spawn(async move {
            // Who does not trust the certificate leaves here.
            let Ok(stream) = tls.accept(stream).await else { return };
            let answer = |request| {
                let state = Arc::clone(&state);
                async move { Ok::<_, Infallible>(state.answer(request).await) }
            };
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer)).await;
        });
    }
}

impl State {
    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let line = format!("{} {}", request.method(), request.uri());
        self.asked.lock().unwrap().push(line);
        if let Some(url) = self.sends_on_to.lock().unwrap().clone() {
            return Response::builder().status(302).header("location", url).body(Full::default()).unwrap();
        }
        if request.headers().get("authorization").is_none_or(|login| login != LOGIN) {
            let refused = Response::builder().status(401).header("www-authenticate", "Basic realm=git");
            return refused.body(Full::default()).unwrap();
        }
        self.call_git(request).await
    }

    async fn call_git(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let kind = parts.headers.get("content-type").map(|kind| kind.to_str().unwrap().to_owned());
        let mut git = tokio::process::Command::new("git")
            .arg("http-backend")
            .env_clear()
            .env("PATH", std::env::var("PATH").unwrap())
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_PROJECT_ROOT", &self.root)
            .env("GIT_HTTP_EXPORT_ALL", "1")
            .env("REMOTE_USER", "reader")
            .env("REQUEST_METHOD", parts.method.as_str())
            .env("PATH_INFO", parts.uri.path())
            .env("QUERY_STRING", parts.uri.query().unwrap_or_default())
            .env("CONTENT_TYPE", kind.unwrap_or_default())
            .env("CONTENT_LENGTH", body.len().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = git.stdin.take().unwrap();
        let written = tokio::spawn(async move {
            let _ = stdin.write_all(&body).await;
        });
        let output = git.wait_with_output().await.unwrap().stdout;
        written.await.unwrap();
        as_response(&output)
    }
}

/// What a CGI program prints.
fn as_response(output: &[u8]) -> Response<Full<Bytes>> {
    let end = output.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    let mut response = Response::builder();
    for line in std::str::from_utf8(&output[..end]).unwrap().lines() {
        let (name, value) = line.split_once(": ").unwrap();
        response = match name {
            "Status" => response.status(value[..3].parse::<u16>().unwrap()),
            _ => response.header(name, value),
        };
    }
    response.body(Full::from(output[end + 4..].to_vec())).unwrap()
}
