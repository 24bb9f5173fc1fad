//! What the approvals of a plan are held against: its environment and what a name is worth there, read live.

use crate::{
    api::{ProxmoxActionApproval, ProxmoxActionPlan, ProxmoxEnvironment, Tier},
    core::{
        admission,
        approval::{Bench, Candidate, Proof},
        judge::Judged,
    },
    ports::{Hypervisors, Key, Ports, Store, StoreError},
};

use super::Error;

/// What a plan stands on.
pub(super) struct Ground {
    environment: Option<ProxmoxEnvironment>,
    pub(super) proof: Proof,
}

/// Reads it anew.
pub(super) async fn ground<S: Store, H: Hypervisors>(
    ports: &Ports<S, H>,
    plan: &ProxmoxActionPlan,
) -> Result<Ground, StoreError> {
    let key = Key::new(&Key::of(plan).namespace, &plan.spec.environment);
    let environment = ports.store.get::<ProxmoxEnvironment>(&key).await?;
    let record = environment.as_ref().and_then(|environment| environment.status.as_ref()?.admission.as_ref());
    let proof = admission::proof(&ports.store.admission().await?, record);
    Ok(Ground { environment, proof })
}

impl Ground {
    pub(super) fn bench<'a, S: Store, H: Hypervisors>(
        &'a self,
        ports: &Ports<S, H>,
        plan: &'a ProxmoxActionPlan,
        judged: &'a Judged,
    ) -> Bench<'a> {
        Bench {
            plan: &plan.metadata,
            requested_by: &plan.spec.requested_by,
            environment: &plan.spec.environment,
            // As long as nobody says what is at stake, everything is.
            tier: self.environment.as_ref().map_or(Tier::Production, |environment| environment.spec.tier),
            judged,
            proof: &self.proof,
            now: ports.clock.now(),
        }
    }

    /// The approvals, each with its origin if it came by git.
    pub(super) async fn candidates<S: Store, H: Hypervisors>(
        &self,
        _: &Ports<S, H>,
        approvals: Vec<ProxmoxActionApproval>,
    ) -> Result<Vec<Candidate>, Error> {
        Ok(approvals.into_iter().map(|approval| Candidate { approval, traced: None }).collect())
    }
}
