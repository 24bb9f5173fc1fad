//! A started simulation with a client, and how to wait for it.
use std::sync::Arc;
use std::time::Duration;

use proxmox_agent::pve::sim::{Fault, Options, Simulator, Trigger};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::Value;
use tokio::time::Instant;

pub(crate) const START: &str = "/nodes/pve1/qemu/101/status/start";
const DEADLINE: Duration = Duration::from_secs(20);

/// A started simulation and a client that uses one of its tokens.
pub(crate) struct Setting {
    pub(crate) simulator: Simulator,
    pub(crate) client: reqwest::Client,
    pub(crate) token: String,
}

impl Setting {
    pub(crate) async fn start() -> Self {
        Self::with(Options { plain_http: true, ..Options::default() }, "root@pam!full").await
    }

    pub(crate) async fn with(options: Options, token: &str) -> Self {
        let simulator = Simulator::start(options).await.unwrap();
        let secret = &simulator.tokens()[token];
        let token = format!("PVEAPIToken={token}={secret}");
        let client = client(simulator.ca_pem());
        Self { simulator, client, token }
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("{}/api2/json{path}", self.simulator.url());
        self.client.request(method, url).header("Authorization", &self.token)
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        data(self.request(Method::GET, path).send().await.unwrap()).await
    }

    pub(crate) async fn post(&self, path: &str) -> Result<Response, reqwest::Error> {
        self.request(Method::POST, path).send().await
    }

    pub(crate) async fn start_guest(&self) -> Result<Response, reqwest::Error> {
        self.post(START).await
    }

    /// Polls until the task is over and answers its exit status.
    pub(crate) async fn exit_of(&self, upid: &str) -> String {
        let node = upid.split(':').nth(1).unwrap().to_owned();
        let path = format!("/nodes/{node}/tasks/{upid}/status");
        let stopped = until(|| async {
            let status = self.get(&path).await;
            (status["status"] == "stopped").then_some(status)
        });
        stopped.await["exitstatus"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn guest_status(&self) -> String {
        let status = self.get("/nodes/pve1/qemu/101/status/current").await;
        status["status"].as_str().unwrap().to_owned()
    }

    pub(crate) fn fault(&self, fault: Fault) {
        self.simulator.set_faults(vec![fault]);
    }
}

pub(crate) async fn data(response: Response) -> Value {
    assert_eq!(response.status(), StatusCode::OK);
    response.json::<Value>().await.unwrap()["data"].take()
}

/// Waits for a condition instead of for a time.
pub(crate) async fn until<T, F: Future<Output = Option<T>>>(condition: impl Fn() -> F) -> T {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(met) = condition().await {
            return met;
        }
        assert!(Instant::now() < deadline, "the condition was not met in time");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

pub(crate) fn client(ca_pem: &str) -> reqwest::Client {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca_pem.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    reqwest::Client::builder().tls_backend_preconfigured(tls).build().unwrap()
}

pub(crate) fn starts() -> Trigger {
    Trigger { path: Some("/nodes/*/qemu/*/status/start".into()), ..Trigger::default() }
}
