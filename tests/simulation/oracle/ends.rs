//! How plans end, held against what really became of their calls.

use std::collections::{BTreeMap, BTreeSet};

use proxmox_agent::{
    api::{Phase, PlanStatus},
    core::task::TaskVerdict,
};

use super::{Approval, Evidence, Life, calls::OfPlans, lives::moment};
use crate::{
    people,
    promises::{Broken, Promise},
    proxmox::{Done, Entry},
};

pub(super) fn check(
    evidence: &Evidence,
    lives: &[Life],
    approvals: &[Approval],
    of_plans: &OfPlans,
    wrong: &mut Vec<Broken>,
) {
    for life in lives {
        let calls = of_plans.get(&life.uid).map(Vec::as_slice).unwrap_or_default();
        let mut breaks = |promise: Promise, why: Vec<String>| {
            let PlanStatus { phase, reason, message, .. } = life.last();
            let told = |why| format!("{} ({}) {why}: {phase} {reason}: {message}", life.name, life.uid);
            wrong.extend(why.into_iter().map(|why| promise.broken(told(why))));
        };
        breaks(Promise::InOrder, goes_only_forward(life));
        if life.gone_at.is_none() {
            breaks(Promise::NothingIsLost, waits_in_vain(evidence, life, approvals).into_iter().collect());
        }
        if life.last().phase.is_terminal() {
            breaks(Promise::NothingUntrue, is_untrue(evidence, life, calls).into_iter().collect());
        }
        breaks(Promise::NothingUntrue, came_too_late(life, calls));
        breaks(Promise::AtMostOnce, was_done_twice(life, calls).into_iter().collect());
    }
}

fn rank(phase: Phase) -> u8 {
    match phase {
        Phase::Pending => 0,
        Phase::AwaitingApproval | Phase::Approved => 1,
        Phase::Dispatching => 2,
        Phase::Running => 3,
        _ => 4,
    }
}

/// Whatever was said of an attempt was said too early.
fn came_too_late(life: &Life, calls: &[(i64, Entry)]) -> Vec<String> {
    let late = calls.iter().filter_map(|(attempt, entry)| {
        let settled_at = life.settled_at(*attempt)?;
        let came_at = entry.at;
        (came_at > settled_at)
            .then(|| format!("attempt {attempt} was settled at {settled_at:?} and came at {came_at:?}"))
    });
    late.collect()
}

/// Attempts that nobody decided about follow each other only if the ones before did nothing.
fn was_done_twice(life: &Life, calls: &[(i64, Entry)]) -> Option<String> {
    let mut done_since = BTreeMap::<Option<i64>, u32>::new();
    for (attempt, entry) in calls.iter().filter(|(_, entry)| entry.done.is_some()) {
        let announced_at = life.intents().get(attempt).map_or(entry.at, |(at, _)| *at);
        *done_since.entry(life.question_at(announced_at)).or_default() += 1;
    }
    let twice = done_since.into_iter().find(|(_, count)| *count > 1)?;
    Some(format!("was carried out {} times without anybody being asked", twice.1))
}

fn goes_only_forward(life: &Life) -> Vec<String> {
    let mut wrong = Vec::new();
    for pair in life.statuses.windows(2) {
        let (before, after) = (&pair[0].1, &pair[1].1);
        let begins_anew = after.attempts > before.attempts && after.phase == Phase::Dispatching;
        if rank(after.phase) < rank(before.phase) && !begins_anew {
            wrong.push(format!("went back from {} to {}", before.phase, after.phase));
        }
        let is_final = before.phase.is_terminal() && before.phase != Phase::Indeterminate;
        if is_final && before != after {
            wrong.push(format!("changed after its end, {}", before.phase));
        }
        if before.upid.is_some() && before.upid != after.upid && !begins_anew {
            wrong.push("changed its task".to_owned());
        }
    }
    wrong
}

/// Nothing goes wrong any more and time enough has passed: whoever still waits has to have a reason.
fn waits_in_vain(evidence: &Evidence, life: &Life, approvals: &[Approval]) -> Option<String> {
    let status = life.last();
    let now = moment(evidence.ended_at);
    match status.phase {
        phase if phase.is_terminal() => None,
        Phase::AwaitingApproval => {
            if life.spec.not_after.as_ref().is_some_and(|end| end.0 <= now) {
                return Some("should have expired".to_owned());
            }
            let there = approvals
                .iter()
                .filter(|approval| approval.is_there_at(u64::MAX - 1) && !approval.is_over(now));
            let said_yes: BTreeSet<&str> =
                there.clone().filter_map(|yes| yes.yes_to(life, &status, None)).collect();
            let wanted = people::wanted(status.risk.unwrap());
            let said_no = there.clone().any(|no| no.is_for(life) && no.says_no(None));
            (said_yes.len() >= wanted || said_no)
                .then(|| format!("waits though {said_yes:?} said yes, or somebody no ({said_no})"))
        }
        _ => Some("was left behind".to_owned()),
    }
}

/// What a plan says of its end and what happened.
fn is_untrue(evidence: &Evidence, life: &Life, calls: &[(i64, Entry)]) -> Option<String> {
    let status = life.last();
    let of_attempt = calls.iter().filter(|(attempt, _)| *attempt == status.attempts);
    let done: Vec<&Done> = of_attempt.filter_map(|(_, entry)| entry.done.as_ref()).collect();
    let task =
        status.upid.as_deref().and_then(|upid| evidence.tasks.iter().find(|task| task.upid.as_str() == upid));
    let verdict = task.map(|task| TaskVerdict::of(&task.exit));
    let own = status.upid.as_ref().is_none_or(|upid| done.contains(&&Done::Task(upid.clone())));
    if !own {
        return Some(format!("took a task for its own that is another's: {:?}", status.upid));
    }
    match status.phase {
        Phase::Denied | Phase::Expired | Phase::Cancelled if !calls.is_empty() => {
            Some("says that nothing was sent".to_owned())
        }
        Phase::Failed if ["NotSent", "RefusedByProxmox", "NothingDone"].contains(&status.reason.as_str()) => {
            (!done.is_empty()).then(|| "says that it was not done".to_owned())
        }
        Phase::Failed if verdict.is_some_and(TaskVerdict::is_success) => {
            Some("says that it failed".to_owned())
        }
        Phase::Succeeded if life.spec.dry_run => None,
        Phase::Succeeded if verdict.is_some_and(|verdict| !verdict.is_success()) => {
            Some("says that it succeeded".to_owned())
        }
        // Of power and settings only the goal is seen, and somebody else may have reached it.
        Phase::Succeeded if status.reason == "FoundDone" && is_a_goal(life) => None,
        // Whichever attempt it was.
        Phase::Succeeded
            if status.reason == "FoundDone" && calls.iter().any(|(_, entry)| entry.done.is_some()) =>
        {
            None
        }
        Phase::Succeeded if done.is_empty() => Some("says that it was done".to_owned()),
        _ => None,
    }
}

fn is_a_goal(life: &Life) -> bool {
    ["start_guest", "stop_guest", "set_guest_config", "delete_guest"].contains(&life.spec.action.as_str())
}
