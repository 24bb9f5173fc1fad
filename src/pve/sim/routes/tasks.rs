//! Tasks: the lists with all their traps, status, log, stopping.
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{Route, data, nothing};
use crate::pve::sim::access::Caller;
use crate::pve::sim::engine::{Call, Task, Upid};
use crate::pve::sim::http::{Answer, Refusal, Reply};

pub(super) const ROUTES: &[Route] = &[
    ("GET", "/cluster/tasks", cluster_list),
    ("GET", "/nodes/{node}/tasks", node_list),
    ("GET", "/nodes/{node}/tasks/{upid}", |_| data(super::index_by("name", &["log", "status"]))),
    ("DELETE", "/nodes/{node}/tasks/{upid}", stop),
    ("GET", "/nodes/{node}/tasks/{upid}/status", status),
    ("GET", "/nodes/{node}/tasks/{upid}/log", log),
];

const DEFAULT_LIMIT: usize = 50;
/// The cluster keeps the latest few tasks of every node.
const CLUSTER_KEEPS: usize = 25;

fn identity(upid: &Upid) -> Value {
    let mut row = json!({
        "upid": upid.to_string(),
        "node": upid.node,
        "pid": upid.pid,
        "pstart": upid.pstart,
        "starttime": upid.starttime,
        "type": upid.kind,
        "id": upid.id,
        "user": upid.user(),
    });
    if let Some(token) = upid.token() {
        row["tokenid"] = token.into();
    }
    row
}

/// A token sees what it started itself; a user also sees what the user's tokens started.
fn is_own(caller: &Caller, upid: &Upid) -> bool {
    if caller.token.is_some() { upid.who == caller.id() } else { upid.user() == caller.user }
}

/// Lists may lag behind or lose rows, where a fault says so.
fn is_listed(call: &Call<'_>, task: &Task) -> bool {
    let lag = call.state.faults.list_lag();
    task.began + lag <= Instant::now() && !call.state.faults.loses_row(&task.upid.kind)
}

fn node_list(call: &mut Call<'_>) -> Answer {
    let (with_active, with_archive) = match call.parameters.text("source") {
        Some("active") => (true, false),
        Some("all") => (true, true),
        _ => (false, true),
    };
    let audits = call.has(&format!("/nodes/{}", call.node()), "Sys.Audit");
    let visible = |task: &&Task| {
        task.upid.node == call.node()
            && (audits || is_own(call.caller, &task.upid))
            && if task.is_running() { with_active } else { with_archive }
            && is_listed(call, task)
            && fits_filters(call, task)
    };
    let mut found: Vec<&Task> = call.state.tasks.iter().filter(visible).collect();
    // Running tasks come first; the archive is read backwards.
    found.sort_by_key(|task| {
        (task.endtime.is_some(), std::cmp::Reverse((task.endtime, task.upid.starttime, task.upid.pid)))
    });
    let total = found.len();
    let start = call.parameters.number("start").unwrap_or_default();
    let limit = call.parameters.number("limit").unwrap_or(DEFAULT_LIMIT);
    let rows = found.into_iter().skip(start).take(limit).map(list_row).collect();
    Ok(Reply::Rows { rows, total })
}

fn list_row(task: &Task) -> Value {
    let mut row = identity(&task.upid);
    match (&task.exit, task.endtime) {
        (Some(exit), Some(endtime)) => {
            row["status"] = exit.as_str().into();
            row["endtime"] = endtime.into();
        }
        _ => {
            row["status"] = "RUNNING".into();
            row["saved"] = "0".into();
        }
    }
    row
}

fn fits_filters(call: &Call<'_>, task: &Task) -> bool {
    let upid = &task.upid;
    let parameters = call.parameters;
    let by_type = parameters.text("typefilter").is_none_or(|wanted| wanted == upid.kind);
    let by_guest = parameters.text("vmid").is_none_or(|wanted| wanted == upid.id);
    // Rows know the user without the token, so a filter with a token finds nothing in the archive.
    let by_user = parameters.text("userfilter").is_none_or(|wanted| {
        let shown = if task.is_running() { upid.who.as_str() } else { upid.user() };
        shown.contains(wanted)
    });
    let since = parameters.number::<i64>("since").is_none_or(|since| upid.starttime >= since);
    let until = parameters.number::<i64>("until").is_none_or(|until| upid.starttime <= until);
    let failed = task.exit.as_deref().is_some_and(|exit| !is_success(exit));
    let by_error = !parameters.flag("errors") || failed;
    let wanted = parameters.list("statusfilter");
    let by_status =
        wanted.is_empty() || task.exit.as_deref().is_some_and(|exit| wanted.iter().any(|w| w == class(exit)));
    by_type && by_guest && by_user && since && until && by_error && by_status
}

fn is_success(exit: &str) -> bool {
    exit == "OK" || exit.starts_with("WARNINGS: ")
}

fn class(exit: &str) -> &'static str {
    match exit {
        "OK" => "ok",
        "unexpected status" => "unknown",
        warnings if warnings.starts_with("WARNINGS: ") => "warning",
        _ => "error",
    }
}

/// Rows name the user without the token, so a token never recognises its own here.
fn cluster_list(call: &mut Call<'_>) -> Answer {
    let audits = call.has("/", "Sys.Audit");
    let visible = |task: &&Task| {
        (audits || (call.caller.token.is_none() && task.upid.user() == call.caller.user))
            && is_listed(call, task)
    };
    let mut found: Vec<&Task> = call.state.tasks.iter().filter(visible).collect();
    found.sort_by_key(|task| std::cmp::Reverse((task.endtime.is_none(), task.upid.starttime, task.upid.pid)));
    let rows: Vec<Value> = found.into_iter().take(CLUSTER_KEEPS).map(cluster_row).collect();
    data(rows)
}

fn cluster_row(task: &Task) -> Value {
    let mut row = identity(&task.upid);
    if let (Some(fields), Some(exit), Some(endtime)) = (row.as_object_mut(), &task.exit, task.endtime) {
        fields.remove("pid");
        fields.remove("pstart");
        fields.insert("saved".to_owned(), "1".into());
        fields.insert("status".to_owned(), exit.as_str().into());
        fields.insert("endtime".to_owned(), endtime.into());
    } else {
        row["saved"] = "0".into();
    }
    row
}

fn no_such_task() -> Refusal {
    Refusal::parameter("upid", "no such task")
}

/// A task is known on its own node only. Others' tasks are for auditors of the node.
fn parse<'a>(call: &'a Call<'_>) -> Result<(Upid, Option<&'a Task>), Refusal> {
    let text = call.text("upid");
    let upid =
        Upid::parse(text).ok_or_else(|| Refusal::Failed(format!("unable to parse worker upid '{text}'")))?;
    let found = call.state.tasks.iter().find(|task| task.upid == upid && upid.node == call.node());
    Ok((upid, found))
}

fn demand_sight(call: &Call<'_>, upid: &Upid, privilege: &str) -> Result<(), Refusal> {
    if is_own(call.caller, upid) {
        return Ok(());
    }
    call.demand(&format!("/nodes/{}", call.node()), privilege)
}

fn status(call: &mut Call<'_>) -> Answer {
    let (upid, task) = parse(call)?;
    demand_sight(call, &upid, "Sys.Audit")?;
    let task = task.ok_or_else(no_such_task)?;
    let mut row = identity(&upid);
    match &task.exit {
        Some(exit) => {
            row["status"] = "stopped".into();
            row["exitstatus"] = exit.as_str().into();
        }
        None => row["status"] = "running".into(),
    }
    data(row)
}

fn log(call: &mut Call<'_>) -> Answer {
    let (upid, task) = parse(call)?;
    demand_sight(call, &upid, "Sys.Audit")?;
    let lines: Vec<&str> = match task {
        None => vec!["unable to open file - No such file or directory"],
        Some(task) if task.log.is_empty() => vec!["no content"],
        Some(task) => task.log.iter().map(String::as_str).collect(),
    };
    let start: usize = call.parameters.number("start").unwrap_or_default();
    let limit = match call.parameters.number("limit").unwrap_or(DEFAULT_LIMIT) {
        0 => usize::MAX,
        limit => limit,
    };
    let numbered = lines.iter().enumerate().skip(start).take(limit);
    let rows = numbered.map(|(position, line)| json!({ "n": position + 1, "t": line })).collect();
    Ok(Reply::Rows { rows, total: lines.len() })
}

fn stop(call: &mut Call<'_>) -> Answer {
    let (upid, task) = parse(call)?;
    demand_sight(call, &upid, "Sys.Modify")?;
    task.ok_or_else(no_such_task)?;
    call.state.interrupt(|task| task.upid == upid);
    nothing()
}
