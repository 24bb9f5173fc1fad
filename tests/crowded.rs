//! Many plans at once: what they cost a Proxmox, how many it has to bear, and whom one that is dead holds up.
// A test that can't prepare its world has nothing better to do than to stop.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::time::Instant;

use jiff::Timestamp;
use proxmox_agent::{
    api::{Phase, PlanStatus},
    pve::sim::{Fault, Options, Simulator, Trigger, World},
};
use serde_json::{Map, Value, json};
use support::home::{Home, SECRET};

/// VMs from 100 on: each on its node, with a disk on its storage. Starting one takes so long.
fn world(guests: &[(&str, &str)], start_seconds: f64) -> World {
    let disk = |vmid: u32, storage: &str| format!("{storage}:{vmid}/vm-{vmid}-disk-0.qcow2");
    let storage = |name: &str| {
        let own = (100..).zip(guests).filter(|(_, (_, storage))| *storage == name);
        let volume = |vmid| json!({"volid": disk(vmid, name), "content": "images", "format": "qcow2", "size": 1 << 30, "vmid": vmid});
        let volumes: Vec<Value> = own.map(|(vmid, _)| volume(vmid)).collect();
        json!({"config": {"type": "nfs", "server": "s", "export": "/e", "content": "images"}, "volumes": volumes})
    };
    let guest = |(vmid, (node, storage)): (u32, &(&str, &str))| {
        let disk = format!("{},size=1G", disk(vmid, storage));
        (
            vmid.to_string(),
            json!({"type": "qemu", "node": node, "config": {"name": format!("g{vmid}"), "scsi0": disk}}),
        )
    };
    let guests: Map<String, Value> = (100..).zip(guests).map(guest).collect();
    let world = json!({
        "nodes": {"pve1": {}, "pve2": {}}, "taskSeconds": {"qmstart": start_seconds}, "guests": guests,
        "storages": {"fast": storage("fast"), "tank": storage("tank")},
        "users": {
            "agent@pve": {"tokens": {"operator": {"privsep": 0, "secret": SECRET}}},
            "root@pam": {"tokens": {"full": {"privsep": 0}}},
        },
        "acl": [{"path": "/", "who": "agent@pve", "role": "Administrator"}],
    });
    World::from_yaml(&world.to_string()).unwrap()
}

async fn proxmox(world: World) -> Simulator {
    Simulator::start(Options { world, ..Options::default() }).await.unwrap()
}

fn ended_well(status: &PlanStatus) -> bool {
    assert!(!status.phase.is_terminal() || status.phase == Phase::Succeeded, "{}", status.message);
    status.phase == Phase::Succeeded
}

/// When each start arrived, in seconds.
fn starts(sim: &Simulator) -> Vec<f64> {
    let moment = |time: &str| time.parse::<Timestamp>().unwrap().as_millisecond();
    sim.ledger().iter().map(|entry| moment(&entry.time) as f64 / 1000.0).collect()
}

/// How often something below a path was read.
fn reads(sim: &Simulator, begins: &str, ends: &str) -> u64 {
    let fits = |path: &str| path.starts_with(begins) && path.ends_with(ends);
    sim.reads().iter().filter(|(path, _)| fits(path)).map(|(_, count)| count).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tasks_of_a_node_are_looked_at_together() {
    const PLANS: u64 = 50;
    let sim = proxmox(world(&[("pve1", "tank"); PLANS as usize], 8.0)).await;
    let home = Home::before(&sim, &json!({"budgets": {"tasksPerNode": 256, "tasksPerStorage": 256}}));
    for vmid in 100..100 + PLANS {
        home.plan(&format!("p{vmid}"), "start_guest", &format!("qemu/{vmid}"), &json!({}));
    }
    let began = Instant::now();
    let _engine = home.run();
    for vmid in 100..100 + PLANS {
        home.plan_when(&format!("p{vmid}"), ended_well).await;
    }
    let seconds = began.elapsed().as_secs_f64();
    let lists = reads(&sim, "/nodes/pve1/tasks", "/tasks");
    let own = reads(&sim, "/nodes/pve1/tasks/", "/status");
    println!("{PLANS} plans, {seconds:.1} s: {lists} lists of tasks, {own} tasks asked for themselves");
    assert_eq!(sim.ledger().len() as u64, PLANS);
    // News may be a tenth of a second old while a task is young, and older later: lists are at least so far apart.
    assert!(lists as f64 <= 10.0 * seconds + 1.0, "{lists} lists in {seconds} s");
    // Once when it has just begun and is in no list yet, once for its end.
    assert!(own <= 3 * PLANS, "{own}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_plans_than_its_budget_are_at_work_on_a_node() {
    const SECONDS: f64 = 1.5;
    let sim = proxmox(world(&[("pve1", "tank"); 6], SECONDS)).await;
    let home = Home::before(&sim, &json!({"budgets": {"tasksPerNode": 2}}));
    for vmid in 100..106 {
        home.plan(&format!("p{vmid}"), "start_guest", &format!("qemu/{vmid}"), &json!({}));
    }
    let _engine = home.run();
    for vmid in 100..106 {
        home.plan_when(&format!("p{vmid}"), ended_well).await;
    }
    let starts = starts(&sim);
    assert_eq!(starts.len(), 6);
    for (earlier, later) in starts.iter().zip(&starts[2..]) {
        assert!(
            later - earlier >= SECONDS - 0.01,
            "a third one was started while two were at work: {starts:?}"
        );
    }
    // Nobody was looked at again and again while it waited: once at first, once in line, when called, and at most once
    // more because somebody was faster.
    for vmid in 100..106 {
        let looks = reads(&sim, &format!("/nodes/pve1/qemu/{vmid}/"), "/config");
        assert!(looks <= 6, "{vmid} was looked at {looks} times");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_single_pass_takes_those_that_wait_for_a_place_as_well() {
    let sim = proxmox(world(&[("pve1", "tank"), ("pve2", "tank"), ("pve1", "tank")], 0.3)).await;
    let home = Home::before(&sim, &json!({"budgets": {"tasksPerStorage": 1}}));
    for vmid in 100..103 {
        home.plan(&format!("p{vmid}"), "start_guest", &format!("qemu/{vmid}"), &json!({}));
    }
    home.settle().await;
    for vmid in 100..103 {
        assert!(ended_well(&home.status(&format!("p{vmid}")).await));
    }
    let starts = starts(&sim);
    assert!(starts.windows(2).all(|pair| pair[1] - pair[0] >= 0.29), "{starts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_that_waits_for_a_place_says_who_has_it_and_what_for() {
    let sim =
        proxmox(world(&[("pve1", "tank"), ("pve2", "tank"), ("pve1", "fast"), ("pve2", "fast")], 0.1)).await;
    sim.set_faults(vec![Fault::SlowTask { types: vec![], seconds: 3600.0 }]);
    let home = Home::before(&sim, &json!({"budgets": {"tasksPerNode": 1, "tasksPerStorage": 1}}));
    let _engine = home.run();
    home.plan("first", "start_guest", "qemu/100", &json!({}));
    home.plan_when("first", |status| status.phase == Phase::Running).await;
    home.plan("same-storage", "start_guest", "qemu/101", &json!({}));
    home.plan("same-node", "start_guest", "qemu/102", &json!({}));
    let waits = home.plan_when("same-storage", |status| status.reason == "StorageBusy").await;
    assert_eq!(waits.phase, Phase::Approved);
    assert!(
        waits.message.contains("storage tank") && waits.message.contains("at work: first"),
        "{}",
        waits.message
    );
    let waits = home.plan_when("same-node", |status| status.reason == "NodeBusy").await;
    assert_eq!(waits.phase, Phase::Approved);
    assert!(
        waits.message.contains("node pve1") && waits.message.contains("at work: first"),
        "{}",
        waits.message
    );
    let stalled = waits.conditions.iter().find(|condition| condition.type_ == "Stalled").unwrap();
    assert_eq!(stalled.status, "False", "it is only a matter of time");
    assert_eq!(sim.ledger().len(), 1);
    // Nobody asks for ever: what is deleted or denied while it waits leaves the line.
    sim.set_faults(vec![]);
    sim.restart();
    home.plan_when("first", |status| status.phase == Phase::Indeterminate).await;
    home.plan_when("same-storage", ended_well).await;
    home.plan_when("same-node", ended_well).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_whose_target_has_moved_asks_for_approval_before_it_waits_for_a_place() {
    let sim = proxmox(world(&[("pve1", "tank"); 2], 0.1)).await;
    sim.set_faults(vec![Fault::SlowTask { types: vec![], seconds: 3600.0 }]);
    let home = Home::before(&sim, &json!({"budgets": {"tasksPerNode": 1}}));
    let _engine = home.run();
    home.plan("first", "start_guest", "qemu/100", &json!({}));
    home.plan_when("first", |status| status.phase == Phase::Running).await;
    home.plan("second", "delete_guest", "qemu/101", &json!({}));
    home.plan_when("second", |status| status.phase == Phase::AwaitingApproval).await;
    home.approve("second", "before-it-moved").await;
    home.plan_when("second", |status| status.reason == "NodeBusy").await;
    support::proxmox::put(&sim, "pve1/qemu/101", &[("name", "renamed")]).await;
    home.approve("second", "wakes-it").await;
    let moved = home.plan_when("second", |status| status.reason == "TargetMoved").await;
    assert_eq!(moved.phase, Phase::AwaitingApproval);
    home.plan("third", "start_guest", "qemu/101", &json!({}));
    let waits = home.plan_when("third", |status| status.reason == "NodeBusy").await;
    assert!(!waits.message.contains("second"), "it stands in line no more: {}", waits.message);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_done_when_it_is_answered_needs_no_place() {
    let sim = proxmox(world(&[("pve1", "tank"); 2], 0.1)).await;
    sim.set_faults(vec![Fault::SlowTask { types: vec![], seconds: 3600.0 }]);
    let home = Home::before(&sim, &json!({"budgets": {"tasksPerNode": 1, "tasksPerStorage": 1}}));
    let _engine = home.run();
    home.plan("first", "start_guest", "qemu/100", &json!({}));
    home.plan_when("first", |status| status.phase == Phase::Running).await;
    home.plan("tags", "set_guest_tags", "qemu/101", &json!({"params": {"tags": "web"}}));
    home.plan_when("tags", ended_well).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_restart_the_tasks_in_flight_have_their_places_still() {
    let sim = proxmox(world(&[("pve1", "tank"), ("pve1", "fast"), ("pve2", "tank")], 0.1)).await;
    sim.set_faults(vec![Fault::SlowTask { types: vec![], seconds: 3600.0 }]);
    let home = Home::before(&sim, &json!({"budgets": {"tasksPerNode": 1, "tasksPerStorage": 1}}));
    let engine = home.run();
    home.plan("first", "start_guest", "qemu/100", &json!({}));
    home.plan_when("first", |status| status.phase == Phase::Running).await;
    engine.kill().await;
    let home = home.restarted();
    home.plan("a-node", "start_guest", "qemu/101", &json!({}));
    home.plan("a-storage", "start_guest", "qemu/102", &json!({}));
    let _engine = home.run();
    home.plan_when("a-node", |status| status.reason == "NodeBusy").await;
    home.plan_when("a-storage", |status| status.reason == "StorageBusy").await;
    assert_eq!(sim.ledger().len(), 1);
    sim.set_faults(vec![]);
    sim.restart();
    home.plan_when("a-node", ended_well).await;
    home.plan_when("a-storage", ended_well).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_is_given_back_whatever_becomes_of_the_call() {
    let when = || Trigger { times: 1, ..Trigger::default() };
    for fault in [
        Fault::Answer { when: when(), status: 595, reason: None, executed: false },
        Fault::Answer { when: when(), status: 500, reason: None, executed: false },
        Fault::LostRequest { when: when() },
    ] {
        let sim = proxmox(world(&[("pve1", "tank"); 2], 0.1)).await;
        let home = Home::before(&sim, &json!({"budgets": {"tasksPerNode": 1}, "requestTimeoutSeconds": 1}));
        sim.set_faults(vec![fault.clone()]);
        let _engine = home.run();
        home.plan("first", "start_guest", "qemu/100", &json!({}));
        home.plan_when("first", |status| status.phase.is_terminal()).await;
        home.plan("second", "start_guest", "qemu/101", &json!({}));
        home.plan_when("second", ended_well).await;
        assert_eq!(sim.ledger().len(), 2, "{fault:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_environment_does_not_hold_up_the_others() {
    let (dead, well) =
        (proxmox(world(&[("pve1", "tank")], 0.1)).await, proxmox(world(&[("pve1", "tank")], 0.1)).await);
    let when = Trigger { method: Some("GET".into()), times: 0, ..Trigger::default() };
    dead.set_faults(vec![Fault::LateResponse { when, seconds: 3600.0 }]);
    let home = Home::before(&well, &json!({}));
    home.environment("dead", &[dead.url().to_owned()], &json!({"requestTimeoutSeconds": 300}));
    for number in 0..400 {
        home.plan(&format!("dead-{number}"), "start_guest", "qemu/100", &json!({"environment": "dead"}));
    }
    let _engine = home.run();
    // The first thing that every look asks for.
    let looks = || dead.reads().get("/cluster/resources").copied().unwrap_or_default();
    support::patience::until("the dead one is asked", || looks() >= 8).await;
    home.plan("alive", "start_guest", "qemu/100", &json!({}));
    home.plan_when("alive", ended_well).await;
    assert_eq!(looks(), 8, "{:?}", dead.reads());
}
