//! The clock and the dice of the machine.

use std::{
    sync::LazyLock,
    time::{Duration, Instant},
};

use futures::{FutureExt, future::BoxFuture};
use jiff::Timestamp;

use crate::ports::{Clock, Leadership};

/// The real time.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn monotonic(&self) -> Duration {
        static BEGIN: LazyLock<Instant> = LazyLock::new(Instant::now);
        BEGIN.elapsed()
    }

    fn nonce(&self) -> String {
        uuid::Uuid::new_v4().to_string()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        tokio::time::sleep(duration).boxed()
    }
}

/// Whoever holds the lock of a directory has nobody to share it with.
#[derive(Clone, Copy, Debug)]
pub struct Alone;

impl Leadership for Alone {
    fn lasts(&self, _: Duration) -> bool {
        true
    }
}
