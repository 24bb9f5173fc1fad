//! Every phase and reason in the code is explained, and nothing else.

use std::collections::BTreeSet;

use proxmox_agent::api::Phase;

use crate::{all, markdown::page, read, root};

const LIFECYCLE: &str = "docs/plan-apply-lifecycle.md";

/// Where reasons are written down in the code.
const SPOKEN_IN: &[&str] = &[
    "core/approval/admit.rs",
    "core/approval/requester.rs",
    "core/approval/tally.rs",
    "core/approval/verdict.rs",
    "core/allowed.rs",
    "core/denial.rs",
    "core/identity.rs",
    "core/judge.rs",
    "core/lifecycle/again.rs",
    "core/lifecycle/ending.rs",
    "core/lifecycle/event.rs",
    "core/lifecycle/handed_over.rs",
    "core/lifecycle/in_flight.rs",
    "core/lifecycle/recheck.rs",
    "core/lifecycle/report.rs",
    "core/lifecycle/running.rs",
    "core/lifecycle/step.rs",
    "core/lifecycle/weigh.rs",
    "core/places.rs",
    "core/policy/freeze.rs",
    "core/policy/guards.rs",
    "core/policy/hourly.rs",
    "core/provenance.rs",
    "controllers/admission.rs",
    "controllers/approval.rs",
    "controllers/environment.rs",
    "controllers/plan/in_flight.rs",
    "controllers/plan/mod.rs",
    "controllers/plan/policy.rs",
    "controllers/plan/report.rs",
    "controllers/policy.rs",
    "controllers/scene.rs",
    "store/directory/contents.rs",
    "store/kube/mod.rs",
];

/// Words of the same form that are no reasons: statuses of a condition, an Event's action, names of types.
const NO_REASONS: &[&str] = &["False", "KubeStore", "Reconcile", "True"];

fn source(file: &str) -> String {
    let text = read(&root().join("src").join(file));
    text.split("#[cfg(test)]").next().unwrap().to_owned()
}

/// Every text in the code that has the form of a reason: one word in camel case.
fn reasons_in(file: &str) -> BTreeSet<String> {
    let found = all(r#""([A-Z][a-z]+(?:[A-Z][a-z]+)*)""#, &source(file));
    found.into_iter().filter(|word| !NO_REASONS.contains(&word.as_str())).collect()
}

fn all_reasons() -> BTreeSet<String> {
    SPOKEN_IN.iter().flat_map(|file| reasons_in(file)).collect()
}

#[test]
fn every_phase_is_explained() {
    let spans = page(LIFECYCLE).code_spans();
    for phase in Phase::ALL {
        assert!(spans.contains(&phase.to_string()), "{phase}");
    }
}

#[test]
fn every_reason_and_every_event_in_the_code_is_explained() {
    let (reasons, spans) = (all_reasons(), page(LIFECYCLE).code_spans());
    assert!(reasons.len() > 40, "too few to be all: {reasons:?}");
    let lacking: Vec<&String> = reasons.iter().filter(|reason| !spans.contains(reason)).collect();
    assert!(lacking.is_empty(), "{LIFECYCLE} does not explain {lacking:?}");
}

#[test]
fn every_refusal_of_an_approval_has_its_row() {
    let page = page(LIFECYCLE);
    let rows: BTreeSet<String> =
        page.section("## Approvals").iter().flat_map(|line| all(r"^\| `([A-Za-z]+)` \|", line)).collect();
    let answers = || {
        SPOKEN_IN.iter().filter(|file| file.ends_with("approval.rs") || file.starts_with("core/approval/"))
    };
    let refusals: Vec<String> =
        answers().flat_map(|file| all(r#"refuse\(\s*"([A-Za-z]+)""#, &source(file))).collect();
    assert!(refusals.len() >= 10, "too few to be all: {refusals:?}");
    for refusal in refusals {
        assert!(rows.contains(&refusal), "{refusal}");
    }
    let known: BTreeSet<String> =
        answers().chain([&"core/provenance.rs"]).flat_map(|file| reasons_in(file)).collect();
    assert!(rows.is_subset(&known), "not in the code: {:?}", rows.difference(&known));
}

#[test]
fn no_transition_is_explained_that_the_code_does_not_make() {
    let page = page(LIFECYCLE);
    let known = all_reasons();
    let rows = page.section("## Transitions").into_iter().filter(|line| line.starts_with("| `"));
    let reasons: Vec<String> = rows
        .flat_map(|row| all("`([A-Za-z]+)`", row.split('|').nth(3).unwrap()))
        .filter(|reason| !known.contains(reason))
        .collect();
    assert!(reasons.is_empty(), "{reasons:?}");
}

/// The page that says what to do about each.
const BY_GIT: &str = "docs/approval-by-git.md";

#[test]
fn every_doubt_about_an_origin_has_its_row() {
    let page = page(BY_GIT);
    let rows: BTreeSet<String> = page
        .section("## When something does not hold")
        .iter()
        .flat_map(|line| all(r"^\| `([A-Za-z]+)` \|", line))
        .collect();
    let spoken: BTreeSet<String> = reasons_in("core/provenance.rs");
    let in_words = BTreeSet::from(["GitUnavailable".to_owned(), "Verified".to_owned()]);
    assert_eq!(rows, spoken.difference(&in_words).cloned().collect());
}
