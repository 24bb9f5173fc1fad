//! Where the plan itself comes from, if a syncer brought it.

use crate::{
    controllers::{
        provenance::{Claim, traced},
        scene::blocked,
    },
    core::{
        approval::Refusal,
        audit::FromGit,
        judge::Denial,
        lifecycle::Event,
        provenance::{GIT_UNAVAILABLE, Traced},
    },
    ports::{Hypervisors, Store},
};

use super::Look;

impl<S: Store, H: Hypervisors> Look<'_, S, H> {
    /// What keeps it from being believed to be its requester's, if anything does. Noted in the status either way.
    pub(super) async fn doubt_its_provenance(&mut self) -> Option<Event> {
        let environment = self.scene.as_ref().map(|scene| &scene.environment);
        let claim = Claim::of_plan(&self.plan)?;
        let Traced { provenance, refusal, .. } = traced(self.ports, environment, &[claim]).await.pop()?;
        self.provenance = Some(provenance);
        let Refusal { reason, message } = refusal?;
        if reason != GIT_UNAVAILABLE {
            return Some(Event::Denied(Denial { reason, message }));
        }
        self.try_again_soon();
        Some(Event::Blocked(blocked(reason, message)))
    }

    /// What is known of the commits behind the plan and the approvals that it rests on.
    pub(super) fn came_by_git(&self) -> Vec<FromGit> {
        let before = || self.plan.status.as_ref()?.provenance.clone();
        let plan = self
            .provenance
            .clone()
            .or_else(before)
            .map(|provenance| FromGit { object: format!("plan {}", self.key.name), provenance });
        let granted = self.state.granted().iter().filter_map(|granted| {
            let provenance = self.provenances.get(&granted.uid)?.clone();
            Some(FromGit { object: format!("approval {}", granted.name), provenance })
        });
        plan.into_iter().chain(granted).collect()
    }
}
