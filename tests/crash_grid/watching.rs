//! Watch streams, line by line: what an API server that lags, forgets or repeats itself would make of them.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex, MutexGuard},
};

use futures::{Stream, stream};
use hyper::body::{Bytes, Frame};
use serde_json::Value;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

/// What becomes of the events of the kinds that are meddled with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Mode {
    #[default]
    Flowing,
    /// They are lost, and nobody says so.
    Dropped,
    /// They stay where they are, for an API server that stands still.
    Frozen,
}

#[derive(Default)]
struct Streams {
    open: Vec<(u64, String, UnboundedSender<Bytes>)>,
    next: u64,
    /// The kinds whose events do not flow, such as `proxmoxactionapprovals`, and what becomes of them.
    meddled: Option<(String, Mode)>,
    kept: Vec<(u64, Bytes)>,
    told: Vec<(String, Bytes)>,
    swallowed: bool,
    is_down: bool,
}

#[derive(Clone, Default)]
pub(crate) struct Watches(Arc<Mutex<Streams>>);

impl Watches {
    fn streams(&self) -> MutexGuard<'_, Streams> {
        self.0.lock().unwrap()
    }

    /// The lines of an answer, as they may pass. `None` while watches are refused.
    pub(crate) fn follow(
        &self,
        words: &str,
        answer: reqwest::Response,
    ) -> Option<impl Stream<Item = Result<Frame<Bytes>, Infallible>> + use<>> {
        let (sender, receiver) = unbounded_channel();
        let id = {
            let mut streams = self.streams();
            if streams.is_down {
                return None;
            }
            streams.next += 1;
            let id = streams.next;
            streams.open.push((id, words.to_owned(), sender));
            id
        };
        tokio::spawn(read(self.clone(), id, answer));
        Some(stream::unfold(receiver, |mut receiver| async {
            receiver.recv().await.map(|line| (Ok(Frame::data(line)), receiver))
        }))
    }

    /// Returns whether anybody still listens.
    fn pass(&self, id: u64, line: Bytes) -> bool {
        let mut streams = self.streams();
        let Some((_, words, sender)) = streams.open.iter().find(|(open, ..)| *open == id).cloned() else {
            return false;
        };
        streams.told.push((words.clone(), line.clone()));
        let mode = streams.meddled.as_ref().filter(|(kind, _)| words.ends_with(kind.as_str()));
        match mode.map_or(Mode::Flowing, |(_, mode)| *mode) {
            Mode::Flowing => sender.send(line).is_ok(),
            Mode::Dropped => {
                streams.swallowed = true;
                !sender.is_closed()
            }
            Mode::Frozen => {
                streams.kept.push((id, line));
                !sender.is_closed()
            }
        }
    }

    fn close(&self, id: u64) {
        self.streams().open.retain(|(open, ..)| *open != id);
    }

    pub(crate) fn drop_events_of(&self, kind: &str) {
        self.streams().meddled = Some((kind.to_owned(), Mode::Dropped));
    }

    pub(crate) fn has_swallowed_any(&self) -> bool {
        self.streams().swallowed
    }

    pub(crate) fn freeze(&self, kind: &str) {
        self.streams().meddled = Some((kind.to_owned(), Mode::Frozen));
    }

    /// What was kept back goes on.
    pub(crate) fn thaw(&self) {
        let mut streams = self.streams();
        streams.meddled = None;
        for (id, line) in std::mem::take(&mut streams.kept) {
            if let Some((.., sender)) = streams.open.iter().find(|(open, ..)| *open == id) {
                let _ = sender.send(line);
            }
        }
    }

    /// Says once more what was said before of a kind, where it fits: an old event from another API server.
    pub(crate) fn replay(&self, kind: &str, fits: impl Fn(&Value) -> bool) -> usize {
        let streams = self.streams();
        let old: Vec<Bytes> = streams
            .told
            .iter()
            .filter(|(words, _)| words.ends_with(kind))
            .filter(|(_, line)| serde_json::from_slice(line).is_ok_and(|event| fits(&event)))
            .map(|(_, line)| line.clone())
            .collect();
        for (_, words, sender) in &streams.open {
            if words.ends_with(kind) {
                old.iter().for_each(|line| drop(sender.send(line.clone())));
            }
        }
        old.len()
    }

    /// Every stream ends, and no new one is begun.
    pub(crate) fn take_down(&self) {
        let mut streams = self.streams();
        streams.is_down = true;
        streams.open.clear();
    }

    /// Watches are possible again; those that are open end, so that everybody asks for what has been missed.
    pub(crate) fn bring_up(&self) {
        let mut streams = self.streams();
        streams.is_down = false;
        streams.meddled = None;
        streams.open.clear();
    }
}

async fn read(watches: Watches, id: u64, mut answer: reqwest::Response) {
    let mut unfinished = Vec::new();
    while let Ok(Some(chunk)) = answer.chunk().await {
        unfinished.extend_from_slice(&chunk);
        while let Some(end) = unfinished.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = unfinished.drain(..=end).collect();
            if !watches.pass(id, Bytes::from(line)) {
                watches.close(id);
                return;
            }
        }
    }
    watches.close(id);
}
