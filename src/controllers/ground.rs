//! What the approvals of a plan are held against: its environment and what a name is worth there, read live.

use std::collections::BTreeMap;

use crate::{
    api::{GitTrust, ProxmoxActionApproval, ProxmoxActionPlan, ProxmoxEnvironment, Tier},
    core::{
        admission,
        approval::{Bench, Candidate, Proof, Question, still_there},
        judge::Judged,
        provenance::Traced,
    },
    ports::{Hypervisors, Key, Ports, Store, StoreError},
};

use super::provenance::{Claim, traced};

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
        question: Option<Question>,
    ) -> Bench<'a> {
        Bench {
            plan: &plan.metadata,
            requested_by: &plan.spec.requested_by,
            environment: &plan.spec.environment,
            // As long as nobody says what is at stake, everything is.
            tier: self.environment.as_ref().map_or(Tier::Production, |environment| environment.spec.tier),
            judged,
            question,
            proof: &self.proof,
            now: ports.clock.now(),
        }
    }
}

/// All approvals of a plan, and what they are held against.
pub(super) struct Gathered {
    pub(super) ground: Ground,
    pub(super) candidates: Vec<Candidate>,
    pub(super) traces: Traces,
}

impl Gathered {
    /// One that was looked into and may not be among them any more.
    pub(super) fn candidate(&self, approval: ProxmoxActionApproval) -> Candidate {
        self.traces.candidate(approval)
    }
}

/// Reads it all anew, and once more after each look into a repository, which takes its time: whoever holds up others
/// meanwhile lets go in `before_it_takes_time`. `beside` is looked into too, what `traces` knows is not looked into again.
pub(super) async fn gather<S: Store, H: Hypervisors>(
    ports: &Ports<S, H>,
    plan: &ProxmoxActionPlan,
    beside: Option<&ProxmoxActionApproval>,
    mut traces: Traces,
    mut before_it_takes_time: impl FnMut() + Send,
) -> Result<Gathered, StoreError> {
    loop {
        // What comes in after the proof was read may have come in without it.
        let approvals = ports.store.approvals_of(&Key::of(plan)).await?;
        let ground = ground(ports, plan).await?;
        if approvals.iter().chain(beside).any(|approval| traces.lack(approval)) {
            before_it_takes_time();
        }
        if traces.look_for_more(ports, &ground, approvals.iter().chain(beside)).await {
            continue;
        }
        let candidates = approvals.into_iter().map(|approval| traces.candidate(approval)).collect();
        // Last of all, so that an approval that was revoked a moment ago does not count.
        let candidates = still_there(candidates, ports.store.approvals_of(&Key::of(plan)).await?);
        return Ok(Gathered { ground, candidates, traces });
    }
}

/// Where approvals come from, by their uid.
#[derive(Default)]
pub(super) struct Traces {
    trust: Option<GitTrust>,
    traced: BTreeMap<String, Traced>,
}

impl Traces {
    /// It came by git, and nobody has looked for it yet.
    fn lack(&self, approval: &ProxmoxActionApproval) -> bool {
        let is_known = approval.metadata.uid.as_ref().is_none_or(|uid| self.traced.contains_key(uid));
        !is_known && Claim::of_approval(approval).is_some()
    }

    /// Whether there were any that nobody had looked for yet.
    async fn look_for_more<'a, S: Store, H: Hypervisors>(
        &mut self,
        ports: &Ports<S, H>,
        ground: &Ground,
        approvals: impl Iterator<Item = &'a ProxmoxActionApproval>,
    ) -> bool {
        let environment = ground.environment.as_ref();
        let trust = environment.and_then(|environment| environment.spec.git.clone());
        if self.trust != trust {
            *self = Self { trust, traced: BTreeMap::new() };
        }
        let unknown = approvals.filter_map(|approval| {
            let uid = approval.metadata.uid.clone()?;
            let claim = Claim::of_approval(approval)?;
            (!self.traced.contains_key(&uid)).then_some((uid, claim))
        });
        let (uids, claims): (Vec<String>, Vec<Claim<'_>>) = unknown.unzip();
        let found = traced(ports, environment, &claims).await;
        self.traced.extend(uids.into_iter().zip(found));
        !claims.is_empty()
    }

    fn candidate(&self, approval: ProxmoxActionApproval) -> Candidate {
        let uid = approval.metadata.uid.as_deref().unwrap_or_default();
        Candidate { traced: self.traced.get(uid).cloned(), approval }
    }
}
