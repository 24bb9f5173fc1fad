//! A namespace with an environment, a simulated Proxmox behind it, and the operator as a process of its own.

use std::{path::PathBuf, process::Stdio, sync::Arc};

use kube::{Api, ResourceExt, runtime::wait::await_condition};
use proxmox_agent::{
    api::{Phase, PlanStatus, ProxmoxActionApproval, ProxmoxActionPlan},
    ports::Kind,
    pve::sim::{self, LedgerEntry, Options, Simulator, World},
};
use serde_json::{Value, json};
use tokio::process::{Child, Command};

use super::{
    chart::{give_roles, install, let_lead},
    cluster::{Cluster, Outcome, taken},
    home::records_in,
    manifests::{APPROVER, REQUESTER, manifest_in, with},
    patience::{PATIENCE, until},
    terminal::Terminal,
};

/// Sends a signal by its name: `TERM`, `STOP`, `CONT`.
pub(crate) async fn signal(process: &Child, name: &str) {
    let id = process.id().unwrap().to_string();
    let sent = Command::new("kill").args(["-s", name, &id]).status().await.unwrap();
    assert!(sent.success());
}

/// The token that the operator uses.
pub(crate) const TOKEN: &str = "agent@pve!operator";

pub(crate) struct Stage {
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) namespace: String,
    pub(crate) sim: Simulator,
    pub(crate) admin: kube::Client,
    operator: Option<Child>,
    files: tempfile::TempDir,
}

/// How the environment of a stage differs from an ordinary one.
#[derive(Default)]
pub(crate) struct Setting {
    pub(crate) world: Option<World>,
    /// Merged into the environment's spec.
    pub(crate) environment: Value,
    /// A control plane of its own, for a test that breaks things which others rely on.
    pub(crate) cluster: Option<Arc<Cluster>>,
    /// A policy preset, if not the default.
    pub(crate) preset: Option<&'static str>,
}

impl Stage {
    pub(crate) async fn new() -> Self {
        Self::with(Setting::default()).await
    }

    pub(crate) async fn with(setting: Setting) -> Self {
        let mut stage = Self::without_operator(setting).await;
        stage.start_operator();
        stage
    }

    pub(crate) async fn without_operator(setting: Setting) -> Self {
        let cluster = setting.cluster.unwrap_or_else(Cluster::shared);
        let world = setting.world.unwrap_or_else(World::sample);
        let sim = Simulator::start(Options { world, ..Options::default() }).await.unwrap();
        install(&cluster).await;
        let namespace = cluster.namespace().await;
        let admin = cluster.client("admin").await;
        let files = tempfile::tempdir().unwrap();
        let stage = Self { cluster, namespace, sim, admin, operator: None, files };
        give_roles(&stage.cluster, &[&stage.namespace]).await;
        let_lead(&stage.cluster, &stage.namespace).await;
        stage.apply_as_admin(&stage.secret()).await;
        if let Some(preset) = setting.preset {
            stage.apply_as_admin(&stage.policy(preset)).await;
        }
        stage.apply_as_admin(&stage.environment(&setting.environment, setting.preset)).await;
        stage
    }

    // ---- the operator

    pub(crate) fn start_operator(&mut self) {
        self.start_operator_with(&[]);
    }

    pub(crate) fn start_operator_with(&mut self, options: &[&str]) {
        self.operator = Some(self.replica("one", options));
    }

    /// A process that leads or stands by. Its audit log and its log bear its name.
    pub(crate) fn replica(&self, name: &str, options: &[&str]) -> Child {
        self.replica_under(&[], name, options)
    }

    /// The same, begun by another program.
    pub(crate) fn replica_under(&self, launcher: &[&str], name: &str, options: &[&str]) -> Child {
        let log = std::fs::File::options().create(true).append(true).open(self.log_of(name)).unwrap();
        let program = [launcher, &[env!("CARGO_BIN_EXE_proxmox-agent")]].concat();
        Command::new(program[0])
            .args(&program[1..])
            .args(["operator", "--namespace", &self.namespace, "--audit"])
            .arg(self.audit_of(name))
            .arg("--git")
            .arg(self.files.path().join("git"))
            .args(["--lease-namespace", &self.namespace, "--health", "127.0.0.1:0"])
            .args(options)
            .env("PROXMOX_AGENT_REPLICA", name)
            .env("KUBECONFIG", self.cluster.kubeconfig("operator"))
            .env("RUST_LOG", "debug")
            .stderr(Stdio::from(log))
            .kill_on_drop(true)
            .spawn()
            .unwrap()
    }

    /// SIGKILL: it has no chance to tidy up.
    pub(crate) async fn kill_operator(&mut self) {
        self.operator.take().unwrap().kill().await.unwrap();
    }

    /// SIGTERM, as Kubernetes sends it; returns how it has ended.
    pub(crate) async fn ask_operator_to_stop(&mut self) -> std::process::ExitStatus {
        let mut operator = self.operator.take().unwrap();
        signal(&operator, "TERM").await;
        tokio::time::timeout(PATIENCE, operator.wait()).await.expect("it did not stop").unwrap()
    }

    /// The process of the operator.
    pub(crate) fn operator_id(&self) -> u32 {
        self.operator.as_ref().and_then(Child::id).unwrap()
    }

    pub(crate) fn audit_folder(&self) -> PathBuf {
        self.audit_of("one")
    }

    pub(crate) fn audit_of(&self, replica: &str) -> PathBuf {
        self.files.path().join(format!("audit-{replica}"))
    }

    pub(crate) fn log_file(&self) -> PathBuf {
        self.log_of("one")
    }

    pub(crate) fn log_of(&self, replica: &str) -> PathBuf {
        self.files.path().join(format!("operator-{replica}.log"))
    }

    /// Where a replica answers for its health, once it says so.
    pub(crate) async fn health_of(&self, replica: &str) -> String {
        let log = || std::fs::read_to_string(self.log_of(replica)).unwrap_or_default();
        let told = "answering /livez and /readyz address=";
        until("it says where it answers", || log().contains(told)).await;
        log().split(told).last().unwrap().lines().next().unwrap().trim().to_owned()
    }

    /// The audit log, line by line, without what it tells of itself.
    pub(crate) fn audit(&self) -> Vec<Value> {
        records_in(&self.audit_folder())
    }

    // ---- what is on stage

    fn secret(&self) -> String {
        let token = format!("{TOKEN}={}", self.token_secret());
        json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": "pve-home", "namespace": self.namespace},
            "stringData": {"token": token},
        })
        .to_string()
    }

    pub(crate) fn token_secret(&self) -> String {
        self.sim.tokens()[TOKEN].clone()
    }

    pub(crate) fn policy(&self, preset: &str) -> String {
        self.written("ProxmoxPolicy", "house", &json!({"preset": preset}))
    }

    /// With `more` in its spec.
    pub(crate) fn environment(&self, more: &Value, preset: Option<&str>) -> String {
        let mut spec = json!({
            "endpoints": [self.sim.url()],
            "credentials": {"secretRef": {"name": "pve-home"}},
            "tls": {"fingerprint": self.sim.fingerprint()},
            "tier": "staging",
            "requestTimeoutSeconds": 5,
        });
        if preset.is_some() {
            spec["policyRef"] = json!({"name": "house"});
        }
        self.written("ProxmoxEnvironment", "home", &with(spec, more))
    }

    /// A plan as somebody would write it, with `more` in its spec.
    pub(crate) fn plan(&self, name: &str, action: &str, target: &str, more: &Value) -> String {
        let spec =
            json!({"environment": "home", "action": action, "target": target, "requestedBy": REQUESTER});
        self.written("ProxmoxActionPlan", name, &with(spec, more))
    }

    /// The approval that fits a plan, with `change` made to its spec.
    pub(crate) fn approval(&self, name: &str, plan: &ProxmoxActionPlan, change: &Value) -> String {
        let status = plan.status.as_ref().unwrap();
        let spec = json!({
            "planRef": {"name": plan.name_any(), "uid": plan.uid().unwrap()},
            "planHash": status.plan_hash, "decision": "Approve", "approved_by": APPROVER,
            "environment": "home", "risk": status.risk, "expiresAt": "2999-01-01T00:00:00Z",
        });
        self.written("ProxmoxActionApproval", name, &with(spec, change))
    }

    fn written(&self, kind: &str, name: &str, spec: &Value) -> String {
        manifest_in(&self.namespace, kind, name, spec)
    }

    /// One more role for somebody, in this namespace.
    pub(crate) async fn give(&self, user: &str, role: &str) {
        let binding = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
            "metadata": {"generateName": "more-", "namespace": self.namespace},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
        });
        let given = self.apply("admin", &binding.to_string()).await;
        taken(&given);
    }

    // ---- what people do

    pub(crate) async fn kubectl(&self, who: &str, args: &[&str]) -> Outcome {
        let args = [&["-n", &self.namespace], args].concat();
        self.cluster.kubectl(who, &args).await
    }

    pub(crate) async fn apply(&self, who: &str, yaml: &str) -> Outcome {
        self.cluster.kubectl_reading(yaml, who, &["create", "-f", "-"]).await
    }

    pub(crate) async fn apply_as_admin(&self, yaml: &str) {
        let outcome = self.cluster.kubectl_reading(yaml, "admin", &["apply", "-f", "-"]).await;
        taken(&outcome);
    }

    /// Creates a plan as the requester, and returns it once it has come to `phase`.
    pub(crate) async fn request(&self, yaml: &str, phase: Phase) -> ProxmoxActionPlan {
        let outcome = self.apply("requester", yaml).await;
        taken(&outcome);
        let name =
            serde_json::from_str::<Value>(yaml).unwrap()["metadata"]["name"].as_str().unwrap().to_owned();
        self.plan_in(&name, phase).await
    }

    /// `kubectl approve`, as the plugin that people run.
    pub(crate) fn approving(&self, who: &str, args: &[&str]) -> std::process::Command {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_kubectl-approve"));
        command.args(["-n", &self.namespace]).args(args).env("KUBECONFIG", self.cluster.kubeconfig(who));
        command
    }

    /// The same in a script: there is no terminal.
    pub(crate) async fn approve(&self, who: &str, args: &[&str]) -> Outcome {
        let mut command = Command::from(self.approving(who, args));
        let output = command.stdin(Stdio::null()).output().await.unwrap();
        Outcome {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// The same before a person.
    pub(crate) fn approve_at_terminal(&self, who: &str, args: &[&str]) -> Terminal {
        Terminal::with(self.approving(who, args))
    }

    // ---- what can be seen

    pub(crate) fn api<K: Kind>(&self) -> Api<K> {
        Api::namespaced(self.admin.clone(), &self.namespace)
    }

    pub(crate) async fn plan_in(&self, name: &str, phase: Phase) -> ProxmoxActionPlan {
        self.plan_when(name, &format!("{phase}"), |status| status.phase == phase).await
    }

    /// The plan, once its status is as asked. Fails at once if it has ended otherwise.
    pub(crate) async fn plan_when(
        &self,
        name: &str,
        what: &str,
        holds: impl Fn(&PlanStatus) -> bool,
    ) -> ProxmoxActionPlan {
        let over = |plan: Option<&ProxmoxActionPlan>| {
            plan.and_then(|plan| plan.status.as_ref())
                .is_some_and(|status| holds(status) || status.phase.is_terminal())
        };
        let waited = tokio::time::timeout(PATIENCE, await_condition(self.api(), name, over)).await;
        let Ok(found) = waited else {
            let now = self.api::<ProxmoxActionPlan>().get(name).await;
            panic!("{name} is not {what} in time, but {:?}\n{}", now.map(|plan| plan.status), self.log());
        };
        let plan = found.unwrap().unwrap();
        let status = plan.status.as_ref().unwrap();
        assert!(holds(status), "{name} is not {what}, but {}: {}", status.phase, status.message);
        plan
    }

    /// The plan, once it has come to `phase`, whatever end it comes by: an unknown outcome is one that can be left.
    pub(crate) async fn plan_passing(&self, name: &str, phase: Phase) -> ProxmoxActionPlan {
        self.plan_passing_when(name, &format!("{phase}"), |status| status.phase == phase).await
    }

    pub(crate) async fn plan_passing_when(
        &self,
        name: &str,
        what: &str,
        holds: impl Fn(&PlanStatus) -> bool,
    ) -> ProxmoxActionPlan {
        let there =
            |plan: Option<&ProxmoxActionPlan>| plan.and_then(|plan| plan.status.as_ref()).is_some_and(&holds);
        let waited = tokio::time::timeout(PATIENCE, await_condition(self.api(), name, there)).await;
        let Ok(found) = waited else {
            let now = self.api::<ProxmoxActionPlan>().get(name).await;
            panic!("{name} is not {what} in time, but {:?}\n{}", now.map(|plan| plan.status), self.log());
        };
        found.unwrap().unwrap()
    }

    /// The approval, once the operator has answered it.
    pub(crate) async fn answered(&self, name: &str) -> ProxmoxActionApproval {
        let answered = |approval: Option<&ProxmoxActionApproval>| {
            approval
                .and_then(|approval| approval.status.as_ref())
                .is_some_and(|status| status.verdict.is_some())
        };
        let waited = tokio::time::timeout(PATIENCE, await_condition(self.api(), name, answered)).await;
        let Ok(found) = waited else { panic!("nobody answers {name}\n{}", self.log()) };
        found.unwrap().unwrap()
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    /// What was really asked of the Proxmox: its own ledger, without what never reached it and what the tests did.
    pub(crate) fn mutations(&self) -> Vec<LedgerEntry> {
        let arrived = |entry: &LedgerEntry| entry.who == TOKEN && entry.outcome != sim::Outcome::NotExecuted;
        self.sim.ledger().into_iter().filter(arrived).collect()
    }

    /// `METHOD path` of each mutation.
    pub(crate) fn calls(&self) -> Vec<String> {
        self.mutations().iter().map(|entry| format!("{} {}", entry.method, entry.path)).collect()
    }

    /// Waits until the Proxmox has received so many mutations.
    pub(crate) async fn received(&self, count: usize) {
        until("the Proxmox has received it", || self.mutations().len() >= count).await;
    }
}
