//! Policies and environments as people could write them. Each is kept as what it means, which the oracle goes by; the
//! objects that the operator is given are written from that.

use std::cell::OnceCell;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{
    super::tests::noon,
    law_of_tests::stops,
    rules_of_tests::{Rule, any_rule},
};
use crate::{
    api::{Preset, ProxmoxEnvironment, ProxmoxPolicy, Risk},
    core::policy::{Policy, Unusable},
};

/// What an environment is ruled by.
#[derive(Clone, Debug)]
pub(super) struct House {
    /// `None` if the environment names no policy.
    pub(super) policy: Option<Terms>,
    pub(super) knobs: Knobs,
    /// A global freeze in another policy of the namespace.
    pub(super) beside: Option<Freeze>,
}

#[derive(Clone, Debug)]
pub(super) struct Terms {
    pub(super) preset: Preset,
    pub(super) knobs: Knobs,
    pub(super) rules: Vec<Rule>,
    pub(super) protected: Vec<Protected>,
    pub(super) windows: Vec<Window>,
    pub(super) freeze: Option<Freeze>,
    pub(super) in_vienna: bool,
    pub(super) flaw: Option<Flaw>,
}

#[derive(Clone, Debug)]
pub(super) struct Knobs {
    pub(super) stops: Option<bool>,
    /// From low to critical.
    pub(super) people: [Option<u32>; 4],
    pub(super) hits_per_approver: Option<u32>,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Protected {
    Target,
    Tag(&'static str),
    Pool,
    /// Who is only hit beside the target.
    Job,
}

/// Until so many seconds after noon; until it is taken away if absent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Freeze(pub(super) Option<i64>);

/// In seconds after noon.
#[derive(Clone, Debug)]
pub(super) struct Window {
    pub(super) from: Option<i64>,
    pub(super) until: Option<i64>,
    pub(super) weekly: Option<Weekly>,
}

/// Monday is day 0; in minutes of the day.
#[derive(Clone, Debug)]
pub(super) struct Weekly {
    pub(super) days: Vec<i64>,
    pub(super) from: i64,
    pub(super) until: i64,
}

/// Why nothing can be judged by it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Flaw {
    NoSuchField,
    NoSuchZone,
    FailsWhenAsked,
}

pub(super) const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
pub(super) const JOB: &str = "backup-job/nightly-0";

fn any_knobs() -> impl Strategy<Value = Knobs> {
    let people = |least: u32| prop::option::weighted(0.2, least..3);
    (
        prop::option::weighted(0.3, any::<bool>()),
        [people(0).boxed(), people(0).boxed(), people(1).boxed(), people(1).boxed()],
        prop::option::weighted(0.2, 1u32..5),
    )
        .prop_map(|(stops, people, hits_per_approver)| Knobs { stops, people, hits_per_approver })
}

fn any_window() -> impl Strategy<Value = Window> {
    let clock = || 0i64..1440;
    let weekly = (prop::sample::subsequence((0i64..7).collect::<Vec<_>>(), 1..4), clock(), clock())
        .prop_map(|(days, from, until)| Weekly { days, from, until });
    (
        prop::option::weighted(0.7, -90_000i64..90_000),
        prop::option::weighted(0.7, 1i64..90_000),
        prop::option::weighted(0.5, weekly),
    )
        .prop_map(|(from, length, weekly)| Window {
            from,
            until: length.map(|length| from.unwrap_or(-60) + length),
            weekly,
        })
}

fn any_freeze() -> impl Strategy<Value = Freeze> {
    prop::option::weighted(0.8, -60i64..120).prop_map(Freeze)
}

fn any_terms() -> impl Strategy<Value = Terms> {
    let protected = prop_oneof![
        1 => Just(Protected::Target),
        1 => Just(Protected::Pool),
        1 => Just(Protected::Tag("crown")),
        2 => Just(Protected::Tag("lab")),
        1 => Just(Protected::Job),
    ];
    let flaw = prop::sample::select(vec![Flaw::NoSuchField, Flaw::NoSuchZone, Flaw::FailsWhenAsked]);
    let some = |likely, freeze| prop::option::weighted(likely, freeze);
    (
        prop::sample::select(Preset::ALL.to_vec()),
        any_knobs(),
        prop::collection::vec(any_rule(), 0..4),
        prop_oneof![4 => Just(vec![]), 1 => prop::collection::vec(protected, 1..3)],
        prop_oneof![4 => Just(vec![]), 1 => prop::collection::vec(any_window(), 1..3)],
        some(0.15, any_freeze()),
        any::<bool>(),
        prop::option::weighted(0.04, flaw),
    )
        .prop_map(|(preset, knobs, rules, protected, windows, freeze, in_vienna, flaw)| Terms {
            preset,
            knobs,
            rules,
            protected,
            windows,
            freeze,
            in_vienna,
            flaw,
        })
}

pub(super) fn any_house() -> impl Strategy<Value = House> {
    (prop::option::weighted(0.9, any_terms()), any_knobs(), prop::option::weighted(0.15, any_freeze()))
        .prop_map(|(policy, knobs, beside)| House { policy, knobs, beside })
}

fn moment(seconds: i64) -> String {
    (noon() + jiff::SignedDuration::from_secs(seconds)).to_string()
}

fn clock(minutes: i64) -> String {
    format!("{:02}:{:02}", minutes / 60, minutes % 60)
}

impl Knobs {
    fn written(&self) -> Value {
        let risks = Risk::ALL
            .iter()
            .zip(self.people)
            .filter_map(|(risk, people)| Some((risk.to_string(), json!(people?))));
        json!({
            "guards": self.stops.map(|stops| if stops { "stop" } else { "warn" }),
            "approvals": risks.collect::<serde_json::Map<_, _>>(),
            "hitsPerApprover": self.hits_per_approver,
        })
    }
}

impl Freeze {
    fn written(self) -> Value {
        json!({"reason": "ice", "until": self.0.map(moment)})
    }
}

impl Window {
    fn written(&self, number: usize) -> Value {
        let weekly = self.weekly.as_ref().map(|weekly| {
            let days: Vec<&str> =
                weekly.days.iter().map(|day| DAYS[usize::try_from(*day).unwrap()]).collect();
            json!({"days": days, "from": clock(weekly.from), "until": clock(weekly.until)})
        });
        json!({
            "name": format!("w{number}"), "from": self.from.map(moment), "until": self.until.map(moment), "weekly": weekly,
        })
    }
}

impl Terms {
    fn written(&self) -> ProxmoxPolicy {
        let mut rules: Vec<Value> =
            self.rules.iter().enumerate().map(|(number, rule)| rule.written(number)).collect();
        match self.flaw {
            Some(Flaw::NoSuchField) => {
                rules.push(json!({"name": "typo", "when": "target.naem == 'x'", "warn": "x"}));
            }
            Some(Flaw::FailsWhenAsked) => {
                rules.push(json!({"name": "empty", "when": "plan.params['none'] == 'x'", "warn": "x"}));
            }
            Some(Flaw::NoSuchZone) | None => {}
        }
        let of = |wanted: fn(&Protected) -> Option<&'static str>| -> Vec<&str> {
            self.protected.iter().filter_map(wanted).collect()
        };
        let spec = json!({
            "preset": self.preset, "knobs": self.knobs.written(), "rules": rules,
            "protection": {
                "targets": of(|one| match one {
                    Protected::Target => Some("qemu/100"),
                    Protected::Job => Some(JOB),
                    _ => None,
                }),
                "tags": of(|one| if let Protected::Tag(tag) = one { Some(tag) } else { None }),
                "pools": of(|one| matches!(one, Protected::Pool).then_some("vault")),
            },
            "freezeWindows": self.windows.iter().enumerate().map(|(number, one)| one.written(number)).collect::<Vec<_>>(),
            "globalFreeze": self.freeze.map(Freeze::written),
            "timeZone": match (self.flaw, self.in_vienna) {
                (Some(Flaw::NoSuchZone), _) => "Europe/Wien",
                (_, true) => "Europe/Vienna",
                (_, false) => "UTC",
            },
        });
        let mut policy = ProxmoxPolicy::new("house", serde_json::from_value(spec).unwrap());
        policy.metadata.uid = Some("house".into());
        policy
    }
}

/// A house as the operator reads it.
#[derive(Debug)]
pub(super) struct Built {
    pub(super) house: House,
    pub(super) environment: ProxmoxEnvironment,
    policy: OnceCell<Result<Policy, Unusable>>,
    /// What approvals take for granted about it.
    pub(super) terms: String,
}

impl Built {
    pub(super) fn new(house: House) -> Self {
        let spec = json!({
            "endpoints": ["https://pve1"], "credentials": {"secretRef": {"name": "s"}}, "tier": "lab",
            "policyKnobs": house.knobs.written(),
        });
        let environment = ProxmoxEnvironment::new("home", serde_json::from_value(spec).unwrap());
        let terms = house.policy.as_ref();
        let terms = terms.map(|terms| (terms.preset, &terms.rules, &terms.protected, terms.in_vienna));
        let terms = format!("{:?}", (terms, stops(&house)));
        Self { environment, policy: OnceCell::new(), terms, house }
    }

    /// Compiled once: that takes longer than anything else here.
    pub(super) fn policy(&self) -> Result<&Policy, Unusable> {
        let policy = self.policy.get_or_init(|| {
            let written = self.house.policy.as_ref().map(Terms::written);
            let beside = self.house.beside.iter().map(|freeze| {
                let spec = json!({"globalFreeze": freeze.written()});
                ProxmoxPolicy::new("beside", serde_json::from_value(spec).unwrap())
            });
            Policy::of(written.as_ref(), &self.environment, &beside.collect::<Vec<_>>())
        });
        policy.as_ref().map_err(Clone::clone)
    }
}
