//! More objects than the API server gives in one answer.

use futures::{StreamExt, stream};
use kube::{Api, ResourceExt, api::PostParams};
use proxmox_agent::{
    api::{Phase, ProxmoxActionPlan},
    ports::Store,
    store::kube::KubeStore,
};
use serde_json::json;

use crate::support::stage::{Setting, Stage};

/// More than two pages.
const MANY: usize = 230;

#[tokio::test(flavor = "multi_thread")]
async fn all_plans_that_were_sent_are_read_however_many_there_are_and_none_that_waits() {
    let mut stage = Stage::with(Setting::default()).await;
    let plan = stage.plan("first", "start_guest", "qemu/101", &json!({}));
    let first = stage.request(&plan, Phase::Succeeded).await;
    let waiting = stage.plan("waiting", "delete_guest", "qemu/101", &json!({}));
    stage.request(&waiting, Phase::AwaitingApproval).await;
    stage.ask_operator_to_stop().await;
    let api = |client| Api::<ProxmoxActionPlan>::namespaced(client, &stage.namespace);
    let requester = api(stage.cluster.client("requester").await);
    let operator = stage.cluster.client("operator").await;
    stream::iter(1..MANY)
        .for_each_concurrent(16, async |number| {
            let wanted = stage.plan(&format!("sent-{number}"), "start_guest", "qemu/101", &json!({}));
            let wanted = serde_json::from_str(&wanted).unwrap();
            let mut sent = requester.create(&PostParams::default(), &wanted).await.unwrap();
            sent.status.clone_from(&first.status);
            let name = sent.name_any();
            api(operator.clone()).replace_status(&name, &PostParams::default(), &sent).await.unwrap();
        })
        .await;
    let store = KubeStore::new(operator, Some(stage.namespace.clone()), None);
    let uid = |plan: ProxmoxActionPlan| plan.uid();
    let mut sent = store.plans_sent(&stage.namespace, "home", uid).await.unwrap();
    let mut rivals = store.plans_for(&stage.namespace, "qemu/101", |plan| plan.status?.upid).await.unwrap();
    assert_eq!((sent.len(), rivals.len()), (MANY, MANY));
    sent.sort();
    sent.dedup();
    rivals.dedup();
    assert_eq!((sent.len(), rivals.len()), (MANY, 1));
}
