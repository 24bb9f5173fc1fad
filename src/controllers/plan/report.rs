//! What stays of a look: the status, events, the finalizer, the next alarm.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::{
    api::ProxmoxActionPlan,
    controllers::Error,
    core::lifecycle::{self, Event, State, Telling},
    ports::{Hypervisors, Notice, Severity, Store, StoreError},
};

use super::Look;

/// A task is watched without letting go of its plan for pauses up to this long; longer ones are left to a timer.
const SHORT_PAUSE: SignedDuration = SignedDuration::from_millis(1300);
/// How often a write is tried again that others got in between of.
const WRITES: usize = 5;

impl<S: Store, H: Hypervisors> Look<'_, S, H> {
    pub(super) async fn write_status(&mut self) -> Result<(), Error> {
        let mut status = lifecycle::report(
            &self.state,
            self.plan.status.as_ref(),
            self.plan.metadata.generation,
            self.proof.as_ref(),
            self.ports.clock.now(),
        );
        if let Some(provenance) = &self.provenance {
            status.provenance = Some(provenance.clone());
        }
        if self.plan.status.as_ref() == Some(&status) {
            return Ok(());
        }
        self.plan.status = Some(status);
        for _ in 0..WRITES {
            match self.ports.store.replace_status(&self.plan).await {
                Ok(plan) => {
                    self.plan = plan;
                    return Ok(());
                }
                Err(error @ (StoreError::Conflict { .. } | StoreError::Unavailable { .. })) => {
                    if self.was_kept_after_all(error).await? {
                        return Ok(());
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(Error::NotReady("somebody else writes to the plan all the time".to_owned()))
    }

    /// A status write was refused or got no answer. Once our own intent is on record, what came of it is ours to say,
    /// whatever else somebody changed about the plan; before that, whoever wrote first has it.
    async fn was_kept_after_all(&mut self, error: StoreError) -> Result<bool, Error> {
        let nonce = self.state.intent().map(|intent| intent.nonce.clone());
        let Some(live) = self.ports.store.get::<ProxmoxActionPlan>(self.key).await? else {
            return Err(error.into());
        };
        let on_record = live.status.clone().unwrap_or_default();
        if nonce.is_none() || on_record.intent.map(|intent| intent.nonce) != nonce {
            return Err(error.into());
        }
        if on_record.phase == self.state.phase() {
            self.plan = live;
            return Ok(true);
        }
        self.plan.metadata = live.metadata;
        Ok(false)
    }

    pub(super) async fn tell(&self, telling: Telling) {
        let severity = if telling.warning { Severity::Warning } else { Severity::Normal };
        let notice = Notice { severity, reason: telling.reason, message: telling.message };
        self.ports.store.publish(&self.plan, notice).await;
    }

    /// Holding is a help, not a condition: the task is followed all the same.
    pub(super) async fn hold(&mut self) {
        if self.plan.metadata.deletion_timestamp.is_some() {
            return;
        }
        match self.ports.store.hold(&self.plan).await {
            Ok(plan) => self.plan = plan,
            Err(error) => tracing::warn!(plan = %self.key, %error, "the plan could not be held"),
        }
    }

    pub(super) async fn release(&mut self) -> Result<(), Error> {
        self.plan = self.ports.store.release(&self.plan).await?;
        Ok(())
    }

    /// Stays with a task that is about to end; leaves everything else to a timer.
    pub(super) async fn wake_at(&mut self, moment: Timestamp) -> Option<Event> {
        let pause = moment.duration_since(self.ports.clock.now());
        if matches!(self.state, State::Running(..)) && pause <= SHORT_PAUSE {
            let pause = Duration::try_from(pause).unwrap_or(Duration::ZERO);
            // Nothing is asked meanwhile.
            self.admitted = None;
            self.ports.clock.sleep(pause).await;
            return Some(Event::Woken);
        }
        self.wake_at = Some(self.wake_at.map_or(moment, |other| other.min(moment)));
        None
    }
}
