//! The operator as a process of its own, and what can happen to a process.

use std::{path::Path, process::Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    process::{Child, Command},
    sync::Mutex,
};

pub(crate) struct Process {
    pid: Pid,
    child: Mutex<Child>,
}

impl Process {
    /// Starts `proxmox-agent operator` for a namespace, with everything of its own in a folder. Under the name of one that
    /// was killed it leads at once.
    pub(crate) fn start(replica: &str, kubeconfig: &Path, namespace: &str, files: &Path) -> Self {
        let log =
            std::fs::File::options().create(true).append(true).open(files.join("operator.log")).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_proxmox-agent"))
            .args(["operator", "--namespace", namespace, "--audit"])
            .arg(files.join("audit"))
            .arg("--git")
            .arg(files.join("git"))
            .args(["--lease-namespace", namespace, "--replica", replica, "--health", "127.0.0.1:0"])
            .env("KUBECONFIG", kubeconfig)
            .env("RUST_LOG", std::env::var("GRID_LOG").unwrap_or_else(|_| "info".to_owned()))
            .stderr(Stdio::from(log))
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let pid = Pid::from_raw(child.id().unwrap().try_into().unwrap()).unwrap();
        Self { pid, child: Mutex::new(child) }
    }

    /// SIGKILL. Returns when it is dead: whatever comes of it later has left it before.
    pub(crate) async fn kill(&self) {
        self.child.lock().await.kill().await.unwrap();
    }

    /// SIGSTOP: it stands still wherever it is.
    pub(crate) fn stop(&self) {
        kill_process(self.pid, Signal::STOP).unwrap();
    }

    pub(crate) fn go_on(&self) {
        kill_process(self.pid, Signal::CONT).unwrap();
    }

    /// SIGTERM: it finishes what it has begun. Returns when it has.
    pub(crate) async fn ask_to_end(&self) -> std::process::ExitStatus {
        kill_process(self.pid, Signal::TERM).unwrap();
        self.child.lock().await.wait().await.unwrap()
    }

    /// Whether it has ended by itself.
    pub(crate) async fn has_ended(&self) -> bool {
        self.child.lock().await.try_wait().unwrap().is_some()
    }
}
