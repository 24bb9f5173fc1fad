//! What policies do to plans: the real engine on a directory, with a clock that can be put forward.
// A test that can't prepare its world has nothing better to do than to stop.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use jiff::{SignedDuration, Timestamp};
use proxmox_agent::{
    api::{Phase, PlanStatus, ProxmoxPolicy},
    ports::{Key, Store},
    pve::sim::{Simulator, World},
};
use serde_json::{Value, json};
use support::{
    home::{Home, impatiently},
    proxmox,
};

/// An environment that names the policy `house`.
async fn under(policy: &Value) -> (Home, Simulator) {
    let (home, sim) = Home::beside(World::sample()).await;
    home.write("ProxmoxPolicy", "house", policy);
    let mut more = impatiently(&sim);
    more["policyRef"] = json!({"name": "house"});
    home.environment("home", &[sim.url().to_owned()], &more);
    (home, sim)
}

/// One pass, after which this is what the one plan has come to.
async fn settled(home: &Home) -> PlanStatus {
    home.settle().await.remove(0).1
}

fn came_to(status: &PlanStatus) -> (Phase, &str) {
    (status.phase, status.reason.as_str())
}

fn in_minutes(minutes: i64) -> Timestamp {
    Timestamp::from_second(Timestamp::now().as_second() + minutes * 60).unwrap()
}

/// What the policy says of itself: the reason of its condition `Ready`, and its message.
async fn told(home: &Home) -> (String, String) {
    let policy: ProxmoxPolicy = home.ports.store.get(&Key::new("default", "house")).await.unwrap().unwrap();
    let conditions = policy.status.unwrap().conditions;
    let ready = conditions.into_iter().find(|condition| condition.type_ == "Ready").unwrap();
    (ready.reason, ready.message)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guard_that_fails_stops_under_balanced_and_only_warns_under_permissive() {
    let protecting = |preset: &str| json!({"preset": preset, "protection": {"targets": ["qemu/101"]}});
    let (home, sim) = under(&protecting("balanced")).await;
    home.plan("stopped", "delete_guest", "qemu/101", &json!({}));
    let stopped = settled(&home).await;
    assert_eq!(came_to(&stopped), (Phase::Denied, "TargetProtected"), "{}", stopped.message);

    home.write("ProxmoxPolicy", "house", &protecting("permissive"));
    home.plan("warned", "delete_guest", "qemu/101", &json!({}));
    home.settle().await;
    let warned = home.status("warned").await;
    assert_eq!(warned.phase, Phase::AwaitingApproval, "{}", warned.message);
    let warning = &warned.preview.unwrap().warnings[0];
    assert!(warning.contains("only a warning by preset permissive"), "{warning}");
    assert_eq!(proxmox::executed(&sim), 0);
    home.approve("warned", "yes").await;
    home.settle().await;
    assert_eq!(home.status("warned").await.phase, Phase::Succeeded);
    assert_eq!(home.status("stopped").await.phase, Phase::Denied);
    assert_eq!(proxmox::executed(&sim), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approved_plan_waits_for_the_end_of_a_freeze_and_not_longer() {
    let window = json!({"name": "move", "from": in_minutes(-60), "until": in_minutes(60)});
    let (home, sim) = under(&json!({"freezeWindows": [window]})).await;
    home.plan("p", "delete_guest", "qemu/101", &json!({}));
    assert_eq!(settled(&home).await.phase, Phase::AwaitingApproval, "a freeze keeps nobody from approving");
    home.approve("p", "yes").await;
    for minutes in [0, 59] {
        home.clock.set(SignedDuration::from_mins(minutes));
        let frozen = settled(&home).await;
        assert_eq!(came_to(&frozen), (Phase::Approved, "Frozen"), "{}", frozen.message);
        assert!(frozen.message.contains("by freeze window move of policy house"), "{}", frozen.message);
        assert_eq!(proxmox::executed(&sim), 0);
    }
    home.clock.set(SignedDuration::from_mins(61));
    assert_eq!(settled(&home).await.phase, Phase::Succeeded);
    assert_eq!(proxmox::executed(&sim), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_global_freeze_of_any_policy_holds_plans_that_need_nobody_until_it_is_lifted() {
    let (home, sim) = under(&json!({})).await;
    home.write("ProxmoxPolicy", "ice", &json!({"globalFreeze": {"reason": "the attic burns"}}));
    home.plan("p", "start_guest", "qemu/101", &json!({}));
    let frozen = settled(&home).await;
    assert_eq!(came_to(&frozen), (Phase::Approved, "Frozen"), "{}", frozen.message);
    assert!(frozen.message.contains("globalFreeze of policy ice: the attic burns"), "{}", frozen.message);
    assert_eq!(proxmox::executed(&sim), 0);
    home.write("ProxmoxPolicy", "ice", &json!({}));
    assert_eq!(settled(&home).await.phase, Phase::Succeeded);
    assert_eq!(proxmox::executed(&sim), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_that_comes_after_an_approval_still_refuses_the_plan() {
    let (home, sim) = under(&json!({})).await;
    home.plan("p", "delete_guest", "qemu/101", &json!({}));
    settled(&home).await;
    let rule = json!({"name": "hands-off", "when": "target.id == '101'", "deny": "it is the house's DNS"});
    home.write("ProxmoxPolicy", "house", &json!({"preset": "permissive", "rules": [rule]}));
    home.approve("p", "yes").await;
    let refused = settled(&home).await;
    assert_eq!(came_to(&refused), (Phase::Cancelled, "PolicyDenied"));
    let policy: ProxmoxPolicy = home.ports.store.get(&Key::new("default", "house")).await.unwrap().unwrap();
    let revision = format!("{}/{}", policy.metadata.uid.unwrap(), policy.metadata.generation.unwrap());
    assert_eq!(
        refused.message,
        format!("rule hands-off of policy house, revision {revision}: it is the house's DNS")
    );
    assert_eq!(proxmox::executed(&sim), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_policy_says_so_itself_and_its_plans_wait_until_it_is_mended() {
    let naming = |field: &str| json!({"rules": [{"name": "dns", "when": format!("target.{field} == 'x'"), "deny": "no"}]});
    let (home, sim) = under(&naming("naem")).await;
    home.plan("p", "start_guest", "qemu/101", &json!({}));
    let blocked = settled(&home).await;
    assert_eq!(came_to(&blocked), (Phase::Pending, "PolicyInvalid"));
    let words = "rule dns: `target` has no field `naem`";
    assert!(blocked.message.contains(words), "{}", blocked.message);
    let (reason, message) = told(&home).await;
    assert_eq!(reason, "DoesNotCompile");
    assert!(message.contains(words), "{message}");
    assert_eq!(proxmox::executed(&sim), 0);
    home.write("ProxmoxPolicy", "house", &naming("name"));
    assert_eq!(settled(&home).await.phase, Phase::Succeeded);
    assert_eq!(told(&home).await.0, "Compiled");
    assert_eq!(proxmox::executed(&sim), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_plans_that_race_for_the_last_one_of_the_hour_one_is_sent() {
    let (home, sim) = under(&json!({"knobs": {"hourly": {"changes": 1}}})).await;
    home.plan("one", "start_guest", "qemu/101", &json!({}));
    home.plan("other", "start_guest", "lxc/201", &json!({}));
    let mut all: Vec<(Phase, String)> =
        home.settle().await.into_iter().map(|(_, status)| (status.phase, status.reason)).collect();
    all.sort_by_key(|(phase, _)| *phase != Phase::Succeeded);
    let held = (Phase::Approved, "HourlyLimitReached".to_owned());
    assert_eq!(all, [(Phase::Succeeded, "TaskOk".to_owned()), held]);
    assert_eq!(proxmox::executed(&sim), 1);

    // It is on record: another process counts it too.
    let home = home.restarted();
    home.settle().await;
    assert_eq!(proxmox::executed(&sim), 1);
    home.clock.set(SignedDuration::from_mins(61));
    assert!(home.settle().await.iter().all(|(_, status)| status.phase == Phase::Succeeded));
    assert_eq!(proxmox::executed(&sim), 2);
}
