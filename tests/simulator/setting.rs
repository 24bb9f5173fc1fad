//! A started simulation with a client, and how to wait for it.
use std::sync::Arc;
use std::time::Duration;

use proxmox_agent::pve::sim::{Fault, Options, Simulator, Trigger, World};
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

/// The full token of root in the worlds of these tests.
pub(crate) const ROOT: &str = "root@pam!full";

/// A cluster of three nodes that is quick to do what it is asked for.
pub(crate) const CLUSTER: &str = r#"
cluster: {name: demo}
nodes:
  pve1: {ip: 192.0.2.11, memory: 17179869184, memoryUsed: 4294967296}
  pve2: {ip: 192.0.2.12}
  pve3: {ip: 192.0.2.13}
guests:
  100: {type: qemu, node: pve1, status: running, config: {name: web, onboot: 1, memory: "512", net0: "virtio=BC:24:11:00:00:01,bridge=vmbr0", scsi0: "shared:100/a.qcow2,size=1G", scsi1: "shared:100/b.qcow2,size=1G,backup=0", boot: order=scsi0}}
  101: {type: qemu, node: pve1, config: {name: batch, memory: "512", lock: backup}}
  102: {type: qemu, node: pve2, status: running, config: {name: db, memory: "512"}}
  200: {type: lxc, node: pve1, status: running, config: {hostname: dns, memory: 512}}
storages:
  shared:
    config: {type: nfs, server: 192.0.2.50, export: /e, path: /mnt/pve/shared, content: "images,rootdir", shared: 1}
    volumes:
      - {volid: "shared:100/a.qcow2", content: images, format: qcow2, size: 1073741824, vmid: 100}
      - {volid: "shared:100/b.qcow2", content: images, format: qcow2, size: 1073741824, vmid: 100}
users:
  root@pam: {tokens: {full: {privsep: 0}}}
  ada@pve: {tokens: {ci: {privsep: 0}}}
acl: [{path: /vms/102, who: ada@pve, role: PVEVMAdmin}]
statsSeconds: 0
shutdownSeconds: 0
bootSeconds: 0.2
replicationSeconds: 0
taskSeconds: {default: 0.02}
"#;

impl Setting {
    /// A world that is the cluster above with something more.
    pub(crate) async fn cluster(more: &str, token: &str) -> Self {
        let world = World::from_yaml(&format!("{CLUSTER}{more}")).unwrap();
        Self::with(Options { world, plain_http: true, ..Options::default() }, token).await
    }

    /// Sends a form and demands that it is accepted.
    pub(crate) async fn ask(&self, method: Method, path: &str, form: &[(&str, &str)]) -> Value {
        let response = self.send(method, path, form).await;
        let status = response.status();
        let mut body: Value = response.json().await.unwrap();
        assert!(status.is_success(), "{path}: {status} {body}");
        body["data"].take()
    }

    /// Sends a form and demands that it is refused: the status and the message, or the errors of the parameters.
    pub(crate) async fn refusal(&self, method: Method, path: &str, form: &[(&str, &str)]) -> (u16, String) {
        let response = self.send(method, path, form).await;
        let status = response.status();
        assert!(!status.is_success(), "{path} is accepted");
        let body: Value = response.json().await.unwrap_or_default();
        let told = if status == 400 { body["errors"].to_string() } else { text(&body["message"]).to_owned() };
        (status.as_u16(), told.trim_end().to_owned())
    }

    /// Asks for something that takes a task, and waits for its end.
    pub(crate) async fn done(&self, method: Method, path: &str, form: &[(&str, &str)]) -> (String, String) {
        let upid = self.ask(method, path, form).await;
        let upid = upid.as_str().unwrap().to_owned();
        let exit = self.exit_of(&upid).await;
        (upid, exit)
    }

    async fn send(&self, method: Method, path: &str, form: &[(&str, &str)]) -> Response {
        let request = self.request(method.clone(), path);
        let request = if method == Method::DELETE { request.query(form) } else { request.form(form) };
        request.send().await.unwrap()
    }
}

pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The row of a list in which a field has a value.
pub(crate) fn row<'a>(list: &'a Value, field: &str, value: impl Into<Value>) -> &'a Value {
    let value = value.into();
    list.as_array().unwrap().iter().find(|row| row[field] == value).unwrap_or(&Value::Null)
}
