//! Whether it is known who asked for a plan.

use crate::{
    api::ProxmoxActionPlan,
    catalog::{self, Action},
    core::judge::Denial,
};

use super::Proof;

/// Nothing is changed in a name that nobody has proven. What came by git is proven, or not, by its commit. As long as the
/// policies are not in force nothing is sent anyway, and nothing has to end over it.
pub fn requester_not_proven(plan: &ProxmoxActionPlan, proof: &Proof) -> Option<Denial> {
    let spec = &plan.spec;
    let Proof::Admission { since } = proof else { return None };
    let changes_nothing = spec.dry_run || catalog::find(&spec.action).is_some_and(Action::is_read);
    if changes_nothing || spec.source.is_some() {
        return None;
    }
    let made_at = plan.metadata.creation_timestamp.as_ref().map(|time| time.0);
    if made_at.is_some_and(|made_at| made_at > *since) {
        return None;
    }
    let message = format!(
        "spec.requestedBy: when the plan was made, the admission policies that prove it were missing, unbound or changed, or \
         known to be in force for too short a time (they are since {since}): nobody knows who asked. Make the plan anew"
    );
    Some(Denial { reason: "RequesterNotProven", message })
}
