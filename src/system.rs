//! The clock, the dice and the name of the machine.

use std::time::Duration;

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
        since_boot()
    }

    fn nonce(&self) -> String {
        uuid::Uuid::new_v4().to_string()
    }

    fn fraction(&self) -> f64 {
        const BITS: u32 = 52;
        // The last 62 bits of such an id are all random.
        let random = uuid::Uuid::new_v4().as_u128() & ((1 << BITS) - 1);
        random as f64 / (1_u64 << BITS) as f64
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        tokio::time::sleep(duration).boxed()
    }
}

/// Goes on while the machine is suspended too: whoever slept through a lease must not believe to hold it still.
#[cfg(target_os = "linux")]
fn since_boot() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Duration::try_from(now).unwrap_or_default()
}

#[cfg(not(target_os = "linux"))]
fn since_boot() -> Duration {
    static BEGIN: std::sync::LazyLock<std::time::Instant> = std::sync::LazyLock::new(std::time::Instant::now);
    BEGIN.elapsed()
}

/// What this machine, or pod, is called.
pub fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Whoever holds the lock of a directory has nobody to share it with.
#[derive(Clone, Copy, Debug)]
pub struct Alone;

impl Leadership for Alone {
    fn lasts(&self, _: Duration) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dice_stay_below_one_and_do_not_repeat_themselves() {
        let thrown: Vec<f64> = (0..100).map(|_| SystemClock.fraction()).collect();
        assert!(thrown.iter().all(|fraction| (0.0..1.0).contains(fraction)), "{thrown:?}");
        assert!(thrown.windows(2).all(|pair| pair[0] != pair[1]), "{thrown:?}");
        assert!(
            thrown.iter().any(|fraction| *fraction < 0.5) && thrown.iter().any(|fraction| *fraction > 0.5)
        );
    }

    #[test]
    fn the_monotonic_clock_goes_on() {
        let before = SystemClock.monotonic();
        assert!(!before.is_zero() && SystemClock.monotonic() >= before);
    }
}
