//! When a watch that broke is asked for anew.

use std::time::Duration;

use backon::ExponentialBuilder;
use kube::runtime::watcher::ExponentialBackoff;

const FIRST: Duration = Duration::from_millis(500);
/// Twice as long with the jitter. As long as a watch is down nobody's decision is seen, and what kube waits by itself, up to
/// a minute, twice over, is more than an API server takes to begin anew.
const LONGEST: Duration = Duration::from_secs(4);

/// Ever later, and not all at the same moment: a server that has just begun has others to serve.
pub(super) fn soon() -> ExponentialBackoff {
    let pauses = ExponentialBuilder::default().with_min_delay(FIRST).with_max_delay(LONGEST);
    pauses.without_max_times().with_jitter().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watch_is_asked_for_anew_within_seconds_however_often_it_broke() {
        let pauses: Vec<Duration> = soon().take(1000).collect();
        assert_eq!(pauses.len(), 1000, "it gave up");
        assert!(pauses.iter().all(|pause| *pause <= LONGEST * 2), "{pauses:?}");
    }

    #[test]
    fn watches_that_broke_at_the_same_time_are_not_asked_for_at_the_same_time() {
        let all: Vec<Vec<Duration>> = (0..8).map(|_| soon().take(8).collect()).collect();
        assert!(all.iter().any(|pauses| *pauses != all[0]), "{all:?}");
    }
}
