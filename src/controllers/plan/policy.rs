//! The policy that a plan is judged by, and what it holds up right before dispatch.

use jiff::Timestamp;

use crate::{
    controllers::{
        Error,
        places::ASK_AGAIN,
        scene::{blocked, readable},
    },
    core::{
        judge::Judged,
        lifecycle::Event,
        policy::{Hold, Policy, Unusable},
    },
    ports::{Hypervisors, Notice, Severity, Store},
};

use super::Look;

/// Nothing is judged by rules that nobody understands.
pub(super) fn policy_invalid(unusable: &Unusable) -> Event {
    Event::Blocked(blocked("PolicyInvalid", unusable.to_string()))
}

impl<S: Store, H: Hypervisors> Look<'_, S, H> {
    /// Settled and compiled once per look. Who mends it wakes the plans that wait for it.
    pub(super) async fn settle_policy(&mut self) -> Result<Result<(), Event>, Error> {
        if self.policy.is_some() {
            return Ok(Ok(()));
        }
        let beside = match readable(self.ports.store.policies_of(&self.key.namespace).await)? {
            Ok(beside) => beside,
            Err(obstacle) => return Ok(Err(Event::Blocked(obstacle.blocked))),
        };
        let Some(scene) = &self.scene else { return Ok(Err(Event::Woken)) };
        Ok(match Policy::of(scene.policy.as_ref(), &scene.environment, &beside) {
            Ok(policy) => {
                self.policy = Some(policy);
                Ok(())
            }
            Err(unusable) => Err(policy_invalid(&unusable)),
        })
    }

    /// Whether a plan that nothing else is missing for may be sent now: no freeze, a place, and not too many in this hour.
    /// `Err` says what it has to wait for.
    pub(super) async fn may_go(&mut self, judged: &Judged) -> Result<Result<(), Event>, Error> {
        if let Some(hold) = self.hold.take() {
            let until = hold.until;
            return Ok(Err(self.held(hold, until)));
        }
        if let Err(busy) = self.take_a_place().await? {
            return Ok(Err(busy));
        }
        self.is_within_the_hour(judged).await
    }

    async fn is_within_the_hour(&mut self, judged: &Judged) -> Result<Result<(), Event>, Error> {
        let Some(policy) = &self.policy else { return Ok(Err(Event::Woken)) };
        let limits = policy.limits();
        let (slots, now) = (&self.together.slots, self.ports.clock.now());
        let environment = self.environment();
        let reached =
            slots.take(&self.ports.store, &environment, &self.plan, (&limits, judged.risk), now).await?;
        let Some(hold) = reached else { return Ok(Ok(())) };
        if limits.stop() {
            // One of those that are counted may yet stay behind: asks again before the hour is over.
            let soon = now.saturating_add(ASK_AGAIN).unwrap_or(Timestamp::MAX);
            let until = Some(hold.until.map_or(soon, |until| until.min(soon)));
            return Ok(Err(self.held(hold, until)));
        }
        let message = format!("sent all the same, because guards only warn: {}", hold.message);
        let notice = Notice { severity: Severity::Warning, reason: hold.reason.to_owned(), message };
        self.ports.store.publish(&self.plan, notice).await;
        Ok(Ok(()))
    }

    fn held(&mut self, hold: Hold, until: Option<Timestamp>) -> Event {
        self.wake_at = until;
        Event::Blocked(blocked(hold.reason, hold.message))
    }

    /// What was not announced has not used up anything.
    pub(super) fn settle_its_slot(&self) {
        if self.state.intent().is_none() {
            self.together.slots.give_back(&self.environment(), &self.plan);
        }
    }
}
