//! Where objects come from that a syncer brought: asked of the environment's repository, now.

use kube::Resource;
use serde_json::Value;

use crate::{
    api::{GitTrust, Provenance, ProxmoxActionApproval, ProxmoxActionPlan, ProxmoxEnvironment, Source},
    core::provenance::{Speaker, Traced, Wanted, commit_on_record, not_configured, trace, unavailable},
    ports::{Hypervisors, Key, Kind, Ports, Store},
};

/// An object that says it came by git.
pub(super) struct Claim<'a> {
    kind: String,
    key: Key,
    spec: Option<Value>,
    speaker: Speaker<'a>,
    before: Option<&'a Provenance>,
}

impl<'a> Claim<'a> {
    pub(super) fn of_plan(plan: &'a ProxmoxActionPlan) -> Option<Self> {
        let before = plan.status.as_ref().and_then(|status| status.provenance.as_ref());
        let speaker = Speaker::Requester(&plan.spec.requested_by);
        (plan.spec.source == Some(Source::Git)).then(|| Self::of(plan, &plan.spec, speaker, before))
    }

    pub(super) fn of_approval(approval: &'a ProxmoxActionApproval) -> Option<Self> {
        let before = approval.status.as_ref().and_then(|status| status.provenance.as_ref());
        let speaker = Speaker::Approver(&approval.spec.approved_by);
        (approval.spec.source == Some(Source::Git))
            .then(|| Self::of(approval, &approval.spec, speaker, before))
    }

    fn of<K: Kind>(
        object: &K,
        spec: &impl serde::Serialize,
        speaker: Speaker<'a>,
        before: Option<&'a Provenance>,
    ) -> Self {
        let kind = K::kind(&()).into_owned();
        Self { kind, key: Key::of(object), spec: serde_json::to_value(spec).ok(), speaker, before }
    }

    fn wanted(&self, trust: &GitTrust) -> Wanted {
        Wanted {
            kind: self.kind.clone(),
            namespace: self.key.namespace.clone(),
            name: self.key.name.clone(),
            spec: self.spec.clone().unwrap_or_default(),
            recorded_commit: commit_on_record(trust, self.before),
        }
    }
}

/// Looks them all up at once, as the repository is now.
pub(super) async fn traced<S: Store, H: Hypervisors>(
    ports: &Ports<S, H>,
    environment: Option<&ProxmoxEnvironment>,
    claims: &[Claim<'_>],
) -> Vec<Traced> {
    let Some(first) = claims.first() else { return vec![] };
    let name = environment.and_then(|environment| environment.meta().name.as_deref()).unwrap_or_default();
    let Some(trust) = environment.and_then(|environment| environment.spec.git.as_ref()) else {
        return claims.iter().map(|_| not_configured(name)).collect();
    };
    let namespace = &first.key.namespace;
    let wanted = claims.iter().map(|claim| claim.wanted(trust)).collect();
    match look_up(ports, namespace, trust, wanted).await {
        Ok(seen) => {
            let seen = claims.iter().zip(&seen);
            seen.map(|(claim, sighting)| trace(trust, sighting, claim.speaker, claim.before)).collect()
        }
        Err(why) => claims.iter().map(|claim| unavailable(trust, &why, claim.before)).collect(),
    }
}

async fn look_up<S: Store, H: Hypervisors>(
    ports: &Ports<S, H>,
    namespace: &str,
    trust: &GitTrust,
    wanted: Vec<Wanted>,
) -> Result<Vec<crate::core::provenance::Sighting>, String> {
    let credentials = match &trust.credentials {
        None => None,
        Some(credentials) => {
            let read = ports.secrets.read(namespace, &credentials.secret_ref).await;
            Some(read.map_err(|error| format!("spec.git.credentials: {error}"))?)
        }
    };
    let looked = ports.repositories.look_up(namespace, trust, credentials, wanted).await;
    looked.map_err(|error| error.to_string())
}
