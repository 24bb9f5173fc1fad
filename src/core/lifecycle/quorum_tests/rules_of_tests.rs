//! Rules as people mean them, and as they write them in CEL.

use std::fmt;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{house_of_tests::DAYS, objects_of_tests::person, world_of_tests::ACTIONS};
use crate::api::Risk;

#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub(super) when: When,
    pub(super) raises_to: Option<Risk>,
    pub(super) wants: Vec<(u32, Option<&'static str>)>,
    pub(super) denies: bool,
    pub(super) guards: bool,
}

#[derive(Clone, Debug)]
pub(super) enum When {
    Always,
    Tagged(&'static str),
    OnNode(usize),
    HitsOver(usize),
    AskedBy(usize),
    Action(&'static str),
    BeforeHour(i64),
    Weekday(i64),
    RiskIs(Risk),
    RiskAtLeast(Risk),
    Not(Box<When>),
    Both(Box<When>, Box<When>),
}

/// What a rule is asked about, but for the risk.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    pub(super) tags: Vec<&'static str>,
    pub(super) node: usize,
    pub(super) hits: usize,
    pub(super) requester: usize,
    pub(super) action: &'static str,
    /// By the clock on the wall, counted from Monday.
    pub(super) minute_of_the_week: i64,
}

impl When {
    pub(super) fn holds(&self, facts: &Facts, risk: Risk) -> bool {
        match self {
            Self::Always => true,
            Self::Tagged(tag) => facts.tags.contains(tag),
            Self::OnNode(node) => facts.node == *node,
            Self::HitsOver(hits) => facts.hits > *hits,
            Self::AskedBy(person) => facts.requester == *person,
            Self::Action(action) => facts.action == *action,
            Self::BeforeHour(hour) => facts.minute_of_the_week % 1440 < hour * 60,
            Self::Weekday(day) => facts.minute_of_the_week / 1440 == *day,
            Self::RiskIs(wanted) => risk == *wanted,
            Self::RiskAtLeast(least) => risk >= *least,
            Self::Not(when) => !when.holds(facts, risk),
            Self::Both(one, other) => one.holds(facts, risk) && other.holds(facts, risk),
        }
    }
}

/// In CEL.
impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Always => f.write_str("true"),
            Self::Tagged(tag) => write!(f, "'{tag}' in target.tags"),
            Self::OnNode(node) => write!(f, "target.node == 'pve{node}'"),
            Self::HitsOver(hits) => write!(f, "blastRadius.size > {hits}"),
            Self::AskedBy(number) => write!(f, "requester == '{}'", person(*number)),
            Self::Action(action) => write!(f, "plan.action == '{action}'"),
            Self::BeforeHour(hour) => write!(f, "time.hour < {hour}"),
            Self::Weekday(day) => write!(f, "time.weekday == '{}'", DAYS[usize::try_from(*day).unwrap()]),
            Self::RiskIs(risk) => write!(f, "risk == '{risk}'"),
            Self::RiskAtLeast(least) => {
                write!(f, "riskLevel >= {}", Risk::ALL.iter().position(|risk| risk == least).unwrap())
            }
            Self::Not(when) => write!(f, "!({when})"),
            Self::Both(one, other) => write!(f, "({one}) && ({other})"),
        }
    }
}

impl Rule {
    pub(super) fn written(&self, number: usize) -> Value {
        let wants: Vec<Value> =
            self.wants.iter().map(|(count, group)| json!({"count": count, "group": group})).collect();
        let said = |says: bool| if says { "no" } else { "" };
        json!({
            "name": format!("r{number}"), "when": self.when.to_string(), "raiseRiskTo": self.raises_to,
            "approvals": wants, "deny": said(self.denies), "guard": said(self.guards),
        })
    }
}

fn any_risk() -> impl Strategy<Value = Risk> {
    prop::sample::select(Risk::ALL.to_vec())
}

fn any_when() -> impl Strategy<Value = When> {
    let leaf = || {
        prop_oneof![
            2 => Just(When::Always),
            1 => prop::sample::select(vec!["crown", "lab"]).prop_map(When::Tagged),
            1 => (0usize..2).prop_map(When::OnNode),
            1 => (0usize..6).prop_map(When::HitsOver),
            1 => (0usize..2).prop_map(When::AskedBy),
            1 => prop::sample::select(ACTIONS.to_vec()).prop_map(When::Action),
            1 => (0i64..24).prop_map(When::BeforeHour),
            1 => (0i64..7).prop_map(When::Weekday),
            1 => any_risk().prop_map(When::RiskIs),
            1 => any_risk().prop_map(When::RiskAtLeast),
        ]
    };
    prop_oneof![
        4 => leaf(),
        1 => leaf().prop_map(|when| When::Not(Box::new(when))),
        1 => (leaf(), leaf()).prop_map(|(one, other)| When::Both(Box::new(one), Box::new(other))),
    ]
}

pub(super) fn any_rule() -> impl Strategy<Value = Rule> {
    let group = prop::option::weighted(0.7, prop::sample::select(vec!["ops", "storage"]));
    (
        any_when(),
        prop::option::weighted(0.4, any_risk()),
        prop_oneof![2 => Just(vec![]), 1 => prop::collection::vec((1u32..3, group), 1..3)],
        prop::bool::weighted(0.06),
        prop::bool::weighted(0.06),
    )
        .prop_map(|(when, raises_to, wants, denies, guards)| Rule {
            when,
            raises_to,
            wants,
            denies,
            guards,
        })
}
