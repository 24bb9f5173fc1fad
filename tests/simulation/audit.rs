//! A replica's audit log: what was not acknowledged may be lost with the process.

use std::{
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::{FutureExt, future::BoxFuture};
use proxmox_agent::{
    core::audit::{AuditRecord, Head},
    ports::AuditLog,
};

use crate::{dice::Dice, history::History, weather::Weather};

/// A record, and since when no crash can take it away.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub(crate) record: AuditRecord,
    pub(crate) since: Option<Duration>,
}

/// What outlives the process.
#[derive(Clone, Debug)]
pub(crate) struct Volume {
    pub(crate) who: String,
    pub(crate) dice: Dice,
    pub(crate) weather: Arc<Weather>,
    pub(crate) history: History,
    /// A planted error: a record is acknowledged long before it is safe.
    pub(crate) promises: bool,
    pub(crate) records: Arc<Mutex<Vec<Kept>>>,
}

impl Volume {
    pub(crate) fn records(&self) -> Vec<Kept> {
        self.records.lock().unwrap().clone()
    }

    /// The process is gone. What it had only handed over is there or is not.
    pub(crate) fn crash(&self) {
        let now = self.history.elapsed();
        let mut records = self.records.lock().unwrap();
        records.retain(|kept| kept.since.is_some() || self.dice.permille(300));
        for kept in records.iter_mut() {
            kept.since.get_or_insert(now);
        }
    }

    fn write(&self, record: AuditRecord) -> usize {
        let mut records = self.records.lock().unwrap();
        records.push(Kept { record, since: None });
        records.len() - 1
    }

    fn is_safe(&self, at: usize) {
        let now = self.history.elapsed();
        for kept in self.records.lock().unwrap().iter_mut().take(at + 1) {
            kept.since.get_or_insert(now);
        }
    }

    async fn keep(&self, record: AuditRecord) -> io::Result<()> {
        self.history.note(&self.who, format!("audit {:?} {}", record.event, record.plan));
        let at = self.write(record);
        if self.promises {
            return Ok(());
        }
        tokio::time::sleep(self.dice.millis(1..20)).await;
        if self.weather.strikes(&self.dice, self.weather.audit) {
            self.history.fault("audit log can't be written");
            return Err(io::Error::new(io::ErrorKind::StorageFull, "no space left on device"));
        }
        self.is_safe(at);
        Ok(())
    }
}

impl AuditLog for Volume {
    fn append(&self, record: AuditRecord) -> BoxFuture<'_, io::Result<()>> {
        self.keep(record).boxed()
    }

    fn ready(&self) -> BoxFuture<'_, io::Result<()>> {
        async { Ok(()) }.boxed()
    }

    fn head(&self) -> Head {
        let safe = self.records.lock().unwrap().iter().filter(|kept| kept.since.is_some()).count() as u64;
        Head { chain: self.who.clone(), sequence: safe, hash: format!("sha256:{safe:064x}") }
    }
}
