//! Every call that reached Proxmox: whose it is, and whether it was allowed to leave.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use jiff::SignedDuration;
use proxmox_agent::{
    api::{Phase, PlanStatus},
    catalog,
    core::audit::AuditEvent,
};

use super::{Approval, Evidence, Life, lives::moment};
use crate::{
    people,
    promises::{Broken, Promise},
    proxmox::Entry,
};

/// A call may leave so long after its approvals were read: five seconds by the clock, and the ways to the stores.
const FRESH: Duration = Duration::from_secs(7);
/// And so long after its target was looked at: five seconds until it is announced, and five until it leaves.
const JUDGED: Duration = Duration::from_secs(12);
/// How long ago a clock that was set wrong still matters.
const LOOK: Duration = Duration::from_secs(60);

/// The calls of each plan by its uid, each with its attempt.
pub(super) type OfPlans = BTreeMap<String, Vec<(i64, Entry)>>;

pub(super) fn attribute(
    evidence: &Evidence,
    lives: &[Life],
    approvals: &[Approval],
    wrong: &mut Vec<Broken>,
) -> OfPlans {
    let mut of_plans = OfPlans::new();
    let mut used: BTreeSet<(String, i64)> = BTreeSet::new();
    for entry in &evidence.ledger {
        let fits = |life: &&Life| life.from <= entry.left_at && is_of(entry, life);
        let candidates: Vec<&Life> = lives.iter().rev().filter(fits).collect();
        let announced = candidates.iter().flat_map(|life| announced_before(life, entry));
        let free = announced.clone().find(|(life, attempt, _)| !used.contains(&(life.uid.clone(), *attempt)));
        let Some((life, attempt, status)) = free else {
            let (promise, why) = if announced.clone().next().is_some() {
                (Promise::AtMostOnce, "is a second one of an attempt")
            } else {
                (Promise::Announced, "was not announced by any plan's status before")
            };
            wrong.push(promise.broken(format!("{} {why}", described(entry))));
            continue;
        };
        used.insert((life.uid.clone(), attempt));
        of_plans.entry(life.uid.clone()).or_default().push((attempt, entry.clone()));
        if !is_in_the_audit_log(evidence, life, attempt, entry) {
            wrong.push(Promise::Announced.broken(format!("{} was in no audit log before", described(entry))));
        }
        let was_allowed =
            Allowed { evidence, approvals, life, entry, status: &status.1, announced_at: status.0 };
        let broken = |promise: Promise, why: &str| promise.broken(format!("{} {why}", described(entry)));
        if !was_allowed.sender_led() {
            wrong.push(broken(Promise::Led, "left when its sender did not lead"));
        }
        wrong.extend(was_allowed.complaints().iter().map(|why| broken(Promise::Approved, why)));
    }
    of_plans
}

fn described(entry: &Entry) -> String {
    format!("{:?}: {} by {} (left at {:?})", entry.at, entry.call, entry.by, entry.left_at)
}

/// Whether this is what the plan asks for.
fn is_of(entry: &Entry, life: &Life) -> bool {
    let call = &entry.call;
    let param = |name: &str| call.params.get(name).map(String::as_str).unwrap_or_default();
    let told = |name: &str| life.spec.params.get(name).map(|value| value.to_string().replace('"', ""));
    let vmid = life.spec.target.trim_start_matches("qemu/");
    let (end, mark) = match life.spec.action.as_str() {
        "start_guest" => ("/status/start", param("timeout") == told("timeout").unwrap_or_default()),
        "stop_guest" => ("/status/stop", param("timeout") == told("timeout").unwrap_or_default()),
        "create_snapshot" => ("/snapshot", param("description").contains(&life.uid)),
        "clone_guest" => ("/clone", param("description").contains(&life.uid)),
        "set_guest_config" => ("/config", param("description") == told("description").unwrap_or_default()),
        "migrate_guest" => ("/migrate", true),
        "delete_guest" => ("", true),
        other => panic!("{other} is not among the orders"),
    };
    let path: Vec<&str> = call.path.splitn(6, '/').collect();
    let rest = path.get(5).map(|rest| format!("/{rest}")).unwrap_or_default();
    path.get(4) == Some(&vmid) && rest == end && mark
}

/// The attempts of a plan that were on record when the call left, the newest first.
fn announced_before<'a>(
    life: &&'a Life,
    entry: &'a Entry,
) -> impl Iterator<Item = (&'a Life, i64, (Duration, PlanStatus))> + Clone + use<'a> {
    let life = *life;
    let all: Vec<_> = life.intents().into_iter().rev().collect();
    all.into_iter()
        .filter(|(_, (at, _))| *at <= entry.left_at)
        .map(move |(attempt, status)| (life, attempt, status))
}

fn is_in_the_audit_log(evidence: &Evidence, life: &Life, attempt: i64, entry: &Entry) -> bool {
    evidence.records.iter().any(|kept| {
        kept.record.event == AuditEvent::Intent
            && kept.record.plan_uid == life.uid
            && kept.record.attempt == Some(attempt)
            && kept.since.is_some_and(|since| since <= entry.left_at)
    })
}

/// Whether a call was allowed to leave when it did.
struct Allowed<'a> {
    evidence: &'a Evidence,
    approvals: &'a [Approval],
    life: &'a Life,
    entry: &'a Entry,
    status: &'a PlanStatus,
    announced_at: Duration,
}

impl Allowed<'_> {
    fn complaints(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        let spec = &self.life.spec;
        if spec.dry_run {
            wrong.push("is of a dry run".to_owned());
        }
        let left_at = moment(self.entry.left_at);
        // What its own clock says is all that a replica knows of the time of day.
        let believed = left_at - SignedDuration::from_secs(self.seconds_behind());
        if spec.not_after.as_ref().is_some_and(|end| end.0 <= believed) {
            wrong.push("left after notAfter".to_owned());
        }
        let early = left_at + SignedDuration::from_secs(self.seconds_ahead());
        if spec.not_before.as_ref().is_some_and(|begin| early < begin.0) {
            wrong.push("left before notBefore".to_owned());
        }
        let ended_before = self.life.statuses.iter().any(|(at, status)| {
            *at < self.announced_at && status.phase.is_terminal() && status.phase != Phase::Indeterminate
        });
        if ended_before {
            wrong.push("is of a plan that had ended".to_owned());
        }
        wrong.extend(self.old_judgement());
        let read = self.evidence.approvals_read.iter().rev().find(|read| {
            read.by == self.entry.by
                && read.selector == format!("spec.planRef.name={}", self.life.name)
                && read.at <= self.announced_at
        });
        let Some(read) = read else {
            wrong.push("left without its approvals having been read".to_owned());
            return wrong;
        };
        if self.entry.left_at - read.at > FRESH && self.seconds_behind() == 0 {
            wrong.push(format!("left long after its approvals were read at {:?}", read.at));
        }
        let there: Vec<&Approval> =
            self.approvals.iter().filter(|approval| approval.is_there_at(read.version)).collect();
        let question = self.life.question_at(self.announced_at);
        if there.iter().any(|no| no.is_for(self.life) && no.says_no(question) && !no.is_over(early)) {
            wrong.push("left against a no".to_owned());
        }
        let valid = there.iter().filter(|yes| !yes.is_over(believed));
        let said_yes: BTreeSet<&str> =
            valid.filter_map(|yes| yes.yes_to(self.life, self.status, question)).collect();
        let base = catalog::find(&spec.action).unwrap().base_risk;
        let wanted = people::wanted(self.status.risk.unwrap().max(base)).max(question.map_or(0, |_| 1));
        if said_yes.len() < wanted {
            wrong.push(format!("left with {said_yes:?} where {wanted} are wanted"));
        }
        wrong
    }

    fn old_judgement(&self) -> Option<String> {
        let is_its_own = |vmid: u32| self.life.spec.target == format!("qemu/{vmid}");
        let looked =
            self.evidence.looks.iter().rev().find(|look| {
                look.by == self.entry.by && is_its_own(look.vmid) && look.at <= self.announced_at
            });
        let age = looked.map(|look| self.entry.left_at - look.at);
        age.is_none_or(|age| age > JUDGED)
            .then(|| format!("left so long after its target was looked at: {age:?}"))
    }

    /// Within one moment it may have asked before it changed, or after.
    fn sender_led(&self) -> bool {
        let left_at = self.entry.left_at;
        let changes = &self.evidence.leads[&self.entry.by];
        let before = changes.iter().rfind(|(at, _)| *at < left_at).is_none_or(|(_, leads)| *leads);
        before || changes.contains(&(left_at, true))
    }

    fn seconds_behind(&self) -> i64 {
        self.offsets().map(|ahead| -ahead).max().unwrap_or_default().max(0)
    }

    fn seconds_ahead(&self) -> i64 {
        self.offsets().max().unwrap_or_default().max(0)
    }

    /// What its sender's clock was ahead while the call was prepared.
    fn offsets(&self) -> impl Iterator<Item = i64> {
        let of_sender = || {
            self.evidence
                .clocks
                .iter()
                .filter(|(who, at, _)| *who == self.entry.by && *at <= self.entry.left_at)
        };
        let begin = self.entry.left_at.saturating_sub(LOOK);
        let before = of_sender().rfind(move |(_, at, _)| *at < begin);
        let since = of_sender().filter(move |(_, at, _)| *at >= begin);
        before.into_iter().chain(since).map(|(_, _, ahead)| *ahead)
    }
}
