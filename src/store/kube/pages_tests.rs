//! An API server that gives lists in pages, and forgets.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use http::{Request, Response};
use kube::client::Body;
use serde_json::{Value, json};

use crate::{
    api::ProxmoxPolicy,
    ports::{Store, StoreError},
    store::kube::KubeStore,
};

fn page(names: &[&str], goes_on: &str) -> (u16, Value) {
    let items: Vec<Value> = names
        .iter()
        .map(|name| {
            json!({
                "apiVersion": "proxmox-agent.io/v1alpha1", "kind": "ProxmoxPolicy",
                "metadata": {"name": name, "namespace": "default"}, "spec": {},
            })
        })
        .collect();
    let list = json!({
        "apiVersion": "proxmox-agent.io/v1alpha1", "kind": "ProxmoxPolicyList",
        "metadata": {"resourceVersion": "7", "continue": goes_on}, "items": items,
    });
    (200, list)
}

fn forgotten() -> (u16, Value) {
    let status = json!({
        "apiVersion": "v1", "kind": "Status", "status": "Failure", "reason": "Expired", "code": 410,
        "message": "The provided continue parameter is too old", "metadata": {"continue": "of another moment"},
    });
    (410, status)
}

/// What is listed when the answers are these, one after the other and the last ever again; and how often it was asked.
async fn listed(answers: Vec<(&'static str, (u16, Value))>) -> (Result<Vec<String>, StoreError>, usize) {
    let asked = Arc::<AtomicUsize>::default();
    let count = Arc::clone(&asked);
    let server = tower::service_fn(move |request: Request<Body>| {
        let turn = count.fetch_add(1, Ordering::SeqCst);
        let (continues, (code, body)) = answers[turn % answers.len()].clone();
        let query = request.uri().query().unwrap_or_default().to_owned();
        assert!(query.contains("limit="), "{query}");
        assert_eq!(query.contains("continue="), !continues.is_empty(), "{query}");
        assert!(query.contains(&format!("continue={continues}")) || continues.is_empty(), "{query}");
        let answer = Response::builder().status(code).body(Body::from(body.to_string().into_bytes()));
        async move { Ok::<_, Infallible>(answer.unwrap()) }
    });
    let store = KubeStore::new(kube::Client::new(server, "default"), None, None);
    let policies = store.policies_of("default").await;
    let names = policies
        .map(|all| all.into_iter().filter_map(|policy: ProxmoxPolicy| policy.metadata.name).collect());
    (names, asked.load(Ordering::SeqCst))
}

#[tokio::test]
async fn a_list_in_pages_is_the_whole_list() {
    let answers = vec![("", page(&["a", "b"], "x")), ("x", page(&["c"], "y")), ("y", page(&["d"], ""))];
    let (names, asked) = listed(answers).await;
    assert_eq!((names.unwrap(), asked), (["a", "b", "c", "d"].map(str::to_owned).to_vec(), 3));
}

#[tokio::test]
async fn a_moment_that_was_forgotten_is_not_mixed_with_a_later_one() {
    let answers = vec![
        ("", page(&["a", "b"], "x")),
        ("x", forgotten()),
        ("", page(&["b", "c"], "z")),
        ("z", page(&["d"], "")),
    ];
    let (names, asked) = listed(answers).await;
    assert_eq!((names.unwrap(), asked), (["b", "c", "d"].map(str::to_owned).to_vec(), 4));
}

#[tokio::test]
async fn a_list_that_is_forgotten_again_and_again_fails_and_is_not_taken_for_whole() {
    let (names, asked) = listed(vec![("", page(&["a"], "x")), ("x", forgotten())]).await;
    let told = names.unwrap_err().to_string();
    assert!(told.contains("forgot"), "{told}");
    assert_eq!(asked, 6);
}
