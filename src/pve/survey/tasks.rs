use serde::Deserialize;

use crate::{
    core::observe::{ActiveTask, Rights, Seen, TaskRow},
    pve::{ReadError, lenient},
};

use super::{lookout::Lookout, sight::whole_on};

#[derive(Deserialize)]
struct Row {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default, deserialize_with = "lenient::text")]
    id: String,
    #[serde(default)]
    user: String,
    tokenid: Option<String>,
    starttime: i64,
    status: Option<String>,
}

impl Row {
    fn who(&self) -> String {
        match &self.tokenid {
            Some(token) if !self.user.contains('!') => format!("{}!{token}", self.user),
            _ => self.user.clone(),
        }
    }
}

/// The tasks that run on a node.
pub(super) async fn active(
    lookout: &Lookout<'_>,
    rights: &Rights,
    node: Option<&str>,
) -> Result<Seen<Vec<ActiveTask>>, ReadError> {
    let Some(node) = node else {
        return Ok(Seen::Unknown { why: "the running tasks can't be seen: no node is named".to_owned() });
    };
    let what = format!("the tasks of node {node}");
    if let Some(why) = others_are_hidden(rights, node) {
        return Ok(Seen::Unknown { why });
    }
    let rows: Result<Vec<Row>, _> = rows(lookout, node, "active", 1000).await;
    let task = |row: Row| ActiveTask { user: row.who(), kind: row.kind, id: row.id };
    whole_on(node, &what, rows.map(|rows| rows.into_iter().map(task).collect()))
}

/// Why there may be more tasks than a token is shown: without the right it sees its own.
pub(super) fn others_are_hidden(rights: &Rights, node: &str) -> Option<String> {
    let all = rights.holds(&format!("/nodes/{node}"), "Sys.Audit");
    (!all).then(|| {
        format!("the tasks of node {node} can't all be seen: the token lacks Sys.Audit on /nodes/{node}")
    })
}

/// The latest tasks of a node, running ones first.
pub(super) async fn latest(lookout: &Lookout<'_>, node: &str, most: u32) -> Result<Vec<TaskRow>, ReadError> {
    let rows = rows(lookout, node, "all", most).await?;
    let task = |row: Row| TaskRow {
        user: row.who(),
        kind: row.kind,
        id: row.id,
        began_at: row.starttime,
        status: row.status.unwrap_or_default(),
    };
    Ok(rows.into_iter().map(task).collect())
}

async fn rows(lookout: &Lookout<'_>, node: &str, source: &str, most: u32) -> Result<Vec<Row>, ReadError> {
    lookout.get_on(node, "tasks", &[("source", source.to_owned()), ("limit", most.to_string())]).await
}
