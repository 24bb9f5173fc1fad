//! `kubectl approve list`: what waits for whom.

use futures::{StreamExt, TryStreamExt, stream};
use kube::{Api, ResourceExt, api::PostParams};
use proxmox_agent::api::{Phase, ProxmoxActionPlan};
use serde_json::{Value, json};

use crate::{
    kubectl_approve::{deletion, judged},
    support::stage::{Setting, Stage},
};

#[tokio::test(flavor = "multi_thread")]
async fn it_lists_what_waits_for_the_caller_and_nothing_else() {
    let stage = Stage::new().await;
    let empty = stage.approve("approver", &["list"]).await;
    assert_eq!((empty.code, empty.stdout.as_str()), (0, ""), "{empty:?}");
    assert!(empty.stderr.contains(&format!("nothing waits for you in namespace {}", stage.namespace)));

    let later = json!({"notBefore": "2999-01-01T00:00:00Z", "reason": "old"});
    let plan = stage.plan("approved", "delete_guest", "qemu/101", &later);
    stage.request(&plan, Phase::AwaitingApproval).await;
    assert_eq!(stage.approve("approver", &["approved", "--yes"]).await.code, 0);
    stage.plan_in("approved", Phase::Approved).await;
    deletion(&stage, "waits").await;

    let listed = stage.approve("approver", &["list"]).await.stdout;
    let lines: Vec<Vec<&str>> = listed.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(
        lines[0],
        ["NAMESPACE", "NAME", "RISK", "ACTION", "TARGET", "ENV", "ASKED-BY", "AGE", "APPROVALS", "MISSING"]
    );
    let expected = ["waits", "critical", "delete_guest", "qemu/101", "home", "requester@example.test"];
    assert_eq!(lines[1][1..7], expected, "{listed}");
    assert_eq!(lines[1][8], "0/1", "{listed}");
    assert_eq!(lines.len(), 2, "{listed}");

    for (who, why) in [("requester", "you asked for it"), ("auditor", "you may not approve critical in home")]
    {
        let own = stage.approve(who, &["list"]).await;
        assert_eq!((own.code, own.stdout.as_str()), (0, ""), "{own:?}");
        let all = stage.approve(who, &["list", "--all"]).await.stdout;
        assert!(all.contains("WHY-NOT-ME") && all.contains(why), "{all}");
    }
    let outsider = stage.approve("outsider", &["list"]).await;
    assert_eq!(outsider.code, 4, "{outsider:?}");
    assert!(stage.sim.ledger().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_get_names_and_objects() {
    let stage = Stage::new().await;
    let none = stage.approve("approver", &["list", "-o", "json"]).await.stdout;
    assert_eq!(serde_json::from_str::<Value>(&none).unwrap()["items"], json!([]));
    deletion(&stage, "one").await;
    deletion(&stage, "two").await;
    let names = stage.approve("approver", &["list", "-o", "name"]).await.stdout;
    assert_eq!(names, "proxmoxactionplan.proxmox-agent.io/one\nproxmoxactionplan.proxmox-agent.io/two\n");
    // What it prints can be given back to it.
    for name in names.lines() {
        let asked = stage.approve("approver", &[name, "--dry-run=server"]).await;
        assert_eq!(asked.code, 0, "{asked:?}");
    }
    let listed = stage.approve("approver", &["list", "-o", "yaml"]).await.stdout;
    let objects: Value = serde_saphyr::from_str(&listed).unwrap();
    let plan: ProxmoxActionPlan = serde_json::from_value(objects["items"][1].clone()).unwrap();
    assert_eq!((plan.name_any().as_str(), plan.status.unwrap().phase), ("two", Phase::AwaitingApproval));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_that_is_called_like_a_command_can_be_approved_all_the_same() {
    let stage = Stage::new().await;
    deletion(&stage, "list").await;
    for args in [&["plan/list", "--dry-run=client"][..], &["--dry-run=client", "--", "list"]] {
        let asked = stage.approve("approver", args).await;
        assert!(asked.stdout.contains("/list: AwaitingApproval"), "{asked:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_namespaces_are_for_whoever_may_read_them() {
    let stage = Stage::new().await;
    deletion(&stage, "delete").await;
    let elsewhere = stage.approve("admin", &["list", "-A", "--all"]).await;
    assert!(elsewhere.stdout.contains(&stage.namespace), "{elsewhere:?}");
    let here_only = stage.approve("approver", &["list", "-A"]).await;
    assert_eq!(here_only.code, 4, "{here_only:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_several_pages_is_whole() {
    const MANY: usize = 501;
    let stage = Stage::without_operator(Setting::default()).await;
    let made = stream::iter(0..MANY).map(|number| waiting_plan(&stage, number)).buffer_unordered(32);
    made.try_collect::<Vec<()>>().await.unwrap();
    let listed = stage.approve("admin", &["list", "-o", "name"]).await;
    assert_eq!(listed.stdout.lines().count(), MANY, "{}", listed.stderr);
}

/// As the operator would leave it.
async fn waiting_plan(stage: &Stage, number: usize) -> Result<(), kube::Error> {
    let name = format!("plan-{number}");
    let plan = stage.plan(&name, "delete_guest", "qemu/101", &json!({}));
    let plan: ProxmoxActionPlan = serde_json::from_str(&plan).unwrap();
    let plans: Api<ProxmoxActionPlan> =
        Api::namespaced(stage.cluster.client("requester").await, &stage.namespace);
    plans.create(&PostParams::default(), &plan).await?;
    judged(stage, &name, json!({"required": 1, "progress": "0/1"})).await;
    Ok(())
}
