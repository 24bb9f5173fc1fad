//! What happened, in the order in which it happened, and how often something went wrong on purpose.

use std::{
    collections::BTreeMap,
    fmt::Display,
    sync::{Arc, Mutex},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};
use tokio::time::Instant;

/// The true time of a run begins here.
const DAWN: &str = "2026-11-21T12:00:00Z";

/// One run's history, and its true time.
#[derive(Clone, Debug)]
pub(crate) struct History(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    began: Instant,
    lines: Mutex<Vec<String>>,
    faults: Mutex<BTreeMap<&'static str, u64>>,
}

impl History {
    pub(crate) fn begin() -> Self {
        Self(Arc::new(Inner { began: Instant::now(), lines: Mutex::default(), faults: Mutex::default() }))
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.0.began.elapsed()
    }

    pub(crate) fn now(&self) -> Timestamp {
        at(self.elapsed())
    }

    pub(crate) fn note(&self, who: &str, what: impl Display) {
        let at = self.elapsed().as_secs_f64();
        self.0.lines.lock().unwrap().push(format!("{at:9.3} {who:7} {what}"));
    }

    pub(crate) fn fault(&self, kind: &'static str) {
        *self.0.faults.lock().unwrap().entry(kind).or_default() += 1;
    }

    pub(crate) fn faults(&self) -> BTreeMap<&'static str, u64> {
        self.0.faults.lock().unwrap().clone()
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.0.lines.lock().unwrap().clone()
    }

    /// Equal for two runs only if the same happened in both, at the same times.
    pub(crate) fn fingerprint(&self) -> String {
        let digest = Sha256::digest(self.0.lines.lock().unwrap().join("\n"));
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// A moment of the true time.
pub(crate) fn at(elapsed: Duration) -> Timestamp {
    let dawn: Timestamp = DAWN.parse().unwrap();
    dawn + SignedDuration::try_from(elapsed).unwrap()
}
