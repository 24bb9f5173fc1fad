//! No role that is shipped does two duties.

use std::collections::BTreeMap;

use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule, Role};
use proxmox_agent::api::Risk;
use serde_json::{Value, json};

use crate::support::{
    cluster::Cluster,
    stage::{Setting, Stage},
};

/// What one does for a plan. Nobody does two of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Duty {
    Ask,
    Decide,
    CarryOut,
}

/// Every right to write that is given to anybody, and the duty that it belongs to.
const DUTIES: &[(&str, &str, Duty)] = &[
    ("create", "proxmoxactionplans", Duty::Ask),
    ("create", "proxmoxactionapprovals", Duty::Decide),
    ("delete", "proxmoxactionapprovals", Duty::Decide),
    ("approve", "proxmoxenvironments/low", Duty::Decide),
    ("approve", "proxmoxenvironments/medium", Duty::Decide),
    ("approve", "proxmoxenvironments/high", Duty::Decide),
    ("approve", "proxmoxenvironments/critical", Duty::Decide),
    ("deny", "proxmoxenvironments/low", Duty::Decide),
    ("deny", "proxmoxenvironments/medium", Duty::Decide),
    ("deny", "proxmoxenvironments/high", Duty::Decide),
    ("deny", "proxmoxenvironments/critical", Duty::Decide),
    ("patch", "proxmoxactionplans", Duty::CarryOut),
    ("update", "proxmoxactionplans/status", Duty::CarryOut),
    ("patch", "proxmoxactionplans/status", Duty::CarryOut),
    ("update", "proxmoxactionapprovals/status", Duty::CarryOut),
    ("patch", "proxmoxactionapprovals/status", Duty::CarryOut),
    ("update", "proxmoxenvironments/status", Duty::CarryOut),
    ("patch", "proxmoxenvironments/status", Duty::CarryOut),
    ("update", "proxmoxpolicies/status", Duty::CarryOut),
    ("patch", "proxmoxpolicies/status", Duty::CarryOut),
    ("create", "events", Duty::CarryOut),
    ("patch", "events", Duty::CarryOut),
    ("create", "leases", Duty::CarryOut),
    ("update", "leases", Duty::CarryOut),
];

/// A git syncer carries what others ask for and decide: whether it counts, their signatures say.
const BRINGS: &[&str] = &["create", "delete", "patch", "update"];

const READS: &[&str] = &["get", "list", "watch"];

/// Every right to write that these rules give, as verb and resource.
fn writes(rules: &[PolicyRule]) -> Vec<(&str, &str)> {
    let mut found = Vec::new();
    for rule in rules {
        for resource in rule.resources.iter().flatten() {
            let verbs = rule.verbs.iter().filter(|verb| !READS.contains(&verb.as_str()));
            found.extend(verbs.map(|verb| (verb.as_str(), resource.as_str())));
        }
    }
    found.sort_unstable();
    found
}

/// The duties that these rules give. Panics at a right that no duty needs, and at a wildcard.
fn duties(name: &str, rules: &[PolicyRule]) -> Vec<Duty> {
    let duty = |(verb, resource): (&str, &str)| {
        let known = DUTIES.iter().find(|(v, r, _)| *v == verb && *r == resource);
        known.unwrap_or_else(|| panic!("{name} may {verb} {resource}: what for?")).2
    };
    let mut found: Vec<Duty> = writes(rules).into_iter().map(duty).collect();
    found.dedup();
    found
}

fn objects<T: serde::de::DeserializeOwned>(rendered: &str, kind: &str) -> Vec<T> {
    let documents = rendered.split("\n---\n");
    let of_kind = documents.filter(|document| document.contains(&format!("\nkind: {kind}\n")));
    of_kind.map(|document| serde_saphyr::from_str(document).unwrap()).collect()
}

fn environment() -> Value {
    json!({"environments": [{"name": "home", "namespace": "home", "secrets": ["pve-home"]}]})
}

#[tokio::test]
async fn every_role_has_one_duty_at_most_and_no_right_beyond_it() {
    let rendered = Cluster::shared().rendered(&environment(), &[]).await;
    let mut roles = BTreeMap::new();
    for role in objects::<ClusterRole>(&rendered, "ClusterRole") {
        roles.insert(role.metadata.name.unwrap(), role.rules.unwrap());
    }
    for role in objects::<Role>(&rendered, "Role") {
        roles.insert(role.metadata.name.unwrap(), role.rules.unwrap());
    }
    for what in ["plan", "approval"] {
        let syncer =
            roles.remove(&format!("proxmox-agent-{what}-syncer")).expect("there are roles for git syncers");
        let resource = format!("proxmoxaction{what}s");
        let brings: Vec<_> = BRINGS.iter().map(|verb| (*verb, resource.as_str())).collect();
        assert_eq!(writes(&syncer), brings, "it brings {what}s, and touches nothing else");
    }
    let mut expected: BTreeMap<String, Vec<Duty>> = [
        ("proxmox-agent-requester", vec![Duty::Ask]),
        ("proxmox-agent-operator", vec![Duty::CarryOut]),
        ("proxmox-agent-auditor", vec![]),
        ("proxmox-agent-admission-reader", vec![]),
        ("proxmox-agent-leader", vec![Duty::CarryOut]),
        ("proxmox-agent-secrets-home", vec![]),
    ]
    .map(|(name, duties)| (name.to_owned(), duties))
    .into();
    for risk in Risk::ALL {
        expected.insert(format!("proxmox-agent-approver-{risk}"), vec![Duty::Decide]);
        expected.insert(format!("approver-home-{risk}"), vec![Duty::Decide]);
    }
    let found: BTreeMap<String, Vec<Duty>> =
        roles.iter().map(|(name, rules)| (name.clone(), duties(name, rules))).collect();
    assert_eq!(found, expected);
    for (name, rules) in &roles {
        let secrets = rules.iter().filter(|rule| rule.resources.iter().flatten().any(|one| one == "secrets"));
        for rule in secrets {
            assert_eq!(
                (name.as_str(), rule.verbs.as_slice()),
                ("proxmox-agent-secrets-home", ["get".to_owned()].as_slice())
            );
            assert_eq!(rule.resource_names, Some(vec!["pve-home".to_owned()]));
        }
        let leases = rules.iter().filter(|rule| rule.resources.iter().flatten().any(|one| one == "leases"));
        for rule in leases.filter(|rule| rule.verbs != ["create"]) {
            let own = ["proxmox-agent", "proxmox-agent-home"].map(str::to_owned);
            assert_eq!(rule.resource_names, Some(own.to_vec()), "{name} takes other leases");
        }
        let of_admission = rules.iter().filter(|rule| {
            rule.api_groups.iter().flatten().any(|group| group == "admissionregistration.k8s.io")
        });
        for rule in of_admission {
            let own = ["approvals", "deletions", "plans", "revocations", "status"]
                .map(|one| format!("proxmox-agent-{one}"));
            assert_eq!(rule.resource_names, Some(own.to_vec()), "{name} sees other admission policies");
        }
        let decides = |one: &String| one.starts_with("proxmoxenvironments/") && !one.ends_with("/status");
        let decided: Vec<&String> = rules
            .iter()
            .flat_map(|rule| rule.resources.iter().flatten())
            .filter(|one| decides(one))
            .collect();
        assert!(decided.len() <= 1, "{name} is for more than one risk: {decided:?}");
    }
}

/// The same, by the API server's own word.
#[tokio::test(flavor = "multi_thread")]
async fn of_the_people_with_these_roles_each_can_do_one_thing_only() {
    let stage = Stage::without_operator(Setting::default()).await;
    for (who, duty) in [
        ("requester", Some(Duty::Ask)),
        ("approver", Some(Duty::Decide)),
        ("operator", Some(Duty::CarryOut)),
        ("auditor", None),
        ("outsider", None),
        ("argocd", None),
    ] {
        for (verb, resource, of) in DUTIES {
            let (resource, part) = resource.split_once('/').unwrap_or((resource, ""));
            let (group, name) = match resource {
                "events" => ("events.k8s.io", "home"),
                "leases" => ("coordination.k8s.io", "proxmox-agent"),
                _ => ("proxmox-agent.io", "home"),
            };
            let asked = format!("{resource}.{group}/{name}");
            let answer =
                stage.kubectl(who, &["auth", "can-i", verb, &asked, &format!("--subresource={part}")]).await;
            let expected = if duty == Some(*of) { "yes" } else { "no" };
            assert_eq!(answer.stdout.trim(), expected, "{who}: {verb} {resource}/{part}: {}", answer.stderr);
        }
    }
}
