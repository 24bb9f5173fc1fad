//! The ground the other tests stand on.

use std::path::Path;

use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::api::{Api, ListParams, PostParams};

use crate::support::cluster::{Cluster, Write};

const WITHOUT_A_ROLE: [&str; 9] = [
    "operator",
    "argocd",
    "requester",
    "approver",
    "second-approver",
    "low-approver",
    "automation",
    "auditor",
    "outsider",
];

#[tokio::test]
async fn the_api_server_knows_people_by_their_tokens() {
    let cluster = Cluster::shared();
    let (user, groups) = who_am_i(&cluster, "requester").await;
    assert_eq!(user, "requester@example.test");
    assert_eq!(groups, ["requesters", "system:authenticated"]);

    let (user, groups) = who_am_i(&cluster, "second-approver").await;
    assert_eq!(user, "second-approver@example.test");
    assert_eq!(groups, ["approvers", "platform", "system:authenticated"]);

    let (user, groups) = who_am_i(&cluster, "operator").await;
    assert_eq!(user, "system:serviceaccount:proxmox-agent:proxmox-agent");
    assert_eq!(
        groups,
        ["system:serviceaccounts", "system:serviceaccounts:proxmox-agent", "system:authenticated"]
    );
}

#[tokio::test]
async fn nobody_without_a_role_reads_anything() {
    let cluster = Cluster::shared();
    let namespace = cluster.namespace().await;
    for identity in WITHOUT_A_ROLE {
        let client = cluster.client(identity).await;
        let secrets =
            Api::<Secret>::namespaced(client.clone(), &namespace).list(&ListParams::default()).await;
        let namespaces = Api::<Namespace>::all(client).list(&ListParams::default()).await;
        for refusal in [secrets.err(), namespaces.err()] {
            match refusal {
                Some(kube::Error::Api(status)) if status.is_forbidden() => {}
                other => panic!("{identity} was not refused: {other:?}"),
            }
        }
    }
}

#[tokio::test]
async fn an_accepted_write_is_in_the_audit_log_and_a_refused_one_is_not() {
    let cluster = Cluster::shared();
    let namespace = cluster.namespace().await;
    let event = r#"
        {"apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"name": "noted"},
         "eventTime": "2026-01-01T00:00:00.000000Z", "type": "Normal", "reason": "Noted", "action": "Note",
         "reportingController": "example.test/tests", "reportingInstance": "one", "note": "something happened",
         "regarding": {"kind": "Namespace", "name": "NAMESPACE", "namespace": "NAMESPACE"}}"#
        .replace("NAMESPACE", &namespace);
    let create = ["create", "--namespace", &namespace, "-f", "-"];

    let refused = cluster.kubectl_reading(&event, "outsider", &create).await;
    assert_eq!(refused.code, 1);
    assert!(refused.stderr.contains("forbidden"), "{}", refused.stderr);
    assert_eq!(cluster.audit_writes(&namespace), []);

    let accepted = cluster.kubectl_reading(&event, "admin", &create).await;
    assert_eq!(accepted.stdout, "event.events.k8s.io/noted created\n", "{}", accepted.stderr);
    assert_eq!(
        cluster.audit_writes(&namespace),
        [Write {
            user: "admin".into(),
            verb: "create".into(),
            resource: "events".into(),
            subresource: String::new(),
            name: "noted".into(),
        }]
    );
}

#[test]
fn the_control_plane_ends_with_its_test() {
    let cluster = Cluster::start();
    let dir = cluster.dir();
    assert!(processes_in(&dir) >= 3, "the control plane's script and its two servers run in its folder");
    drop(cluster);
    assert_eq!(processes_in(&dir), 0);
    assert!(!dir.exists());
}

async fn who_am_i(cluster: &Cluster, identity: &str) -> (String, Vec<String>) {
    let reviews = Api::<SelfSubjectReview>::all(cluster.client(identity).await);
    let review = reviews.create(&PostParams::default(), &SelfSubjectReview::default()).await.unwrap();
    let user = review.status.unwrap().user_info.unwrap();
    (user.username.unwrap(), user.groups.unwrap())
}

/// How many processes work in a folder, which may be gone by now.
fn processes_in(dir: &Path) -> usize {
    let links = std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| std::fs::read_link(entry.ok()?.path().join("cwd")).ok());
    links.filter(|cwd| cwd.starts_with(dir)).count()
}
