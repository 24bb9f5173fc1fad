//! How risky a request is, and why.

use crate::api::Risk;

use super::request::Request;

/// A risk with the reasons that led to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assessment {
    pub risk: Risk,
    pub reasons: Vec<String>,
}

/// The action's own risk.
pub fn assess(request: &Request) -> Assessment {
    let action = request.action;
    Assessment {
        risk: action.base_risk,
        reasons: vec![format!("{}: {}", action.base_risk, action.risk_reason)],
    }
}
