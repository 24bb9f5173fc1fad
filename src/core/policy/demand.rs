//! Whom a plan needs.

use crate::{
    api::{Decided, PolicyRule, Risk},
    core::demand::Demand,
};

use super::knobs::{Layers, Set};

/// More people than that nobody is asked for: as many as a status can show.
pub const MOST_PEOPLE: u32 = 16;

/// What of a plan decides whom it needs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stakes {
    pub risk: Risk,
    pub hits: usize,
    /// It only reads, and nobody has called that risky.
    pub is_harmless: bool,
}

/// By the knobs and by every rule that applies.
pub(super) fn demanded(
    knobs: &Layers,
    stakes: Stakes,
    rules: &[&PolicyRule],
    decided: &mut Vec<Decided>,
) -> Result<Demand, String> {
    let mut demand = Demand::of(by_knobs(knobs, stakes, decided));
    for rule in rules.iter().filter(|rule| !rule.approvals.is_empty()) {
        demand = by_rule(demand, rule);
        let what = rule.approvals.iter().map(|wanted| match &wanted.group {
            Some(group) => format!("{} of group {group}", approvals(wanted.count)),
            None => approvals(wanted.count),
        });
        decided.push(Decided { by: rule_named(rule), what: what.collect::<Vec<_>>().join(" and ") });
    }
    if demand.people() > MOST_PEOPLE {
        let rules = rules.iter().filter(|rule| rule.approvals.iter().any(|wanted| wanted.group.is_some()));
        let names: Vec<&str> = rules.map(|rule| rule.name.as_str()).collect();
        return Err(format!(
            "{} together want {} people of different groups, and no more than {MOST_PEOPLE} can be asked",
            names.join(", "),
            demand.people()
        ));
    }
    Ok(demand)
}

pub(super) fn rule_named(rule: &PolicyRule) -> String {
    format!("rule {}", rule.name)
}

fn approvals(count: u32) -> String {
    if count == 1 { "1 approval".to_owned() } else { format!("{count} approvals") }
}

fn by_rule(demand: Demand, rule: &PolicyRule) -> Demand {
    rule.approvals.iter().fold(demand, |demand, wanted| match &wanted.group {
        Some(group) => demand.and_of(group, wanted.count),
        None => demand.at_least(wanted.count),
    })
}

fn by_knobs(knobs: &Layers, stakes: Stakes, decided: &mut Vec<Decided>) -> u32 {
    let risk = stakes.risk;
    if stakes.is_harmless {
        decided.push(Decided { by: "the action".to_owned(), what: "no approval: it only reads".to_owned() });
        return 0;
    }
    let Set { value: set, by } = knobs.approvals(risk);
    let told = |count| format!("{} for risk {risk}", approvals(count));
    decided.push(Decided { by, what: told(set) });
    let floor = u32::from(risk >= Risk::High);
    if set < floor {
        let what = format!("{}, whatever is set", told(floor));
        decided.push(Decided { by: "the floor of high risks".to_owned(), what });
    }
    (set.max(floor) + for_hits(knobs, stakes.hits, decided)).min(MOST_PEOPLE)
}

/// The more are hit, the more people look at it.
fn for_hits(knobs: &Layers, hits: usize, decided: &mut Vec<Decided>) -> u32 {
    let Some(Set { value: per_approver, by }) = knobs.hits_per_approver() else { return 0 };
    let more = u32::try_from(hits).unwrap_or(u32::MAX) / per_approver.max(1);
    let more = more.min(MOST_PEOPLE);
    if more > 0 {
        let what = format!(
            "{more} more for {hits} hits, one for every {per_approver}, {MOST_PEOPLE} in all at most"
        );
        decided.push(Decided { by, what });
    }
    more
}
