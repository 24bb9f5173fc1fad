//! How risky a request is, and why.

use crate::api::Risk;

use super::{radius::Radius, request::Request};

/// As many reasons as a status holds.
const REASONS: usize = 16;

/// A risk with the reasons that led to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assessment {
    pub risk: Risk,
    pub reasons: Vec<String>,
}

/// The action's own risk, raised by everyone who is hit. What could not be seen counts as the worst.
pub fn assess(request: &Request, radius: &Radius) -> Assessment {
    let action = request.action;
    let mut risk = action.base_risk;
    let mut reasons = vec![format!("{}: {}", action.base_risk, action.risk_reason)];
    let mut raise = |to: Risk, why: String| {
        if to > risk {
            reasons.push(format!("{risk} -> {to}: {why}").chars().take(512).collect());
            risk = to;
        }
    };
    for hit in &radius.hits {
        if let Some(to) = hit.raises {
            raise(to, format!("{} {}", hit.subject, hit.effect));
        }
    }
    for why in &radius.unknown {
        raise(Risk::Critical, format!("unknown counts as worst: {why}"));
    }
    reasons.truncate(REASONS);
    Assessment { risk, reasons }
}
