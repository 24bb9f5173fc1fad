//! Tasks: the one that runs, and those that may be ours.

use std::collections::{BTreeMap, HashSet};

use jiff::Timestamp;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::Value;

use crate::{
    catalog::path_segment,
    core::task::{TaskLog, TaskState, Upid},
};

use super::{
    answer::{bounded, redact},
    client::Client,
    lenient,
    read_error::ReadError,
};

/// More would not fit into one answer's time; 0 would return nothing.
const PAGE: usize = 500;
/// Proxmox keeps some two thousand tasks of a node.
const MAX_PAGES: usize = 20;
/// So much of a task's log is kept as evidence.
const MOST_LINES: usize = 200;
const MOST_BYTES: usize = 64 * 1024;

#[derive(Deserialize)]
struct Status {
    status: String,
    exitstatus: Option<String>,
}

#[derive(Deserialize)]
struct Row {
    upid: String,
}

#[derive(Deserialize)]
struct ActiveRow {
    upid: String,
    #[serde(default)]
    status: String,
    endtime: Option<Value>,
}

#[derive(Deserialize)]
struct LogRow {
    #[serde(default)]
    t: String,
}

#[derive(Deserialize)]
struct NodeTime {
    #[serde(deserialize_with = "lenient::number")]
    time: i64,
}

/// What a task is doing. Proxmox knows a task only under the node that runs it.
pub async fn task_state(client: &Client, upid: &Upid) -> Result<TaskState, ReadError> {
    let path = format!("/nodes/{}/tasks/{}/status", path_segment(&upid.node), path_segment(upid.as_str()));
    let status: Status = match client.get(&path, &[]).await {
        Err(ReadError::BadParameters { errors, .. })
            if errors.get("upid").is_some_and(|text| text.contains("no such task")) =>
        {
            return Ok(TaskState::Vanished);
        }
        answer => answer?,
    };
    match (status.status.as_str(), status.exitstatus) {
        ("running", _) => Ok(TaskState::Running),
        ("stopped", Some(exit_status)) => Ok(TaskState::Stopped { exit_status: bounded(&exit_status) }),
        (other, _) => {
            let other: String = other.chars().take(32).collect();
            Err(client.misread(&path, &format!("a task is `{other}` and has no exit status")))
        }
    }
}

/// The end of what a task has written. Proxmox tells how many lines there are only beside some of them, so there are two
/// questions where there are more than are kept.
pub async fn log_of(
    client: &Client,
    upid: &Upid,
    secrets: &BTreeMap<String, SecretString>,
) -> Result<TaskLog, ReadError> {
    let path = format!("/nodes/{}/tasks/{}/log", path_segment(&upid.node), path_segment(upid.as_str()));
    let page = async |start: usize| {
        let query = [("start", start.to_string()), ("limit", MOST_LINES.to_string())];
        client.get_whole::<Vec<LogRow>>(&path, &query).await
    };
    let first = page(0).await?;
    let total =
        first.total.as_u64().and_then(|total| usize::try_from(total).ok()).unwrap_or(first.data.len());
    let rows = if total > MOST_LINES { page(total - MOST_LINES).await?.data } else { first.data };
    let whole: Vec<&str> = rows.iter().map(|row| row.t.as_str()).collect();
    // All at once: a secret may go over several lines.
    let text = redact(&whole.join("\n"), secrets);
    let mut lines: Vec<String> = text.lines().map(bounded).collect();
    let mut bytes = 0;
    let kept = lines.iter().rev().take_while(|line| {
        bytes += line.len();
        bytes <= MOST_BYTES
    });
    let dropped = lines.len() - kept.count();
    lines.drain(..dropped);
    let before = total.saturating_sub(lines.len());
    Ok(TaskLog { lines, before })
}

/// The tasks that run on a node, by their ids. One that is not among them may have ended, or may just not be listed: only
/// [`task_state`] tells.
///
/// The list also has tasks that ended a moment ago and were not yet filed: these have an end.
pub async fn running_on(client: &Client, node: &str) -> Result<HashSet<String>, ReadError> {
    let path = format!("/nodes/{}/tasks", path_segment(node));
    let query = [("source", "active".to_owned()), ("limit", PAGE.to_string())];
    let rows: Vec<ActiveRow> = client.get(&path, &query).await?;
    let runs = |row: &ActiveRow| row.endtime.is_none() && row.status.eq_ignore_ascii_case("running");
    Ok(rows.into_iter().filter(runs).map(|row| row.upid).collect())
}

/// All tasks of a guest or other object that began at `since` (seconds, by the node's clock) or later.
///
/// Each parameter avoids a trap. Without `source=all` running tasks are missing. A `userfilter` that names a token
/// matches no finished task and a `typefilter` no `hastart`, so there is neither: the caller compares what it finds in
/// each UPID. A row that can't be read is an error, because overlooking a task looks like "it never ran".
///
/// The token needs `Sys.Audit` on the node, else tasks of other tokens are left out silently.
pub async fn tasks_of(client: &Client, node: &str, id: &str, since: i64) -> Result<Vec<Upid>, ReadError> {
    let path = format!("/nodes/{}/tasks", path_segment(node));
    let mut seen = HashSet::new();
    let mut found = Vec::new();
    for page in 0..MAX_PAGES {
        let rows: Vec<Row> = client.get(&path, &page_query(id, since, page * PAGE)).await?;
        let last = rows.len() < PAGE;
        for row in rows {
            let upid: Upid = row.upid.parse().map_err(|error| client.misread(&path, &format!("{error}")))?;
            // Proxmox may move a task between two pages; it is one task still.
            if upid.id == id && seen.insert(upid.as_str().to_owned()) {
                found.push(upid);
            }
        }
        if last {
            return Ok(found);
        }
    }
    Err(client.misread(&path, &format!("there are more than {} tasks", PAGE * MAX_PAGES)))
}

fn page_query(id: &str, since: i64, start: usize) -> Vec<(&'static str, String)> {
    let mut query = vec![
        ("source", "all".to_owned()),
        ("since", since.to_string()),
        ("limit", PAGE.to_string()),
        ("start", start.to_string()),
    ];
    // Only numbers are taken as `vmid`; what has another id is picked out of the whole list.
    if id.parse::<u32>().is_ok_and(|vmid| vmid >= 100) {
        query.push(("vmid", id.to_owned()));
    }
    query
}

/// What time a node believes it is: start times in UPIDs are by its clock.
pub async fn node_time(client: &Client, node: &str) -> Result<Timestamp, ReadError> {
    let path = format!("/nodes/{}/time", path_segment(node));
    let answer: NodeTime = client.get(&path, &[]).await?;
    Timestamp::from_second(answer.time).map_err(|error| client.misread(&path, &error.to_string()))
}

#[cfg(test)]
mod tests {
    use crate::pve::{
        Trust,
        testing::{Reply, Server},
    };

    use super::*;

    const UPID: &str = "UPID:pve1:00001619:00062D39:6B00EAFE:qmstart:101:agent@pve!plans:";

    async fn state(reply: Reply) -> Result<TaskState, ReadError> {
        let server = Server::plain([reply]).await;
        task_state(&server.client(&Trust::Anyone), &UPID.parse().unwrap()).await
    }

    fn page(upids: impl Iterator<Item = String>) -> Reply {
        let rows: Vec<_> = upids.map(|upid| serde_json::json!({ "upid": upid, "saved": "0" })).collect();
        Reply::ok(&serde_json::json!({ "data": rows, "total": 1 }).to_string())
    }

    fn upid(number: usize, id: &str) -> String {
        format!("UPID:pve1:{number:08X}:00062D39:6B00EAFE:qmstart:{id}:agent@pve!plans:")
    }

    #[tokio::test]
    async fn a_task_runs_or_has_stopped_or_has_vanished() {
        let running = Reply::ok(r#"{"data":{"status":"running","pid":1,"id":"101"}}"#);
        assert_eq!(state(running).await.unwrap(), TaskState::Running);
        let stopped = Reply::ok(r#"{"data":{"status":"stopped","exitstatus":"WARNINGS: 1"}}"#);
        assert_eq!(
            state(stopped).await.unwrap(),
            TaskState::Stopped { exit_status: "WARNINGS: 1".to_owned() }
        );
        let body =
            r#"{"errors":{"upid":"no such task"},"data":null,"message":"Parameter verification failed.\n"}"#;
        let vanished = Reply::json(400, "Parameter verification failed.", body);
        assert_eq!(state(vanished).await.unwrap(), TaskState::Vanished);
    }

    #[tokio::test]
    async fn a_task_runs_only_if_the_list_gives_it_no_end() {
        let rows = serde_json::json!([
            { "upid": upid(1, "101"), "status": "RUNNING", "saved": "0" },
            { "upid": upid(2, "101"), "status": "running" },
            { "upid": upid(3, "101"), "status": "OK", "endtime": 1_795_222_270, "saved": "0" },
            { "upid": upid(4, "101"), "status": "unexpected status", "saved": "0" },
        ]);
        let server = Server::plain([Reply::ok(&serde_json::json!({ "data": rows }).to_string())]).await;
        let running = running_on(&server.client(&Trust::Anyone), "pve1").await.unwrap();
        assert_eq!(running, HashSet::from([upid(1, "101"), upid(2, "101")]));
        let query = "/api2/json/nodes/pve1/tasks?source=active&limit=500";
        assert!(server.requests()[0].starts_with(&format!("GET {query} HTTP")), "{:?}", server.requests());
    }

    #[tokio::test]
    async fn only_no_such_task_means_vanished() {
        for reply in [
            Reply::json(400, "x", r#"{"errors":{"upid":"unable to parse worker upid"},"data":null}"#),
            Reply::json(400, "x", r#"{"errors":{"node":"no such task"},"data":null}"#),
            Reply::json(403, "no", r#"{"data":null}"#),
            Reply::json(500, "no such task", r#"{"data":null}"#),
            Reply::ok(r#"{"data":{"status":"stopped"}}"#),
            Reply::ok(r#"{"data":null}"#),
        ] {
            assert!(state(reply.clone()).await.is_err(), "{reply:?}");
        }
    }

    #[tokio::test]
    async fn a_task_is_asked_for_on_its_own_node() {
        let server = Server::plain([Reply::ok(r#"{"data":{"status":"running"}}"#)]).await;
        let odd: Upid =
            "UPID:pve9:00001619:00062D39:6B00EAFE:move:214-unused0>a?b%:root@pam:".parse().unwrap();
        task_state(&server.client(&Trust::Anyone), &odd).await.unwrap();
        let path = "/api2/json/nodes/pve9/tasks/UPID:pve9:00001619:00062D39:6B00EAFE:move:214-unused0%3Ea%3Fb%25:root@pam:/status";
        assert!(server.requests()[0].starts_with(&format!("GET {path} HTTP")), "{:?}", server.requests());
    }

    #[tokio::test]
    async fn the_list_of_tasks_is_read_to_its_end_without_the_filters_that_hide_some() {
        let server = Server::plain([
            page((0..PAGE).map(|number| upid(number, "101"))),
            page([upid(PAGE - 1, "101"), upid(PAGE, "101"), upid(7777, "102")].into_iter()),
        ])
        .await;
        let found = tasks_of(&server.client(&Trust::Anyone), "pve1", "101", 1_795_222_000).await.unwrap();
        assert_eq!(found.len(), PAGE + 1);
        let requests = server.requests();
        let query = "/api2/json/nodes/pve1/tasks?source=all&since=1795222000&limit=500";
        assert!(requests[0].starts_with(&format!("GET {query}&start=0&vmid=101 HTTP")), "{}", requests[0]);
        assert!(requests[1].starts_with(&format!("GET {query}&start=500&vmid=101 HTTP")), "{}", requests[1]);
    }

    #[tokio::test]
    async fn a_task_that_can_not_be_read_is_not_overlooked() {
        let server =
            Server::plain([page([upid(1, "101"), "UPID:from:the:future".to_owned()].into_iter())]).await;
        let error = tasks_of(&server.client(&Trust::Anyone), "pve1", "101", 0).await.unwrap_err();
        assert!(error.to_string().contains("UPID:from:the:future"), "{error}");
    }

    #[tokio::test]
    async fn an_id_that_is_no_guest_is_picked_out_of_the_whole_list() {
        let server = Server::plain([page([upid(1, ""), upid(2, "400@tank")].into_iter())]).await;
        let found = tasks_of(&server.client(&Trust::Anyone), "pve1", "400@tank", 0).await.unwrap();
        assert_eq!(found.len(), 1);
        assert!(!server.requests()[0].contains("vmid"));
    }

    #[tokio::test]
    async fn a_list_without_end_is_an_error() {
        let pages = (0..=MAX_PAGES)
            .map(|page_number| page((0..PAGE).map(move |row| upid(page_number * PAGE + row, "101"))));
        let server = Server::plain(pages).await;
        assert!(tasks_of(&server.client(&Trust::Anyone), "pve1", "101", 0).await.is_err());
        assert_eq!(server.requests().len(), MAX_PAGES);
    }

    #[tokio::test]
    async fn of_a_long_log_the_end_is_kept_and_no_secret_in_any_spelling() {
        let line = |text: &str| serde_json::json!({ "n": 1, "t": text });
        let first = serde_json::json!({ "data": [line("begin")], "total": 450 });
        let end = serde_json::json!({
            "data": [line("password is qua gga%1"), line("again: qua+gga%251"), line("TASK OK")], "total": 450,
        });
        let server = Server::plain([Reply::ok(&first.to_string()), Reply::ok(&end.to_string())]).await;
        let secrets = BTreeMap::from([("password".to_owned(), SecretString::from("qua gga%1"))]);
        let log = log_of(&server.client(&Trust::Anyone), &UPID.parse().unwrap(), &secrets).await.unwrap();
        assert_eq!(log.lines, ["password is [redacted]", "again: [redacted]", "TASK OK"]);
        assert_eq!(log.before, 447);
        assert!(server.requests()[1].contains("/log?start=250&limit=200 HTTP"), "{:?}", server.requests());
    }

    #[tokio::test]
    async fn a_log_without_end_is_cut_at_its_beginning() {
        let rows: Vec<_> = (0..150).map(|n| serde_json::json!({ "n": n, "t": "x".repeat(900) })).collect();
        let answer = serde_json::json!({ "data": rows, "total": 150 });
        let server = Server::plain([Reply::ok(&answer.to_string())]).await;
        let log =
            log_of(&server.client(&Trust::Anyone), &UPID.parse().unwrap(), &BTreeMap::new()).await.unwrap();
        assert_eq!((log.lines.len(), log.before), (MOST_BYTES / 900, 150 - MOST_BYTES / 900));
    }

    #[tokio::test]
    async fn a_node_tells_its_own_time() {
        let answer = r#"{"data":{"time":1795222270,"localtime":1795225870,"timezone":"Europe/Vienna"}}"#;
        let server = Server::plain([Reply::ok(answer)]).await;
        let time = node_time(&server.client(&Trust::Anyone), "pve1").await.unwrap();
        assert_eq!(time.as_second(), 1_795_222_270);
    }
}
