//! One case from the look to the end: look, judge, let something happen, send once, follow the task.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::Timestamp;
use proxmox_agent::{
    api::ProxmoxActionPlan,
    catalog::Call,
    core::{
        call::Dispatch,
        judge::{Judged, Judgement, Setting, Unjudged, judge},
        observe::Query,
        policy::Policy,
        privileges,
        request::{Request, normalise},
        task::{Sent, TaskState, Upid},
    },
    ports::{Departure, Hypervisor},
    pve::{Connection, sim::LedgerEntry},
    system::{Alone, SystemClock},
};
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::{
    book::given,
    rights::Grants,
    stage::Stage,
    worlds::{essence, patch},
};

/// The uid of every plan here; it stands in the marks that calls leave.
pub(crate) const PLAN: &str = "0b5c1f5e";
/// What every secret parameter is.
const SECRET: &str = "correct horse";

/// What is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub action: String,
    pub target: String,
    pub params: Value,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Played {
    pub ends: String,
    /// What a denial says.
    pub message: String,
    pub judged: Option<Judged>,
    pub dispatch: Option<Dispatch>,
    /// The mutations that arrived.
    pub ledger: Vec<LedgerEntry>,
    pub before: Value,
    pub after: Value,
    /// What does not fit together, whatever was expected.
    pub oddities: Vec<String>,
}

impl Ask {
    pub fn request(&self) -> Result<Request, String> {
        let spec = json!({
            "environment": "simulated",
            "action": self.action,
            "target": self.target,
            "params": self.params,
            "requestedBy": "ada",
        });
        let spec = serde_json::from_value(spec).unwrap();
        let problems =
            |problems: Vec<_>| problems.iter().map(ToString::to_string).collect::<Vec<String>>().join("; ");
        normalise("default", &spec).map_err(problems)
    }
}

/// Judges as the engine does, by what this token sees.
pub(crate) async fn judged(
    stage: &Stage,
    token: &Connection,
    ask: &Ask,
) -> Result<(Judged, Dispatch), (String, String)> {
    let request = ask.request().map_err(|problems| ("invalid".to_owned(), problems))?;
    let world = token.look(&Query::of(&request), &privileges::paths(&request)).await;
    let world = world.map_err(|error| ("can't look".to_owned(), error.to_string()))?;
    let policy = Policy::of(None, &stage.environment, &[]).unwrap();
    let mut plan = ProxmoxActionPlan::new("p", Default::default());
    plan.metadata.uid = Some(PLAN.to_owned());
    let setting =
        Setting { plan: &plan, environment: &stage.environment, policy: &policy, now: Timestamp::now() };
    match judge(&request, &world, setting) {
        Ok(Judgement { judged, dispatch, .. }) => {
            Ok((judged, dispatch.unwrap_or_else(|| panic!("{ask:?} reads"))))
        }
        Err(Unjudged::Denied(denial)) => Err((format!("denied {}", denial.reason), denial.message)),
        Err(error) => panic!("{ask:?}: {error}"),
    }
}

/// Plays a case from its beginning: `world` is how it is met, `grants` what the token may do then and, after
/// the judgement, what it may do when it sends.
pub(crate) async fn play(
    stage: &Stage,
    ask: &Ask,
    world: &Value,
    grants: (&Grants, &Grants),
    between: &Value,
) -> Played {
    stage.set(world, grants.0).await;
    let decision = judged(stage, &stage.agent, ask).await;
    if between.is_object() || grants.0 != grants.1 {
        let mut then = stage.world().await;
        patch(&mut then, &given(between));
        stage.set(&then, grants.1).await;
    }
    finish(stage, &stage.agent, decision).await
}

/// Plays on from the world as it is, as root.
pub(crate) async fn play_on(stage: &Stage, ask: &Ask) -> Played {
    let decision = judged(stage, &stage.root, ask).await;
    finish(stage, &stage.root, decision).await
}

async fn finish(
    stage: &Stage,
    token: &Connection,
    decision: Result<(Judged, Dispatch), (String, String)>,
) -> Played {
    let before = essence(stage.world().await);
    let known = stage.ledger().len();
    let mut played = Played {
        ends: String::new(),
        message: String::new(),
        judged: None,
        dispatch: None,
        ledger: vec![],
        before,
        after: Value::Null,
        oddities: vec![],
    };
    match decision {
        Err((ends, message)) => (played.ends, played.message) = (ends, message),
        Ok((judged, dispatch)) => {
            played.ends = send(token, &dispatch, &mut played.oddities).await;
            (played.judged, played.dispatch) = (Some(judged), Some(dispatch));
        }
    }
    played.ledger = stage.ledger().split_off(known);
    played.after = stage.essence().await;
    played
}

/// Sends once and follows the task to its end.
pub(crate) async fn send(token: &Connection, dispatch: &Dispatch, oddities: &mut Vec<String>) -> String {
    let at_once = Departure::within(Arc::new(SystemClock), Arc::new(Alone), Duration::from_secs(5));
    match token.send(&dispatch.call, &secrets(&dispatch.call), &at_once).await {
        Sent::NotSent { why } => format!("not sent: {why}"),
        Sent::Refused { status, message } => format!("refused {status}: {message}"),
        Sent::HalfWay { status, message } => format!("half-way {status}: {message}"),
        Sent::Done => "done".to_owned(),
        Sent::Nothing => "nothing".to_owned(),
        Sent::Unknown { why } => format!("unknown: {why}"),
        Sent::Task(upid) => {
            recognise(token, dispatch, &upid, oddities).await;
            format!("task: {}", end_of(token, &upid).await)
        }
    }
}

fn secrets(call: &Call) -> BTreeMap<String, SecretString> {
    call.secrets.keys().map(|name| (name.clone(), SecretString::from(SECRET.to_owned()))).collect()
}

/// A lost answer is settled by the list of tasks: so the task has to be the one that the catalogue foretells.
async fn recognise(token: &Connection, dispatch: &Dispatch, upid: &Upid, oddities: &mut Vec<String>) {
    if !dispatch.task_types.contains(&upid.task_type) {
        oddities.push(format!("its task is a {}, not one of {:?}", upid.task_type, dispatch.task_types));
    }
    if (&upid.node, &upid.id) != (&dispatch.node, &dispatch.task_id) {
        let expected = format!("`{}` on {}", dispatch.task_id, dispatch.node);
        oddities.push(format!("its task is `{}` on {}, not {expected}", upid.id, upid.node));
    }
    let listed = token.tasks_since(&dispatch.node, &dispatch.task_id, Timestamp::UNIX_EPOCH).await.unwrap();
    if !listed.contains(upid) {
        oddities.push(format!("{upid} is not found among {listed:?}"));
    }
}

async fn end_of(token: &Connection, upid: &Upid) -> String {
    loop {
        match token.task(upid, Duration::ZERO).await.unwrap() {
            TaskState::Running => tokio::task::yield_now().await,
            TaskState::Stopped { exit_status } => return exit_status,
            TaskState::Vanished => panic!("{upid} has vanished"),
        }
    }
}
