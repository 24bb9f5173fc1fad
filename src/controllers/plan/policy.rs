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
        lifecycle::{AT_ONCE, Blocked, Event},
        policy::{Hold, Policy, Unusable},
    },
    ports::{Hypervisors, Notice, Severity, Store},
};

use super::Look;

const JUDGEMENT_GREW_OLD: &str = "JudgementGrewOld";

/// Something between judging it and sending it takes too long.
pub(super) fn judgements_grow_old(times: u32) -> Blocked {
    let message = format!(
        "nothing is sent: it was judged {times} times in a row, and each time more than {} seconds had passed before it could          be announced, so the target or a policy may have changed. The API server, Proxmox or a repository answers too slowly;          it is tried again by itself",
        AT_ONCE.as_secs()
    );
    blocked(JUDGEMENT_GREW_OLD, message)
}

/// Nothing is judged by rules that nobody understands.
pub(super) fn policy_invalid(unusable: &Unusable) -> Event {
    Event::Blocked(blocked("PolicyInvalid", unusable.to_string()))
}

impl<S: Store, H: Hypervisors> Look<'_, S, H> {
    /// What was read at the beginning of a long look may be another by now.
    pub(super) fn forget_old_rules(&mut self) {
        let age = self.ports.clock.monotonic().saturating_sub(self.rules_read_at);
        if age > AT_ONCE.unsigned_abs() {
            (self.scene, self.policy) = (None, None);
        }
    }

    /// Proxmox, or a repository, may have taken its time since they were read. `Err` if the cluster that was looked at need
    /// not be the one that they name now.
    pub(super) async fn keep_the_rules_fresh(&mut self) -> Result<Result<(), Event>, Error> {
        let looked_by = self.scene.as_ref().map(|scene| scene.environment.spec.clone());
        self.forget_old_rules();
        let ruled_by = match self.scene().await? {
            Ok(scene) => Some(scene.environment.spec.clone()),
            Err(event) => return Ok(Err(event)),
        };
        if looked_by == ruled_by {
            return Ok(Ok(()));
        }
        self.try_again_soon();
        let why = "its environment was changed while Proxmox was looked at; it is judged anew";
        Ok(Err(Event::Blocked(blocked(JUDGEMENT_GREW_OLD, why))))
    }

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
            let soon = self.about_in(ASK_AGAIN);
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
