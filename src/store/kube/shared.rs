//! One reading for all who wait for it.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Mutex;

/// The last reading, and who may have it: those who asked before it began. To them it is as live as one of their own.
#[derive(Debug)]
pub(super) struct Shared<T> {
    begun: AtomicU64,
    last: Mutex<Option<(u64, T)>>,
}

impl<T> Default for Shared<T> {
    fn default() -> Self {
        Self { begun: AtomicU64::new(0), last: Mutex::new(None) }
    }
}

impl<T: Clone> Shared<T> {
    /// Reads anew, unless somebody has begun to since this was called.
    pub(super) async fn read(&self, reading: impl Future<Output = T>) -> T {
        let asked = self.begun.load(Ordering::SeqCst);
        let mut last = self.last.lock().await;
        if let Some((number, found)) = last.as_ref()
            && *number > asked
        {
            return found.clone();
        }
        let number = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
        let found = reading.await;
        *last = Some((number, found.clone()));
        found
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use futures::future::{join, join_all};
    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn those_who_ask_during_a_reading_share_the_next_one_and_none_gets_what_began_before() {
        let (shared, begun, go_on) = (Shared::default(), Cell::new(0), Notify::new());
        let reading = async || {
            begun.set(begun.get() + 1);
            let number = begun.get();
            go_on.notified().await;
            number
        };
        let meanwhile = async {
            while begun.get() < 1 {
                tokio::task::yield_now().await;
            }
            let during = join_all((0..100).map(|_| shared.read(reading())));
            let ends = async {
                // All of them have asked by now.
                tokio::task::yield_now().await;
                go_on.notify_one();
                while begun.get() < 2 {
                    tokio::task::yield_now().await;
                }
                go_on.notify_one();
            };
            join(during, ends).await.0
        };
        let (first, during) = join(shared.read(reading()), meanwhile).await;
        assert_eq!((first, during), (1, vec![2; 100]));
        go_on.notify_one();
        assert_eq!(shared.read(reading()).await, 3);
    }

    #[tokio::test]
    async fn a_reading_that_is_given_up_is_nobody_s() {
        let shared = Shared::default();
        let given_up = futures::poll!(Box::pin(shared.read(std::future::pending::<u8>())));
        assert!(given_up.is_pending());
        assert_eq!(shared.read(async { 2 }).await, 2);
    }
}
