//! Approving in a directory: writes the approval's file beside the plans.

use std::path::PathBuf;

use clap::Args;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;

use crate::{
    api::{Decision, Phase, PlanRef, ProxmoxActionApproval, ProxmoxActionApprovalSpec, ProxmoxActionPlan},
    ports::Clock,
    system::SystemClock,
};

use super::{Failure, files::Folder, render};

#[derive(Debug, Args)]
pub(super) struct Approve {
    /// The plan's name.
    plan: String,
    #[command(flatten)]
    folder: Folder,
    /// Who decides.
    #[arg(long = "by")]
    approved_by: String,
    #[command(flatten)]
    choice: Choice,
    /// Where to write the approval; `<plan>-approval-<who>.yaml` in the directory if absent.
    #[arg(long)]
    out: Option<PathBuf>,
}

/// What can be said about a plan, here and with kubectl.
#[derive(Clone, Debug, Args)]
pub(super) struct Choice {
    /// Say no instead of yes.
    #[arg(long)]
    deny: bool,
    /// Why.
    #[arg(long, default_value = "")]
    reason: String,
    /// How long the decision counts, such as `2h` or `30m`.
    #[arg(long, default_value = "24h")]
    expires_in: SignedDuration,
}

impl Approve {
    pub(super) fn run(self) -> Result<(), Failure> {
        let plan = self.folder.plan(&self.plan)?;
        let spec = self.choice.on(&plan, &self.approved_by, SystemClock.now())?;
        let name = self.name();
        let mut approval = ProxmoxActionApproval::new(&name, spec);
        approval.metadata.namespace = plan.namespace();
        let file = self.out.unwrap_or_else(|| self.folder.dir.join(format!("{name}.yaml")));
        if file.exists() {
            return Err(format!(
                "{} is there already: delete it to take that decision back first",
                file.display()
            )
            .into());
        }
        std::fs::write(&file, serde_saphyr::to_string(&approval)?)
            .map_err(|error| format!("failed to write {}: {error}", file.display()))?;
        println!("{}\n\nwritten: {}", render::plan(&plan), file.display());
        Ok(())
    }
}

impl Approve {
    /// Another one for each approver, so that nobody overwrites somebody else's.
    fn name(&self) -> String {
        let decision = if self.choice.deny { "denial" } else { "approval" };
        let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
        let by: String = self.approved_by.chars().take(63).map(plain).collect();
        format!("{}-{decision}-{}", self.plan, by.trim_matches('-'))
    }
}

impl Choice {
    pub(super) fn decision(&self) -> Decision {
        if self.deny { Decision::Deny } else { Decision::Approve }
    }

    /// The decision on a plan as it stands now.
    pub(super) fn on(
        &self,
        plan: &ProxmoxActionPlan,
        approved_by: &str,
        now: Timestamp,
    ) -> Result<ProxmoxActionApprovalSpec, Failure> {
        let name = plan.name_any();
        let status =
            plan.status.as_ref().ok_or_else(|| format!("plan {name} is not judged yet: try again"))?;
        if !matches!(status.phase, Phase::AwaitingApproval | Phase::Approved) {
            return Err(format!(
                "plan {name} does not wait for approval: it is {} ({})",
                status.phase, status.message
            )
            .into());
        }
        let (Some(plan_hash), Some(risk)) = (status.plan_hash.clone(), status.risk) else {
            return Err(format!("plan {name} is not judged yet: {}", status.message).into());
        };
        let expires_at = now.checked_add(self.expires_in)?;
        Ok(ProxmoxActionApprovalSpec {
            plan_ref: PlanRef { name, uid: plan.uid().unwrap_or_default() },
            plan_hash,
            decision: self.decision(),
            approved_by: approved_by.to_owned(),
            approver_groups: vec![],
            environment: plan.spec.environment.clone(),
            risk,
            reason: self.reason.clone(),
            expires_at: Some(Time(Timestamp::from_second(expires_at.as_second())?)),
            source: None,
            attempt: None,
        })
    }
}
