//! What can be decided about a plan, with kubectl and in a directory alike.

use clap::Args;
use jiff::{SignedDuration, Span, SpanRelativeTo, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;

use crate::api::{Decision, Phase, PlanRef, ProxmoxActionApprovalSpec, ProxmoxActionPlan};

#[derive(Clone, Debug, Args)]
pub(super) struct Choice {
    /// Say no instead of yes.
    #[arg(long)]
    deny: bool,
    /// Why.
    #[arg(long, default_value = "", hide_default_value = true, value_parser = reason)]
    reason: String,
    /// How long the decision counts, such as `30m`, `2h` or `7d`: a minute at least, a year at most.
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = lifetime)]
    expires_in: SignedDuration,
    /// Decide about the attempt of this number, whose outcome is unknown: yes sends the plan again, no leaves it.
    #[arg(long, value_name = "NUMBER")]
    attempt: Option<i64>,
}

/// The plan does not wait for this decision.
#[derive(Debug, thiserror::Error)]
#[error("{why}")]
pub(super) struct NotWaiting {
    why: String,
    /// It waits for another one, for which the plan has to be read first.
    pub(super) has_to_be_read: bool,
}

impl NotWaiting {
    fn because(why: String) -> Self {
        Self { why, has_to_be_read: false }
    }
}

impl Choice {
    pub(super) fn decision(&self) -> Decision {
        if self.deny { Decision::Deny } else { Decision::Approve }
    }

    pub(super) fn reason(&self) -> &str {
        &self.reason
    }

    /// The decision on a plan as it stands now.
    pub(super) fn on(
        &self,
        plan: &ProxmoxActionPlan,
        approved_by: &str,
        now: Timestamp,
    ) -> Result<ProxmoxActionApprovalSpec, NotWaiting> {
        let name = plan.name_any();
        let status = plan.status.clone().unwrap_or_default();
        let said = format!("{} ({}: {})", status.phase, status.reason, status.message);
        if status.phase == Phase::Indeterminate {
            self.names(&name, status.attempts)?;
        } else if status.phase.is_terminal() {
            return Err(NotWaiting::because(format!("plan {name} does not wait for approval: it is {said}")));
        } else if self.attempt.is_some() {
            return Err(NotWaiting::because(format!(
                "--attempt is only for a plan whose outcome is unknown: plan {name} is {said}"
            )));
        }
        let (Some(plan_hash), Some(risk)) = (status.plan_hash, status.risk) else {
            return Err(NotWaiting::because(format!("plan {name} is not judged yet: it is {said}")));
        };
        if !matches!(status.phase, Phase::AwaitingApproval | Phase::Approved | Phase::Indeterminate) {
            return Err(NotWaiting::because(format!("plan {name} does not wait for approval: it is {said}")));
        }
        // Whole seconds, as the API server keeps them.
        let expires_at =
            Timestamp::from_second((now + self.expires_in).as_second()).unwrap_or(Timestamp::MAX);
        Ok(ProxmoxActionApprovalSpec {
            plan_ref: PlanRef { name, uid: plan.uid().unwrap_or_default() },
            plan_hash,
            decision: self.decision(),
            approved_by: approved_by.to_owned(),
            approver_groups: vec![],
            environment: plan.spec.environment.clone(),
            risk,
            reason: self.reason.clone(),
            expires_at: Some(Time(expires_at)),
            source: None,
            attempt: self.attempt,
        })
    }

    /// Nobody decides about what is unknown by a reflex: the attempt is named by whoever has read what is known of it.
    fn names(&self, plan: &str, attempt: i64) -> Result<(), NotWaiting> {
        let wrong = match self.attempt {
            Some(named) if named == attempt => return Ok(()),
            Some(named) => {
                format!("it is attempt {attempt} of plan {plan} that has to be decided about, not {named}")
            }
            None => format!("it is unknown what became of attempt {attempt} of plan {plan}"),
        };
        let why = format!(
            "{wrong}. Read what is known of it, then say --attempt {attempt} to have it sent again, or --attempt {attempt} \
             --deny to leave it as it is"
        );
        Err(NotWaiting { why, has_to_be_read: true })
    }

    /// The name of the decision as a file: another one for each person, so that nobody overwrites somebody else's.
    pub(super) fn file_name(&self, plan: &str, by: &str) -> String {
        let decision = if self.deny { "denial" } else { "approval" };
        let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
        let by: String = by.chars().take(63).map(plain).collect();
        let about = self.attempt.map(|attempt| format!("-of-attempt-{attempt}")).unwrap_or_default();
        format!("{plan}-{decision}{about}-{}", by.trim_matches('-'))
    }
}

fn reason(text: &str) -> Result<String, String> {
    let length = text.chars().count();
    if length > 1024 {
        return Err(format!("it is {length} characters long, 1024 are kept"));
    }
    Ok(text.to_owned())
}

fn lifetime(text: &str) -> Result<SignedDuration, String> {
    let span: Span = text.parse().map_err(|_| "give a time such as 30m, 2h or 7d".to_owned())?;
    let lifetime =
        span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|error| error.to_string())?;
    if lifetime < SignedDuration::from_mins(1) || lifetime > SignedDuration::from_hours(24 * 366) {
        return Err("a decision counts for a minute at least and a year at most".to_owned());
    }
    Ok(lifetime)
}
