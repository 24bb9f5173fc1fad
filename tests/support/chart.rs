//! The chart as it stands, installed on a control plane.

use proxmox_agent::{
    core::{admission::proof, approval::Proof},
    ports::Store,
    store::kube::{ExpectedPolicies, KubeStore},
};
use serde_json::{Value, json};

use super::{
    cluster::{Cluster, taken},
    patience::until_async,
};

/// The operator, as the API server knows it.
pub(crate) const OPERATOR: &str = "system:serviceaccount:proxmox-agent:proxmox-agent";

/// The git syncer.
pub(crate) const ARGOCD: &str = "system:serviceaccount:argocd:argocd-application-controller";

/// The CRDs and the chart, once for each control plane. Returns when approvals begin to count.
pub(crate) async fn install(cluster: &Cluster) {
    cluster
        .installed
        .get_or_init(|| async {
            let crds = concat!(env!("CARGO_MANIFEST_DIR"), "/crds");
            let applied = cluster.kubectl("admin", &["apply", "-f", crds]).await;
            taken(&applied);
            let wait = ["wait", "--for=condition=Established", "crd", "--all", "--timeout=30s"];
            assert_eq!(cluster.kubectl("admin", &wait).await.code, 0);
            cluster.kubectl("admin", &["create", "namespace", "proxmox-agent"]).await;
            apply(cluster, &cluster.rendered(&json!({}), &[]).await).await;
            approvals_count(cluster).await;
        })
        .await;
}

async fn apply(cluster: &Cluster, yaml: &str) {
    taken(&cluster.kubectl_reading(yaml, "admin", &["apply", "-f", "-"]).await);
}

/// The admission policies as the operator of the cast expects them.
pub(crate) fn expected_policies() -> ExpectedPolicies {
    ExpectedPolicies::new(OPERATOR, &[ARGOCD.to_owned()].into()).unwrap()
}

/// Waits until the policies are in force, as the operator itself sees it.
pub(crate) async fn approvals_count(cluster: &Cluster) {
    let store = KubeStore::new(cluster.client("admin").await, None, Some(expected_policies()));
    let Proof::Admission { since } = proof(&store.admission().await.unwrap(), None) else {
        panic!("the policies are not as the operator expects them: {:?}", store.admission().await)
    };
    until_async("approvals count", async || store.time("default").await.unwrap() > since).await;
}

/// The chart's roles for an environment `home` in each of these namespaces, bound to the cast.
pub(crate) async fn give_roles(cluster: &Cluster, namespaces: &[&str]) {
    let group = |name: &str| json!({"kind": "Group", "name": name});
    let approvers = json!([group("approvers")]);
    let environment = |namespace: &&str| {
        json!({
            "name": "home", "namespace": namespace, "secrets": ["pve-home"],
            "requesters": [group("requesters")], "auditors": [group("auditors")],
            "approvers": {
                "low": [group("approvers"), group("low-approvers")],
                "medium": approvers, "high": approvers, "critical": approvers,
            },
        })
    };
    let environments: Vec<Value> = namespaces.iter().map(environment).collect();
    let part = ["--show-only", "templates/environments.yaml"];
    let roles = cluster.rendered(&json!({"environments": environments}), &part).await;
    apply(cluster, &roles).await;
}

/// The operator's right to lead, in namespaces of one's own: a release of the chart has one for all its replicas.
pub(crate) async fn let_lead(cluster: &Cluster, namespaces: &[&str]) {
    let environment =
        |namespace: &&str| json!({"name": "home", "namespace": namespace, "secrets": ["pve-home"]});
    let environments: Vec<Value> = namespaces.iter().map(environment).collect();
    let part = ["--show-only", "templates/lease.yaml"];
    let role = cluster.rendered(&json!({"environments": environments}), &part).await;
    let documents = role.split("\n---\n").filter(|document| document.contains("\nkind: "));
    let objects: Vec<Value> = documents.map(|document| serde_saphyr::from_str(document).unwrap()).collect();
    let mut everywhere = vec![];
    for namespace in namespaces {
        for mut object in objects.clone() {
            object["metadata"]["namespace"] = json!(namespace);
            everywhere.push(object.to_string());
        }
    }
    apply(cluster, &everywhere.join("\n---\n")).await;
}
