//! Which rules apply to a plan.

use std::collections::BTreeSet;

use crate::api::{PolicyRule, Risk};

use super::{compile::Fault, expression::Condition, running::Asked};

/// A rule that can be asked.
#[derive(Debug)]
pub(super) struct Rule {
    pub spec: PolicyRule,
    pub condition: Condition,
}

/// The rules of a policy, in its order.
#[derive(Debug)]
pub(super) struct Rules(Vec<Rule>);

/// What the rules have to say about a plan.
#[derive(Debug)]
pub(super) struct Applying<'a> {
    pub rules: Vec<&'a PolicyRule>,
    /// The highest that any of them raises it to, if that is higher than it was.
    pub risk: Risk,
}

impl Rules {
    pub(super) fn new(rules: Vec<Rule>) -> Self {
        Self(rules)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A rule applies if it holds for the risk that was found, or for any above it up to the one that rules raise it to.
    /// So no rule hides a plan from another, and their order does not matter.
    pub(super) fn applying(&self, asked: &mut Asked, found: Risk) -> Result<Applying<'_>, Vec<Fault>> {
        let mut applying = BTreeSet::new();
        let mut risk = found;
        for level in Risk::ALL.into_iter().filter(|level| *level >= found) {
            if level > risk {
                break;
            }
            asked.suppose(level);
            applying.extend(self.holding(asked, level == found)?);
            let raised = applying.iter().filter_map(|number: &usize| self.0[*number].spec.raise_risk_to);
            risk = raised.max().unwrap_or(risk).max(risk);
        }
        Ok(Applying { rules: applying.into_iter().map(|number| &self.0[number].spec).collect(), risk })
    }

    /// Whoever does not ask for the risk is asked only once.
    fn holding(&self, asked: &Asked, first: bool) -> Result<Vec<usize>, Vec<Fault>> {
        let (mut holding, mut faults) = (Vec::new(), Vec::new());
        for (number, rule) in self.0.iter().enumerate() {
            if !first && !rule.condition.asks_for_risk {
                continue;
            }
            match asked.holds(&rule.condition.program) {
                Ok(true) => holding.push(number),
                Ok(false) => {}
                Err(why) => faults.push(Fault { part: format!("rule {}", rule.spec.name), why }),
            }
        }
        if faults.is_empty() { Ok(holding) } else { Err(faults) }
    }
}
