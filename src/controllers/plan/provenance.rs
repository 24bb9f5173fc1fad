//! Where the plan itself comes from, if a syncer brought it.

use crate::{
    api::GrantedApproval,
    controllers::{
        provenance::{Claim, traced},
        scene::blocked,
    },
    core::{
        approval::Refusal,
        audit::{AuditEvent, FromGit, of_approval, of_plan},
        judge::Denial,
        lifecycle::Event,
        provenance::GIT_UNAVAILABLE,
    },
    ports::{Hypervisors, Store},
};

use super::Look;

impl<S: Store, H: Hypervisors> Look<'_, S, H> {
    /// What keeps it from being believed to be its requester's, if anything does. Noted in the status either way.
    pub(super) async fn doubt_its_provenance(&mut self) -> Option<Event> {
        let environment = self.scene.as_ref().map(|scene| &scene.environment);
        let claim = Claim::of_plan(&self.plan)?;
        let traced = traced(self.ports, environment, &[claim]).await.pop()?;
        let refusal = traced.refusal.clone();
        self.traced = Some(traced);
        let Refusal { reason, message } = refusal?;
        if reason != GIT_UNAVAILABLE {
            return Some(Event::Denied(Denial { reason, message }));
        }
        self.try_again_soon();
        Some(Event::Blocked(blocked(reason, message)))
    }

    /// What is known of the commits behind the plan and the approvals that this rests on. What proves it is large: it
    /// stands where the plan was judged, and where somebody's word was acted on.
    pub(super) fn came_by_git(&self, event: AuditEvent) -> Vec<FromGit> {
        let is_acted_on =
            event == AuditEvent::Intent || (event == AuditEvent::Denied && self.denial.is_some());
        let approvals = self.decisive(event).into_iter().filter_map(|decided| {
            let traced = self.approvals_traced.get(&decided.uid)?;
            Some(FromGit::of(of_approval(&decided.name), traced, is_acted_on))
        });
        self.plan_by_git(event).into_iter().chain(approvals).collect()
    }

    fn plan_by_git(&self, event: AuditEvent) -> Option<FromGit> {
        let object = of_plan(&self.key.name);
        let Some(traced) = &self.traced else {
            let before = self.plan.status.as_ref()?.provenance.clone()?;
            return Some(FromGit::named(object, before));
        };
        let is_proven = match event {
            AuditEvent::Planned | AuditEvent::Rejudged | AuditEvent::Intent => true,
            AuditEvent::Denied => self.state.judged().is_none(),
            _ => false,
        };
        Some(FromGit::of(object, traced, is_proven))
    }

    /// The approvals that it rests on, or the one that ended it.
    fn decisive(&self, event: AuditEvent) -> Vec<&GrantedApproval> {
        match (event, &self.denial) {
            (AuditEvent::Denied, Some(denial)) => vec![&denial.granted],
            _ => self.state.granted().iter().collect(),
        }
    }
}
