//! What stays of a look: the status, events, the finalizer, the next alarm.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::{
    api::{PlanStatus, ProxmoxActionPlan},
    controllers::Error,
    core::lifecycle::{self, Event, State, Telling},
    ports::{Hypervisors, Notice, Severity, Store, StoreError},
};

use super::{Look, nonce};

/// A task is watched without letting go of its plan for pauses up to this long; longer ones are left to a timer.
const SHORT_PAUSE: SignedDuration = SignedDuration::from_millis(1300);
/// How often a write is tried that others get in between of, or that is about a call.
const WRITES: u32 = 10;
/// The first pause before a write about a call is tried again; each one after it is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// Whether what stands there says more of an attempt than a look knows that began before it was written.
fn is_further(on_record: &PlanStatus, ours: &PlanStatus) -> bool {
    let knows_a_task = on_record.upid.is_some() && on_record.upid != ours.upid;
    on_record.phase.is_terminal() || knows_a_task
}

fn is_the_same(on_record: &PlanStatus, ours: &PlanStatus) -> bool {
    (on_record.phase, &on_record.reason, &on_record.upid) == (ours.phase, &ours.reason, &ours.upid)
}

impl<S: Store, H: Hypervisors> Look<'_, S, H> {
    pub(super) async fn write_status(&mut self) -> Result<(), Error> {
        if self.is_gone {
            return Ok(());
        }
        let written = self.write_report().await;
        match &written {
            Ok(()) => self.announced = nonce(self.plan.status.as_ref()),
            Err(error) => self.note_its_end(error),
        }
        written
    }

    async fn write_report(&mut self) -> Result<(), Error> {
        let mut status = lifecycle::report(
            &self.state,
            self.plan.status.as_ref(),
            self.plan.metadata.generation,
            self.proof.as_ref(),
            self.ports.clock.now(),
        );
        if let Some(traced) = &self.traced {
            status.provenance = Some(traced.provenance.clone());
        }
        if let Some(mut doubt) = status.doubt.take() {
            doubt.next = lifecycle::what_to_type(&self.plan, &status, &self.ports.store.home());
            status.doubt = Some(doubt);
        }
        if self.plan.status.as_ref() == Some(&status) {
            return Ok(());
        }
        self.plan.status = Some(status);
        for turn in 0..WRITES {
            match self.write_once().await {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                // Nobody else knows whether the call was sent and what came of it: that must not be forgotten while the
                // store is away.
                Err(Error::Store(StoreError::Unavailable { what, why })) if self.state.intent().is_some() => {
                    tracing::warn!(plan = %self.key, %what, %why, "what is known of the call is not on record yet");
                    let clock = &self.ports.clock;
                    clock.sleep(clock.about(FIRST_PAUSE * 2u32.pow(turn))).await;
                }
                Err(error) => return Err(error),
            }
        }
        Err(Error::NotReady("the status of the plan can't be written".to_owned()))
    }

    /// Returns whether it is written now.
    async fn write_once(&mut self) -> Result<bool, Error> {
        match self.ports.store.replace_status(&self.plan).await {
            Ok(plan) => {
                self.plan = plan;
                Ok(true)
            }
            Err(error @ (StoreError::Conflict { .. } | StoreError::Unavailable { .. })) => {
                self.was_kept_after_all(error).await
            }
            Err(error) => Err(error.into()),
        }
    }

    /// A status write was refused or got no answer. Once our own intent is on record, what came of it is ours to say,
    /// whatever else somebody changed about the plan; before that, and when another replica has followed it further
    /// meanwhile, whoever wrote first has it.
    async fn was_kept_after_all(&mut self, error: StoreError) -> Result<bool, Error> {
        let nonce = self.state.intent().map(|intent| intent.nonce.clone());
        let live = self.ports.store.get::<ProxmoxActionPlan>(self.key).await?;
        // One of the same name that was made since is another one.
        let Some(live) = live.filter(|live| live.metadata.uid == self.plan.metadata.uid) else {
            return Err(StoreError::Gone { object: self.key.to_string() }.into());
        };
        let on_record = live.status.clone().unwrap_or_default();
        if nonce.is_none() || on_record.intent.as_ref().map(|intent| &intent.nonce) != nonce.as_ref() {
            return Err(error.into());
        }
        let ours = self.plan.status.clone().unwrap_or_default();
        if is_the_same(&on_record, &ours) {
            self.plan = live;
            return Ok(true);
        }
        if is_further(&on_record, &ours) {
            return Err(StoreError::Conflict { object: self.key.to_string() }.into());
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
        if self.plan.metadata.deletion_timestamp.is_some() || self.is_gone {
            return;
        }
        match self.ports.store.hold(&self.plan).await {
            Ok(plan) => self.plan = plan,
            Err(error) => tracing::warn!(plan = %self.key, %error, "the plan could not be held"),
        }
    }

    pub(super) async fn release(&mut self) -> Result<(), Error> {
        if self.is_gone {
            return Ok(());
        }
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

#[cfg(test)]
mod tests {
    use crate::api::Phase;

    use super::*;

    fn status(phase: Phase, upid: Option<&str>) -> PlanStatus {
        PlanStatus { phase, upid: upid.map(str::to_owned), ..PlanStatus::default() }
    }

    #[test]
    fn who_follows_a_task_leaves_a_plan_alone_that_is_on_record_with_another() {
        let (one, other) = (status(Phase::Running, Some("one")), status(Phase::Running, Some("other")));
        assert!(!is_the_same(&one, &other) && is_further(&one, &other));
        assert!(is_the_same(&one, &one.clone()));
        assert!(is_further(&one, &status(Phase::Dispatching, None)));
        assert!(is_further(&one, &status(Phase::Indeterminate, None)));
        assert!(!is_further(&status(Phase::Dispatching, None), &one));
        assert!(!is_further(&one, &status(Phase::Succeeded, Some("one"))));
    }
}
