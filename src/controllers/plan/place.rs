//! The place of a plan among those that are at work in its environment: taken before it is confirmed, given back on every
//! way out.

use crate::{
    controllers::{
        Error,
        places::{ASK_AGAIN, claim},
        scene::blocked,
    },
    core::{
        judge::Judged,
        lifecycle::{Event, goes_on_at_once},
    },
    ports::{Hypervisors, Key, Store},
};

use super::Look;

impl<S: Store, H: Hypervisors> Look<'_, S, H> {
    pub(super) fn environment(&self) -> Key {
        Key::new(&self.key.namespace, &self.plan.spec.environment)
    }

    /// Whether it needs a place now. One that moved and has to be approved anew does not wait for a place first.
    pub(super) fn goes_on_at_once(&self, now: &Judged) -> bool {
        self.state.judged().is_some_and(|before| goes_on_at_once(before, now))
    }

    /// For what was judged last in this look. `Err` says what it has to wait for.
    pub(super) async fn take_a_place(&mut self) -> Result<Result<(), Event>, Error> {
        let budgets = match &self.scene {
            Some(scene) => scene.environment.spec.budgets,
            None => return Err(Error::NotReady("the environment was not resolved".to_owned())),
        };
        let claim = claim(&self.plan, self.occupied.clone());
        let taken = self.together.places.take(&self.ports.store, &self.environment(), claim, budgets).await?;
        self.is_in_line = taken.is_err();
        Ok(taken.map_err(|busy| {
            self.wake_at = Some(self.about_in(ASK_AGAIN));
            Event::Blocked(blocked(busy.reason, busy.message))
        }))
    }

    /// A plan that is in flight is at work, whoever sent it.
    pub(super) fn keep_its_place(&self) -> bool {
        let is_in_flight = self.state.phase().is_in_flight();
        if is_in_flight {
            self.together.places.keep(&self.environment(), &self.plan);
        }
        is_in_flight
    }

    /// A look that was not finished does not know what is on record now. What it believes is good enough: before anybody
    /// is refused a place, the record is read.
    pub(super) fn settle_its_place(&self, was_in_flight: bool, is_finished: bool) {
        let places = &self.together.places;
        if self.state.phase().is_in_flight() {
            places.keep(&self.environment(), &self.plan);
        } else if is_finished || !was_in_flight {
            let still_waits = self.is_in_line || !is_finished;
            places.give_back(&self.environment(), &self.key.name, still_waits);
        }
    }
}
