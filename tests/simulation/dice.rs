//! All chance of a run, out of its seed.

use std::{
    ops::Range,
    sync::{Arc, Mutex},
    time::Duration,
};

/// One source of chance. Each part of the world has its own, so that a change of one does not shift all others.
#[derive(Clone, Debug)]
pub(crate) struct Dice(Arc<Mutex<fastrand::Rng>>);

impl Dice {
    pub(crate) fn of(seed: u64, part: u64) -> Self {
        Self(Arc::new(Mutex::new(fastrand::Rng::with_seed(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ part))))
    }

    pub(crate) fn below(&self, end: u64) -> u64 {
        self.0.lock().unwrap().u64(..end.max(1))
    }

    /// So often in a thousand throws.
    pub(crate) fn permille(&self, often: u64) -> bool {
        self.below(1000) < often
    }

    pub(crate) fn millis(&self, range: Range<u64>) -> Duration {
        Duration::from_millis(range.start + self.below(range.end - range.start))
    }

    pub(crate) fn one_of<'a, T>(&self, all: &'a [T]) -> &'a T {
        let last = all.len() as u64;
        &all[usize::try_from(self.below(last)).unwrap()]
    }
}

/// Lets everything in this thread that throws dice of its own throw the same ones again.
pub(crate) fn load_all(seed: u64) {
    assert!(no_entropy::IS_LINKED);
    fastrand::seed(seed);
}
