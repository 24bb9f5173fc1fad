//! One file or folder a kind, all of one shape: resolve what the object refers to, validate it, decide (in `core`), act, report.
//!
//! The same controllers run in both homes: they see only the ports.

mod admission;
mod anchors;
mod approval;
mod changes;
mod concerned;
mod crowd;
mod environment;
mod gone;
mod ground;
mod listed;
mod looks;
mod places;
mod plan;
mod policy;
mod provenance;
mod refusals;
mod run;
mod scene;
mod setbacks;
mod settle;
mod slots;
mod steady;

pub use anchors::took_over;
pub use run::{Shutdown, run};
pub use settle::settle;

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use thiserror::Error;
use tokio::sync::Semaphore;

use crate::{
    core::{hash::NotCanonical, lifecycle::Corrupt},
    ports::StoreError,
};

use crowd::Crowd;
use places::Places;
use setbacks::Setbacks;
use slots::Slots;

/// When to try again after something needed was missing.
const RETRY: Duration = Duration::from_secs(15);

/// How long those who were sent away because of the crowd stay away, about.
const UNTIL_IT_CLEARS: Duration = Duration::from_secs(5);

/// Why a look at an object could not be finished.
#[derive(Debug, Error)]
enum Error {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("failed to write the audit log, so nothing is done: {0}")]
    Audit(std::io::Error),
    #[error(transparent)]
    Corrupt(#[from] Corrupt),
    #[error(transparent)]
    NotCanonical(#[from] NotCanonical),
    #[error("{0}")]
    NotReady(String),
    #[error("this replica may not lead long enough to send anything")]
    NotLeading,
    #[error("too many looks wait for the Proxmox of this environment already")]
    Crowded,
}

/// What the looks at plans share.
struct Together {
    places: Arc<Places>,
    /// As many looks as may have their plan in memory before they ask their Proxmox.
    readers: Semaphore,
    crowd: Crowd,
    slots: Slots,
    /// Of those whose Proxmox could not be asked.
    setbacks: Setbacks,
    /// Plans by their uid whose end is in the audit log alone: they were deleted.
    ended: Mutex<BTreeSet<String>>,
}

impl Together {
    /// So many looks read at the same time: ten thousand plans that begin together would need as much memory for that as for
    /// themselves. Whoever waits for a Proxmox is not among them.
    const READERS: usize = 16;

    fn new(places: Arc<Places>, crowd: Crowd) -> Self {
        let readers = Semaphore::new(Self::READERS);
        Self {
            places,
            readers,
            crowd,
            slots: Slots::default(),
            setbacks: Setbacks::default(),
            ended: Mutex::default(),
        }
    }

    fn note_its_end(&self, uid: String) {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner).insert(uid);
    }

    /// Asked once by whoever would have put it on record otherwise.
    fn has_ended(&self, uid: &str) -> bool {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner).remove(uid)
    }
}

impl Error {
    /// The most that one waits before one looks again for the first time, or `None` to wait until something changes.
    fn first_pause(&self) -> Option<Duration> {
        match self {
            // Somebody else wrote: what is there now may already be the answer.
            Self::Store(StoreError::Conflict { .. }) => Some(Duration::from_millis(200)),
            Self::Store(StoreError::Unavailable { .. }) | Self::NotLeading => Some(Duration::from_secs(2)),
            Self::Crowded => Some(UNTIL_IT_CLEARS),
            Self::Audit(_) | Self::NotReady(_) => Some(Duration::from_secs(10)),
            // Nobody is left to look at.
            Self::Store(StoreError::Gone { .. }) => None,
            // Only somebody's work can help, and not all of it is watched.
            Self::Store(_) | Self::Corrupt(_) | Self::NotCanonical(_) => Some(setbacks::LONGEST),
        }
    }
}
