//! Which replica leads: the one that holds a Lease.
//!
//! The Lease is a hint. It keeps replicas from working at the same thing; that nothing is done twice is kept by the
//! resourceVersion of each status write. Still a replica must not believe to lead for longer than others believe it:
//! `Lead` lasts from the moment *before* its last renewal was asked for, by a clock that never jumps, and `record` says
//! when others may take over.

mod record;

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use k8s_openapi::api::coordination::v1::Lease;
use kube::{Api, Client, api::PostParams};

use crate::ports::{Clock, Leadership, StoreError};

use super::bounded_by;
use record::{Term, Watched, made, release, renew, take};

/// How long a replica leads after it was last heard of.
const LASTS: Duration = Duration::from_secs(15);
/// Whoever leads says so this often.
const RENEW_EVERY: Duration = Duration::from_secs(5);
/// No call may use up the time of the next one.
const CALL_TIMEOUT: Duration = Duration::from_secs(4);
/// When to try again what failed, and how often those who stand by look.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Whether this replica leads, and whether the API server was heard lately.
#[derive(Debug)]
pub struct Lead {
    clock: Arc<dyn Clock>,
    told: Mutex<Told>,
}

#[derive(Debug)]
struct Told {
    /// By the monotonic clock; nothing if another replica leads.
    until: Option<Duration>,
    heard_at: Duration,
}

impl Lead {
    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn heard(&self) {
        self.told().heard_at = self.clock.monotonic();
    }

    /// How long the API server has not answered.
    pub fn silence(&self) -> Duration {
        self.clock.monotonic().saturating_sub(self.told().heard_at)
    }
}

impl Leadership for Lead {
    fn lasts(&self, pause: Duration) -> bool {
        self.told().until.is_some_and(|until| self.clock.monotonic() + pause < until)
    }
}

/// One replica that leads or would like to.
pub struct Candidate {
    leases: Api<Lease>,
    name: String,
    /// What this replica is called.
    replica: String,
    clock: Arc<dyn Clock>,
    lead: Arc<Lead>,
    /// As it was written last, while it is ours.
    held: Option<Lease>,
    watched: Watched,
    /// Who was last seen to lead.
    leader: Option<String>,
}

/// Why a replica leads no more.
#[derive(Debug, PartialEq, Eq)]
pub enum Lost {
    /// The API server could not be told in time that it still lives.
    Lapsed,
    TakenBy(String),
    /// Somebody who calls itself the same has taken it.
    TakenByNamesake,
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lapsed => f.write_str("the lease could not be renewed in time"),
            Self::TakenBy(other) => write!(f, "{other} has taken the lease"),
            Self::TakenByNamesake => f.write_str("another process under the same name has taken the lease"),
        }
    }
}

impl fmt::Debug for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, replica, lead, .. } = self;
        f.debug_struct("Candidate")
            .field("name", name)
            .field("replica", replica)
            .field("lead", lead)
            .finish_non_exhaustive()
    }
}

impl Candidate {
    /// `replica` has to be a name that no other process has at the same time, such as that of its pod.
    pub fn new(client: Client, namespace: &str, name: &str, replica: &str, clock: Arc<dyn Clock>) -> Self {
        let told = Mutex::new(Told { until: None, heard_at: clock.monotonic() });
        Self {
            leases: Api::namespaced(client, namespace),
            name: name.to_owned(),
            replica: replica.to_owned(),
            lead: Arc::new(Lead { clock: Arc::clone(&clock), told }),
            clock,
            held: None,
            watched: Watched::default(),
            leader: None,
        }
    }

    pub fn replica(&self) -> &str {
        &self.replica
    }

    pub fn lead(&self) -> Arc<Lead> {
        Arc::clone(&self.lead)
    }

    /// Stands by until this replica leads.
    pub async fn elected(&mut self) {
        loop {
            match self.try_to_take().await {
                Ok(true) => return,
                Ok(false) | Err(StoreError::Conflict { .. }) => {}
                Err(error) => tracing::warn!(%error, "waiting for the lease"),
            }
            self.pause().await;
        }
    }

    /// Keeps the lead until it is lost.
    pub async fn keep(&mut self) -> Lost {
        self.clock.sleep(RENEW_EVERY).await;
        let lost = loop {
            if !self.lead.lasts(Duration::ZERO) {
                break Lost::Lapsed;
            }
            match self.renew().await {
                Ok(None) => self.clock.sleep(RENEW_EVERY).await,
                Ok(Some(lost)) => break lost,
                Err(error) => {
                    tracing::warn!(%error, "the lease is not renewed yet");
                    self.pause().await;
                }
            }
        };
        self.step_down();
        lost
    }

    /// Lets the next one take over at once. Everything that this replica began has to be finished.
    pub async fn hand_over(&mut self) {
        let Some(lease) = self.step_down() else { return };
        match self.give_up(lease).await {
            Ok(()) => tracing::info!("the lead is handed over"),
            Err(error) => {
                tracing::warn!(%error, "the lease was not released: another replica waits until it lapses");
            }
        }
    }

    /// A renewal that was on its way may come in between.
    async fn give_up(&self, ours: Lease) -> Result<(), StoreError> {
        let term = Term::of(&ours);
        let mut lease = ours;
        for _ in 0..2 {
            release(&mut lease, self.clock.now());
            match self.replace(&lease).await {
                Err(StoreError::Conflict { .. }) => match self.read().await? {
                    Some(found) if Term::of(&found) == term => lease = found,
                    _ => return Ok(()),
                },
                released => return released.map(drop),
            }
        }
        Err(StoreError::Conflict { object: self.object() })
    }

    fn step_down(&mut self) -> Option<Lease> {
        self.lead.told().until = None;
        self.held.take()
    }

    async fn try_to_take(&mut self) -> Result<bool, StoreError> {
        let found = self.read().await?;
        if !found.as_ref().is_none_or(|lease| self.may_take(lease)) {
            return Ok(false);
        }
        let (begun, now) = (self.clock.monotonic(), self.clock.now());
        let taken = match found {
            Some(mut lease) => {
                take(&mut lease, &self.replica, now);
                self.replace(&lease).await?
            }
            None => self.create(&made(&self.name, &self.replica, now)).await?,
        };
        self.holds(taken, begun);
        Ok(true)
    }

    fn may_take(&mut self, lease: &Lease) -> bool {
        let Some(Term { holder, .. }) = Term::of(lease) else { return true };
        // Its own, of an earlier life: a process that begins anew waits for nobody.
        if holder == self.replica {
            return true;
        }
        let has_lapsed = self.watched.has_lapsed(lease, self.clock.monotonic());
        if self.leader.as_ref() != Some(&holder) {
            tracing::info!(leader = %holder, "another replica leads: this one stands by");
            self.leader = Some(holder);
        }
        has_lapsed
    }

    /// Says why the lead is lost, if it is.
    async fn renew(&mut self) -> Result<Option<Lost>, StoreError> {
        let Some(mut lease) = self.held.clone() else { return Ok(Some(Lost::Lapsed)) };
        let begun = self.clock.monotonic();
        renew(&mut lease, self.clock.now());
        match self.replace(&lease).await {
            Ok(lease) => {
                self.holds(lease, begun);
                Ok(None)
            }
            Err(StoreError::Conflict { .. } | StoreError::Gone { .. }) => self.is_it_still_ours(&lease).await,
            Err(error) => Err(error),
        }
    }

    /// Somebody has written to it: perhaps this very replica, without an answer, or somebody who labelled it.
    async fn is_it_still_ours(&mut self, ours: &Lease) -> Result<Option<Lost>, StoreError> {
        let found = self.read().await?;
        let term = found.as_ref().and_then(Term::of);
        if term == Term::of(ours) {
            self.held = found;
            return Err(StoreError::Conflict { object: self.object() });
        }
        Ok(Some(match term {
            Some(Term { holder, .. }) if holder == self.replica => Lost::TakenByNamesake,
            Some(Term { holder, .. }) => Lost::TakenBy(holder),
            None => Lost::Lapsed,
        }))
    }

    fn holds(&mut self, lease: Lease, begun: Duration) {
        self.held = Some(lease);
        self.leader = None;
        self.lead.told().until = Some(begun + LASTS);
    }

    async fn pause(&self) {
        self.clock.sleep(LOOK_AGAIN.mul_f64(0.5 + self.clock.fraction())).await;
    }

    // ---- calls

    async fn read(&self) -> Result<Option<Lease>, StoreError> {
        self.call("read", self.leases.get_opt(&self.name)).await
    }

    async fn create(&self, lease: &Lease) -> Result<Lease, StoreError> {
        self.call("create", self.leases.create(&PostParams::default(), lease)).await
    }

    /// Fenced by the resourceVersion that was read.
    async fn replace(&self, lease: &Lease) -> Result<Lease, StoreError> {
        self.call("write", self.leases.replace(&self.name, &PostParams::default(), lease)).await
    }

    async fn call<T>(
        &self,
        what: &str,
        call: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, StoreError> {
        let answer = bounded_by(CALL_TIMEOUT, what, self.object(), call).await;
        if !matches!(answer, Err(StoreError::Unavailable { .. })) {
            self.lead.heard();
        }
        answer
    }

    fn object(&self) -> String {
        format!("lease {}", self.name)
    }
}
