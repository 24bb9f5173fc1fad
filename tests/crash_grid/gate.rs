//! Counts every call of a run at both boundaries, and lets something happen at one of them.

use std::{
    collections::BTreeMap,
    fmt,
    str::FromStr,
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};

use tokio::sync::watch;

use crate::{
    call::{Call, Effect},
    process::Process,
};

/// What happens at a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// The process is killed, and the call goes nowhere.
    KilledBefore,
    /// The process is killed after the call was carried out, before its answer.
    KilledUnanswered,
    /// The process is killed when the answer has left for it.
    KilledAfter,
    /// The process is killed, and the call arrives when another one is at work already.
    KilledAndLate,
    /// The connection breaks, and the call goes nowhere.
    Lost,
    /// The call is carried out and the connection breaks.
    Unanswered,
    /// The answer comes later than anybody waits for.
    Slow,
    /// The process stands still from here on.
    Stopped,
}

impl Fault {
    pub(crate) const ALL: [(Self, &'static str); 8] = [
        (Self::KilledBefore, "killed-before"),
        (Self::KilledUnanswered, "killed-unanswered"),
        (Self::KilledAfter, "killed-after"),
        (Self::KilledAndLate, "killed-and-late"),
        (Self::Lost, "lost"),
        (Self::Unanswered, "unanswered"),
        (Self::Slow, "slow"),
        (Self::Stopped, "stopped"),
    ];

    pub(crate) fn kills(self) -> bool {
        matches!(self, Self::KilledBefore | Self::KilledUnanswered | Self::KilledAfter | Self::KilledAndLate)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (_, word) = Self::ALL.iter().find(|(fault, _)| fault == self).unwrap();
        f.write_str(word)
    }
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().find(|(_, word)| *word == text);
        found.map(|(fault, _)| *fault).ok_or_else(|| format!("`{text}` is no fault"))
    }
}

/// Stands for any call that changes something on Proxmox.
pub(crate) const MUTATION: &str = "a change";
/// The connection that is opened for it: it comes about before a byte of the change has left.
pub(crate) const HANDSHAKE: &str = "CONNECT for a change";

/// The nth call of a kind within a run.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Boundary {
    pub(crate) call: String,
    pub(crate) nth: u32,
}

#[derive(Default)]
struct Counted {
    counts: BTreeMap<String, u32>,
    trace: Vec<(Boundary, Effect)>,
    trap: Option<(Boundary, Fault)>,
    victim: Option<Arc<Process>>,
    /// A change is announced, and no connection was opened since.
    announced: bool,
    /// How long the answer to a change took at most.
    slowest: Duration,
    under_way: usize,
    last: Option<Instant>,
}

/// Both proxies of one operator share one.
pub(crate) struct Gate {
    counted: Mutex<Counted>,
    sprung: watch::Sender<bool>,
    replaced: watch::Sender<bool>,
}

/// A call that is not answered yet.
pub(crate) struct UnderWay(Arc<Gate>);

impl Gate {
    pub(crate) fn new() -> Arc<Self> {
        let (sprung, replaced) = (watch::Sender::new(false), watch::Sender::new(false));
        Arc::new(Self { counted: Mutex::default(), sprung, replaced })
    }

    fn counted(&self) -> MutexGuard<'_, Counted> {
        self.counted.lock().unwrap()
    }

    /// Whom a fault hits.
    pub(crate) fn guards(&self, process: &Arc<Process>) {
        self.counted().victim = Some(Arc::clone(process));
    }

    /// Begins to count anew, with this fault in wait.
    pub(crate) fn arm(&self, trap: Option<(Boundary, Fault)>) {
        let mut counted = self.counted();
        (counted.counts, counted.trace, counted.trap) = (BTreeMap::new(), vec![], trap);
        counted.slowest = Duration::ZERO;
        drop(counted);
        self.sprung.send_replace(false);
        self.replaced.send_replace(false);
    }

    /// Everything that has passed since.
    pub(crate) fn trace(&self) -> Vec<(Boundary, Effect)> {
        self.counted().trace.clone()
    }

    /// A call has arrived. Says what is to happen to it.
    pub(crate) fn arrive(self: &Arc<Self>, call: &Call) -> (UnderWay, Option<Fault>) {
        let mut counted = self.counted();
        let nth = counted.counts.entry(call.words.clone()).or_default();
        *nth += 1;
        let boundary = Boundary { call: call.words.clone(), nth: *nth };
        let is_meant =
            |at: &Boundary| *at == boundary || (at.call == MUTATION && call.effect == Effect::Mutates);
        let fault = counted.trap.as_ref().filter(|(at, _)| is_meant(at)).map(|(_, fault)| *fault);
        if fault.is_some() {
            counted.trap = None;
        }
        counted.trace.push((boundary, call.effect));
        counted.last = Some(Instant::now());
        counted.under_way += 1;
        (UnderWay(Arc::clone(self)), fault)
    }

    /// A change was answered after so long.
    pub(crate) fn answered_after(&self, time: Duration) {
        let mut counted = self.counted();
        counted.slowest = counted.slowest.max(time);
    }

    pub(crate) fn slowest_answer(&self) -> Duration {
        self.counted().slowest
    }

    /// A change will arrive on the next connection to Proxmox.
    pub(crate) fn announced(&self) {
        self.counted().announced = true;
    }

    /// A connection to Proxmox is coming about. Whom it guards may have to stand still in the middle of it.
    pub(crate) fn connects(self: &Arc<Self>) {
        if !std::mem::take(&mut self.counted().announced) {
            return;
        }
        let handshake = Call { effect: Effect::Connects, words: HANDSHAKE.to_owned() };
        if self.arrive(&handshake).1 == Some(Fault::Stopped) {
            self.stop();
        }
    }

    /// Whom it guards goes on, and has come to rest when this resolves.
    pub(crate) async fn go_on(&self) {
        let stopped = {
            let mut counted = self.counted();
            counted.last = Some(Instant::now());
            counted.victim.clone()
        };
        if let Some(process) = stopped {
            process.go_on();
        }
        self.quiet().await;
    }

    /// Kills whom it guards, and tells that it has happened.
    pub(crate) async fn kill(&self) {
        let victim = self.counted().victim.take();
        if let Some(process) = victim {
            process.kill().await;
        }
        self.has_sprung();
    }

    /// Lets whom it guards stand still.
    pub(crate) fn stop(&self) {
        if let Some(process) = &self.counted().victim {
            process.stop();
        }
        self.has_sprung();
    }

    pub(crate) fn has_sprung(&self) {
        self.sprung.send_replace(true);
    }

    /// Resolves when the fault has happened.
    pub(crate) async fn sprung(&self) {
        self.sprung.subscribe().wait_for(|sprung| *sprung).await.unwrap();
    }

    pub(crate) fn is_sprung(&self) -> bool {
        *self.sprung.borrow()
    }

    /// Another process is at work now.
    pub(crate) fn is_replaced(&self) {
        self.replaced.send_replace(true);
    }

    pub(crate) async fn replaced(&self) {
        self.replaced.subscribe().wait_for(|replaced| *replaced).await.unwrap();
    }

    /// Resolves when the operator has begun and has nothing more to do for now: it has called, and for a while it has
    /// not. What a run proves does not depend on it, only which calls are counted.
    pub(crate) async fn quiet(&self) {
        const A_WHILE: Duration = Duration::from_millis(250);
        let is_quiet = || {
            let counted = self.counted();
            counted.under_way == 0 && counted.last.is_some_and(|last| last.elapsed() >= A_WHILE)
        };
        while !is_quiet() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut counted = self.0.counted();
        counted.under_way -= 1;
        counted.last = Some(Instant::now());
    }
}
