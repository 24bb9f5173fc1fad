//! What has to be true of a run, whatever has happened in it.

use std::collections::BTreeSet;

use proxmox_agent::{
    api::Phase,
    pve::sim::{LedgerEntry, Outcome},
};

use crate::{
    audit::announced,
    run::{Scenario, Traces},
    support::promises::{Broken, Promise},
};

/// What is not as it has to be.
pub(crate) fn judge(traces: &Traces) -> Vec<Broken> {
    let mut wrong = vec![];
    if traces.log.contains("panicked") {
        wrong.push(Promise::StaysUp.broken("the operator has panicked".to_owned()));
    }
    wrong.extend(traces.audit_problems.iter().map(|problem| Promise::OnRecord.broken(problem.clone())));
    if traces.scenario == Scenario::Leaving {
        wrong.extend(nothing_again(traces));
    } else {
        wrong.extend(at_most_once(traces));
        wrong.extend(end(traces));
    }
    wrong
}

fn nothing_again(traces: &Traces) -> Option<Broken> {
    let arrived: Vec<String> = traces.arrived.iter().map(described).collect();
    let intents = announced(&traces.audit).len();
    (!arrived.is_empty() || intents != 1).then(|| {
        Promise::AtMostOnce.broken(format!(
            "it was to be left as it is, but {intents} calls were announced, and these arrived: {arrived:?}"
        ))
    })
}

fn at_most_once(traces: &Traces) -> Vec<Broken> {
    let arrived: Vec<String> = traces.arrived.iter().map(described).collect();
    let intents: BTreeSet<String> = announced(&traces.audit).into_iter().collect();
    let mut wrong = vec![];
    if traces.class.is_harmless && !arrived.is_empty() {
        wrong.push(Promise::Approved.broken(format!("it was never to change anything: {arrived:?}")));
    }
    if arrived.len() > intents.len() {
        let how = format!("{} were announced, but these arrived: {arrived:?}", intents.len());
        wrong.push(Promise::Announced.broken(how));
    }
    if carried_out(traces).count() > 1 {
        wrong.push(Promise::AtMostOnce.broken(format!("it was carried out more than once: {arrived:?}")));
    }
    wrong
}

fn carried_out<'a>(traces: &'a Traces) -> impl Iterator<Item = &'a LedgerEntry> {
    traces.arrived.iter().filter(|entry| entry.outcome == Outcome::Executed)
}

fn described(entry: &LedgerEntry) -> String {
    let upid = entry.upid.as_deref().unwrap_or("no task");
    format!("{} {} {} {:?}, {upid}", entry.time, entry.method, entry.path, entry.outcome)
}

fn end(traces: &Traces) -> Vec<Broken> {
    let (mut wrong, status) = (vec![], &traces.status);
    let told = format!("{} ({}: {})", status.phase, status.reason, status.message);
    let is_on_record = traces.audit.iter().any(|record| record["event"] == "ended");
    if !is_on_record {
        wrong.push(Promise::OnRecord.broken(format!("it is {told}, and the audit log has no end")));
    }
    match status.phase {
        Phase::Succeeded if traces.class.is_harmless => {}
        Phase::Succeeded => {
            if carried_out(traces).count() != 1 {
                wrong.push(Promise::NothingUntrue.broken(format!("it is {told}, but was not carried out")));
            }
        }
        Phase::Indeterminate => {
            wrong.extend(is_really_unknown(traces, &told).map(|how| Promise::NothingUntrue.broken(how)));
        }
        phase if !phase.is_terminal() => {
            wrong.push(Promise::NothingIsLost.broken(format!("it is {told}, and nobody does anything")));
        }
        _ => wrong.push(Promise::NothingUntrue.broken(format!("it is {told}, for no reason"))),
    }
    let tasks: BTreeSet<&str> = traces.arrived.iter().filter_map(|entry| entry.upid.as_deref()).collect();
    if let Some(upid) = &status.upid
        && !tasks.contains(upid.as_str())
    {
        let how = format!("its task is {upid}, which is another's: {tasks:?}");
        wrong.push(Promise::NothingUntrue.broken(how));
    }
    wrong
}

/// Why not, if not: nobody has to be asked for what could have been found out.
fn is_really_unknown(traces: &Traces, told: &str) -> Option<String> {
    if !traces.may_lack_an_answer {
        return Some(format!("it is {told}, and its answer was there"));
    }
    if traces.class.is_always_known {
        return Some(format!("it is {told}, but what it does can always be seen"));
    }
    if announced(&traces.audit).is_empty() {
        return Some(format!("it is {told}, and was never announced"));
    }
    // Here people decide at once, when the task could still be the attempt before's.
    if traces.scenario == Scenario::Again && traces.status.reason == "TaskContested" {
        return None;
    }
    let with_a_task = carried_out(traces).find(|entry| entry.upid.is_some());
    with_a_task.map(|entry| format!("it is {told}, but its task is there: {}", described(entry)))
}
