//! The Secrets that a plan names: read when it is judged too, so that nobody approves what can't be sent.

use secrecy::{ExposeSecret, SecretString};

use crate::{
    api::SecretKeyRef,
    catalog::{ParamValue, SecretValue},
    controllers::scene::blocked,
    core::{handed_out::unfit, lifecycle::Event, request::Request},
    ports::{Hypervisors, SecretError, Store},
};

use super::Look;

impl<S: Store, H: Hypervisors> Look<'_, S, H> {
    pub(super) async fn secret(&self, from: &SecretValue) -> Result<SecretString, SecretError> {
        let SecretValue { name, key } = from.clone();
        let reference = SecretKeyRef { name, key };
        let value = self.ports.secrets.read(&self.key.namespace, &reference).await?;
        match unfit(value.expose_secret()) {
            None => Ok(value),
            Some(why) => Err(SecretError {
                secret: format!("{}/{}", self.key.namespace, reference.name),
                key: reference.key,
                why: why.to_owned(),
            }),
        }
    }

    /// What keeps the request's secrets from being sent, if anything does.
    pub(super) async fn lacks_a_secret(&mut self, request: &Request) -> Option<Event> {
        for (param, value) in &request.params {
            let ParamValue::Secret(from) = value else { continue };
            if let Err(error) = self.secret(from).await {
                self.try_again_soon();
                let message = format!("spec.params.{param}: {error}");
                return Some(Event::Blocked(blocked("SecretUnavailable", message)));
            }
        }
        None
    }
}
