//! What a policy makes of a plan, worked out from what is meant by it, and in another way than `core::policy` does.

use std::collections::BTreeMap;

use super::{
    super::tests::noon,
    house_of_tests::{Freeze, House, Knobs, Protected, Terms, Weekly, Window},
    rules_of_tests::{Facts, Rule},
};
use crate::api::{Preset, Risk};

/// A plan before any policy has looked at it.
#[derive(Clone, Debug)]
pub(super) struct Case {
    pub(super) risk: Risk,
    pub(super) tags: Vec<&'static str>,
    pub(super) in_pool: bool,
    pub(super) job_is_hit: bool,
    pub(super) node: usize,
    pub(super) hits: usize,
    pub(super) requester: usize,
    pub(super) action: &'static str,
    /// Milliseconds since noon.
    pub(super) at: i64,
}

/// What approvers are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Needed {
    pub(super) risk: Risk,
    /// In all.
    pub(super) people: u32,
    pub(super) groups: BTreeMap<String, u32>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nobody can judge by such a policy.
    Broken,
    Refused,
    Needs {
        needed: Needed,
        frozen: bool,
    },
}

/// Of the presets: whether guards stop, people from low to critical, hits for each one more.
fn complete(preset: Preset) -> (bool, [u32; 4], Option<u32>) {
    match preset {
        Preset::Permissive => (false, [0, 0, 1, 1], None),
        Preset::Balanced => (true, [0, 1, 1, 1], None),
        Preset::Strict => (true, [1, 1, 1, 2], Some(10)),
    }
}

pub(super) fn verdict(house: &House, case: &Case) -> Verdict {
    let terms = house.policy.as_ref();
    if terms.is_some_and(|terms| terms.flaw.is_some()) {
        return Verdict::Broken;
    }
    let in_vienna = terms.is_some_and(|terms| terms.in_vienna);
    let minute = minute_of_the_week(case.at, in_vienna);
    let facts = Facts {
        tags: case.tags.clone(),
        node: case.node,
        hits: case.hits,
        requester: case.requester,
        action: case.action,
        minute_of_the_week: minute,
    };
    let (risk, rules) = settled(terms.map_or(&[], |terms| &terms.rules), &facts, case.risk);
    let stops = stops(house);
    let fails = rules.iter().any(|rule| rule.guards) || hits_somebody_protected(terms, case, risk);
    if rules.iter().any(|rule| rule.denies) || (stops && fails) {
        return Verdict::Refused;
    }
    let needed = Needed { risk, ..needed(house, risk, case.hits, &rules) };
    Verdict::Needs { needed, frozen: stops && is_frozen(house, case.at, minute) }
}

/// November: Vienna is one hour ahead. The first day of all was a Thursday.
fn minute_of_the_week(at: i64, in_vienna: bool) -> i64 {
    let minutes = (noon().as_second() + at.div_euclid(1000)).div_euclid(60) + if in_vienna { 60 } else { 0 };
    (minutes + 3 * 1440).rem_euclid(7 * 1440)
}

/// Begins anew with every rule as often as one of them makes it worse.
fn settled<'a>(rules: &'a [Rule], facts: &Facts, found: Risk) -> (Risk, Vec<&'a Rule>) {
    let mut risk = found;
    loop {
        let seen = |level: &&Risk| (found..=risk).contains(*level);
        let holds = |rule: &&Rule| Risk::ALL.iter().filter(seen).any(|level| rule.when.holds(facts, *level));
        let applying: Vec<&Rule> = rules.iter().filter(holds).collect();
        match applying.iter().filter_map(|rule| rule.raises_to).find(|to| *to > risk) {
            Some(worse) => risk = worse,
            None => return (risk, applying),
        }
    }
}

fn knob<T: Copy>(house: &House, of: impl Fn(&Knobs) -> Option<T>) -> Option<T> {
    let by_policy = house.policy.as_ref().and_then(|terms| of(&terms.knobs));
    of(&house.knobs).or(by_policy)
}

fn preset(house: &House) -> Preset {
    house.policy.as_ref().map_or(Preset::Balanced, |terms| terms.preset)
}

pub(super) fn stops(house: &House) -> bool {
    knob(house, |knobs| knobs.stops).unwrap_or(complete(preset(house)).0)
}

fn needed(house: &House, risk: Risk, hits: usize, rules: &[&Rule]) -> Needed {
    let level = Risk::ALL.iter().position(|one| *one == risk).unwrap();
    let (_, by_preset, per_approver) = complete(preset(house));
    let set = knob(house, |knobs| knobs.people[level]).unwrap_or(by_preset[level]);
    let more = knob(house, |knobs| knobs.hits_per_approver)
        .or(per_approver)
        .map_or(0, |each| u32::try_from(hits).unwrap() / each);
    let mut people = if risk < Risk::High { set } else { set.max(1) } + more;
    let mut groups = BTreeMap::new();
    for (count, group) in rules.iter().flat_map(|rule| &rule.wants) {
        let place = group.map_or(&mut people, |group| groups.entry(group.to_owned()).or_default());
        *place = (*place).max(*count);
    }
    Needed { risk, people: people.max(groups.values().sum()), groups }
}

fn hits_somebody_protected(terms: Option<&Terms>, case: &Case, risk: Risk) -> bool {
    let is_hit = |one: &Protected| match one {
        Protected::Target => true,
        Protected::Tag(tag) => case.tags.contains(tag),
        Protected::Pool => case.in_pool,
        Protected::Job => case.job_is_hit,
    };
    risk >= Risk::High && terms.is_some_and(|terms| terms.protected.iter().any(is_hit))
}

fn is_frozen(house: &House, at: i64, minute: i64) -> bool {
    let terms = house.policy.as_ref();
    let global = house.beside.into_iter().chain(terms.and_then(|terms| terms.freeze));
    let is_before = |end: Option<i64>| end.is_none_or(|end| at < end * 1000);
    let in_window = |window: &Window| {
        window.from.is_none_or(|from| from * 1000 <= at)
            && is_before(window.until)
            && window.weekly.as_ref().is_none_or(|weekly| is_in(weekly, minute))
    };
    global.into_iter().any(|Freeze(until)| is_before(until))
        || terms.is_some_and(|terms| terms.windows.iter().any(in_window))
}

/// So many minutes after it began, on a week that goes round.
fn is_in(weekly: &Weekly, minute: i64) -> bool {
    let lasts = match (weekly.until - weekly.from).rem_euclid(1440) {
        0 => 1440,
        minutes => minutes,
    };
    weekly.days.iter().any(|day| (minute - (day * 1440 + weekly.from)).rem_euclid(7 * 1440) < lasts)
}
