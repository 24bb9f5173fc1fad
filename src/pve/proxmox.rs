//! The client as the engine's `Hypervisor`.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use jiff::Timestamp;
use secrecy::SecretString;

use crate::{
    api::ProxmoxEnvironment,
    catalog::{Call, GuestRef, Reading},
    core::{
        ha::HaGuest,
        observe::{Query, Readout, World},
        task::{Sent, TaskState, Upid},
    },
    ports::{Hypervisor, HypervisorError, Hypervisors},
};

use super::{ApiToken, Client, ReadError, Trust, ha, survey, tasks, tls};

/// Connects to real and simulated Proxmox clusters alike.
#[derive(Clone, Copy, Debug)]
pub struct Proxmox;

/// One Proxmox cluster, seen through one token.
#[derive(Debug)]
pub struct Connection {
    client: Client,
}

impl Hypervisors for Proxmox {
    type Connection = Connection;

    fn connect(
        &self,
        environment: &ProxmoxEnvironment,
        token: &SecretString,
    ) -> Result<Connection, HypervisorError> {
        let spec = &environment.spec;
        let endpoint = spec.endpoints.first().ok_or_else(|| unusable("spec.endpoints: is empty"))?;
        tls::check_endpoint(endpoint, spec.tier).map_err(unusable)?;
        let trust = Trust::of(&spec.tls, spec.tier).map_err(unusable)?;
        let token = ApiToken::try_from(token).map_err(unusable)?;
        let timeout = Duration::from_secs(spec.request_timeout_seconds.into());
        let client = Client::new(endpoint, token, &trust, timeout).map_err(unusable)?;
        Ok(Connection { client })
    }
}

fn unusable(why: impl std::fmt::Display) -> HypervisorError {
    HypervisorError { message: why.to_string() }
}

impl From<ReadError> for HypervisorError {
    fn from(error: ReadError) -> Self {
        Self { message: error.to_string() }
    }
}

impl Hypervisor for Connection {
    fn token_id(&self) -> String {
        self.client.token_id().to_owned()
    }

    async fn version(&self) -> Result<String, HypervisorError> {
        Ok(survey::version(&self.client).await?)
    }

    async fn read(&self, reading: Reading, query: &Query, most: u32) -> Result<Readout, HypervisorError> {
        Ok(survey::read(&self.client, reading, query, most).await?)
    }

    async fn look(&self, query: &Query, places: &BTreeSet<String>) -> Result<World, HypervisorError> {
        Ok(survey::look(&self.client, query, places).await?)
    }

    async fn node_time(&self, node: &str) -> Result<Timestamp, HypervisorError> {
        Ok(tasks::node_time(&self.client, node).await?)
    }

    async fn send(&self, call: &Call, secrets: &BTreeMap<String, SecretString>) -> Sent {
        self.client.send(call, secrets).await
    }

    async fn task(&self, upid: &Upid) -> Result<TaskState, HypervisorError> {
        Ok(tasks::task_state(&self.client, upid).await?)
    }

    async fn ha_guest(&self, guest: GuestRef) -> Result<Option<HaGuest>, HypervisorError> {
        Ok(ha::guest(&self.client, guest).await?)
    }

    async fn tasks_since(
        &self,
        node: &str,
        task_id: &str,
        since: Timestamp,
    ) -> Result<Vec<Upid>, HypervisorError> {
        Ok(tasks::tasks_of(&self.client, node, task_id, since.as_second()).await?)
    }
}
