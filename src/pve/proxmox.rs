//! The client as the engine's `Hypervisor`.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use secrecy::SecretString;

use crate::{
    api::{EnvironmentStatus, ProxmoxEnvironment, ProxmoxEnvironmentSpec, Tier, TlsTrust},
    catalog::{Call, GuestRef, Reading},
    core::{
        ha::HaGuest,
        observe::{NodeRow, Query, Readout, World},
        task::{Sent, TaskLog, TaskState, Upid},
    },
    ports::{Departure, Hypervisor, HypervisorError, Hypervisors, Key},
};

use super::{
    ApiToken, Client, ConnectError, ReadError, Trust, TrustError, endpoint::Endpoint, ha, members,
    running::RunningTasks, survey, tasks, tls,
};

/// Connects to real and simulated Proxmox clusters alike. Whoever asks for the same one the same way gets the same
/// connection.
#[derive(Clone, Debug, Default)]
pub struct Proxmox {
    kept: Arc<Mutex<HashMap<Key, (Way, Connection)>>>,
}

/// One Proxmox cluster, seen through one token.
#[derive(Clone, Debug)]
pub struct Connection {
    client: Arc<Client>,
    running: Arc<RunningTasks>,
}

/// Everything that makes a connection what it is.
#[derive(Clone, Debug)]
struct Way {
    environment: Option<String>,
    endpoints: Vec<String>,
    tls: TlsTrust,
    tier: Tier,
    request_timeout: Duration,
    token: ApiToken,
}

impl Way {
    fn to(environment: &ProxmoxEnvironment, token: &SecretString) -> Result<Self, HypervisorError> {
        let spec = &environment.spec;
        Ok(Self {
            environment: environment.metadata.uid.clone(),
            endpoints: spec.endpoints.clone(),
            tls: spec.tls.clone(),
            tier: spec.tier,
            request_timeout: Duration::from_secs(spec.request_timeout_seconds.into()),
            token: ApiToken::try_from(token).map_err(unusable)?,
        })
    }

    fn is_same(&self, other: &Self) -> bool {
        self.environment == other.environment
            && self.endpoints == other.endpoints
            && self.tls == other.tls
            && self.tier == other.tier
            && self.request_timeout == other.request_timeout
            && self.token.is_same(&other.token)
    }

    fn client(&self) -> Result<Client, HypervisorError> {
        let trust = trust(&self.endpoints, &self.tls, self.tier).map_err(unusable)?;
        Client::new(&self.endpoints, self.token.clone(), &trust, self.request_timeout).map_err(unusable)
    }
}

fn trust(endpoints: &[String], tls: &TlsTrust, tier: Tier) -> Result<Trust, TrustError> {
    endpoints.iter().try_for_each(|endpoint| tls::check_endpoint(endpoint, tier))?;
    Trust::of(tls, tier)
}

/// Whether anybody could be asked there, as far as that can be told without asking.
pub fn check_address(spec: &ProxmoxEnvironmentSpec) -> Result<(), ConnectError> {
    spec.endpoints.iter().try_for_each(|endpoint| Endpoint::parse(endpoint).map(drop))?;
    trust(&spec.endpoints, &spec.tls, spec.tier)?;
    Ok(())
}

impl Proxmox {
    fn kept(&self) -> MutexGuard<'_, HashMap<Key, (Way, Connection)>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Hypervisors for Proxmox {
    type Connection = Connection;

    fn connect(
        &self,
        environment: &ProxmoxEnvironment,
        token: &SecretString,
    ) -> Result<Connection, HypervisorError> {
        let key = Key::of(environment);
        let way = Way::to(environment, token)?;
        let mut kept = self.kept();
        if let Some((_, connection)) = kept.get(&key).filter(|(known, _)| known.is_same(&way)) {
            return Ok(connection.clone());
        }
        // What was kept led another way: nobody may go it any more.
        kept.remove(&key);
        let client = way.client()?.remembering(met_before(environment));
        let connection = Connection { client: Arc::new(client), running: Arc::default() };
        kept.insert(key, (way, connection.clone()));
        Ok(connection)
    }

    fn forget(&self, environment: &Key) {
        self.kept().remove(environment);
    }
}

/// The cluster that these endpoints led to when the environment was last looked at.
fn met_before(environment: &ProxmoxEnvironment) -> impl Iterator<Item = (&str, &str)> {
    let of_these_endpoints =
        |status: &&EnvironmentStatus| status.observed_generation == environment.metadata.generation;
    let status = environment.status.as_ref().filter(of_these_endpoints);
    let nodes = status.into_iter().flat_map(|status| &status.nodes);
    nodes.map(|node| (node.name.as_str(), node.certificate.as_str()))
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

    async fn meet(&self) -> Result<(), HypervisorError> {
        Ok(self.client.meet().await?)
    }

    async fn meet_anew(&self) -> Result<Vec<String>, HypervisorError> {
        Ok(self.client.meet_anew().await?)
    }

    async fn nodes(&self) -> Result<Vec<NodeRow>, HypervisorError> {
        Ok(members::nodes(&self.client).await?)
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

    async fn send(
        &self,
        call: &Call,
        secrets: &BTreeMap<String, SecretString>,
        departure: &Departure,
    ) -> Sent {
        self.client.send(call, secrets, departure).await
    }

    async fn task(&self, upid: &Upid, tolerance: Duration) -> Result<TaskState, HypervisorError> {
        Ok(self.running.state_of(&self.client, upid, tolerance).await?)
    }

    async fn task_log(
        &self,
        upid: &Upid,
        secrets: &BTreeMap<String, SecretString>,
    ) -> Result<TaskLog, HypervisorError> {
        Ok(tasks::log_of(&self.client, upid, secrets).await?)
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn environment(change: &serde_json::Value) -> ProxmoxEnvironment {
        let mut object = json!({
            "metadata": {"name": "home", "namespace": "default", "uid": "uid-1", "generation": 1},
            "spec": {
                "endpoints": ["https://pve1:8006"], "tier": "lab", "tls": {"insecureSkipVerify": true},
                "credentials": {"secretRef": {"name": "pve"}},
            },
        });
        for (field, value) in change.as_object().into_iter().flatten() {
            object["spec"][field] = value.clone();
        }
        serde_json::from_value(object).unwrap()
    }

    fn token(secret: &str) -> SecretString {
        format!("agent@pve!plans={secret}").into()
    }

    #[test]
    fn the_same_way_leads_over_the_same_connection() {
        let proxmox = Proxmox::default();
        let first = proxmox.connect(&environment(&json!({})), &token("one")).unwrap();
        let elsewhere = environment(&json!({"site": "cellar", "policyRef": {"name": "house"}}));
        let second = proxmox.clone().connect(&elsewhere, &token("one")).unwrap();
        assert!(Arc::ptr_eq(&first.client, &second.client));
    }

    #[test]
    fn whatever_changes_about_the_way_makes_a_new_connection_at_once() {
        let proxmox = Proxmox::default();
        let first = proxmox.connect(&environment(&json!({})), &token("one")).unwrap();
        let rotated = proxmox.connect(&environment(&json!({})), &token("two")).unwrap();
        assert!(!Arc::ptr_eq(&first.client, &rotated.client));
        for change in [
            json!({"endpoints": ["https://pve2:8006"]}),
            json!({"tls": {"fingerprint": "ab".repeat(32)}}),
            json!({"tier": "staging"}),
            json!({"requestTimeoutSeconds": 7}),
        ] {
            let before = proxmox.connect(&environment(&json!({})), &token("one")).unwrap();
            let after = proxmox.connect(&environment(&change), &token("one")).unwrap();
            assert!(!Arc::ptr_eq(&before.client, &after.client), "{change}");
        }
        let mut again = environment(&json!({}));
        again.metadata.uid = Some("uid-2".to_owned());
        let before = proxmox.connect(&environment(&json!({})), &token("one")).unwrap();
        let after = proxmox.connect(&again, &token("one")).unwrap();
        assert!(!Arc::ptr_eq(&before.client, &after.client));
    }

    #[test]
    fn what_can_not_be_used_any_more_is_not_kept() {
        let proxmox = Proxmox::default();
        proxmox.connect(&environment(&json!({})), &token("one")).unwrap();
        assert!(proxmox.connect(&environment(&json!({"endpoints": ["ftp://pve1"]})), &token("one")).is_err());
        assert!(proxmox.kept().is_empty());
        proxmox.connect(&environment(&json!({})), &token("one")).unwrap();
        proxmox.forget(&Key::new("default", "home"));
        assert!(proxmox.kept().is_empty());
    }
}
