//! How risky a request is, and why.

use crate::api::Risk;

use super::{radius::Radius, request::Request};

/// As many reasons as a status holds, and as long.
const REASONS: usize = 16;
const TEXT: usize = 512;

/// A risk with the reasons that led to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assessment {
    risk: Risk,
    /// The action's own, then one for each step up.
    steps: Vec<String>,
    /// What else would have led as high.
    beside: Vec<String>,
}

impl Assessment {
    fn of(base: Risk, why: &str) -> Self {
        Self { risk: base, steps: vec![format!("{base}: {why}")], beside: vec![] }
    }

    pub fn risk(&self) -> Risk {
        self.risk
    }

    /// One more reason for it to be so risky, or riskier than it was.
    pub fn raise(&mut self, to: Risk, why: &str) {
        if to > self.risk {
            self.steps.push(format!("{} -> {to}: {why}", self.risk));
            self.risk = to;
        } else {
            self.beside.push(format!("also {to}: {why}"));
        }
    }

    pub fn reasons(&self) -> Vec<String> {
        bounded(self.steps.clone(), self.beside.clone())
    }
}

/// The action's own risk, raised by everyone who is hit. What could not be seen counts as the worst.
pub fn assess(request: &Request, radius: &Radius) -> Assessment {
    let action = request.action;
    let mut assessment = Assessment::of(action.base_risk, action.risk_reason);
    for (to, why) in raisers(action.base_risk, radius) {
        assessment.raise(to, &why);
    }
    assessment
}

/// Everything that makes it riskier than it is by itself, from the least to the worst.
fn raisers(base: Risk, radius: &Radius) -> Vec<(Risk, String)> {
    let hits =
        radius.hits.iter().filter_map(|hit| Some((hit.raises?, format!("{} {}", hit.subject, hit.effect))));
    let unknown =
        radius.unknown.iter().map(|why| (Risk::Critical, format!("unknown counts as worst: {why}")));
    let mut raisers: Vec<(Risk, String)> = unknown.chain(hits).filter(|(to, _)| *to > base).collect();
    raisers.sort_by_key(|(to, _)| *to);
    raisers
}

/// There are fewer steps than a status has lines: only what stands beside them is ever cut, and counted.
fn bounded(mut steps: Vec<String>, mut beside: Vec<String>) -> Vec<String> {
    let room = REASONS.saturating_sub(steps.len());
    if beside.len() > room {
        let cut = beside.len() - room + 1;
        beside.truncate(room - 1);
        beside.push(format!("and {cut} more"));
    }
    steps.append(&mut beside);
    steps.into_iter().map(|reason| reason.chars().take(TEXT).collect()).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::core::{
        radius::Hit,
        request::{normalise, tests::spec},
    };

    fn hit(number: usize, raises: Option<Risk>) -> Hit {
        Hit { subject: format!("qemu/{number}"), effect: "x".repeat(600), detail: String::new(), raises }
    }

    fn assessed(radius: &Radius) -> (Risk, Vec<String>) {
        let request = normalise("default", &spec("shutdown_guest", "qemu/100", json!({}))).unwrap();
        let assessment = assess(&request, radius);
        (assessment.risk(), assessment.reasons())
    }

    #[test]
    fn each_step_of_the_risk_has_its_reason() {
        let hits = vec![
            hit(1, Some(Risk::Critical)),
            hit(2, None),
            hit(3, Some(Risk::High)),
            hit(4, Some(Risk::Low)),
        ];
        let (risk, reasons) = assessed(&Radius { hits, unknown: vec![] });
        assert_eq!(risk, Risk::Critical);
        let starts = ["medium: an outage", "medium -> high: qemu/3", "high -> critical: qemu/1"];
        assert_eq!(reasons.len(), starts.len(), "{reasons:?}");
        assert!(reasons.iter().zip(starts).all(|(reason, start)| reason.starts_with(start)), "{reasons:?}");
    }

    #[test]
    fn what_can_not_be_seen_counts_as_the_worst() {
        let (risk, reasons) = assessed(&Radius { hits: vec![], unknown: vec!["no VM.Audit".into()] });
        assert_eq!(
            (risk, reasons[1].as_str()),
            (Risk::Critical, "medium -> critical: unknown counts as worst: no VM.Audit")
        );
    }

    proptest! {
        #[test]
        fn no_number_of_reasons_hides_the_step_that_led_to_the_risk(raises in prop::collection::vec(0usize..5, 0..200), unknown in 0usize..40) {
            let hits = raises.iter().enumerate().map(|(number, raise)| hit(number, Risk::ALL.get(*raise).copied())).collect();
            let radius = Radius { hits, unknown: (0..unknown).map(|n| format!("part {n}")).collect() };
            let (risk, reasons) = assessed(&radius);
            let worst = radius.hits.iter().filter_map(|hit| hit.raises).chain((unknown > 0).then_some(Risk::Critical)).max();
            prop_assert_eq!(risk, worst.unwrap_or(Risk::Low).max(Risk::Medium));
            prop_assert!(reasons.len() <= REASONS && reasons.iter().all(|reason| reason.chars().count() <= TEXT));
            let told = |reason: &String| reason.contains(&format!("-> {risk}: "));
            prop_assert!(risk == Risk::Medium || reasons.iter().any(told), "{:?}", reasons);
        }
    }
}
