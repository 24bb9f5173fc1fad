//! What waits for me.

use std::collections::HashSet;

use clap::Args;
use jiff::Timestamp;
use kube::ResourceExt;
use serde_json::json;

use crate::{
    api::{ApprovalProgress, GrantedApproval, ProxmoxActionPlan},
    cli::render::{columns_of, printable},
    core::demand::Demand,
    ports::Clock,
    system::SystemClock,
};

use super::{
    Output,
    exit::{Exit, Stopped},
    print,
    server::{Caller, Connection, Right},
};

#[derive(Debug, Args)]
pub(super) struct List {
    /// In all namespaces.
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// Also what waits for others, with the reason why it does not wait for you.
    #[arg(long)]
    all: bool,
    #[arg(short, long, value_enum)]
    output: Option<Output>,
}

/// A plan that waits, and why not for the caller, if it does not.
struct Waiting {
    plan: ProxmoxActionPlan,
    not_me: Option<String>,
}

impl List {
    pub(super) async fn run(self, connection: &Connection) -> Result<Exit, Stopped> {
        let server = connection.open().await?;
        let plans = server.waiting_plans(self.all_namespaces).await?;
        let me = server.who_am_i().await?;
        let rights: HashSet<Right> = plans.iter().filter_map(right_on).collect();
        let mine = server.which_have_i(rights.into_iter().collect()).await?;
        let waiting: Vec<Waiting> = plans
            .into_iter()
            .map(|plan| Waiting { not_me: why_not(&plan, &me, &mine), plan })
            .filter(|waiting| self.all || waiting.not_me.is_none())
            .collect();
        if let Some(output) = self.output {
            print(&in_form(output, &waiting)?)?;
            return Ok(Exit::Done);
        }
        if waiting.is_empty() {
            let whom = if self.all { "anybody" } else { "you" };
            let place = if self.all_namespaces {
                String::new()
            } else {
                format!(" in namespace {}", server.namespace)
            };
            eprintln!("nothing waits for {whom}{place}");
            return Ok(Exit::Done);
        }
        print(&table(&waiting, self.all, SystemClock.now()))?;
        Ok(Exit::Done)
    }
}

fn right_on(plan: &ProxmoxActionPlan) -> Option<Right> {
    Some(Right {
        verb: "approve",
        risk: plan.status.as_ref()?.risk?,
        environment: plan.spec.environment.clone(),
        namespace: plan.namespace().unwrap_or_default(),
    })
}

/// Why a yes of the caller would not help.
fn why_not(plan: &ProxmoxActionPlan, me: &Caller, rights: &[Right]) -> Option<String> {
    let approvals = plan.status.as_ref().and_then(|status| status.approvals.clone()).unwrap_or_default();
    if plan.spec.requested_by == me.name {
        return Some("you asked for it".to_owned());
    }
    if approvals.granted.iter().any(|granted| granted.approved_by == me.name) {
        return Some("you have approved it".to_owned());
    }
    let Some(right) = right_on(plan) else { return Some("it is not judged yet".to_owned()) };
    if !rights.contains(&right) {
        return Some(format!("you may not approve {} in {}", right.risk, right.environment));
    }
    waits_for_others(&approvals, me)
}

/// Whom a plan waits for, if a yes of the caller would bring it no further.
pub(super) fn waits_for_others(approvals: &ApprovalProgress, me: &Caller) -> Option<String> {
    let mut demand = Demand::of(approvals.required);
    for group in &approvals.groups {
        demand = demand.and_of(&group.group, group.count);
    }
    let with_me = [approvals.granted.as_slice(), &[as_if_by(me)]].concat();
    let missing = demand.missing(&approvals.granted);
    let helps = missing.is_empty() || demand.missing(&with_me) != missing;
    (!helps).then(|| format!("it waits for {}", missing.join(", ")))
}

/// The approval that the caller could give.
fn as_if_by(me: &Caller) -> GrantedApproval {
    GrantedApproval {
        name: String::new(),
        uid: String::new(),
        approved_by: me.name.clone(),
        groups: me.groups.clone(),
    }
}

fn in_form(output: Output, waiting: &[Waiting]) -> Result<String, Stopped> {
    let plans: Vec<ProxmoxActionPlan> = waiting
        .iter()
        .map(|waiting| {
            let mut plan = waiting.plan.clone();
            plan.metadata.managed_fields = None;
            plan
        })
        .collect();
    let names: Vec<String> =
        plans.iter().map(|plan| format!("proxmoxactionplan.proxmox-agent.io/{}", plan.name_any())).collect();
    output.write(&json!({"apiVersion": "v1", "kind": "List", "items": plans}), &names)
}

// ---- the table

const TITLES: [&str; 11] = [
    "NAMESPACE",
    "NAME",
    "RISK",
    "ACTION",
    "TARGET",
    "ENV",
    "ASKED-BY",
    "AGE",
    "APPROVALS",
    "MISSING",
    "WHY-NOT-ME",
];

fn table(waiting: &[Waiting], with_reasons: bool, now: Timestamp) -> String {
    let columns = if with_reasons { TITLES.len() } else { TITLES.len() - 1 };
    let titles = TITLES.map(str::to_owned);
    let rows: Vec<[String; 11]> =
        std::iter::once(titles).chain(waiting.iter().map(|waiting| row(waiting, now))).collect();
    let widths: Vec<usize> =
        (0..columns).map(|at| rows.iter().map(|row| columns_of(&row[at])).max().unwrap_or(0)).collect();
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(cell);
            line.push_str(&" ".repeat(width + 3 - columns_of(cell)));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn row(Waiting { plan, not_me }: &Waiting, now: Timestamp) -> [String; 11] {
    let status = plan.status.clone().unwrap_or_default();
    let approvals = status.approvals.unwrap_or_default();
    let spec = &plan.spec;
    let created = plan.metadata.creation_timestamp.as_ref().map(|time| time.0);
    [
        plan.namespace().unwrap_or_default(),
        plan.name_any(),
        status.risk.map(|risk| risk.to_string()).unwrap_or_default(),
        spec.action.clone(),
        spec.target.clone(),
        spec.environment.clone(),
        spec.requested_by.clone(),
        created.map(|created| age(created, now)).unwrap_or_default(),
        approvals.progress,
        approvals.missing.join(", "),
        not_me.clone().unwrap_or_default(),
    ]
    .map(|cell| if cell.is_empty() { "-".to_owned() } else { printable(&cell) })
}

/// As kubectl writes it, in its largest unit.
fn age(created: Timestamp, now: Timestamp) -> String {
    let seconds = (now.as_second() - created.as_second()).max(0);
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7_200 => format!("{}m", seconds / 60),
        7_200..172_800 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(status: &serde_json::Value) -> ProxmoxActionPlan {
        serde_json::from_value(json!({
            "apiVersion": "proxmox-agent.io/v1alpha1", "kind": "ProxmoxActionPlan",
            "metadata": {"name": "delete", "namespace": "home", "creationTimestamp": "2026-11-21T10:00:00Z"},
            "spec": {"environment": "lab", "action": "delete_guest", "target": "qemu/100",
                "requestedBy": "requester"},
            "status": status,
        }))
        .unwrap()
    }

    fn by(name: &str, groups: &[&str]) -> Caller {
        Caller { name: name.to_owned(), groups: groups.iter().map(|group| (*group).to_owned()).collect() }
    }

    fn two_people() -> ProxmoxActionPlan {
        waiting(&json!({"risk": "critical", "approvals": {"required": 2, "progress": "1/2",
            "granted": [{"name": "a", "uid": "u", "approved_by": "first"}]}}))
    }

    #[test]
    fn a_plan_waits_for_whoever_can_still_help() {
        let plan = two_people();
        let rights = [right_on(&plan).unwrap()];
        assert_eq!(why_not(&plan, &by("second", &[]), &rights), None);
        assert_eq!(why_not(&plan, &by("requester", &[]), &rights).unwrap(), "you asked for it");
        assert_eq!(why_not(&plan, &by("first", &[]), &rights).unwrap(), "you have approved it");
        let without = why_not(&plan, &by("second", &[]), &[]);
        assert_eq!(without.unwrap(), "you may not approve critical in lab");
    }

    #[test]
    fn a_plan_that_waits_for_a_group_waits_for_nobody_else() {
        let plan = waiting(&json!({"risk": "high", "approvals": {"required": 2, "progress": "1/2",
            "groups": [{"group": "storage", "count": 1}],
            "granted": [{"name": "a", "uid": "u", "approved_by": "first"}]}}));
        let rights = [right_on(&plan).unwrap()];
        assert_eq!(why_not(&plan, &by("second", &["storage"]), &rights), None);
        let outside = why_not(&plan, &by("second", &["others"]), &rights);
        assert_eq!(outside.unwrap(), "it waits for 1 of group storage");
    }

    #[test]
    fn columns_stand_below_each_other_and_hide_nothing() {
        let mut odd = two_people();
        odd.spec.requested_by = "日本\u{202e}".to_owned();
        let rows = [Waiting { plan: odd, not_me: None }, Waiting { plan: two_people(), not_me: None }];
        let text = table(&rows, false, "2026-11-21T10:05:00Z".parse().unwrap());
        let ages: Vec<usize> = text
            .lines()
            .map(|line| columns_of(&line[..line.find("AGE").or(line.find("5m")).unwrap()]))
            .collect();
        assert!(ages.iter().all(|at| at == &ages[0]), "{text}");
        assert!(text.contains("日本<U+202E>"), "{text}");
    }

    #[test]
    fn ages_are_written_as_kubectl_does() {
        let at = |seconds: i64| age(Timestamp::UNIX_EPOCH, Timestamp::from_second(seconds).unwrap());
        assert_eq!([at(4), at(119), at(300), at(7_300), at(200_000)], ["4s", "119s", "5m", "2h", "2d"]);
    }
}
