//! From what somebody wrote to what is asked for: a `Request` has passed every check that needs no live state.

use std::{collections::BTreeMap, fmt};

use serde_json::{Value, json};

use crate::{
    api::ProxmoxActionPlanSpec,
    catalog::{self, Action, Changes, Param, ParamValue, Target, similar::listed, split_list},
};

use super::hash::{NotCanonical, RequestHash};

/// A checked request.
#[derive(Clone, Debug)]
pub struct Request {
    pub namespace: String,
    pub environment: String,
    pub action: &'static Action,
    pub target: Target,
    pub params: BTreeMap<String, ParamValue>,
    pub dry_run: bool,
}

/// One thing that is wrong with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Such as `spec.params.timeout`.
    pub field: String,
    pub problem: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.problem)
    }
}

/// Checks a plan's spec against the catalogue, and names everything that is wrong with it at once.
pub fn normalise(namespace: &str, spec: &ProxmoxActionPlanSpec) -> Result<Request, Vec<Violation>> {
    let action = find_action(&spec.action).map_err(|violation| vec![violation])?;
    let mut violations = window_violations(spec);
    let target = read_target(action, &spec.target).map_err(|violation| violations.push(violation)).ok();
    let params = read_params(action, target.as_ref(), &spec.params, &mut violations);
    match target {
        Some(target) if violations.is_empty() => Ok(Request {
            namespace: namespace.to_owned(),
            environment: spec.environment.clone(),
            action,
            target,
            params,
            dry_run: spec.dry_run,
        }),
        _ => Err(violations),
    }
}

fn violation(field: impl Into<String>, problem: impl Into<String>) -> Violation {
    Violation { field: field.into(), problem: problem.into() }
}

fn find_action(name: &str) -> Result<&'static Action, Violation> {
    catalog::find(name).ok_or_else(|| {
        let known = listed(catalog::actions().map(|action| action.name), name);
        let shown: String = name.chars().take(64).collect();
        violation("spec.action", format!("`{shown}` is not an action: known are {known}"))
    })
}

fn read_target(action: &Action, text: &str) -> Result<Target, Violation> {
    let target: Target = text.parse().map_err(|error| violation("spec.target", format!("{error}")))?;
    if action.target.contains(&target.kind()) {
        return Ok(target);
    }
    let patterns: Vec<&str> = action.target.iter().map(|kind| kind.pattern()).collect();
    let example = action.target.first().map_or("", |kind| kind.example());
    let problem = format!(
        "`{target}` is not what {} acts on: it takes {}, such as {example}",
        action.name,
        patterns.join(" or ")
    );
    Err(violation("spec.target", problem))
}

fn read_params(
    action: &Action,
    target: Option<&Target>,
    given: &BTreeMap<String, Value>,
    violations: &mut Vec<Violation>,
) -> BTreeMap<String, ParamValue> {
    let mut params = BTreeMap::new();
    for (name, value) in given {
        let field = format!("spec.params.{}", name.chars().take(64).collect::<String>());
        let Some(param) = action.param(name) else {
            violations.push(violation(field, unknown_param(action, name)));
            continue;
        };
        if let Some(problem) = wrong_kind(action, param, target) {
            violations.push(violation(field, problem));
            continue;
        }
        match param.type_.read(value) {
            Ok(value) => {
                params.insert(name.clone(), value);
            }
            Err(problem) => violations.push(violation(field, problem)),
        }
    }
    for param in action.params().filter(|param| param.required && !given.contains_key(param.name)) {
        let problem = format!("is missing: {} needs it, {}", action.name, param.type_.allowed());
        violations.push(violation(format!("spec.params.{}", param.name), problem));
    }
    if given.is_empty() && is_about_settings(action) {
        let known = listed(action.params().map(|param| param.name), "");
        let problem = format!("is empty: {} needs at least one of {known}", action.name);
        violations.push(violation("spec.params", problem));
    }
    params
}

/// It changes what its parameters name, so that without any it says nothing.
fn is_about_settings(action: &Action) -> bool {
    let changes_settings = action.changes() == Some(Changes::Settings);
    changes_settings && action.params().all(|param| !param.required)
}

fn unknown_param(action: &Action, given: &str) -> String {
    if action.params().next().is_none() {
        return format!("is not known: {} takes no parameters", action.name);
    }
    let known = listed(action.params().map(|param| param.name), given);
    format!("is not known: {} takes {known}", action.name)
}

fn wrong_kind(action: &Action, param: &Param, target: Option<&Target>) -> Option<String> {
    match (param.only_for, target) {
        (Some(kind), Some(Target::Guest(guest))) if guest.kind != kind => {
            Some(format!("{} knows it only for a {}, and {guest} is none", action.name, kind.noun()))
        }
        _ => None,
    }
}

fn window_violations(spec: &ProxmoxActionPlanSpec) -> Vec<Violation> {
    match (&spec.not_before, &spec.not_after) {
        (Some(from), Some(to)) if from.0 >= to.0 => {
            vec![violation("spec.notAfter", format!("{} is not later than notBefore, {}", to.0, from.0))]
        }
        _ => Vec::new(),
    }
}

impl Request {
    /// The hash of what is asked for. Who asks, why and when is not part of it; see docs/request-hashing.md.
    pub fn hash(&self) -> Result<RequestHash, NotCanonical> {
        RequestHash::of(
            "the request",
            &json!({
                "version": 1,
                "namespace": self.namespace,
                "environment": self.environment,
                "action": self.action.name,
                "target": self.target.to_string(),
                "params": self.params,
                "dryRun": self.dry_run,
            }),
        )
    }

    /// A text parameter, if it was given.
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.params.get(name) {
            Some(ParamValue::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// The items of a list parameter; none if it was not given.
    pub fn list(&self, name: &str) -> impl Iterator<Item = &str> {
        split_list(self.text(name).unwrap_or_default())
    }

    pub fn flag(&self, name: &str) -> bool {
        self.params.get(name) == Some(&ParamValue::Bool(true))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(crate) fn spec(action: &str, target: &str, params: Value) -> ProxmoxActionPlanSpec {
        ProxmoxActionPlanSpec {
            environment: "home".into(),
            action: action.into(),
            target: target.into(),
            params: serde_json::from_value(params).unwrap(),
            requested_by: "agent".into(),
            ..Default::default()
        }
    }

    fn problems(action: &str, target: &str, params: Value) -> Vec<String> {
        let violations = normalise("default", &spec(action, target, params)).unwrap_err();
        violations.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_change_of_settings_names_at_least_one() {
        let problems = problems("change_backup_job", "backup-job/nightly", json!({}));
        assert!(problems[0].starts_with("spec.params: is empty: change_backup_job needs"), "{problems:?}");
    }

    #[test]
    fn an_unknown_action_is_answered_with_those_most_like_it() {
        let problems = problems("delete_guests", "qemu/100", json!({}));
        assert!(
            problems[0]
                .starts_with("spec.action: `delete_guests` is not an action: known are delete_guest, "),
            "{problems:?}"
        );
    }

    #[test]
    fn a_target_of_the_wrong_form_is_answered_with_the_right_one() {
        assert_eq!(
            problems("start_guest", "inventory/all", json!({})),
            [
                "spec.target: `inventory/all` is not what start_guest acts on: it takes qemu/VMID or lxc/VMID, such as qemu/100"
            ]
        );
    }

    #[test]
    fn everything_wrong_is_named_at_once() {
        let problems = problems("delete_snapshot", "qemu/1", json!({"force": "yes", "colour": 3}));
        assert_eq!(problems.len(), 4, "{problems:?}");
        for field in [
            "spec.target: ",
            "spec.params.colour: ",
            "spec.params.force: ",
            "spec.params.snapshot: is missing",
        ] {
            assert!(problems.iter().any(|problem| problem.starts_with(field)), "{field}");
        }
    }

    #[test]
    fn a_parameter_that_only_vms_know_is_refused_for_a_container() {
        assert_eq!(
            problems("create_snapshot", "lxc/200", json!({"vmstate": true})),
            ["spec.params.vmstate: create_snapshot knows it only for a VM, and lxc/200 is none"]
        );
    }

    #[test]
    fn a_window_that_ends_before_it_begins_is_refused() {
        let mut plan = spec("start_guest", "qemu/100", json!({}));
        let at = |text: &str| serde_json::from_value(json!(text)).unwrap();
        plan.not_before = at("2030-01-01T00:00:00Z");
        plan.not_after = at("2029-01-01T00:00:00Z");
        assert_eq!(normalise("default", &plan).unwrap_err()[0].field, "spec.notAfter");
    }

    #[test]
    fn the_request_hash_stays_what_it_is() {
        let request = normalise("default", &spec("start_guest", "qemu/100", json!({"timeout": 30}))).unwrap();
        // Plans and approvals in git carry hashes: a change here orphans them all.
        assert_eq!(
            request.hash().unwrap().to_string(),
            "sha256:efc6b1d89fbc2db78e1745998cd09e8a3ec76a92a907779b3ceb875c62a40055"
        );
    }

    proptest! {
        #[test]
        fn no_input_makes_normalisation_panic(action in ".{0,40}", target in ".{0,40}", name in ".{0,20}", value in ".{0,100}") {
            let _ = normalise("default", &spec(&action, &target, json!({name: value})));
        }

        #[test]
        fn who_asks_why_and_when_does_not_change_the_request(by in "[a-z]{1,10}", why in ".{0,50}") {
            let plain = spec("stop_guest", "lxc/200", json!({}));
            let mut other = plain.clone();
            other.requested_by = by;
            other.reason = why;
            other.not_after = serde_json::from_value(json!("2030-01-01T00:00:00Z")).unwrap();
            let hash = |spec| normalise("default", spec).unwrap().hash().unwrap();
            prop_assert_eq!(hash(&plain), hash(&other));
        }

        #[test]
        fn another_parameter_makes_another_request(a in 0i64..86_400, b in 0i64..86_400) {
            let hash = |timeout: i64| {
                normalise("default", &spec("shutdown_guest", "qemu/100", json!({"timeout": timeout})))
                    .unwrap().hash().unwrap()
            };
            prop_assert_eq!(hash(a) == hash(b), a == b);
        }
    }
}
