//! What is wrong with objects that an API server would take.

use std::collections::BTreeMap;

use jiff::Timestamp;
use kube::{Resource, ResourceExt};

use crate::{
    api::{
        Decision, ProxmoxActionApproval, ProxmoxActionPlan, ProxmoxActionPlanSpec, ProxmoxEnvironment,
        ProxmoxPolicy,
    },
    catalog,
    core::{
        outlook::outlook,
        policy,
        request::{Violation, normalise},
    },
    git, pve,
};

use super::set::{Finding, Id, Object, Place, Set, Severity};

/// Everything that can be said about a set, in the order of its files.
pub(super) fn findings(set: &Set, now: Timestamp) -> Vec<Finding> {
    let mut all = set.findings.clone();
    for (place, object) in &set.objects {
        let mut report = Report { place, all: &mut all };
        match object {
            Object::Plan(plan) => of_plan(plan, set, now, &mut report),
            Object::Approval(approval) => of_approval(approval, set, now, &mut report),
            Object::Environment(environment) => of_environment(environment, set, &mut report),
            Object::Policy(policy) => of_policy(policy, &mut report),
        }
    }
    all.extend(duplicates(set));
    all.sort();
    all
}

/// What a request would be refused for, each with what the parameter is for.
pub(super) fn refusals(namespace: &str, spec: &ProxmoxActionPlanSpec) -> Vec<String> {
    match normalise(namespace, spec) {
        Err(violations) => violations.iter().map(|violation| explained(violation, &spec.action)).collect(),
        Ok(request) => match outlook(&request) {
            Ok(outlook) => outlook.refused.into_iter().collect(),
            Err(error) => vec![error.to_string()],
        },
    }
}

fn explained(violation: &Violation, action: &str) -> String {
    let param = violation.field.strip_prefix("spec.params.");
    let doc = param.and_then(|name| Some(catalog::find(action)?.param(name)?.doc));
    doc.map_or_else(|| violation.to_string(), |doc| format!("{violation} ({doc})"))
}

struct Report<'a> {
    place: &'a Place,
    all: &'a mut Vec<Finding>,
}

impl Report<'_> {
    fn problem(&mut self, message: impl Into<String>) {
        self.say(Severity::Problem, message.into());
    }

    fn note(&mut self, message: impl Into<String>) {
        self.say(Severity::Note, message.into());
    }

    fn say(&mut self, severity: Severity, message: String) {
        self.all.push(Finding { place: self.place.clone(), severity, message });
    }
}

fn of_plan(plan: &ProxmoxActionPlan, set: &Set, now: Timestamp, report: &mut Report<'_>) {
    let spec = &plan.spec;
    let namespace = plan.namespace().unwrap_or_default();
    refusals(&namespace, spec).into_iter().for_each(|why| report.problem(why));
    if let Some(not_after) = spec.not_after.as_ref().filter(|moment| moment.0 <= now) {
        report.problem(format!(
            "spec.notAfter: {} is past, so it would only expire: make a new plan",
            not_after.0
        ));
    }
    named::<ProxmoxEnvironment>(set, &namespace, "spec.environment", &spec.environment, report);
}

fn of_approval(approval: &ProxmoxActionApproval, set: &Set, now: Timestamp, report: &mut Report<'_>) {
    let spec = &approval.spec;
    let namespace = approval.namespace().unwrap_or_default();
    if let Some(expires_at) = spec.expires_at.as_ref().filter(|moment| moment.0 <= now) {
        report.problem(format!("spec.expiresAt: {} is past, so it counts no longer", expires_at.0));
    }
    named::<ProxmoxActionPlan>(set, &namespace, "spec.planRef.name", &spec.plan_ref.name, report);
    let is_meant = |plan: &&ProxmoxActionPlan| {
        plan.namespace().as_ref() == Some(&namespace) && plan.name_any() == spec.plan_ref.name
    };
    let Some(plan) = set.plans().find(is_meant) else { return };
    if plan.spec.environment != spec.environment {
        report.problem(format!(
            "spec.environment: is {}, but plan {} is for {}",
            spec.environment, spec.plan_ref.name, plan.spec.environment
        ));
    }
    if plan.spec.requested_by == spec.approved_by && spec.decision == Decision::Approve {
        report.problem(format!(
            "spec.approved_by: {} asks for plan {} and can't approve it: somebody else has to",
            spec.approved_by, spec.plan_ref.name
        ));
    }
    let least = catalog::find(&plan.spec.action).map(|action| action.base_risk);
    if let Some(least) = least.filter(|least| *least > spec.risk) {
        report.problem(format!("spec.risk: is {}, but {} is {least} at least", spec.risk, plan.spec.action));
    }
}

fn of_environment(environment: &ProxmoxEnvironment, set: &Set, report: &mut Report<'_>) {
    if let Err(why) = pve::check_address(&environment.spec) {
        report.problem(format!("spec: {why}"));
    }
    if let Some(trust) = &environment.spec.git {
        git::check_trust(trust).into_iter().for_each(|why| report.problem(why));
    }
    if let Some(policy) = &environment.spec.policy_ref {
        let namespace = environment.namespace().unwrap_or_default();
        named::<ProxmoxPolicy>(set, &namespace, "spec.policyRef.name", &policy.name, report);
    }
}

fn of_policy(policy: &ProxmoxPolicy, report: &mut Report<'_>) {
    policy::faults(policy).into_iter().for_each(|fault| report.problem(fault.to_string()));
}

/// What is named may live elsewhere: that is no fault, but worth knowing.
fn named<K: Resource<DynamicType = ()>>(
    set: &Set,
    namespace: &str,
    field: &str,
    name: &str,
    report: &mut Report<'_>,
) {
    let kind = K::kind(&());
    if !set.holds(&kind, namespace, name) {
        report.note(format!(
            "{field}: there is no {kind} `{name}` of namespace {namespace} in these files, so that it was not checked"
        ));
    }
}

fn duplicates(set: &Set) -> Vec<Finding> {
    let mut places: BTreeMap<&Id, Vec<&Place>> = BTreeMap::new();
    for (place, id) in set.ids() {
        places.entry(id).or_default().push(place);
    }
    let several = places.into_values().filter(|places| places.len() > 1);
    several
        .flat_map(|places| {
            let all: Vec<String> =
                places.iter().take(8).map(|place| format!("{}:{}", place.file, place.line)).collect();
            let message = format!("declared more than once, keep one of: {}", all.join(", "));
            let finding = move |place: &&Place| Finding {
                place: (*place).clone(),
                severity: Severity::Problem,
                message: message.clone(),
            };
            places.iter().map(finding).collect::<Vec<_>>()
        })
        .collect()
}
