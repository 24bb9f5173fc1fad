//! A call whose plan was deleted under it.

use std::{sync::Arc, time::Duration};

use crate::{
    api::ProxmoxActionPlan,
    controllers::{Error, RETRY, Together, steady::Steady},
    core::lifecycle::{self, Event, State},
    ports::{Hypervisors, Key, Ports, Store, StoreError},
};

use super::Look;

/// A look that is at work on the plan has so long to put its end on record itself.
const HEAD_START: Duration = Duration::from_secs(3);

/// Follows it by what its status said last, until its end is in the audit log: there is no status any more. Sends nothing.
pub(in crate::controllers) async fn follow_to_its_end<S: Store, H: Hypervisors>(
    ports: &Ports<S, H>,
    together: &Together,
    plan: ProxmoxActionPlan,
) -> Result<(), Error> {
    let (key, uid) = (Key::of(&plan), plan.metadata.uid.clone().unwrap_or_default());
    let steady = Arc::new(Steady::on(&ports.clock));
    let ports = &Ports { clock: steady.clone(), ..ports.clone() };
    let state = lifecycle::read(plan.status.as_ref())?;
    let mut look = Look::begin(ports, steady, (&key, plan, state), together, None);
    look.is_gone = true;
    ports.clock.sleep(HEAD_START).await;
    while look.state.phase().is_in_flight() && !together.has_ended(&uid) {
        look.wake_at = None;
        let was_in_flight = look.keep_its_place();
        let done = look.take_as_far_as_it_goes(Event::Woken).await;
        look.settle_its_place(was_in_flight, done.is_ok());
        if let Err(error) = done {
            tracing::warn!(plan = %key, %error, "a call whose plan was deleted could not be looked at");
            look.try_again_soon();
        }
        (look.admitted, look.scene) = (None, None);
        let pause = look.wake_at.map(|moment| moment.duration_since(ports.clock.now()));
        let pause = pause.map_or(RETRY, |pause| Duration::try_from(pause).unwrap_or_default());
        if look.state.phase().is_in_flight() {
            ports.clock.sleep(pause).await;
        }
    }
    together.setbacks.forget(&key);
    Ok(())
}

impl<S: Store, H: Hypervisors> Look<'_, S, H> {
    /// The intent is in the audit log and on no record that anybody else could read: nothing was sent.
    pub(super) fn was_announced_in_vain<T>(&self, done: &Result<T, Error>) -> bool {
        let is_gone = matches!(done, Err(Error::Store(StoreError::Gone { .. })));
        let intent = self.state.intent().map(|intent| &intent.nonce);
        is_gone && matches!(self.state, State::Dispatching(_)) && intent != self.announced.as_ref()
    }

    /// Whoever follows the call need not say it again.
    pub(super) fn note_its_end(&self, error: &Error) {
        if matches!(error, Error::Store(StoreError::Gone { .. })) && matches!(self.state, State::Ended(_)) {
            self.together.note_its_end(self.plan.metadata.uid.clone().unwrap_or_default());
        }
    }
}
