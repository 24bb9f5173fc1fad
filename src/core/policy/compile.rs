//! From what somebody wrote to rules that can be asked. What can't be understood stops the plans instead of being
//! passed over.

use std::fmt;

use jiff::tz::{TimeZone, TimeZoneDatabase};
use thiserror::Error;

use crate::api::{ProxmoxPolicy, ProxmoxPolicySpec};

use super::{
    Origin, expression,
    room::with_room,
    rules::{Rule, Rules},
};

/// One thing that is wrong with a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Such as `rule no-night-shift`.
    pub part: String,
    pub why: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.part, self.why)
    }
}

/// A policy by which nothing can be judged.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{policy} can't be applied, so no plan is judged by it: {}", listed(.faults))]
pub struct Unusable {
    policy: String,
    faults: Vec<Fault>,
}

fn listed(faults: &[Fault]) -> String {
    faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

impl Unusable {
    pub(super) fn new(policy: &str, faults: Vec<Fault>) -> Self {
        Self { policy: policy.to_owned(), faults }
    }

    pub(super) fn because(policy: &str, why: &impl ToString) -> Self {
        Self::new(policy, vec![Fault { part: "spec".to_owned(), why: why.to_string() }])
    }
}

/// Everything that is wrong with a policy. Nothing if plans can be judged by it.
pub fn faults(policy: &ProxmoxPolicy) -> Vec<Fault> {
    let told = Origin::of(Some(policy), policy.spec.preset).told();
    compile(&told, &policy.spec).err().map(|unusable| unusable.faults).unwrap_or_default()
}

pub(super) fn compile(told: &str, spec: &ProxmoxPolicySpec) -> Result<(Rules, TimeZone), Unusable> {
    let mut faults = Vec::new();
    let zone = time_zone(&spec.time_zone).map_err(|fault| faults.push(fault)).ok();
    let rules = match with_room(|| rules(spec)) {
        Some((rules, wrong)) => {
            faults.extend(wrong);
            rules
        }
        None => {
            faults.push(Fault { part: "rules".to_owned(), why: "could not be compiled".to_owned() });
            vec![]
        }
    };
    match zone {
        Some(zone) if faults.is_empty() => Ok((Rules::new(rules), zone)),
        _ => Err(Unusable::new(told, faults)),
    }
}

/// Out of the program itself: a container may have no list of time zones, and each would have its own.
fn time_zone(name: &str) -> Result<TimeZone, Fault> {
    TimeZoneDatabase::bundled().get(name).map_err(|_| Fault {
        part: "timeZone".to_owned(),
        why: format!("there is no time zone `{name}`; write it as in Europe/Vienna, or UTC"),
    })
}

fn rules(spec: &ProxmoxPolicySpec) -> (Vec<Rule>, Vec<Fault>) {
    let (mut rules, mut faults) = (Vec::new(), Vec::new());
    for rule in &spec.rules {
        match expression::compile(&rule.when) {
            Ok(condition) => rules.push(Rule { spec: rule.clone(), condition }),
            Err(why) => faults.push(Fault { part: format!("rule {}", rule.name), why }),
        }
    }
    (rules, faults)
}
