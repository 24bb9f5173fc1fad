//! How many looks of one environment may wait for its Proxmox at the same time: one that does not answer must not hold
//! up the others.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::ports::Key;

/// So many looks ask one Proxmox at once.
const ASKING: usize = 8;

/// The doors of all environments.
pub(super) struct Crowd {
    in_line: usize,
    doors: Mutex<HashMap<Key, Door>>,
}

#[derive(Clone)]
struct Door {
    asking: Arc<Semaphore>,
    /// Those who ask, and those in line behind them.
    present: Arc<Semaphore>,
}

/// One look may ask its Proxmox, as long as it keeps this.
pub(super) struct Admitted {
    _asking: OwnedSemaphorePermit,
    _present: OwnedSemaphorePermit,
}

impl Crowd {
    /// So many looks of an environment may stand in line; the next one is sent away.
    pub(super) fn with_line_of(in_line: usize) -> Self {
        Self { in_line, doors: Mutex::default() }
    }

    /// Waits for its turn, or comes back with nothing if the line is full.
    pub(super) async fn enter(&self, environment: &Key) -> Option<Admitted> {
        let door = self.door(environment);
        let present = door.present.try_acquire_owned().ok()?;
        let asking = door.asking.acquire_owned().await.ok()?;
        Some(Admitted { _asking: asking, _present: present })
    }

    fn door(&self, environment: &Key) -> Door {
        let mut doors = self.doors.lock().unwrap_or_else(PoisonError::into_inner);
        let closed = || Door {
            asking: Arc::new(Semaphore::new(ASKING)),
            present: Arc::new(Semaphore::new(ASKING + self.in_line)),
        };
        doors.entry(environment.clone()).or_insert_with(closed).clone()
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn the_looks_of_one_environment_wait_for_each_other_and_not_for_those_of_another() {
        let (crowd, dead, well) = (Crowd::with_line_of(1), Key::new("n", "dead"), Key::new("n", "well"));
        let mut inside = Vec::new();
        for _ in 0..ASKING {
            inside.push(crowd.enter(&dead).await.unwrap());
        }
        let mut in_line = Box::pin(crowd.enter(&dead));
        assert!((&mut in_line).now_or_never().is_none(), "it stands in line");
        assert!(crowd.enter(&dead).now_or_never().unwrap().is_none(), "the line is full");
        assert!(crowd.enter(&well).now_or_never().unwrap().is_some());
        inside.pop();
        assert!(in_line.await.is_some());
    }
}
