//! Time in the simulation follows the runtime's clock, so a test that pauses the runtime pauses the cluster.
use tokio::time::Instant;

#[derive(Debug, Clone, Copy)]
pub(in crate::pve::sim) struct Clock {
    began: Instant,
    began_at: jiff::Timestamp,
}

impl Clock {
    pub(in crate::pve::sim) fn start() -> Self {
        Self { began: Instant::now(), began_at: jiff::Timestamp::now() }
    }

    pub(in crate::pve::sim) fn now(&self) -> jiff::Timestamp {
        let elapsed = jiff::SignedDuration::try_from(self.began.elapsed()).unwrap_or_default();
        self.began_at.checked_add(elapsed).unwrap_or(self.began_at)
    }

    pub(in crate::pve::sim) fn seconds(&self) -> i64 {
        self.now().as_second()
    }

    /// The wall-clock second at which an instant of the runtime's clock lies.
    pub(in crate::pve::sim) fn seconds_at(&self, instant: Instant) -> i64 {
        let ago = Instant::now().saturating_duration_since(instant).as_millis();
        (self.now().as_millisecond() - i64::try_from(ago).unwrap_or_default()).div_euclid(1000)
    }

    /// Hundredths of a second since the simulation began.
    pub(in crate::pve::sim) fn ticks(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis() / 10).unwrap_or_default()
    }
}
