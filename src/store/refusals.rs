//! What was offered and not accepted, on its way into the audit log.

use std::sync::Arc;

use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use tokio::sync::{Mutex, mpsc};

use crate::ports::Refusal;

/// More than any home lists; what exceeds it is in the log of the process alone.
const MOST_UNHEARD: usize = 2048;

/// Told once, heard once.
#[derive(Clone, Debug)]
pub(super) struct Refusals {
    told: mpsc::Sender<Refusal>,
    heard: Arc<Mutex<mpsc::Receiver<Refusal>>>,
}

impl Default for Refusals {
    fn default() -> Self {
        let (told, heard) = mpsc::channel(MOST_UNHEARD);
        Self { told, heard: Arc::new(Mutex::new(heard)) }
    }
}

impl Refusals {
    pub(super) fn tell(&self, refusal: Refusal) {
        if let Err(error) = self.told.try_send(refusal) {
            tracing::warn!(%error, "a refusal did not reach the audit log");
        }
    }

    pub(super) fn hear(&self) -> BoxStream<'static, Refusal> {
        let heard = Arc::clone(&self.heard);
        let next = |heard: Arc<Mutex<mpsc::Receiver<Refusal>>>| async {
            let refusal = heard.lock().await.recv().await?;
            Some((refusal, heard))
        };
        stream::unfold(heard, next).boxed()
    }
}
