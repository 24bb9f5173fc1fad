//! The record that outlives the process: a chain of lines in a folder, on disk before anything is done.
//!
//! # Layout
//! - `segments`: the files of a chain, and who may write to them
//! - `walk`: from line to line, with what a crash has left in between
//! - `open`: taking up a chain where it was left
//! - `writer`, `room`: putting lines on disk, and keeping room for the last ones
//! - `verify`, `links`: whether chains are what they were, and fit together, for whoever holds them
//! - `bundle`, `seal`, `signers`: everything about one plan, signed
//!
//! What a line looks like is decided in [`crate::core::audit`].

mod bundle;
mod links;
mod open;
mod room;
mod seal;
mod segments;
mod signers;
#[cfg(test)]
mod tests;
mod verify;
mod walk;
mod writer;

use std::{
    fmt,
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    thread::JoinHandle,
};

use futures::{FutureExt, future::BoxFuture};
use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};

use crate::{
    core::audit::{Actor, AuditEvent, AuditRecord, Head, Keeper},
    ports::{AuditLog, Clock},
};

pub use bundle::{Bundle, Excerpt};
pub use links::{Witness, compare};
pub use seal::{NAMESPACE, seal, signer};
pub use verify::{Chain, Problem, verify};

use open::Opened;
use writer::{Answer, Failure, SEGMENT_SIZE, Writer};

/// So many appends share one sync at most.
const MOST_AT_ONCE: usize = 256;
/// What a name of a replica may be long in the name of its chain.
const LONGEST_NAME: usize = 63;

/// A chain in a folder, and the thread that writes it.
pub struct AuditFolder {
    path: PathBuf,
    orders: Option<mpsc::Sender<Order>>,
    head: Arc<Mutex<Head>>,
    writer: Option<JoinHandle<()>>,
}

/// Something that the thread is asked for.
enum Order {
    Append(Box<AuditRecord>, oneshot::Sender<Answer>),
    Probe(oneshot::Sender<Answer>),
}

impl AuditFolder {
    /// Takes up the chain in a folder, or begins one in the name of this replica. Fails if somebody else writes to it, or
    /// if it is damaged in a way that no crash explains.
    pub fn open(path: &Path, replica: &str, clock: &dyn Clock) -> io::Result<Self> {
        Self::open_with(path, replica, clock, SEGMENT_SIZE)
    }

    fn open_with(path: &Path, replica: &str, clock: &dyn Clock, segment_size: u64) -> io::Result<Self> {
        let explain = |error: io::Error| {
            io::Error::new(error.kind(), format!("failed to open the audit log {}: {error}", path.display()))
        };
        let lock = segments::take(path).map_err(explain)?;
        let found = |opened: &Opened| how_it_was_found(opened, replica, clock.now());
        let writer = Writer::open(path, name_of_chain(replica, &clock.nonce()), segment_size, found)
            .map_err(explain)?;
        let head = Arc::new(Mutex::new(writer.head().clone()));
        let (orders, received) = mpsc::channel(MOST_AT_ONCE);
        let shown = Arc::clone(&head);
        let thread = std::thread::Builder::new().name("audit".to_owned());
        let writer = thread.spawn(move || serve(writer, received, &shown, lock)).map_err(explain)?;
        Ok(Self { path: path.to_owned(), orders: Some(orders), head, writer: Some(writer) })
    }

    async fn order(&self, order: impl FnOnce(oneshot::Sender<Answer>) -> Order) -> Answer {
        let (answer, answered) = oneshot::channel();
        let gone = || Failure { kind: io::ErrorKind::BrokenPipe, why: "its writer has ended".to_owned() };
        let orders = self.orders.as_ref().ok_or_else(gone)?;
        orders.send(order(answer)).await.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }

    fn explained(&self, what: &str, answer: Answer) -> io::Result<()> {
        answer.map_err(|Failure { kind, why }| {
            io::Error::new(kind, format!("failed to {what} the audit log {}: {why}", self.path.display()))
        })
    }
}

/// A name that says whose chain it is, and that no other chain has.
fn name_of_chain(replica: &str, nonce: &str) -> String {
    let is_plain = |c: &char| c.is_ascii_alphanumeric() || "-._".contains(*c);
    let replica: String = replica.chars().filter(is_plain).take(LONGEST_NAME).collect();
    let random: String = nonce.chars().filter(char::is_ascii_alphanumeric).take(12).collect();
    format!("{replica}-{random}")
}

/// What is to be said at the end of a chain before anything else.
fn how_it_was_found(opened: &Opened, replica: &str, now: Timestamp) -> Vec<AuditRecord> {
    let record = |event, message: String| AuditRecord::new(now, event, Actor::operator(""), message);
    let torn = opened.torn.as_ref().map(|torn| AuditRecord {
        torn: Some(torn.clone()),
        ..record(AuditEvent::Torn, format!("a crash has left {} bytes that are no line", torn.bytes))
    });
    let began = opened.head.is_none().then(|| {
        let keeper = Keeper { replica: replica.to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() };
        AuditRecord {
            keeper: Some(keeper),
            ..record(AuditEvent::Began, format!("the chain of {replica} begins"))
        }
    });
    torn.into_iter().chain(began).collect()
}

/// Writes until nobody is left who could order anything. Whoever waits while others are written shares the next sync.
fn serve(mut writer: Writer, mut orders: mpsc::Receiver<Order>, shown: &Mutex<Head>, lock: File) {
    while let Some(first) = orders.blocking_recv() {
        let more = std::iter::from_fn(|| orders.try_recv().ok()).take(MOST_AT_ONCE - 1);
        let (mut records, mut waiting, mut probes) = (vec![], vec![], vec![]);
        for order in std::iter::once(first).chain(more) {
            match order {
                Order::Append(record, answer) => {
                    records.push(*record);
                    waiting.push(answer);
                }
                Order::Probe(answer) => probes.push(answer),
            }
        }
        let answers = if records.is_empty() { vec![] } else { writer.append(&records) };
        shown.lock().unwrap_or_else(PoisonError::into_inner).clone_from(writer.head());
        for (waiting, answer) in waiting.into_iter().zip(answers) {
            // Whoever asked may have gone.
            let _ = waiting.send(answer);
        }
        if !probes.is_empty() {
            let ready = writer.is_ready();
            probes.into_iter().for_each(|probe| drop(probe.send(ready.clone())));
        }
    }
    drop(lock);
}

impl AuditLog for AuditFolder {
    fn append(&self, record: AuditRecord) -> BoxFuture<'_, io::Result<()>> {
        async move {
            let answer = self.order(|answer| Order::Append(Box::new(record), answer)).await;
            self.explained("append to", answer)
        }
        .boxed()
    }

    fn ready(&self) -> BoxFuture<'_, io::Result<()>> {
        async move {
            let answer = self.order(Order::Probe).await;
            self.explained("write to", answer)
        }
        .boxed()
    }

    fn head(&self) -> Head {
        self.head.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for AuditFolder {
    /// What was ordered is written before the next one may open the folder.
    fn drop(&mut self) {
        drop(self.orders.take());
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

impl fmt::Debug for AuditFolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditFolder").field("path", &self.path).finish_non_exhaustive()
    }
}
