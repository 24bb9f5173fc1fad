//! The client as the engine's `Hypervisor`.

use std::time::Duration;

use jiff::Timestamp;
use secrecy::SecretString;

use crate::{
    api::ProxmoxEnvironment,
    catalog::{Call, GuestRef},
    core::{
        ha::HaGuest,
        observe::{Guest, InventoryRow},
        task::{Sent, TaskState, Upid},
    },
    ports::{Hypervisor, HypervisorError, Hypervisors},
};

use super::{ApiToken, Client, ReadError, Trust, ha, inventory, tasks, tls};

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
        Ok(inventory::version(&self.client).await?)
    }

    async fn inventory(&self) -> Result<Vec<InventoryRow>, HypervisorError> {
        Ok(inventory::guests(&self.client).await?)
    }

    async fn guest(&self, reference: GuestRef) -> Result<Option<Guest>, HypervisorError> {
        let rows = inventory::guests(&self.client).await?;
        let Some(row) = rows.into_iter().find(|row| row.reference == reference) else { return Ok(None) };
        match inventory::guest(&self.client, &row.node, reference).await {
            Ok(guest) => Ok(Some(guest)),
            // The list is up to ten seconds old: it has been deleted, or has just gone to another node.
            Err(error) if error.says_no_such_guest() => Err(HypervisorError {
                message: format!(
                    "{reference} is listed on node {} but is not there: is it being moved?",
                    row.node
                ),
            }),
            Err(error) => Err(error.into()),
        }
    }

    async fn node_time(&self, node: &str) -> Result<Timestamp, HypervisorError> {
        Ok(tasks::node_time(&self.client, node).await?)
    }

    async fn send(&self, call: &Call) -> Sent {
        self.client.send(call).await
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pve::testing::{Reply, Server};

    #[tokio::test]
    async fn a_guest_that_has_just_moved_to_another_node_is_not_taken_for_missing() {
        let list =
            r#"{"data":[{"type":"qemu","vmid":101,"node":"pve1","status":"running","name":"batch-1"}]}"#;
        let gone = r#"{"data":null,"message":"Configuration file 'nodes/pve1/qemu-server/101.conf' does not exist\n"}"#;
        let server = Server::plain([Reply::ok(list), Reply::json(500, "x", gone)]).await;
        let connection = Connection { client: server.client(&Trust::Anyone) };
        let Ok(crate::catalog::Target::Guest(guest)) = "qemu/101".parse() else { panic!() };
        let error = connection.guest(guest).await.unwrap_err();
        assert!(error.message.contains("is listed on node pve1"), "{error}");
    }
}
