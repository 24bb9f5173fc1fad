//! Values of the chart: nonsense is refused, and what is odd but right is rendered so that the API server takes it.

use serde_json::{Value, json};

use crate::support::cluster::Cluster;

fn home() -> Value {
    json!({"name": "home", "namespace": "home", "secrets": ["pve-home"]})
}

fn home_with(field: &str, value: Value) -> Value {
    let mut home = home();
    home[field] = value;
    json!({"environments": [home]})
}

#[tokio::test]
async fn values_that_make_no_sense_are_refused_with_their_place() {
    let cluster = Cluster::shared();
    for (values, says) in [
        (json!({"envrionments": []}), "additional properties 'envrionments' not allowed"),
        (json!({"serviceAccount": null}), "missing property 'serviceAccount'"),
        (json!({"environments": null}), "missing property 'environments'"),
        (json!({"gitSyncers": null}), "missing property 'gitSyncers'"),
        (json!({"gitSyncers": ["it's"]}), "at '/gitSyncers/0'"),
        (json!({"fillInNames": "yes"}), "at '/fillInNames': got string, want boolean"),
        (json!({"environments": [home(), home()]}), "home of namespace home is listed twice"),
        (home_with("name", json!("my.env")), "at '/environments/0/name'"),
        (home_with("secrets", json!([])), "at '/environments/0/secrets'"),
        (home_with("approvers", json!({"hihg": []})), "additional properties 'hihg' not allowed"),
        (home_with("requesters", json!(["anna"])), "at '/environments/0/requesters/0'"),
        (home_with("syncers", json!([{"kind": "ServiceAccount", "name": "a"}])), "one of 'User', 'Group'"),
    ] {
        let helm = cluster.helm_template(&values, &[]).await;
        assert_ne!(helm.code, 0, "{values} was rendered");
        assert!(helm.stderr.contains(says), "`{says}` is missing for {values}: {}", helm.stderr);
    }
}

#[tokio::test]
async fn names_that_look_like_numbers_stay_names() {
    let cluster = Cluster::shared();
    let person = json!([{"kind": "User", "name": "7"}]);
    let environment = json!({
        "name": "100", "namespace": "200", "secrets": ["300"], "requesters": person, "syncers": person,
        "approvers": {"low": person},
    });
    let values = json!({"serviceAccount": {"name": "400"}, "environments": [environment]});
    let rendered = cluster.rendered(&values, &[]).await;
    assert_eq!(cluster.kubectl("admin", &["create", "namespace", "200"]).await.code, 0);
    let part = ["--show-only", "templates/environments.yaml"];
    let roles = cluster.rendered(&values, &part).await;
    let applied = cluster.kubectl_reading(&roles, "admin", &["apply", "-f", "-"]).await;
    assert_eq!(applied.code, 0, "{}", applied.stderr);
    assert!(rendered.contains(r#"metadata: {name: "400", namespace: "proxmox-agent"}"#), "{rendered}");
}
