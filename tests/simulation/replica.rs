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

use crate::{
    audit::Volume, dice::Dice, history::History, network::Network, proxmox::Line, repository::Repository,
    weather::Weather,
};

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
    pub(crate) fn new(
        network: &Arc<Network>,
        line: Line,
        repository: Repository,
        volume: Volume,
        dice: Dice,
    ) -> Self {
        let history = network.history.clone();
        let leads = Arc::new(Belief {
            dice,
            weather: Arc::clone(&line.weather),
            history: history.clone(),
            changes: Mutex::default(),
        });
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
            leads,
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

/// Whether a replica takes itself for the leader, and since when. Both may, and neither.
#[derive(Debug)]
pub(crate) struct Belief {
    dice: Dice,
    weather: Arc<Weather>,
    history: History,
    /// The last one may be still to come.
    changes: Mutex<Vec<(Duration, bool)>>,
}

impl Belief {
    pub(crate) fn set(&self, leads: bool) {
        let now = self.history.elapsed();
        let mut changes = self.changes.lock().unwrap();
        changes.retain(|(at, _)| *at <= now);
        changes.push((now, leads));
    }

    pub(crate) fn changes(&self) -> Vec<(Duration, bool)> {
        self.changes.lock().unwrap().clone()
    }

    /// For a while, and no moment later than it was asked for.
    fn lose(&self) {
        self.history.fault("lead lost as soon as it was asked for");
        self.set(false);
        let back = self.history.elapsed() + self.dice.millis(500..5_000);
        self.changes.lock().unwrap().push((back, true));
    }
}

impl Leadership for Belief {
    fn lasts(&self, _: Duration) -> bool {
        let now = self.history.elapsed();
        let leads = self.changes().iter().rfind(|(at, _)| *at <= now).is_none_or(|(_, leads)| *leads);
        if leads && self.weather.strikes(&self.dice, self.weather.lead) {
            self.lose();
        }
        leads
    }
}
