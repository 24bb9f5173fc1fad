//! What the chart installs, on an API server of its own: its policies are there for all namespaces.

use proxmox_agent::{
    core::admission::Admission,
    ports::Store,
    store::kube::{ExpectedPolicies, KubeStore},
};
use serde_json::{Value, json};

use crate::support::{
    chart::{expected_policies, give_roles, install},
    cluster::{Cluster, taken},
    patience::until_async,
};

/// An error of a policy, a namespace or an object that it passes over, or a binding that only warns: each lets things in.
#[tokio::test]
async fn no_policy_lets_pass_what_it_can_not_judge_and_none_passes_over_anything() {
    let part = ["--show-only", "templates/admission.yaml"];
    let rendered = Cluster::shared().rendered(&json!({}), &part).await;
    let (mut policies, mut bindings) = (0, 0);
    for document in rendered.split("\n---\n").filter(|document| document.contains("\nkind: ")) {
        let object: Value = serde_saphyr::from_str(document).unwrap();
        let (name, spec) = (&object["metadata"]["name"], &object["spec"]);
        if object["kind"] == "ValidatingAdmissionPolicy" {
            policies += 1;
            assert_eq!(spec["failurePolicy"], "Fail", "{name}");
            let matched = &spec["matchConstraints"];
            for selector in ["namespaceSelector", "objectSelector"] {
                assert_eq!(matched[selector], json!({}), "{name}");
            }
            assert_eq!(matched["excludeResourceRules"], Value::Null, "{name}");
        } else {
            bindings += 1;
            let expected = json!({"policyName": name, "validationActions": ["Deny", "Audit"]});
            assert_eq!(*spec, expected, "{name}");
        }
    }
    assert_eq!((policies, bindings), (5, 5));
}

/// What the API server stores is compared with what the operator expects, default by default.
#[tokio::test(flavor = "multi_thread")]
async fn the_operator_and_the_chart_agree_whatever_the_names() {
    let cluster = Cluster::start();
    let part = ["--show-only", "templates/admission.yaml"];
    for (account, syncers) in [("operator", vec!["b:two", "a:one", "b:two"]), ("another", vec![])] {
        let values = json!({"serviceAccount": {"name": account}, "gitSyncers": syncers});
        let rendered = cluster.rendered(&values, &part).await;
        taken(&cluster.kubectl_reading(&rendered, "admin", &["apply", "-f", "-"]).await);
        let operator = format!("system:serviceaccount:proxmox-agent:{account}");
        let expected = ExpectedPolicies::new(&operator, &syncers.iter().map(ToString::to_string).collect());
        let store = KubeStore::new(cluster.client("admin").await, None, Some(expected.unwrap()));
        let Admission::Policies(found) = store.admission().await.unwrap() else { panic!("they are waived") };
        assert_eq!(found.problems, Vec::<String>::new());
        let store = KubeStore::new(cluster.client("admin").await, None, Some(expected_policies()));
        let Admission::Policies(found) = store.admission().await.unwrap() else { panic!("they are waived") };
        assert_eq!(found.problems.len(), 4, "{:?}", found.problems);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_left_out_is_filled_in_where_the_owner_wants_it() {
    let cluster = Cluster::start();
    install(&cluster).await;
    let namespace = cluster.namespace().await;
    give_roles(&cluster, &[&namespace]).await;
    let fill_in =
        cluster.rendered(&json!({"fillInNames": true}), &["--show-only", "templates/fill-in.yaml"]).await;
    taken(&cluster.kubectl_reading(&fill_in, "admin", &["apply", "-f", "-"]).await);
    let plan = json!({
        "apiVersion": "proxmox-agent.io/v1alpha1", "kind": "ProxmoxActionPlan",
        "metadata": {"generateName": "p-", "namespace": namespace},
        "spec": {"environment": "home", "action": "start_guest", "target": "qemu/100"},
    });
    let approval = json!({
        "apiVersion": "proxmox-agent.io/v1alpha1", "kind": "ProxmoxActionApproval",
        "metadata": {"generateName": "a-", "namespace": namespace},
        "spec": {
            "planRef": {"name": "p", "uid": "00000000-0000-0000-0000-000000000000"},
            "planHash": format!("sha256:{}", "0".repeat(64)), "decision": "Approve", "environment": "home", "risk": "low",
        },
    });
    for (who, object, field) in [("requester", plan, "requestedBy"), ("approver", approval, "approved_by")] {
        let create = ["create", "-f", "-", "-o", "json"];
        let mut created = String::new();
        // The API server takes a moment to know a new policy.
        until_async("the name is filled in", async || {
            let outcome = cluster.kubectl_reading(&object.to_string(), who, &create).await;
            let is_known = outcome.code == 0;
            let still_missing = outcome.stderr.contains(&format!("spec.{field}: Required value"));
            assert!(is_known || still_missing, "{}", outcome.stderr);
            created = outcome.stdout;
            is_known
        })
        .await;
        let created: Value = serde_json::from_str(&created).unwrap();
        assert_eq!(created["spec"][field], format!("{who}@example.test"));
        let mut forged = object;
        forged["spec"][field] = json!("somebody@example.test");
        let refused = cluster.kubectl_reading(&forged.to_string(), who, &create).await;
        assert!(
            refused.stderr.contains("the authenticated user, not somebody@example.test"),
            "{}",
            refused.stderr
        );
    }
}
