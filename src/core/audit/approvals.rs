//! Decisions as they are put on record.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use serde::{Deserialize, Serialize};

use crate::api::{
    Decision, GrantedApproval, PlanRef, ProxmoxActionApproval, ProxmoxActionApprovalSpec, Risk, Source,
};

use super::AuditRecord;

/// A decision as it was read live, right before it was relied on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ApprovalOnRecord {
    #[serde(flatten)]
    pub granted: GrantedApproval,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// What it was given for; a no may be to an earlier judgement than the one it stops.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan_hash: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub risk: Option<Risk>,
    /// Groups that it names; those that are proven stand in `groups`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approver_groups: Vec<String>,
    /// The attempt that it decides about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<i64>,
}

impl ApprovalOnRecord {
    /// Of one that was counted before, and is not read any more.
    pub fn of(granted: GrantedApproval) -> Self {
        Self {
            granted,
            expires_at: None,
            reason: String::new(),
            source: None,
            plan_hash: None,
            risk: None,
            approver_groups: vec![],
            attempt: None,
        }
    }
}

impl From<&ProxmoxActionApproval> for ApprovalOnRecord {
    /// Groups are not taken over: here they are what the approver says, and on record what is proven.
    fn from(approval: &ProxmoxActionApproval) -> Self {
        let spec = &approval.spec;
        let granted = GrantedApproval {
            name: approval.name_any(),
            uid: approval.uid().unwrap_or_default(),
            approved_by: spec.approved_by.clone(),
            groups: vec![],
        };
        Self {
            granted,
            expires_at: spec.expires_at.clone(),
            reason: spec.reason.clone(),
            source: spec.source,
            plan_hash: Some(spec.plan_hash.clone()),
            risk: Some(spec.risk),
            approver_groups: spec.approver_groups.clone(),
            attempt: spec.attempt,
        }
    }
}

impl ApprovalOnRecord {
    /// What the approval says, to the letter, as far as this line tells all of it.
    pub(super) fn spec(&self, record: &AuditRecord) -> Option<ProxmoxActionApprovalSpec> {
        let decision = record.decision?;
        // A yes is to the very judgement that the line is about.
        let hash = if decision == Decision::Approve { &record.plan_hash } else { &self.plan_hash };
        Some(ProxmoxActionApprovalSpec {
            plan_ref: PlanRef { name: record.plan.clone(), uid: record.plan_uid.clone() },
            plan_hash: hash.clone()?,
            decision,
            approved_by: self.granted.approved_by.clone(),
            approver_groups: self.approver_groups.clone(),
            environment: record.environment.clone(),
            risk: self.risk?,
            reason: self.reason.clone(),
            expires_at: self.expires_at.clone(),
            source: self.source,
            attempt: self.attempt,
        })
    }
}
