//! What the HA manager makes of a guest.

use serde::Deserialize;

use crate::{
    catalog::{GuestRef, path_segment},
    core::ha::HaGuest,
};

use super::{answer::bounded, client::Client, read_error::ReadError, survey};

/// One row of the manager's own report; those about nodes and quorum have no `sid`.
#[derive(Deserialize)]
struct Row {
    sid: Option<String>,
    node: Option<String>,
    state: Option<String>,
    #[serde(default)]
    status: String,
}

#[derive(Deserialize)]
struct Current {
    status: String,
}

/// A guest with what the HA manager does about it, or `None` if this token sees no such guest.
pub async fn guest(client: &Client, reference: GuestRef) -> Result<Option<HaGuest>, ReadError> {
    let Some(listed) = survey::listed(client, reference).await? else { return Ok(None) };
    let rows: Vec<Row> = client.get("/cluster/ha/status/current", &[]).await?;
    let sid = reference.sid();
    let row = rows.into_iter().find(|row| row.sid.as_deref() == Some(&sid));
    let node = row.as_ref().and_then(|row| row.node.clone()).unwrap_or(listed.node);
    let status = status(client, &node, reference).await?;
    let (state, told) = row.map_or((None, String::new()), |row| (row.state, bounded(&row.status)));
    Ok(Some(HaGuest { node, status, state, told }))
}

/// While a guest moves, the node that is named may not have it, or not yet.
async fn status(client: &Client, node: &str, guest: GuestRef) -> Result<String, ReadError> {
    let path = format!("/nodes/{}/{guest}/status/current", path_segment(node));
    match client.get::<Current>(&path, &[]).await {
        Ok(current) => Ok(current.status),
        Err(error) if error.says_no_such_guest() => Ok("unknown".to_owned()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use crate::pve::{
        Trust,
        testing::{Reply, Server},
    };

    use super::*;

    const LIST: &str =
        r#"{"data":[{"type":"qemu","vmid":100,"node":"pve1","status":"stopped","name":"web-1"}]}"#;
    const GONE: &str =
        r#"{"data":null,"message":"Configuration file 'nodes/pve2/qemu-server/100.conf' does not exist\n"}"#;

    fn report(service: &str) -> Reply {
        Reply::ok(&format!(
            r#"{{"data":[{{"id":"quorum","type":"quorum","node":"pve1","quorate":1,"status":"OK"}},
                {{"id":"master","type":"master","node":"pve1","status":"pve1 (active)","timestamp":1}}{service}]}}"#
        ))
    }

    async fn seen(replies: impl IntoIterator<Item = Reply>) -> (Server, Option<HaGuest>) {
        let server = Server::plain(replies).await;
        let Ok(crate::catalog::Target::Guest(reference)) = "qemu/100".parse() else { panic!() };
        let found = guest(&server.client(&Trust::Anyone), reference).await.unwrap();
        (server, found)
    }

    #[tokio::test]
    async fn a_guest_is_looked_at_where_the_manager_says_that_it_is() {
        let service = r#",{"id":"service:vm:100","type":"service","sid":"vm:100","node":"pve2","state":"migrate",
            "crm_state":"migrate","request_state":"started","status":"vm:100 (pve1, migrate)"}"#;
        let running = Reply::ok(r#"{"data":{"status":"running","ha":{"managed":1,"state":"started"}}}"#);
        let (server, guest) = seen([Reply::ok(LIST), report(service), running]).await;
        assert!(server.requests()[2].starts_with("GET /api2/json/nodes/pve2/qemu/100/status/current HTTP"));
        assert_eq!(
            guest.unwrap(),
            HaGuest {
                node: "pve2".into(),
                status: "running".into(),
                state: Some("migrate".into()),
                told: "vm:100 (pve1, migrate)".into()
            }
        );
    }

    #[tokio::test]
    async fn a_guest_between_two_nodes_is_neither_running_nor_gone() {
        let service =
            r#",{"id":"service:vm:100","type":"service","sid":"vm:100","node":"pve2","state":"migrate"}"#;
        let (_, guest) = seen([Reply::ok(LIST), report(service), Reply::json(500, "x", GONE)]).await;
        assert_eq!(guest.unwrap().status, "unknown");
    }

    #[tokio::test]
    async fn a_guest_that_the_manager_does_not_know_has_no_state() {
        let other =
            r#",{"id":"service:ct:100","type":"service","sid":"ct:100","node":"pve2","state":"error"}"#;
        let stopped = Reply::ok(r#"{"data":{"status":"stopped"}}"#);
        let (server, guest) = seen([Reply::ok(LIST), report(other), stopped]).await;
        assert!(server.requests()[2].contains("/nodes/pve1/"));
        assert_eq!(guest.unwrap().state, None);
    }

    #[tokio::test]
    async fn a_guest_that_is_not_listed_is_not_there() {
        assert_eq!(seen([Reply::ok(r#"{"data":[]}"#)]).await.1, None);
    }
}
