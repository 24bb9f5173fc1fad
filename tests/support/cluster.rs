//! A real Kubernetes API server with RBAC, and the people who talk to it.
//!
//! `tools/control-plane` starts it and knows the cast: `admin`, `operator`, `argocd`, `requester`, `approver`,
//! `second-approver`, `low-approver`, `automation`, `auditor` and `outsider`. It holds no namespace, role or CRD of ours: a test brings its own.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, Weak};

use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, ObjectMeta, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde::Deserialize;
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;

/// A running control plane. It stops when this is dropped; and should the test process die before, it stops because
/// the pipe to its standard input closes.
#[derive(Debug)]
pub(crate) struct Cluster {
    control_plane: Child,
    address: Address,
    /// Set once the CRDs and the chart are there: a control plane that was started anew has none.
    pub(crate) installed: tokio::sync::OnceCell<()>,
    // Removed after the control plane has stopped, for `drop` runs before the fields go.
    _dir: TempDir,
}

/// What `tools/control-plane run` prints when the API is ready.
#[derive(Debug, Deserialize)]
struct Address {
    server: String,
    dir: PathBuf,
}

/// How a `kubectl` ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// It has done what it was asked for.
#[track_caller]
pub(crate) fn taken(outcome: &Outcome) {
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
}

/// One accepted write, as the API server's audit log has it. `subresource` is empty when the object itself was meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Write {
    pub(crate) user: String,
    pub(crate) verb: String,
    pub(crate) resource: String,
    pub(crate) subresource: String,
    pub(crate) name: String,
}

impl Cluster {
    /// The control plane of this test process: started for the first test that asks, stopped after the last one that
    /// holds it. Tests keep apart by [`Cluster::namespace`].
    pub(crate) fn shared() -> Arc<Self> {
        static SHARED: Mutex<Weak<Cluster>> = Mutex::new(Weak::new());
        let mut shared =
            SHARED.lock().expect("the control plane did not start: see the first test that failed");
        shared.upgrade().unwrap_or_else(|| {
            let cluster = Arc::new(Self::start());
            *shared = Arc::downgrade(&cluster);
            cluster
        })
    }

    /// A control plane of one's own, for a test that breaks things which others rely on.
    pub(crate) fn start() -> Self {
        Self::serve("run")
    }

    /// One whose servers come back when they are killed.
    pub(crate) fn start_kept_up() -> Self {
        Self::serve("keep")
    }

    fn serve(how: &str) -> Self {
        let dir = tempfile::Builder::new().prefix("proxmox-agent-test-").tempdir().unwrap();
        let mut control_plane = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tools/control-plane"))
            .arg(how)
            .arg(dir.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(control_plane.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(!line.is_empty(), "tools/control-plane ended before its API was ready; it says why above");
        Self {
            control_plane,
            address: serde_json::from_str(&line).unwrap(),
            installed: tokio::sync::OnceCell::new(),
            _dir: dir,
        }
    }

    /// The folder with everything the control plane wrote.
    pub(crate) fn dir(&self) -> PathBuf {
        self.address.dir.clone()
    }

    /// The URL of the API server.
    pub(crate) fn server(&self) -> &str {
        &self.address.server
    }

    pub(crate) fn kubeconfig(&self, identity: &str) -> PathBuf {
        let path = self.address.dir.join(format!("kubeconfig-{identity}"));
        assert!(path.exists(), "tools/control-plane knows no '{identity}'");
        path
    }

    /// A client that lives on the runtime of the test that asked for it.
    pub(crate) async fn client(&self, identity: &str) -> Client {
        let kubeconfig = Kubeconfig::read_from(self.kubeconfig(identity)).unwrap();
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
        Client::try_from(config).unwrap()
    }

    pub(crate) async fn kubectl(&self, identity: &str, args: &[&str]) -> Outcome {
        self.kubectl_reading("", identity, args).await
    }

    /// `kubectl` with something on its standard input: `apply -f -`. It does not block the runtime, so that an
    /// operator under test goes on meanwhile.
    pub(crate) async fn kubectl_reading(&self, input: &str, identity: &str, args: &[&str]) -> Outcome {
        self.run(input, "kubectl", Some(identity), args).await
    }

    /// The chart, rendered with these values; `args` may choose a part of it.
    pub(crate) async fn rendered(&self, values: &Value, args: &[&str]) -> String {
        let helm = self.helm_template(values, args).await;
        assert_eq!(helm.code, 0, "{}", helm.stderr);
        helm.stdout
    }

    /// What helm makes of these values.
    pub(crate) async fn helm_template(&self, values: &Value, args: &[&str]) -> Outcome {
        let chart = concat!(env!("CARGO_MANIFEST_DIR"), "/charts/proxmox-agent");
        let template = ["template", "proxmox-agent", chart, "-n", "proxmox-agent", "-f", "-"];
        self.run(&values.to_string(), "helm", None, &[&template, args].concat()).await
    }

    async fn run(&self, input: &str, tool: &str, identity: Option<&str>, args: &[&str]) -> Outcome {
        let kubeconfig = identity.map(|identity| self.kubeconfig(identity)).unwrap_or_default();
        let mut program = tokio::process::Command::new(self.address.dir.join("bin").join(tool))
            .args(args)
            .env("KUBECONFIG", kubeconfig)
            // A developer's own preferences and caches stay out of it.
            .env("HOME", &self.address.dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut stdin = program.stdin.take().unwrap();
        // A program that fails early doesn't read its input: what it says is the result, not the broken pipe.
        let _ = stdin.write_all(input.as_bytes()).await;
        drop(stdin);
        let output = program.wait_with_output().await.unwrap();
        Outcome {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// A new namespace, for one test alone. It is never removed: nothing here would finalise it.
    pub(crate) async fn namespace(&self) -> String {
        let namespaces = Api::<Namespace>::all(self.client("admin").await);
        let metadata = ObjectMeta { generate_name: Some("test-".into()), ..ObjectMeta::default() };
        let asked = Namespace { metadata, ..Namespace::default() };
        namespaces.create(&PostParams::default(), &asked).await.unwrap().metadata.name.unwrap()
    }

    /// The accepted writes to this project's objects and to events in a namespace, in order. A write is here as soon
    /// as its answer has arrived.
    pub(crate) fn audit_writes(&self, namespace: &str) -> Vec<Write> {
        let log = std::fs::read_to_string(self.address.dir.join("audit.log")).unwrap();
        // The last line may still be in the making.
        let whole = log.rfind('\n').map_or("", |end| &log[..end]);
        whole
            .lines()
            .filter_map(|line| serde_json::from_str::<Entry>(line).unwrap().into_write(namespace))
            .collect()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.control_plane.stdin.take());
        let _ = self.control_plane.wait();
    }
}

/// The part of an audit log entry that says what was written.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    stage: String,
    verb: String,
    user: User,
    object_ref: Option<Reference>,
    response_status: Option<Status>,
}

#[derive(Deserialize)]
struct User {
    username: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Reference {
    namespace: String,
    resource: String,
    subresource: String,
    name: String,
}

#[derive(Deserialize)]
struct Status {
    code: u16,
}

impl Entry {
    fn into_write(self, namespace: &str) -> Option<Write> {
        let object = self.object_ref?;
        let writes = matches!(self.verb.as_str(), "create" | "update" | "patch" | "delete");
        let accepted = self.stage == "ResponseComplete" && self.response_status?.code < 300;
        (writes && accepted && object.namespace == namespace).then_some(Write {
            user: self.user.username,
            verb: self.verb,
            resource: object.resource,
            subresource: object.subresource,
            name: object.name,
        })
    }
}
