//! Whether the admission policies that force names to be their writers' own stand as they should.

use std::collections::BTreeSet;

use futures::{StreamExt, future::try_join_all, stream, stream::BoxStream};
use jiff::Timestamp;
use kube::{
    Api, Client,
    core::{ApiResource, DynamicObject, GroupVersionKind},
    runtime::{WatchStreamExt, watcher},
};
use serde_json::Value;
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::{core::admission::Policies, ports::StoreError};

use super::{again::soon, bounded};

/// What the chart installs. It fills in the same two names.
const TEXTS: [&str; 5] = [
    include_str!("../../../charts/proxmox-agent/files/approvals.yaml"),
    include_str!("../../../charts/proxmox-agent/files/deletions.yaml"),
    include_str!("../../../charts/proxmox-agent/files/plans.yaml"),
    include_str!("../../../charts/proxmox-agent/files/revocations.yaml"),
    include_str!("../../../charts/proxmox-agent/files/status.yaml"),
];

/// The policies and their bindings as they have to be.
#[derive(Clone, Debug)]
pub struct ExpectedPolicies(Vec<DynamicObject>);

/// Why a policy can't be written for somebody.
#[derive(Debug, Error)]
pub enum UnfitName {
    #[error(
        "`{0}` can't stand in an admission policy: a user name there has letters, digits and :@._/=#+- only"
    )]
    Characters(String),
    #[error("the admission policies can't be read: {0}")]
    Text(String),
}

impl ExpectedPolicies {
    /// For an operator of this user name, where these users bring what is in git.
    pub fn new(operator: &str, git_syncers: &BTreeSet<String>) -> Result<Self, UnfitName> {
        let operator = quoted(operator)?;
        let syncers = git_syncers.iter().map(|name| quoted(name)).collect::<Result<Vec<_>, _>>()?.join(", ");
        let filled_in = |text: &str| text.replace("'GIT_SYNCERS'", &syncers).replace("'OPERATOR'", &operator);
        let mut objects = Vec::new();
        for text in TEXTS {
            for document in filled_in(text).split("\n---\n") {
                objects.push(
                    serde_saphyr::from_str(document).map_err(|error| UnfitName::Text(error.to_string()))?,
                );
            }
        }
        Ok(Self(objects))
    }

    /// How they stand, read live.
    pub(super) async fn read(&self, client: &Client) -> Result<Policies, StoreError> {
        let found = try_join_all(self.0.iter().map(|expected| find(client, expected))).await?;
        Ok(assessed(self.0.iter().zip(found)))
    }

    /// Says something whenever one of them may have changed.
    pub(super) fn changes(&self, client: &Client) -> BoxStream<'static, ()> {
        let watches = self.0.iter().map(|expected| watch(client, expected));
        // What comes in together is one reason to look.
        stream::select_all(watches).ready_chunks(64).map(|_| ()).boxed()
    }
}

fn quoted(name: &str) -> Result<String, UnfitName> {
    let fits = |c: char| c.is_ascii_alphanumeric() || ":@._/=#+-".contains(c);
    if name.is_empty() || !name.chars().all(fits) {
        return Err(UnfitName::Characters(name.to_owned()));
    }
    Ok(format!("'{name}'"))
}

fn named(object: &DynamicObject) -> (&str, &str) {
    let kind = object.types.as_ref().map(|types| types.kind.as_str()).unwrap_or_default();
    (kind, object.metadata.name.as_deref().unwrap_or_default())
}

/// Untyped, so that nothing is overlooked that a newer API server knows.
fn api(client: &Client, expected: &DynamicObject) -> Api<DynamicObject> {
    let (kind, _) = named(expected);
    let gvk = GroupVersionKind::gvk("admissionregistration.k8s.io", "v1", kind);
    let plural =
        if kind.ends_with("Binding") { format!("{kind}s") } else { kind.replace("Policy", "Policies") };
    Api::all_with(client.clone(), &ApiResource::from_gvk_with_plural(&gvk, &plural.to_lowercase()))
}

/// What was found under a name; the reason if it may not be read.
type Found = Result<Option<DynamicObject>, String>;

async fn find(client: &Client, expected: &DynamicObject) -> Result<Found, StoreError> {
    let (kind, name) = named(expected);
    let api = api(client, expected);
    let read = async {
        match api.get_opt(name).await {
            Err(kube::Error::Api(status)) if status.is_forbidden() => Ok(Err(status.message)),
            read => read.map(Ok),
        }
    };
    bounded("read", format!("{kind} {name}"), read).await
}

fn watch(client: &Client, expected: &DynamicObject) -> BoxStream<'static, ()> {
    // A watch on one name is allowed by a right to one name.
    let config = watcher::Config::default().fields(&format!("metadata.name={}", named(expected).1));
    let changes = watcher(api(client, expected), config).backoff(soon());
    let is_news = |change: Result<watcher::Event<DynamicObject>, watcher::Error>| {
        let told = matches!(
            change,
            Ok(watcher::Event::Apply(_) | watcher::Event::Delete(_) | watcher::Event::InitDone)
        );
        futures::future::ready(told.then_some(()))
    };
    changes.filter_map(is_news).boxed()
}

fn assessed<'a>(pairs: impl Iterator<Item = (&'a DynamicObject, Found)>) -> Policies {
    let (mut revision, mut newest, mut untouched) = (Sha256::new(), Timestamp::MIN, true);
    let mut problems = Vec::new();
    for (expected, found) in pairs {
        let found = match held_against(expected, found) {
            Ok(found) => found,
            Err(problem) => {
                problems.push(problem);
                continue;
            }
        };
        let meta = found.metadata;
        revision.update(format!("{}/{};", meta.uid.unwrap_or_default(), meta.generation.unwrap_or_default()));
        untouched &= meta.generation == Some(1);
        newest = newest.max(meta.creation_timestamp.map_or(Timestamp::MAX, |moment| moment.0));
    }
    if !problems.is_empty() {
        return Policies { problems, ..Policies::default() };
    }
    let revision: String = revision.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Policies {
        revision: format!("sha256:{revision}"),
        unchanged_since: untouched.then_some(newest),
        problems,
    }
}

fn held_against(expected: &DynamicObject, found: Found) -> Result<DynamicObject, String> {
    let (kind, name) = named(expected);
    let found = found.map_err(|why| format!("{kind} {name} can't be read: {why}"))?;
    let found = found.ok_or_else(|| format!("{kind} {name} is missing"))?;
    match difference("spec", &expected.data["spec"], &found.data["spec"]) {
        Some(field) => Err(format!("{kind} {name} is changed: {field}")),
        None => Ok(found),
    }
}

/// The first field that is not as expected.
fn difference(at: &str, expected: &Value, found: &Value) -> Option<String> {
    match (expected, found) {
        (Value::Object(one), Value::Object(other)) => {
            let names: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
            names.into_iter().find_map(|name| {
                difference(&format!("{at}.{name}"), &expected[name.as_str()], &found[name.as_str()])
            })
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            let mut pairs = one.iter().zip(other).enumerate();
            pairs.find_map(|(index, (one, other))| difference(&format!("{at}[{index}]"), one, other))
        }
        (one, other) if one == other => None,
        (one, other) => Some(format!("{at} is {}, not {}", shortened(other), shortened(one))),
    }
}

fn shortened(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(80) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use serde_json::json;

    use super::*;

    fn expected() -> ExpectedPolicies {
        let syncers = ["b:two".to_owned(), "a:one".to_owned()].into();
        ExpectedPolicies::new("system:serviceaccount:x:y", &syncers).unwrap()
    }

    /// As the API server would hand it out.
    fn stored(expected: &DynamicObject) -> DynamicObject {
        let mut object = expected.clone();
        object.metadata.uid = Some(format!("uid-of-{}-{}", named(expected).0, named(expected).1));
        object.metadata.generation = Some(1);
        object.metadata.creation_timestamp = Some("2026-11-21T12:00:00Z".parse().map(time).unwrap());
        object
    }

    fn time(moment: Timestamp) -> k8s_openapi::apimachinery::pkg::apis::meta::v1::Time {
        k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(moment)
    }

    fn assessed_with(change: impl Fn(&mut Vec<Found>)) -> Policies {
        let ExpectedPolicies(all) = expected();
        let mut found = all.iter().map(|one| Ok(Some(stored(one)))).collect();
        change(&mut found);
        assessed(all.iter().zip(found))
    }

    fn changed(found: &mut Found) -> &mut DynamicObject {
        found.as_mut().unwrap().as_mut().unwrap()
    }

    #[test]
    fn every_policy_of_the_chart_is_expected_and_bound() {
        let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("charts/proxmox-agent/files");
        assert_eq!(fs::read_dir(files).unwrap().count(), TEXTS.len());
        let ExpectedPolicies(all) = expected();
        let (bindings, policies): (Vec<_>, Vec<_>) =
            all.iter().partition(|one| named(one).0.ends_with("Binding"));
        for (policy, binding) in policies.iter().zip(&bindings) {
            assert_eq!(binding.data["spec"]["policyName"], json!(policy.metadata.name));
            assert_eq!(binding.data["spec"]["validationActions"], json!(["Deny", "Audit"]));
            assert_eq!(policy.data["spec"]["failurePolicy"], "Fail");
        }
        assert_eq!((policies.len(), bindings.len()), (5, 5));
    }

    #[test]
    fn both_names_are_filled_in_everywhere_and_the_syncers_in_order() {
        let text = expected().0.iter().map(|one| one.data.to_string()).collect::<String>();
        assert!(!text.contains("GIT_SYNCERS") && !text.contains("OPERATOR"), "{text}");
        assert_eq!(text.matches("['a:one', 'b:two']").count(), 3);
        assert_eq!(text.matches("\"'system:serviceaccount:x:y'\"").count(), 1);
    }

    #[test]
    fn a_name_that_would_say_more_than_a_name_is_refused() {
        for name in ["", "a' || 'b' == 'b", "a\\", "a\nb", "a\"b"] {
            assert!(ExpectedPolicies::new(name, &BTreeSet::new()).is_err(), "{name}");
            assert!(ExpectedPolicies::new("operator", &[name.to_owned()].into()).is_err(), "{name}");
        }
    }

    #[test]
    fn policies_that_were_never_touched_stand_since_the_newest_was_made() {
        let newest: Timestamp = "2026-11-21T12:00:07Z".parse().unwrap();
        let policies =
            assessed_with(|found| changed(&mut found[3]).metadata.creation_timestamp = Some(time(newest)));
        assert_eq!((policies.problems.len(), policies.unchanged_since), (0, Some(newest)));
    }

    #[test]
    fn a_change_that_was_taken_back_still_shows() {
        let before = assessed_with(|_| ());
        let after = assessed_with(|found| changed(&mut found[0]).metadata.generation = Some(3));
        assert_eq!((after.problems.len(), after.unchanged_since), (0, None));
        assert_ne!(after.revision, before.revision);
        let made_again =
            assessed_with(|found| changed(&mut found[1]).metadata.uid = Some("another".to_owned()));
        assert_ne!(made_again.revision, before.revision);
    }

    #[test]
    fn whatever_is_otherwise_is_named() {
        type Change = fn(&mut Found);
        let cases: [(Change, &str); 6] = [
            (|found| *found = Ok(None), "ValidatingAdmissionPolicy proxmox-agent-approvals is missing"),
            (|found| *found = Err("forbidden".to_owned()), "can't be read: forbidden"),
            (
                |found| changed(found).data["spec"]["failurePolicy"] = json!("Ignore"),
                "is changed: spec.failurePolicy is \"Ignore\", not \"Fail\"",
            ),
            (
                |found| changed(found).data["spec"]["validations"][3]["expression"] = json!("true"),
                "is changed: spec.validations[3].expression is \"true\"",
            ),
            (|found| changed(found).data["spec"]["paramKind"] = json!({}), "spec.paramKind is {}, not null"),
            (
                |found| drop(changed(found).data["spec"]["validations"].as_array_mut().unwrap().pop()),
                "is changed: spec.validations is ",
            ),
        ];
        for (change, problem) in cases {
            let policies = assessed_with(|found| change(&mut found[0]));
            assert!(policies.problems[0].contains(problem), "{:?}", policies.problems);
            assert_eq!((policies.problems.len(), policies.unchanged_since), (1, None));
        }
    }
}
