//! Whether an approval counts, and whether there are enough.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::api::{
    ApprovalSource, ApprovalVerdict, Decision, GrantedApproval, Phase, PlanStatus, ProxmoxActionApproval,
    ProxmoxActionApprovalSpec, Tier,
};

use super::judge::Judged;

/// How long an approval without `expiresAt` counts.
pub const DEFAULT_LIFETIME: SignedDuration = SignedDuration::from_hours(24);

/// What stands behind the name in an approval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// The API server let its writer create it.
    ApiServer,
    /// Its writer could write to the directory.
    DirectoryAccess,
}

impl Proof {
    /// In plain words, for the status.
    pub fn described(self) -> &'static str {
        match self {
            Self::ApiServer => {
                "an approval is worth the right to create approvals on the API server: role bindings decide who has it"
            }
            Self::DirectoryAccess => {
                "an approval is worth write access to this directory: whoever can write here can approve in any name"
            }
        }
    }

    /// Production wants more than write access to a directory.
    pub fn is_enough_for(self, tier: Tier) -> bool {
        self != Self::DirectoryAccess || tier != Tier::Production
    }
}

/// What an approval is held against.
#[derive(Clone, Copy, Debug)]
pub struct Bench<'a> {
    pub plan: &'a ObjectMeta,
    pub requested_by: &'a str,
    pub environment: &'a str,
    pub tier: Tier,
    pub judged: &'a Judged,
    pub proof: Proof,
    pub now: Timestamp,
}

/// Why an approval does not count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// One word for programs.
    pub reason: &'static str,
    /// A sentence for people, beginning with the field.
    pub message: String,
}

/// An approval that counts, until then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counted {
    pub decision: Decision,
    pub granted: GrantedApproval,
    pub until: Timestamp,
}

/// Judges one approval.
pub fn admit(approval: &ProxmoxActionApproval, bench: Bench<'_>) -> Result<Counted, Refusal> {
    let spec = &approval.spec;
    let until =
        expiry(approval).ok_or_else(|| refuse("NotDated", "metadata.creationTimestamp: is missing"))?;
    about_this_plan(spec, bench)?;
    if until <= bench.now {
        return Err(refuse("Expired", format!("spec.expiresAt: the approval ended at {until}")));
    }
    if spec.attempt.is_some() {
        let message = "spec.attempt: is only for a plan whose outcome is unknown";
        return Err(refuse("NoAttemptToDecide", message));
    }
    if spec.decision == Decision::Approve {
        worth_a_yes(spec, bench)?;
    }
    let granted = GrantedApproval {
        name: approval.metadata.name.clone().unwrap_or_default(),
        approved_by: spec.approved_by.clone(),
    };
    Ok(Counted { decision: spec.decision, granted, until })
}

fn refuse(reason: &'static str, message: impl Into<String>) -> Refusal {
    Refusal { reason, message: message.into() }
}

fn about_this_plan(spec: &ProxmoxActionApprovalSpec, bench: Bench<'_>) -> Result<(), Refusal> {
    let uid = bench.plan.uid.as_deref().unwrap_or_default();
    if bench.plan.name.as_deref() != Some(&spec.plan_ref.name) || spec.plan_ref.uid != uid {
        let message = format!(
            "spec.planRef.uid: is for another plan, {}; the plan of this name is {uid}",
            spec.plan_ref.uid
        );
        return Err(refuse("OtherPlan", message));
    }
    let plan_hash = bench.judged.plan_hash.to_string();
    if spec.plan_hash != plan_hash {
        let message = format!("spec.planHash: is {}, the plan's is {plan_hash}", spec.plan_hash);
        return Err(refuse("OtherPlanHash", message));
    }
    if spec.environment != bench.environment {
        let message =
            format!("spec.environment: is {}, the plan's is {}", spec.environment, bench.environment);
        return Err(refuse("OtherEnvironment", message));
    }
    if spec.risk != bench.judged.risk {
        let message = format!("spec.risk: is {}, the plan's is {}", spec.risk, bench.judged.risk);
        return Err(refuse("OtherRisk", message));
    }
    Ok(())
}

/// Anybody may stop a plan; letting it pass takes more.
fn worth_a_yes(spec: &ProxmoxActionApprovalSpec, bench: Bench<'_>) -> Result<(), Refusal> {
    if spec.approved_by == bench.requested_by {
        let message =
            format!("spec.approved_by: {} asked for the plan and can't approve it", spec.approved_by);
        return Err(refuse("OwnPlan", message));
    }
    if spec.source == Some(ApprovalSource::Git) && bench.proof == Proof::ApiServer {
        let message =
            "spec.source: approvals by git are not accepted yet: their commit's signature is not verified";
        return Err(refuse("GitNotVerified", message));
    }
    if !bench.proof.is_enough_for(bench.tier) {
        let message = format!(
            "spec.approved_by: {}; an environment of tier production does not accept that",
            bench.proof.described()
        );
        return Err(refuse("NotProven", message));
    }
    Ok(())
}

/// Until when an approval counts. `None` if it has no date at all.
fn expiry(approval: &ProxmoxActionApproval) -> Option<Timestamp> {
    if let Some(expires_at) = &approval.spec.expires_at {
        return Some(expires_at.0);
    }
    approval.metadata.creation_timestamp.as_ref()?.0.checked_add(DEFAULT_LIFETIME).ok()
}

/// All approvals of a plan, judged together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// At most one for each approver.
    pub granted: Vec<GrantedApproval>,
    /// Who said no, if anybody did.
    pub denied_by: Option<GrantedApproval>,
    pub refused: Vec<(String, Refusal)>,
    /// When the first of those granted ends.
    pub stands_until: Option<Timestamp>,
}

/// Judges all approvals of a plan. The order in which they are given does not matter.
pub fn tally(approvals: &[ProxmoxActionApproval], bench: Bench<'_>) -> Tally {
    let mut sorted: Vec<&ProxmoxActionApproval> = approvals.iter().collect();
    sorted.sort_by_key(|approval| approval.metadata.name.clone());
    let mut tally = Tally::default();
    let mut approvers = BTreeSet::new();
    for approval in sorted {
        if approval.metadata.deletion_timestamp.is_some() {
            continue;
        }
        match admit(approval, bench) {
            Ok(Counted { decision: Decision::Deny, granted, .. }) => tally.denied_by = Some(granted),
            Ok(counted) if approvers.insert(counted.granted.approved_by.clone()) => {
                let until = tally.stands_until.map_or(counted.until, |other| other.min(counted.until));
                tally.stands_until = Some(until);
                tally.granted.push(counted.granted);
            }
            Ok(_) => {}
            Err(refusal) => {
                tally.refused.push((approval.metadata.name.clone().unwrap_or_default(), refusal));
            }
        }
    }
    tally.granted.truncate(16);
    tally
}

impl Tally {
    pub fn is_enough(&self, required: u32) -> bool {
        self.denied_by.is_none() && self.granted.len() >= required as usize
    }
}

/// What an approval is told about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// `None` as long as it can't be said.
    pub verdict: Option<ApprovalVerdict>,
    /// One word for programs.
    pub reason: String,
    /// A sentence for people.
    pub message: String,
    /// Until when it counts.
    pub until: Option<Timestamp>,
}

impl Verdict {
    /// There is no answer yet.
    pub fn open(reason: &str, message: &str) -> Self {
        Self { verdict: None, reason: reason.to_owned(), message: message.to_owned(), until: None }
    }

    fn counted(until: Option<Timestamp>) -> Self {
        Self {
            verdict: Some(ApprovalVerdict::Counted),
            reason: "Counted".to_owned(),
            message: until.map_or_else(String::new, |until| format!("counts until {until}")),
            until,
        }
    }

    fn refused(refusal: Refusal) -> Self {
        Self {
            verdict: Some(ApprovalVerdict::Refused),
            reason: refusal.reason.to_owned(),
            message: refusal.message,
            until: None,
        }
    }
}

/// Whether an approval counts. The answer to one that counted stays the same when its plan moves on.
pub fn verdict(
    approval: &ProxmoxActionApproval,
    plan_status: Option<&PlanStatus>,
    bench: Bench<'_>,
) -> Verdict {
    let phase = plan_status.map(|status| status.phase).unwrap_or_default();
    let over = phase.is_in_flight() || phase.is_terminal();
    if over && was_granted(approval, plan_status) {
        return Verdict::counted(expiry(approval));
    }
    match admit(approval, bench) {
        Err(refusal) => Verdict::refused(refusal),
        Ok(counted) if over && !(counted.decision == Decision::Deny && phase == Phase::Denied) => {
            Verdict::refused(refuse("TooLate", format!("the plan was already {phase} when this came")))
        }
        Ok(counted) => Verdict::counted(Some(counted.until)),
    }
}

fn was_granted(approval: &ProxmoxActionApproval, plan_status: Option<&PlanStatus>) -> bool {
    let name = approval.metadata.name.as_deref().unwrap_or_default();
    plan_status
        .and_then(|status| status.approvals.as_ref())
        .is_some_and(|all| all.granted.iter().any(|granted| granted.name == name))
}
