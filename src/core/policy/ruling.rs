//! All that a policy decides about one plan.

use jiff::Timestamp;

use crate::{
    api::{Decided, PolicyDecision, PolicyRule, Risk},
    core::{demand::Demand, judge::Denial, risk::Assessment},
};

use super::{
    Policy, Unusable,
    compile::Fault,
    demand::{Stakes, demanded, rule_named},
    facts::{Case, facts},
    room::with_room,
    rules::Applying,
    running::Asked,
};

/// As much as a status holds.
const DECISIONS: usize = 32;
const BY: usize = 128;
const WHAT: usize = 512;

/// What becomes of a plan under a policy.
#[derive(Clone, Debug)]
pub struct Ruling {
    pub assessment: Assessment,
    pub demand: Demand,
    pub decision: PolicyDecision,
    pub warnings: Vec<String>,
    /// It is refused, whoever approves it.
    pub denial: Option<Denial>,
    /// It may be approved, but is not sent yet.
    pub hold: Option<Hold>,
}

/// What holds up a plan that could go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// One word for programs.
    pub reason: &'static str,
    /// A sentence for people.
    pub message: String,
    /// When to look again; when somebody changes something if absent.
    pub until: Option<Timestamp>,
}

impl Policy {
    /// First the risk, then whom that risk needs, then what stops it.
    pub(in crate::core) fn rule(&self, case: Case<'_>) -> Result<Ruling, Unusable> {
        let unusable = |faults| Unusable::new(&self.origin.told(), faults);
        let Applying { rules, risk } = self.applying(case).map_err(unusable)?;
        let (assessment, mut decided) = raised(case.assessment.clone(), &rules);
        let stakes = Stakes {
            risk,
            hits: case.radius.hits.len(),
            is_harmless: case.request.action.is_read() && risk == case.assessment.risk(),
        };
        let demand = demanded(&self.knobs, stakes, &rules, &mut decided)
            .map_err(|why| unusable(vec![Fault { part: "rules".to_owned(), why }]))?;
        let guards = self.knobs.guards();
        let mode = match guards.value {
            crate::api::GuardMode::Stop => "a guard that fails stops the plan",
            crate::api::GuardMode::Warn => "a guard that fails only warns",
        };
        decided.push(Decided { by: guards.by, what: mode.to_owned() });
        let guarded = self.guard(case, &rules, risk);
        let denial = guarded.denial();
        decided.extend(guarded.decided);
        Ok(Ruling {
            assessment,
            demand,
            decision: PolicyDecision {
                preset: self.origin.preset,
                name: self.origin.name.clone(),
                revision: self.origin.revision.clone(),
                decisions: bounded(decided),
            },
            warnings: guarded.warnings,
            denial,
            hold: guarded.hold,
        })
    }

    fn applying(&self, case: Case<'_>) -> Result<Applying<'_>, Vec<Fault>> {
        let found = case.assessment.risk();
        if self.rules.is_empty() {
            return Ok(Applying { rules: vec![], risk: found });
        }
        let facts = facts(case, &self.zone);
        let asked = with_room(|| self.rules.applying(&mut Asked::about(&facts), found));
        asked.unwrap_or_else(|| {
            Err(vec![Fault { part: "rules".to_owned(), why: "could not be asked".to_owned() }])
        })
    }
}

/// The highest wins; each step says whose it is.
fn raised(mut assessment: Assessment, rules: &[&PolicyRule]) -> (Assessment, Vec<Decided>) {
    let found = assessment.risk();
    let mut raising: Vec<(Risk, &PolicyRule)> =
        rules.iter().filter_map(|rule| Some((rule.raise_risk_to?, *rule))).collect();
    raising.retain(|(to, _)| *to > found);
    raising.sort_by_key(|(to, _)| *to);
    let mut decided = Vec::new();
    for (to, rule) in raising {
        assessment.raise(to, &rule_named(rule));
        decided.push(Decided { by: rule_named(rule), what: format!("risk {to} instead of {found}") });
    }
    (assessment, decided)
}

/// What does not fit is counted.
fn bounded(mut decided: Vec<Decided>) -> Vec<Decided> {
    if decided.len() > DECISIONS {
        let cut = decided.len() - DECISIONS + 1;
        decided.truncate(DECISIONS - 1);
        decided.push(Decided { by: "other rules".to_owned(), what: format!("and {cut} more decisions") });
    }
    let cut = |text: String, most: usize| text.chars().take(most).collect::<String>();
    decided.into_iter().map(|one| Decided { by: cut(one.by, BY), what: cut(one.what, WHAT) }).collect()
}
