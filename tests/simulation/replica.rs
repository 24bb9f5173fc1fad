//! One process of the operator: the real controllers, with its own clock, audit log and belief whether it leads.

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use futures::{FutureExt, future::BoxFuture};
use jiff::{SignedDuration, Timestamp};
use proxmox_agent::{
    controllers,
    ports::{Clock, Leadership, Ports},
    store::kube::{KubeSecrets, KubeStore},
};
use tokio::{
    sync::oneshot,
    task::{JoinError, JoinHandle},
};

use crate::{audit::Volume, history::History, network::Network, proxmox::Line, repository::Repository};

pub(crate) struct Replica {
    pub(crate) name: String,
    network: Arc<Network>,
    line: Line,
    repository: Repository,
    pub(crate) volume: Volume,
    pub(crate) clock: Arc<OwnClock>,
    pub(crate) leads: Arc<Belief>,
    process: Option<Process>,
}

/// What runs.
struct Process {
    task: JoinHandle<()>,
    hold: Arc<Hold>,
    stop: Option<oneshot::Sender<()>>,
}

impl Replica {
    pub(crate) fn new(network: &Arc<Network>, line: Line, repository: Repository, volume: Volume) -> Self {
        let history = network.history.clone();
        Self {
            name: line.who.clone(),
            network: Arc::clone(network),
            clock: Arc::new(OwnClock {
                who: line.who.clone(),
                history,
                ahead: AtomicI64::new(0),
                words: AtomicU64::new(0),
            }),
            line,
            repository,
            volume,
            leads: Arc::new(Belief(AtomicBool::new(true))),
            process: None,
        }
    }

    pub(crate) fn is_running(&self) -> bool {
        self.process.is_some()
    }

    pub(crate) fn start(&mut self) {
        let client = self.network.client(&self.name);
        let ports = Ports {
            store: KubeStore::new(client.clone(), Some("default".to_owned()), None),
            hypervisors: self.line.clone(),
            secrets: Arc::new(KubeSecrets::new(client)),
            repositories: Arc::new(self.repository.clone()),
            audit: Arc::new(self.volume.clone()),
            leadership: self.leads.clone(),
            clock: self.clock.clone(),
        };
        let (stop, told) = oneshot::channel();
        let shutdown = told.map(|_| ()).boxed().shared();
        let hold = Arc::<Hold>::default();
        let running = controllers::run(ports, shutdown).boxed();
        let task = tokio::spawn(Held { running, hold: Arc::clone(&hold) });
        self.process = Some(Process { task, hold, stop: Some(stop) });
    }

    /// SIGKILL. What has left the process goes on without it.
    pub(crate) async fn crash(&mut self) {
        let Some(process) = self.process.take() else { return };
        process.task.abort();
        self.has_gone(process.task.await);
    }

    fn has_gone(&self, ended: Result<(), JoinError>) {
        // A panic of the engine is no crash of ours.
        assert!(ended.is_ok() || ended.is_err_and(|error| error.is_cancelled()), "{} panicked", self.name);
        self.volume.crash();
    }

    /// SIGTERM: it finishes what it has begun, if it is given the time.
    pub(crate) async fn stop(&mut self, patience: Duration) {
        let Some(mut process) = self.process.take() else { return };
        process.stop.take();
        process.hold.let_go();
        if let Ok(ended) = tokio::time::timeout(patience, &mut process.task).await {
            return self.has_gone(ended);
        }
        self.process = Some(process);
        self.crash().await;
    }

    /// SIGSTOP: it stands still, and its clocks go on.
    pub(crate) fn pause(&self) {
        if let Some(process) = &self.process {
            process.hold.is_held.store(true, Ordering::SeqCst);
        }
    }

    /// SIGCONT.
    pub(crate) fn go_on(&self) {
        if let Some(process) = &self.process {
            process.hold.let_go();
        }
    }
}

/// Whether a process is held, and how to wake it.
#[derive(Debug, Default)]
struct Hold {
    is_held: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl Hold {
    fn let_go(&self) {
        self.is_held.store(false, Ordering::SeqCst);
        if let Some(waker) = self.waker.lock().unwrap().take() {
            waker.wake();
        }
    }
}

/// Runs while it is not held.
struct Held {
    running: BoxFuture<'static, ()>,
    hold: Arc<Hold>,
}

impl Future for Held {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.hold.is_held.load(Ordering::SeqCst) {
            *self.hold.waker.lock().unwrap() = Some(context.waker().clone());
            return Poll::Pending;
        }
        self.running.poll_unpin(context)
    }
}

/// A wall clock that may be wrong.
#[derive(Debug)]
pub(crate) struct OwnClock {
    who: String,
    history: History,
    ahead: AtomicI64,
    words: AtomicU64,
}

impl OwnClock {
    pub(crate) fn set_ahead(&self, seconds: i64) {
        self.ahead.store(seconds, Ordering::SeqCst);
    }
}

impl Clock for OwnClock {
    fn now(&self) -> Timestamp {
        self.history.now() + SignedDuration::from_secs(self.ahead.load(Ordering::SeqCst))
    }

    fn monotonic(&self) -> Duration {
        self.history.elapsed()
    }

    fn nonce(&self) -> String {
        format!("{}-{}", self.who, self.words.fetch_add(1, Ordering::SeqCst))
    }

    fn fraction(&self) -> f64 {
        fastrand::f64()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        tokio::time::sleep(duration).boxed()
    }
}

/// Whether a replica takes itself for the leader. Both may, and neither.
#[derive(Debug)]
pub(crate) struct Belief(AtomicBool);

impl Belief {
    pub(crate) fn set(&self, leads: bool) {
        self.0.store(leads, Ordering::SeqCst);
    }
}

impl Leadership for Belief {
    fn lasts(&self, _: Duration) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}
