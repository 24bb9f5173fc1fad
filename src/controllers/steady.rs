//! Time within one look, which never goes back.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::future::BoxFuture;
use jiff::Timestamp;

use crate::ports::Clock;

/// A clock that follows the wall clock forwards and never backwards: it goes on at least as fast as the monotonic one, so
/// that no deadline moves away when somebody sets the wall clock back.
#[derive(Debug)]
pub(super) struct Steady {
    clock: Arc<dyn Clock>,
    /// The latest moment that the wall clock ran ahead to, by both clocks.
    ahead: Mutex<(Timestamp, Duration)>,
}

impl Steady {
    pub(super) fn on(clock: &Arc<dyn Clock>) -> Self {
        Self { clock: Arc::clone(clock), ahead: Mutex::new((clock.now(), clock.monotonic())) }
    }

    /// Somebody else's clock is that far already.
    pub(super) fn is_at_least(&self, moment: Timestamp) {
        let now = self.now();
        if moment > now {
            *self.ahead.lock().unwrap_or_else(PoisonError::into_inner) = (moment, self.clock.monotonic());
        }
    }
}

impl Clock for Steady {
    fn now(&self) -> Timestamp {
        let (wall, monotonic) = (self.clock.now(), self.clock.monotonic());
        let mut ahead = self.ahead.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = monotonic.saturating_sub(ahead.1);
        let at_least = ahead.0.saturating_add(passed).unwrap_or(Timestamp::MAX);
        if wall > at_least {
            *ahead = (wall, monotonic);
        }
        wall.max(at_least)
    }

    fn monotonic(&self) -> Duration {
        self.clock.monotonic()
    }

    fn nonce(&self) -> String {
        self.clock.nonce()
    }

    fn fraction(&self) -> f64 {
        self.clock.fraction()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.clock.sleep(duration)
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    /// Shows what it is told.
    #[derive(Debug, Default)]
    struct Told(Mutex<(i64, u64)>);

    impl Told {
        fn show(&self, wall: i64, monotonic: u64) {
            *self.0.lock().unwrap() = (wall, monotonic);
        }
    }

    impl Clock for Told {
        fn now(&self) -> Timestamp {
            Timestamp::from_second(self.0.lock().unwrap().0).unwrap()
        }
        fn monotonic(&self) -> Duration {
            Duration::from_secs(self.0.lock().unwrap().1)
        }
        fn nonce(&self) -> String {
            String::new()
        }
        fn fraction(&self) -> f64 {
            0.0
        }
        fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
            async {}.boxed()
        }
    }

    #[test]
    fn a_clock_that_is_set_back_goes_on_from_the_latest_moment_that_it_has_shown() {
        let told = Arc::new(Told::default());
        told.show(1000, 50);
        let steady = Steady::on(&(told.clone() as Arc<dyn Clock>));
        for (wall, monotonic, expected) in [
            (1002, 52, 1002),
            // Set back by a quarter of an hour.
            (103, 53, 1003),
            // Put forward: whatever ends by then has ended.
            (5000, 54, 5000),
            (1005, 55, 5001),
            (1010, 60, 5006),
            (5007, 60, 5007),
        ] {
            told.show(wall, monotonic);
            assert_eq!(steady.now().as_second(), expected, "{wall} {monotonic}");
        }
        // The API server's clock is ahead, and then behind.
        for (theirs, expected) in [(5030, 5030), (5010, 5030)] {
            steady.is_at_least(Timestamp::from_second(theirs).unwrap());
            assert_eq!(steady.now().as_second(), expected, "{theirs}");
        }
    }
}
