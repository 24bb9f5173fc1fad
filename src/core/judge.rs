//! From a request and the world it meets to a judgement: how risky it is, what it needs, what exactly would be sent.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::json;
use thiserror::Error;

use crate::api::{PolicyDecision, Preview, ProxmoxActionPlan, ProxmoxEnvironment, Risk};

use super::{
    allowed::refused,
    call::{Dispatch, PlanIdentity, dispatch_for},
    demand::Demand,
    denial::{denial, lacking},
    fingerprint::fingerprint,
    hash::{NotCanonical, PlanHash, RequestHash},
    observe::World,
    policy::{Case, Hold, Policy, Unusable},
    preview::preview,
    privileges,
    radius::{Radius, radius},
    request::Request,
    risk::assess,
};

pub use super::denial::{Denial, TARGET_NOT_FOUND};
pub use super::fingerprint::moved;

/// A plan that was judged. Approvals bind to its `plan_hash`.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    pub request_hash: RequestHash,
    pub plan_hash: PlanHash,
    pub risk: Risk,
    pub risk_reasons: Vec<String>,
    pub policy: PolicyDecision,
    pub demand: Demand,
    pub fingerprint: BTreeMap<String, String>,
    pub preview: Preview,
}

/// Whose request is judged, where, when and under which rules.
#[derive(Clone, Copy, Debug)]
pub struct Setting<'a> {
    pub plan: &'a ProxmoxActionPlan,
    pub environment: &'a ProxmoxEnvironment,
    pub policy: &'a Policy,
    pub now: Timestamp,
}

/// What came of judging.
#[derive(Clone, Debug)]
pub struct Judgement {
    pub judged: Judged,
    /// What would be sent, if anything.
    pub dispatch: Option<Dispatch>,
    /// It may be approved, but must not be sent yet.
    pub hold: Option<Hold>,
}

/// Why there is no judgement.
#[derive(Debug, Error)]
pub enum Unjudged {
    #[error("{}", .0.message)]
    Denied(Denial),
    #[error(transparent)]
    Unruled(#[from] Unusable),
    #[error(transparent)]
    NotCanonical(#[from] NotCanonical),
}

/// Judges a request by the world as it is right now.
pub fn judge(request: &Request, world: &World, setting: Setting<'_>) -> Result<Judgement, Unjudged> {
    let request_hash = request.hash()?;
    if let Some(denial) = denial(request, world) {
        return Err(Unjudged::Denied(denial));
    }
    let radius = radius(request, world, setting.now);
    let fingerprint = fingerprint(request, world, &radius, setting.environment)?;
    let draft = Draft { request, world, radius: &radius, uid: setting.plan.metadata.uid.as_deref() };
    // What rules see of the calls can't depend on what the rules say: only a name made from planHash differs.
    let unruled =
        PlanHash::of("the plan", &json!({"request": request_hash.to_string(), "fingerprint": fingerprint}))?;
    let (_, preview) = draft.drawn(&unruled, &[])?;
    let ruling = setting.policy.rule(Case {
        plan: setting.plan,
        environment: setting.environment,
        request,
        world,
        radius: &radius,
        preview: &preview,
        assessment: &assess(request, &radius),
        now: setting.now,
    })?;
    if let Some(denial) = ruling.denial {
        return Err(Unjudged::Denied(denial));
    }
    let risk = ruling.assessment.risk();
    let agreed = json!({
        "version": 2,
        "request": request_hash.to_string(),
        "fingerprint": fingerprint,
        "policy": setting.policy.digest(),
        "risk": risk,
        "demand": ruling.demand,
    });
    let plan_hash = PlanHash::of("the plan", &agreed)?;
    let (dispatch, preview) = draft.drawn(&plan_hash, &ruling.warnings)?;
    let judged = Judged {
        preview,
        risk_reasons: ruling.assessment.reasons(),
        request_hash,
        plan_hash,
        risk,
        policy: ruling.decision,
        demand: ruling.demand,
        fingerprint,
    };
    Ok(Judgement { judged, dispatch, hold: ruling.hold })
}

/// What a preview and a call are drawn from.
struct Draft<'a> {
    request: &'a Request,
    world: &'a World,
    radius: &'a Radius,
    uid: Option<&'a str>,
}

impl Draft<'_> {
    fn drawn(
        &self,
        plan_hash: &PlanHash,
        by_policy: &[String],
    ) -> Result<(Option<Dispatch>, Preview), Unjudged> {
        let Self { request, world, radius, uid } = *self;
        let identity = PlanIdentity { hash: plan_hash, uid: uid.unwrap_or_default() };
        let dispatch = dispatch_for(request, world, identity)?;
        if let Some(denial) = dispatch.as_ref().and_then(|dispatch| refused(request, world, dispatch)) {
            return Err(Unjudged::Denied(denial));
        }
        let privileges = privileges::compare(request, world, dispatch.as_ref())
            .map_err(|missing| Unjudged::Denied(lacking(request, &missing)))?;
        let preview = preview(request, world, dispatch.as_ref(), privileges, radius, by_policy);
        Ok((dispatch, preview))
    }
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
