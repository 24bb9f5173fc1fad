//! The one moment in which a call leaves.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::Timestamp;
use secrecy::SecretString;

use crate::{
    catalog::Call,
    controllers::Error,
    core::{
        call::Dispatch,
        lifecycle::{AT_ONCE, Event},
        task::Sent,
    },
    ports::{Departure, Hypervisor, Hypervisors, Ports, SecretError, Store},
};

use super::Look;

impl<S: Store, H: Hypervisors> Look<'_, S, H> {
    /// Nothing is announced that could not leave after all.
    pub(super) fn make_sure_of_the_lead(&self) -> Result<(), Error> {
        if self.ports.leadership.lasts(AT_ONCE.unsigned_abs()) { Ok(()) } else { Err(Error::NotLeading) }
    }

    /// Hands over the call that was rechecked in this very look, once, and only while its announcement is fresh.
    pub(super) async fn send(&mut self, until: Timestamp) -> Result<Event, Error> {
        self.rechecks = 0;
        let (Some(scene), Some(Dispatch { call, .. })) = (&self.scene, &self.dispatch) else {
            return Err(Error::NotReady("nothing was rechecked in this look".to_owned()));
        };
        let secrets = match self.secrets_of(call).await {
            Ok(secrets) => secrets,
            Err(error) => return Ok(Event::Sent(Sent::NotSent { why: error.to_string() })),
        };
        let Ports { clock, leadership, .. } = self.ports;
        let left = Duration::try_from(until.duration_since(clock.now())).unwrap_or_default();
        let departure = Departure::within(Arc::clone(clock), Arc::clone(leadership), left);
        if let Err(why) = departure.left() {
            let why = format!("it was announced, but could not leave before {until}: {why}");
            return Ok(Event::Sent(Sent::NotSent { why }));
        }
        Ok(Event::Sent(scene.hypervisor.send(call, &secrets, &departure).await))
    }

    /// The values that the call only says the whereabouts of.
    async fn secrets_of(&self, call: &Call) -> Result<BTreeMap<String, SecretString>, SecretError> {
        let mut values = BTreeMap::new();
        for (name, from) in &call.secrets {
            values.insert(name.clone(), self.secret(from).await?);
        }
        Ok(values)
    }
}
