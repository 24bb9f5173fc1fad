//! Backup jobs, replication and pools: what takes care of guests.
use proxmox_agent::pve::sim::{Options, World};
use reqwest::Method;
use serde_json::{Value, json};

use crate::setting::{CLUSTER, ROOT, Setting, row, text, until};

const BACKUP: &str = "/cluster/backup";
const REPLICATION: &str = "/cluster/replication";

#[tokio::test]
async fn a_backup_job_takes_care_of_the_guests_that_it_names() {
    let setting = Setting::cluster("", ROOT).await;
    let job = [("id", "nightly"), ("schedule", "02:00"), ("vmid", "100,999"), ("storage", "shared")];
    setting.ask(Method::POST, BACKUP, &job).await;
    assert_eq!(
        setting.refusal(Method::POST, BACKUP, &job).await,
        (500, "Job 'nightly' already exists".into())
    );
    let volumes = setting.get("/cluster/backup/nightly/included_volumes").await;
    let expected = json!({ "children": [
        { "id": 100, "name": "web", "type": "qemu", "children": [
            { "id": "scsi0", "name": "shared:100/a.qcow2", "included": 1, "reason": "enabled" },
            { "id": "scsi1", "name": "shared:100/b.qcow2", "included": 0, "reason": "disabled" },
        ] },
        { "id": 999, "type": "unknown" },
    ] });
    assert_eq!(volumes, expected);
    let others = setting.get("/cluster/backup-info/not-backed-up").await;
    let others: Vec<&Value> = others.as_array().unwrap().iter().map(|row| &row["vmid"]).collect();
    assert_eq!(others, [101, 102, 200]);
    setting.simulator.stop().await;
}

#[tokio::test]
async fn a_backup_job_covers_a_pool_or_everything_but_a_few() {
    let setting = Setting::cluster("pools: {team: {vms: [100]}}\n", ROOT).await;
    let uncovered = async || {
        let rows = setting.get("/cluster/backup-info/not-backed-up").await;
        rows.as_array().unwrap().iter().map(|row| row["vmid"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    setting.ask(Method::POST, BACKUP, &[("id", "pool"), ("schedule", "1:00"), ("pool", "team")]).await;
    assert_eq!(uncovered().await, [101, 102, 200]);
    let all = [("id", "all"), ("schedule", "1:00"), ("all", "1"), ("exclude", "102")];
    setting.ask(Method::POST, BACKUP, &all).await;
    assert_eq!(uncovered().await, [102]);
    setting.ask(Method::DELETE, "/cluster/backup/all", &[]).await;
    let gone = setting.refusal(Method::DELETE, "/cluster/backup/all", &[]).await;
    assert_eq!(gone, (400, r#"{"id":"No such job 'all'"}"#.into()));
    setting.simulator.stop().await;
}

#[tokio::test]
async fn a_replication_job_copies_from_the_node_of_its_guest() {
    let setting = Setting::cluster("", ROOT).await;
    let job = [("id", "100-0"), ("type", "local"), ("target", "pve2")];
    assert_eq!(setting.ask(Method::POST, REPLICATION, &job).await, Value::Null);
    let twice = setting.refusal(Method::POST, REPLICATION, &job).await;
    assert_eq!(twice, (500, "replication job '100-0' already exists".into()));
    let shown = setting.get(REPLICATION).await;
    let expected = json!([{ "id": "100-0", "type": "local", "guest": 100, "jobnum": 0, "source": "pve1", "target": "pve2" }]);
    assert_eq!(shown, expected);
    let synced = until(|| async {
        let states = setting.get("/nodes/pve1/replication?guest=100").await;
        (states[0]["last_sync"].as_i64() > Some(0)).then_some(states)
    });
    assert_eq!(synced.await[0]["fail_count"], 0);
    assert_eq!(setting.get("/nodes/pve2/replication").await, json!([]));
    setting.ask(Method::DELETE, "/cluster/replication/100-0", &[]).await;
    until(|| async { (setting.get(REPLICATION).await == json!([])).then_some(()) }).await;
    let gone = setting.refusal(Method::DELETE, "/cluster/replication/100-0", &[]).await;
    assert_eq!(gone, (500, "no such replication job '100-0'".into()));
    setting.simulator.stop().await;
}

#[tokio::test]
async fn a_replication_job_is_only_marked_until_its_node_gets_to_removing_it() {
    let world = CLUSTER.replace("replicationSeconds: 0", "replicationSeconds: 600")
        + "definitions: {replicationJobs: {100-0: {target: pve2}, 102-0: {target: pve1}}}\n";
    let world = World::from_yaml(&world).unwrap();
    let setting = Setting::with(Options { world, plain_http: true, ..Options::default() }, ROOT).await;
    setting.ask(Method::DELETE, "/cluster/replication/100-0", &[]).await;
    setting.ask(Method::DELETE, "/cluster/replication/102-0", &[("force", "1")]).await;
    let left = setting.get(REPLICATION).await;
    assert_eq!(left.as_array().unwrap().len(), 1);
    assert_eq!((&left[0]["id"], &left[0]["remove_job"]), (&json!("100-0"), &json!("full")));
    setting.simulator.stop().await;
}

#[tokio::test]
async fn a_replication_to_a_node_that_is_down_fails_and_is_counted() {
    let more = "definitions: {replicationJobs: {100-0: {target: pve2, last_sync: 7, fail_count: 2, error: broken}}}\n";
    let setting = Setting::cluster(more, ROOT).await;
    let declared = setting.get("/nodes/pve1/replication/100-0/status").await;
    assert_eq!(
        (&declared["last_sync"], &declared["fail_count"], &declared["error"]),
        (&json!(7), &json!(2), &json!("broken"))
    );
    setting.ask(Method::POST, "/nodes/pve2/status", &[("command", "shutdown")]).await;
    until(|| async {
        (row(&setting.get("/nodes").await, "node", "pve2")["status"] == "offline").then_some(())
    })
    .await;
    setting.ask(Method::POST, "/nodes/pve1/replication/100-0/schedule_now", &[]).await;
    let failed = setting.get("/nodes/pve1/replication").await;
    assert_eq!((&failed[0]["last_sync"], &failed[0]["fail_count"]), (&json!(7), &json!(3)));
    setting.simulator.stop().await;
}

#[tokio::test]
async fn replication_jobs_are_for_those_who_may_replicate_the_guest() {
    let setting = Setting::cluster("", "ada@pve!ci").await;
    let job = [("id", "100-0"), ("type", "local"), ("target", "pve2")];
    let refused = setting.refusal(Method::POST, REPLICATION, &job).await;
    assert_eq!(refused, (403, "Permission check failed (/vms/100, VM.Replicate)".into()));
    setting.simulator.stop().await;
}

#[tokio::test]
async fn a_pool_keeps_its_members_to_itself_and_goes_only_when_it_is_empty() {
    let setting = Setting::cluster("", ROOT).await;
    for pool in ["one", "two"] {
        setting.ask(Method::POST, "/pools", &[("poolid", pool)]).await;
    }
    setting.ask(Method::PUT, "/pools", &[("poolid", "one"), ("vms", "100"), ("storage", "shared")]).await;
    let taken = setting.refusal(Method::PUT, "/pools", &[("poolid", "two"), ("vms", "100")]).await;
    assert!(taken.1.ends_with("VM 100 belongs already to pool 'one' and 'allow-move' is not set"));
    let again = setting.refusal(Method::PUT, "/pools", &[("poolid", "one"), ("vms", "100")]).await;
    assert!(again.1.ends_with("VM 100 is already a pool member"));
    setting.ask(Method::PUT, "/pools", &[("poolid", "two"), ("vms", "100"), ("allow-move", "1")]).await;
    let full = setting.refusal(Method::DELETE, "/pools", &[("poolid", "two")]).await;
    assert!(full.1.ends_with("pool 'two' is not empty (contains VM 100)"));
    let guests = setting.get("/cluster/resources?type=vm").await;
    assert_eq!(text(&row(&guests, "vmid", 100)["pool"]), "two");
    setting.ask(Method::PUT, "/pools", &[("poolid", "two"), ("vms", "100"), ("delete", "1")]).await;
    setting.ask(Method::DELETE, "/pools", &[("poolid", "two")]).await;
    setting.simulator.stop().await;
}

#[tokio::test]
async fn own_rights_are_told_with_whether_they_reach_below() {
    let more = "groups: {ops: {}}\n";
    let setting = Setting::cluster(more, "ada@pve!ci").await;
    let rights = setting.get("/access/permissions").await;
    assert_eq!(rights["/vms/102"]["VM.PowerMgmt"], 1);
    assert_eq!(rights["/vms"], Value::Null);
    setting.simulator.stop().await;
}
