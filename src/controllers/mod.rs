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
mod ground;
mod listed;
mod places;
mod plan;
mod policy;
mod provenance;
mod refusals;
mod run;
mod scene;
mod settle;
mod slots;

pub use anchors::took_over;
pub use run::{Shutdown, run};
pub use settle::settle;

use std::{sync::Arc, time::Duration};

use jiff::SignedDuration;
use thiserror::Error;

use crate::{
    core::{hash::NotCanonical, lifecycle::Corrupt},
    ports::StoreError,
};

use crowd::Crowd;
use places::Places;
use slots::Slots;

/// When to try again after something needed was missing.
const RETRY: SignedDuration = SignedDuration::from_secs(15);

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
    #[error("too many looks wait for the Proxmox of this environment already")]
    Crowded,
}

/// What the looks at plans share.
struct Together {
    places: Arc<Places>,
    crowd: Crowd,
    slots: Slots,
}

impl Error {
    /// When to look again, or `None` to wait until something changes.
    fn retry_after(&self) -> Option<Duration> {
        match self {
            // Somebody else wrote: what is there now may already be the answer.
            Self::Store(StoreError::Conflict { .. }) => Some(Duration::from_millis(100)),
            Self::Store(StoreError::Unavailable { .. }) => Some(Duration::from_secs(5)),
            Self::Crowded => Some(Duration::from_secs(5)),
            Self::Audit(_) | Self::NotReady(_) => Some(Duration::from_secs(30)),
            // Nobody is left to look at.
            Self::Store(StoreError::Gone { .. }) => None,
            // Only somebody's work can help, and not all of it is watched.
            Self::Store(_) | Self::Corrupt(_) | Self::NotCanonical(_) => Some(Duration::from_secs(60)),
        }
    }
}
