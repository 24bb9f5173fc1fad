//! When to try again what failed: ever later, and not everybody at the same moment.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::ports::{Clock, Key};

const SHORTEST: Duration = Duration::from_millis(100);
pub(super) const LONGEST: Duration = Duration::from_secs(60);

/// How often in a row something has failed, for each object with which it did.
#[derive(Debug, Default)]
pub(super) struct Setbacks {
    in_a_row: Mutex<HashMap<Key, u32>>,
}

impl Setbacks {
    fn in_a_row(&self) -> MutexGuard<'_, HashMap<Key, u32>> {
        self.in_a_row.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It has failed once more: how long to wait now. `first` is the most that one waits after the first time.
    pub(super) fn pause(&self, key: &Key, first: Duration, clock: &dyn Clock) -> Duration {
        let before = {
            let mut in_a_row = self.in_a_row();
            let count = in_a_row.entry(key.clone()).or_default();
            let before = *count;
            *count = before.saturating_add(1);
            before
        };
        let at_most = first.saturating_mul(2_u32.saturating_pow(before)).min(LONGEST);
        at_most.mul_f64(clock.fraction()).max(SHORTEST)
    }

    /// It has not failed this time, or there is nothing left that could.
    pub(super) fn forget(&self, key: &Key) {
        self.in_a_row().remove(key);
    }
}

#[cfg(test)]
mod tests {
    use futures::future::BoxFuture;
    use jiff::Timestamp;

    use super::*;

    /// Dice that always show the same.
    #[derive(Debug)]
    struct Dice(f64);

    impl Clock for Dice {
        fn now(&self) -> Timestamp {
            Timestamp::UNIX_EPOCH
        }
        fn monotonic(&self) -> Duration {
            Duration::ZERO
        }
        fn nonce(&self) -> String {
            String::new()
        }
        fn fraction(&self) -> f64 {
            self.0
        }
        fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
            Box::pin(async {})
        }
    }

    #[test]
    fn each_failure_makes_the_pause_longer_up_to_a_minute() {
        let (setbacks, key) = (Setbacks::default(), Key::new("n", "p"));
        let pauses: Vec<f64> =
            (0..8).map(|_| setbacks.pause(&key, Duration::from_secs(4), &Dice(0.5)).as_secs_f64()).collect();
        assert_eq!(pauses, [2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0, 30.0]);
        for _ in 0..100 {
            assert!(setbacks.pause(&key, Duration::from_secs(4), &Dice(0.999)) <= LONGEST);
        }
    }

    #[test]
    fn who_waits_for_the_same_thing_comes_back_spread_over_the_time_around_it() {
        let minute = Duration::from_secs(60);
        assert_eq!(Dice(0.0).about(minute), Duration::from_secs(30));
        assert_eq!(Dice(0.75).about(minute), Duration::from_secs(75));
    }

    #[test]
    fn no_pause_is_so_short_that_it_is_none() {
        let (setbacks, key) = (Setbacks::default(), Key::new("n", "p"));
        assert_eq!(setbacks.pause(&key, Duration::from_secs(4), &Dice(0.0)), SHORTEST);
    }

    #[test]
    fn what_succeeds_begins_anew_and_others_do_not_pay_for_it() {
        let setbacks = Setbacks::default();
        let (one, other, first) = (Key::new("n", "one"), Key::new("n", "other"), Duration::from_secs(2));
        setbacks.pause(&one, first, &Dice(0.5));
        assert_eq!(setbacks.pause(&one, first, &Dice(0.5)), Duration::from_secs(2));
        assert_eq!(setbacks.pause(&other, first, &Dice(0.5)), Duration::from_secs(1));
        setbacks.forget(&one);
        assert_eq!(setbacks.pause(&one, first, &Dice(0.5)), Duration::from_secs(1));
        setbacks.forget(&one);
        setbacks.forget(&other);
        assert!(setbacks.in_a_row().is_empty());
    }
}
