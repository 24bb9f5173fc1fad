//! Which objects a change of another one concerns.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{
    Resource,
    core::DeserializeGuard,
    runtime::reflector::{self, ObjectRef},
};

use crate::{
    api::{
        Phase, PlanStatus, ProxmoxActionApproval, ProxmoxActionPlan, ProxmoxActionPlanSpec,
        ProxmoxEnvironment, ProxmoxPolicy,
    },
    ports::{Key, Kind},
};

/// What is remembered of the objects of a kind, as they were last seen.
pub(super) type Cache<K> = reflector::Store<DeserializeGuard<K>>;

/// A kind of which there may be thousands: only what is asked for below is kept of each. Every look reads its object anew.
pub(super) trait Remembered: Kind {
    /// Leaves nothing of spec and status but that.
    fn forget_the_rest(&mut self);
}

impl Remembered for ProxmoxActionPlan {
    fn forget_the_rest(&mut self) {
        let environment = std::mem::take(&mut self.spec.environment);
        self.spec = ProxmoxActionPlanSpec { environment, ..Default::default() };
        self.status =
            self.status.take().map(|PlanStatus { phase, .. }| PlanStatus { phase, ..Default::default() });
    }
}

impl Remembered for ProxmoxActionApproval {
    fn forget_the_rest(&mut self) {
        self.spec.reason.clear();
        self.status = None;
    }
}

impl Remembered for ProxmoxEnvironment {
    fn forget_the_rest(&mut self) {
        self.status = None;
    }
}

impl Remembered for ProxmoxPolicy {
    fn forget_the_rest(&mut self) {
        self.status = None;
    }
}

pub(super) fn forget_the_rest<K: Remembered>(object: &mut DeserializeGuard<K>) {
    let ObjectMeta { name, namespace, uid, resource_version, generation, deletion_timestamp, .. } =
        std::mem::take(object.meta_mut());
    *object.meta_mut() = ObjectMeta {
        name,
        namespace,
        uid,
        resource_version,
        generation,
        deletion_timestamp,
        ..Default::default()
    };
    if let Ok(object) = &mut object.0 {
        object.forget_the_rest();
    }
}

pub(super) fn reference<K: Kind, O: Resource>(name: &str, beside: &O) -> ObjectRef<DeserializeGuard<K>> {
    ObjectRef::new(name).within(beside.meta().namespace.as_deref().unwrap_or_default())
}

/// The plans that wait for an environment, or are carried out in it.
pub(super) fn plans_in(
    plans: &Cache<ProxmoxActionPlan>,
    environment: &DeserializeGuard<ProxmoxEnvironment>,
) -> Vec<ObjectRef<DeserializeGuard<ProxmoxActionPlan>>> {
    let concerned = |plan: &ProxmoxActionPlan| {
        plan.metadata.namespace == environment.meta().namespace
            && Some(&plan.spec.environment) == environment.meta().name.as_ref()
            && is_open(plan)
    };
    select(plans, concerned)
}

/// The plans that a policy may rule: those of its namespace that have not ended.
pub(super) fn plans_beside(
    plans: &Cache<ProxmoxActionPlan>,
    policy: &DeserializeGuard<ProxmoxPolicy>,
) -> Vec<ObjectRef<DeserializeGuard<ProxmoxActionPlan>>> {
    select(plans, |plan| plan.metadata.namespace == policy.meta().namespace && is_open(plan))
}

/// One whose outcome is unknown may be about to be sent again.
fn is_open(plan: &ProxmoxActionPlan) -> bool {
    let phase = plan.status.as_ref().map(|status| status.phase).unwrap_or_default();
    !phase.is_terminal() || phase == Phase::Indeterminate
}

/// The approvals on a plan.
pub(super) fn approvals_on(
    approvals: &Cache<ProxmoxActionApproval>,
    plan: &ObjectMeta,
) -> Vec<ObjectRef<DeserializeGuard<ProxmoxActionApproval>>> {
    let concerned = |approval: &ProxmoxActionApproval| {
        approval.metadata.namespace == plan.namespace
            && Some(&approval.spec.plan_ref.name) == plan.name.as_ref()
    };
    select(approvals, concerned)
}

/// The approvals that name an environment.
pub(super) fn approvals_in(
    approvals: &Cache<ProxmoxActionApproval>,
    environment: &ObjectMeta,
) -> Vec<ObjectRef<DeserializeGuard<ProxmoxActionApproval>>> {
    let concerned = |approval: &ProxmoxActionApproval| {
        approval.metadata.namespace == environment.namespace
            && Some(&approval.spec.environment) == environment.name.as_ref()
    };
    select(approvals, concerned)
}

/// The approvals on the plan of another one.
pub(super) fn approvals_beside(
    approvals: &Cache<ProxmoxActionApproval>,
    other: &DeserializeGuard<ProxmoxActionApproval>,
) -> Vec<ObjectRef<DeserializeGuard<ProxmoxActionApproval>>> {
    let Ok(other) = &other.0 else { return vec![] };
    let concerned = |approval: &ProxmoxActionApproval| {
        approval.metadata.namespace == other.metadata.namespace
            && approval.spec.plan_ref.name == other.spec.plan_ref.name
    };
    select(approvals, concerned)
}

/// In the order of their names: the same change leads to the same looks in the same order, in every process.
fn select<K: Kind>(cache: &Cache<K>, concerned: impl Fn(&K) -> bool) -> Vec<ObjectRef<DeserializeGuard<K>>> {
    let mut objects = cache.state();
    objects.retain(|object| object.0.as_ref().is_ok_and(&concerned));
    objects.sort_by_cached_key(|object| Key::of(object.as_ref()));
    objects.iter().map(|object| ObjectRef::from_obj(object.as_ref())).collect()
}
