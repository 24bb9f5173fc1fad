//! From what somebody wrote to rules that can be asked. What can't be understood stops the plans instead of being
//! passed over.

use std::fmt;

use jiff::tz::{TimeZone, TimeZoneDatabase};
use thiserror::Error;

use crate::{
    api::{ProxmoxPolicy, ProxmoxPolicySpec},
    catalog::{Target, TargetError},
};

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

/// A misspelt target would leave unprotected what somebody believes to be safe. Those who are hit can also be of kinds
/// that no plan names as its target.
fn protects_nothing(named: &str) -> Option<Fault> {
    match named.parse::<Target>() {
        Ok(_) | Err(TargetError::UnknownKind(_)) => None,
        Err(problem) => Some(Fault { part: "protection.targets".to_owned(), why: problem.to_string() }),
    }
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
    faults.extend(spec.protection.targets.iter().filter_map(|named| protects_nothing(named)));
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn faults_of(targets: &[&str]) -> Vec<String> {
        let spec = serde_json::from_value(json!({"protection": {"targets": targets}})).unwrap();
        faults(&ProxmoxPolicy::new("house", spec)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_protected_id_that_can_not_be_one_is_a_fault() {
        for (named, word) in
            [("vm 100", "is not a target"), ("qemu/10O", "is no guest"), ("lxc/7", "is no guest")]
        {
            let told = faults_of(&["storage/backup", named]);
            assert!(
                told.len() == 1 && told[0].starts_with("protection.targets: ") && told[0].contains(word),
                "{told:?}"
            );
        }
        let can_be_hit = ["qemu/100", "guest/100", "storage/backup", "ha-rule/apart", "user/ann@pve"];
        assert_eq!(faults_of(&can_be_hit), [""; 0]);
    }
}
