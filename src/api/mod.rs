//! The kinds of `proxmox-agent.io/v1alpha1` and nothing else: what people and syncers write, what the operator answers.
//!
//! Every string and list has a bound, and what must never change is refused by the API server itself (CEL rules).

mod approval;
mod attempt;
mod bounds;
mod conditions;
pub mod crd;
mod environment;
mod phase;
mod plan;
mod policy;
mod preview;
mod provenance;
mod risk;

pub use approval::{
    ApprovalStatus, ApprovalVerdict, Decision, PlanRef, ProxmoxActionApproval, ProxmoxActionApprovalSpec,
};
pub use attempt::{Answer, Doubt, EarlierAttempt, Hint, Intent, Says, TaskReport};
pub use conditions::{READY, RECONCILING, STALLED, set_condition};
pub use environment::{
    AdmissionRecord, AuditAnchor, Budgets, Credentials, EnvironmentStatus, GitTrust, NodeStatus, PolicyRef,
    ProxmoxEnvironment, ProxmoxEnvironmentSpec, SecretKeyRef, Signer, Tier, TlsTrust,
};
pub use phase::Phase;
pub use plan::{
    ApprovalProgress, Decided, GrantedApproval, GroupDemand, PlanStatus, PolicyDecision, ProxmoxActionPlan,
    ProxmoxActionPlanSpec, ReadResult, RefusedApproval,
};
pub use policy::{
    ApprovalsByRisk, Freeze, FreezeWindow, GuardMode, HourlyLimits, Knobs, PolicyRule, PolicyStatus, Preset,
    Protection, ProxmoxPolicy, ProxmoxPolicySpec, RuleDemand, Weekday, WeeklyHours,
};
pub use preview::{
    BlastRadius, CompensatingPlan, Preview, PreviewedCall, PreviewedChange, PreviewedHit, PreviewedUndo,
    PrivilegeReport,
};
pub use provenance::{Provenance, Source};
pub use risk::Risk;

/// The API group of every kind.
pub const GROUP: &str = "proxmox-agent.io";
/// The version that is stored and served.
pub const VERSION: &str = "v1alpha1";
