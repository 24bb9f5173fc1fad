//! The clock and the dice of the machine.

use std::time::Duration;

use futures::{FutureExt, future::BoxFuture};
use jiff::Timestamp;

use crate::ports::Clock;

/// The real time.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn nonce(&self) -> String {
        uuid::Uuid::new_v4().to_string()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        tokio::time::sleep(duration).boxed()
    }
}
