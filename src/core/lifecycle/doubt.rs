//! What a person needs who has to find out what became of an attempt: what is known, where to look, what to type.

use jiff::SignedDuration;
use kube::ResourceExt;

use crate::{
    api::{Doubt, GrantedApproval, Hint, Intent, PlanStatus, ProxmoxActionPlan},
    core::approval::NOT_SENT_AGAIN,
};

use super::{
    again::{LEFT_AS_IT_IS, MOST_ATTEMPTS},
    state::Ended,
};

/// What is kept of each of these.
const LONGEST: usize = 512;
/// How much earlier than announced a task is looked for: clocks differ.
const MARGIN: SignedDuration = SignedDuration::from_secs(10);

/// Where plans live, for whoever types.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Home {
    Cluster,
    /// With the options that name it.
    Directory(String),
}

/// `None` if nothing was announced that could be in doubt.
pub(super) fn doubt(ended: &Ended, facts: &[String], approvals: Vec<GrantedApproval>) -> Option<Doubt> {
    let intent = ended.intent.as_ref()?;
    let known = std::iter::once(announced(ended, intent)).chain(facts.iter().cloned());
    Some(Doubt {
        reason: ended.reason.clone(),
        since: None,
        known: known.map(|fact| fact.chars().take(LONGEST).collect()).collect(),
        look: where_to_look(ended, intent),
        next: vec![],
        approvals,
    })
}

/// All of it in one sentence.
pub(super) fn told(doubt: &Doubt) -> String {
    format!(
        "{}. Whether it was carried out is unknown, and nothing is sent again unless somebody decides so: see \
         status.doubt for where to look and what to type",
        doubt.known.join("; ")
    )
}

fn announced(ended: &Ended, intent: &Intent) -> String {
    let Intent { attempt, node, sender, at, node_time, .. } = intent;
    let call = ended.judged.as_ref().and_then(|judged| judged.preview.calls.first());
    let call = call.map_or_else(|| "its call".to_owned(), |call| format!("{} {}", call.method, call.path));
    let digest = intent.digest.as_ref().map(|digest| format!(", for the configuration of digest {digest}"));
    let upid = ended.upid.as_ref().map(|upid| format!("; Proxmox accepted it as {upid}"));
    format!(
        "attempt {attempt}: {call} was announced at {}, when it was {} on node {node}, by token {sender}{}{}",
        at.0,
        node_time.0,
        digest.unwrap_or_default(),
        upid.unwrap_or_default()
    )
}

fn where_to_look(ended: &Ended, intent: &Intent) -> Vec<Hint> {
    let node = &intent.node;
    let mut look = match &ended.upid {
        Some(upid) => vec![hint("the log of its task", format!("pvesh get /nodes/{node}/tasks/{upid}/log"))],
        None => vec![hint(
            format!("tasks of node {node} at that time, in the web interface below its Task History"),
            list_of_tasks(intent),
        )],
    };
    let path = ended.judged.as_ref().and_then(|judged| judged.preview.calls.first()).map(|call| &call.path);
    match path.and_then(|path| guest_in(path)) {
        Some(guest) => look.extend([
            hint("the guest itself", format!("pvesh get {guest}/status/current")),
            hint("its configuration", format!("pvesh get {guest}/config")),
        ]),
        None => look.push(hint("the target itself, in the web interface", "")),
    }
    look
}

fn list_of_tasks(intent: &Intent) -> String {
    let since = intent.node_time.0.saturating_add(-MARGIN).unwrap_or_default().as_second();
    let is_guest = !intent.task_id.is_empty() && intent.task_id.chars().all(|c| c.is_ascii_digit());
    let guest = if is_guest { format!(" --vmid {}", intent.task_id) } else { String::new() };
    format!("pvesh get /nodes/{}/tasks --source all{guest} --since {since} --limit 500", intent.node)
}

/// The part of a call's path that names a guest.
fn guest_in(path: &str) -> Option<String> {
    let parts: Vec<&str> = path.split('/').take(5).collect();
    matches!(parts.as_slice(), ["", "nodes", _, "qemu" | "lxc", vmid] if vmid.parse::<u32>().is_ok())
        .then(|| parts.join("/"))
}

/// What can be typed about a plan's attempt, in its home.
pub fn what_to_type(plan: &ProxmoxActionPlan, status: &PlanStatus, home: &Home) -> Vec<Hint> {
    let decide = |more: &str| decision(plan, status.attempts, home, more);
    let mut next = vec![];
    let can_go_again = status.attempts < MOST_ATTEMPTS && status.reason != NOT_SENT_AGAIN;
    if status.reason != LEFT_AS_IT_IS {
        if can_go_again {
            next.push(hint("it was not carried out, and is to be sent again", decide("")));
        }
        next.push(hint("it was carried out, or is to be left as it is", decide(" --deny")));
    }
    next.push(hint("something else has to be done now: make a new plan", ""));
    next
}

fn decision(plan: &ProxmoxActionPlan, attempt: i64, home: &Home, more: &str) -> String {
    let (name, namespace) = (plan.name_any(), plan.namespace().unwrap_or_default());
    match home {
        Home::Cluster => format!("kubectl approve {name} -n {namespace} --attempt {attempt}{more}"),
        Home::Directory(options) => {
            format!(
                "proxmox-agent approve {name} {options} -n {namespace} --attempt {attempt}{more} --by YOU"
            )
        }
    }
}

fn hint(what: impl Into<String>, command: impl Into<String>) -> Hint {
    Hint { what: what.into(), command: command.into() }
}
