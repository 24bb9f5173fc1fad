//! What `proxmox-agent plan lint` says of a file is what the API server says of it.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use crate::support::{
    chart::install,
    cluster::{Cluster, Outcome},
};

/// What the API server takes.
const PLAN: &str = "apiVersion: proxmox-agent.io/v1alpha1
kind: ProxmoxActionPlan
metadata:
  name: p
spec:
  environment: home
  action: shutdown_guest
  target: qemu/100
  params: {timeout: 60}
  requestedBy: admin
";

const APPROVAL: &str = "apiVersion: proxmox-agent.io/v1alpha1
kind: ProxmoxActionApproval
metadata:
  name: a
spec:
  planRef: {name: gone, uid: 5b2a3c1e-8f64-4d0b-9a57-0e6c1d2f3a4b}
  planHash: sha256:4aeca4b72aed9d53426dcac02e566a6fce75ecd507fe61f41198d24c19683b9c
  decision: Approve
  approved_by: admin
  environment: home
  risk: high
";

const ENVIRONMENT: &str = "apiVersion: proxmox-agent.io/v1alpha1
kind: ProxmoxEnvironment
metadata:
  name: e
spec:
  endpoints: ['https://pve1:8006']
  credentials: {secretRef: {name: pve}}
  tls: {fingerprint: 3F9A610C55D81B7EA42099C35D0EF76812BB468DE1732A9C045FC8367BD2901E}
";

const POLICY: &str = "apiVersion: proxmox-agent.io/v1alpha1
kind: ProxmoxPolicy
metadata:
  name: y
spec:
  preset: strict
  freezeWindows: [{name: night, weekly: {days: [Mon], from: '22:00', until: '06:00'}}]
";

/// A sound object, a text in it and what stands there instead.
const CHANGES: &[(&str, &str, &str)] = &[
    (PLAN, "p", "p"),
    (PLAN, "admin\n", "admin\n  notAfter: '2999-01-01T00:00:00Z'\n"),
    (PLAN, "admin\n", "admin\n  notAfter: 2999-01-01T00:00:00Z\n"),
    (PLAN, "admin\n", "admin\n  notAfter: null\n"),
    (PLAN, "admin\n", "admin\n  notAfter: tomorrow\n"),
    (PLAN, "admin\n", "admin\n  source: git\n"),
    (PLAN, "admin\n", "admin\n  source: ftp\n"),
    (PLAN, "admin\n", "admin\n  dryRun: true\n"),
    (PLAN, "admin\n", "admin\n  dryRun: 'true'\n"),
    (PLAN, "admin\n", "admin\n  dryrun: true\n"),
    (PLAN, "admin\n", "admin\n  reason: yes\n"),
    (PLAN, "admin\n", "admin\n  reason: 'yes'\n"),
    (PLAN, "admin\n", "admin\n  reason: on\n"),
    (PLAN, "admin\n", "admin\n  reason: 0777\n"),
    (PLAN, "admin\n", "admin\n  reason: 12\n"),
    (PLAN, "  requestedBy: admin\n", ""),
    (PLAN, "environment: home", "environment: Home"),
    (PLAN, "environment: home", "environment: ''"),
    (PLAN, "action: shutdown_guest", "action: [shutdown_guest]"),
    (PLAN, "target: qemu/100", "target: 100"),
    (PLAN, "{timeout: 60}", "[]"),
    (PLAN, "{timeout: 60}", "{timeout: [60]}"),
    (PLAN, "{timeout: 60}", "{}"),
    (PLAN, "{timeout: 60}", "null"),
    (PLAN, "admin\n", "null\n"),
    (PLAN, "admin\n", "admin\n  dryRun: null\n"),
    (PLAN, "admin\n", "admin\n  colour: null\n"),
    (PLAN, "v1alpha1", "v1beta1"),
    (PLAN, "ProxmoxActionPlan", "ProxmoxActionPlann"),
    (PLAN, "name: p", "name: P"),
    (PLAN, "name: p", "name: ../p"),
    (PLAN, "name: p", "name: p\n  labels: {tier: 1}"),
    (PLAN, "name: p", "name: p\n  lables: {tier: one}"),
    (PLAN, "spec:", "spec: ["),
    (PLAN, "spec:", "sepc:"),
    (PLAN, "admin\n", "admin\nmore: true\n"),
    (APPROVAL, "a", "a"),
    (APPROVAL, "sha256:4", "sha256:X"),
    (APPROVAL, "sha256:4", "sha256:"),
    (APPROVAL, "decision: Approve", "decision: approve"),
    (APPROVAL, "risk: high", "risk: huge"),
    (APPROVAL, "risk: high", "risk: high\n  attempt: 0"),
    (APPROVAL, "risk: high", "risk: high\n  expiresAt: later"),
    (APPROVAL, "uid: 5b2a3c1e-", "uid: "),
    (APPROVAL, "approved_by", "approvedBy"),
    (ENVIRONMENT, "e", "e"),
    (ENVIRONMENT, "https://pve1:8006", "ftp://pve1"),
    (ENVIRONMENT, "https://pve1:8006", "https://pve1:8006/api"),
    (ENVIRONMENT, "endpoints: ['https://pve1:8006']", "endpoints: []"),
    (ENVIRONMENT, "endpoints: ['https://pve1:8006']", "endpoints: [null]"),
    (ENVIRONMENT, "{name: pve}", "{name: pve, key: null}"),
    (ENVIRONMENT, "3F9A", "zzzz"),
    (ENVIRONMENT, "tls: {", "tls: {insecureSkipVerify: true} #"),
    (ENVIRONMENT, "tls: {", "tier: lab\n  tls: {insecureSkipVerify: true} #"),
    (ENVIRONMENT, "tls: {", "tier: prod\n  tls: {"),
    (ENVIRONMENT, "tls: {", "requestTimeoutSeconds: 301\n  tls: {"),
    (ENVIRONMENT, "{name: pve}", "{nmae: pve}"),
    (POLICY, "y", "y"),
    (POLICY, "preset: strict", "preset: null"),
    (POLICY, "preset: strict", "knobs: null"),
    (POLICY, "preset: strict", "knobs: {approvals: {high: null}}"),
    (POLICY, "preset: strict", "preset: hard"),
    (POLICY, "preset: strict", "knobs: {approvals: {high: 0}}"),
    (POLICY, "preset: strict", "knobs: {approvals: {high: 2}}"),
    (POLICY, "from: '22:00'", "from: '24:00'"),
    (POLICY, "days: [Mon]", "days: [Monday]"),
];

fn linted(text: &str) -> Outcome {
    let mut lint = Command::new(env!("CARGO_BIN_EXE_proxmox-agent"))
        .args(["plan", "lint", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    lint.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = lint.wait_with_output().unwrap();
    Outcome {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_passes_where_the_api_server_takes_it_and_nowhere_else() {
    let cluster = Cluster::shared();
    install(&cluster).await;
    let namespace = cluster.namespace().await;
    let (mut taken, mut wrong) = (0, Vec::new());
    for (sound, was, is) in CHANGES {
        assert!(sound.contains(was), "{was}");
        let text = sound.replacen(was, is, 1);
        let lint = linted(&text);
        let create = ["create", "--namespace", &namespace, "--dry-run=server", "-f", "-"];
        let server = cluster.kubectl_reading(&text, "admin", &create).await;
        taken += usize::from(server.code == 0);
        if (lint.code == 0) != (server.code == 0) {
            wrong.push(format!("{text}\nlint: {lint:?}\nserver: {server:?}\n"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(taken > 10 && taken < CHANGES.len() - 30, "{taken} of {} are taken", CHANGES.len());
}
