//! What an action would break, named in its preview: for each destructive one, in a world where something hangs on its
//! target that nobody sees who looks at the target alone.

use std::collections::BTreeSet;

use jiff::Timestamp;
use proxmox_agent::{
    api::{ProxmoxActionPlan, ProxmoxActionPlanSpec, ProxmoxEnvironment, Risk},
    catalog::{self, Changes, TargetKind},
    core::{
        judge::{Judged, Setting, judge, moved},
        observe::Query,
        policy::Policy,
        privileges,
        request::normalise,
    },
    pve::{sim::Simulator, survey},
};
use serde_json::{Value, json};

use crate::place::{client, start};

const DEPENDENTS: &str = include_str!("../data/worlds/dependents.yaml");
const TOKEN: &str = "agent@pve!operator";

/// An action, and who has to be named: subject, and words of its effect.
struct Case {
    action: &'static str,
    target: &'static str,
    params: Value,
    hit: &'static [(&'static str, &'static str)],
    risk: Risk,
}

fn case(
    action: &'static str,
    target: &'static str,
    params: Value,
    risk: Risk,
    hit: &'static [(&'static str, &'static str)],
) -> Case {
    Case { action, target, params, hit, risk }
}

fn cases() -> Vec<Case> {
    use Risk::{Critical, High};
    let nothing = || json!({});
    vec![
        case("delete_guest", "qemu/9000", nothing(), Critical, &[("qemu/101", "has a linked clone of")]),
        case(
            "delete_guest",
            "qemu/100",
            json!({"purge": true}),
            Critical,
            &[
                ("ha-rule/keep-near", "qemu/100"),
                ("replication/100-0", "qemu/100"),
                ("backup-job/nightly", "qemu/100"),
                ("pool/web", "qemu/100"),
                ("qemu/100", "loses its snapshot before-upgrade"),
                ("qemu/100", "has no backup"),
            ],
        ),
        case(
            "restore_over_guest",
            "qemu/103",
            json!({"archive": "vault:backup/vzdump-qemu-103-2026_11_20-00_00_00.vma.zst"}),
            Critical,
            &[("qemu/103", "loses everything written since")],
        ),
        case(
            "rollback_snapshot",
            "qemu/100",
            json!({"snapshot": "before-upgrade"}),
            Critical,
            &[("qemu/100", "after-upgrade"), ("qemu/100", "is running")],
        ),
        case(
            "delete_snapshot",
            "qemu/102",
            json!({"snapshot": "with-old-disk"}),
            Critical,
            &[("qemu/102", "loses its last restore point")],
        ),
        case(
            "delete_volume",
            "volume/old:102/vm-102-disk-1.qcow2",
            json!({"node": "pve1"}),
            Critical,
            &[("qemu/102", "snapshot with-old-disk")],
        ),
        case(
            "delete_volume",
            "volume/shared:9000/base-9000-disk-0.qcow2",
            json!({"node": "pve1"}),
            Critical,
            &[("qemu/101", "has a linked clone of"), ("qemu/9000", "would not boot")],
        ),
        case(
            "delete_volume",
            "volume/vault:backup/vzdump-qemu-103-2026_11_20-00_00_00.vma.zst",
            json!({"node": "pve1"}),
            Critical,
            &[("qemu/103", "loses its last backup")],
        ),
        case(
            "remove_storage",
            "storage/vault",
            nothing(),
            Critical,
            &[("qemu/103", "has its only backups there"), ("backup-job/nightly", "vault")],
        ),
        case("remove_storage", "storage/old", nothing(), Critical, &[("qemu/102", "with-old-disk")]),
        case(
            "remove_storage",
            "storage/tank",
            nothing(),
            Critical,
            &[("qemu/100", "tank:vm-100-disk-0"), ("replication/100-0", "tank")],
        ),
        case(
            "delete_bridge",
            "node/pve1",
            json!({"iface": "vmbr1"}),
            Critical,
            &[("qemu/100", "net0 on vmbr1")],
        ),
        case("apply_network", "node/pve1", nothing(), Critical, &[("qemu/100", "net0 on vmbr1")]),
        case(
            "shutdown_node",
            "node/pve1",
            nothing(),
            Critical,
            &[
                ("cluster/all", "has no quorum without pve1"),
                ("lxc/200", "nothing starts it"),
                ("qemu/100", "HA"),
            ],
        ),
        case(
            "reboot_node",
            "node/pve1",
            nothing(),
            Critical,
            &[("cluster/all", "has no quorum without pve1")],
        ),
        case(
            "stop_node_guests",
            "node/pve1",
            nothing(),
            Critical,
            &[("qemu/100", "HA is told"), ("lxc/200", "goes off")],
        ),
        case(
            "migrate_node_guests",
            "node/pve1",
            json!({"destination": "pve2", "workers": 1}),
            Critical,
            &[("lxc/200", "pve2")],
        ),
        case(
            "migrate_guest",
            "qemu/100",
            json!({"destination": "pve2", "online": true}),
            High,
            &[("replication/100-0", "copies qemu/100 to pve1")],
        ),
        case("convert_to_template", "qemu/103", nothing(), High, &[("qemu/103", "HA")]),
        case(
            "set_guest_config",
            "qemu/103",
            json!({"delete": "scsi0", "force": true}),
            Critical,
            &[("qemu/103", "loses its disk scsi0")],
        ),
        case("stop_guest", "qemu/100", nothing(), High, &[("qemu/100", "tagged")]),
        case("delete_pool", "pool/web", nothing(), High, &[("user/alice@pve", "pool/web")]),
        case("remove_ha_resource", "qemu/103", nothing(), High, &[("ha-rule/keep-near", "qemu/103")]),
        case(
            "delete_ha_rule",
            "ha-rule/keep-near",
            nothing(),
            High,
            &[("qemu/100", "keep-near"), ("qemu/103", "keep-near")],
        ),
        case(
            "disarm_ha",
            "cluster/all",
            json!({"resourceMode": "freeze"}),
            Critical,
            &[("qemu/100", "no longer started elsewhere")],
        ),
        case(
            "delete_backup_job",
            "backup-job/nightly",
            nothing(),
            High,
            &[("qemu/100", "is saved by no job any more")],
        ),
        case(
            "remove_replication",
            "replication/100-0",
            nothing(),
            High,
            &[("qemu/100", "has no copy on pve2 any more")],
        ),
        case("remove_firewall_rule", "qemu/100", json!({"position": 0}), High, &[("qemu/100", "22")]),
        case("apply_sdn", "cluster/all", nothing(), Critical, &[("lxc/200", "vnet1")]),
    ]
}

async fn judged(sim: &Simulator, action: &str, target: &str, params: &Value) -> Judged {
    let spec = ProxmoxActionPlanSpec {
        environment: "home".into(),
        action: action.into(),
        target: target.into(),
        params: serde_json::from_value(params.clone()).unwrap(),
        requested_by: "alice".into(),
        ..Default::default()
    };
    let request = normalise("default", &spec).unwrap_or_else(|wrong| panic!("{action}: {wrong:?}"));
    let plan = ProxmoxActionPlan::new("p", spec);
    let query = Query::of(&request);
    let world =
        survey::look(&client(sim.url(), sim, TOKEN), &query, &privileges::paths(&request)).await.unwrap();
    let spec = json!({"endpoints": [sim.url()], "credentials": {"secretRef": {"name": "s"}}});
    let environment = ProxmoxEnvironment::new("home", serde_json::from_value(spec).unwrap());
    let policy = Policy::of(None, &environment, &[]).unwrap();
    let setting = Setting { plan: &plan, environment: &environment, policy: &policy, now: Timestamp::now() };
    judge(&request, &world, setting).unwrap_or_else(|why| panic!("{action} on {target}: {why}")).judged
}

#[tokio::test]
async fn each_destructive_action_names_who_hangs_on_its_target() {
    let sim = start(DEPENDENTS).await;
    let mut wrong = Vec::new();
    for Case { action, target, params, hit, risk } in cases() {
        let judged = judged(&sim, action, target, &params).await;
        let radius = &judged.preview.blast_radius;
        let shown: Vec<String> = radius
            .hits
            .iter()
            .map(|hit| format!("{} {} ({})", hit.subject, hit.effect, hit.detail))
            .collect();
        for (subject, words) in hit {
            let named = radius.hits.iter().any(|hit| {
                hit.subject == *subject && format!("{} {}", hit.effect, hit.detail).contains(words)
            });
            if !named {
                wrong.push(format!(
                    "{action} {target}: {subject} ... {words} is not among {shown:#?} {:?}",
                    radius.unknown
                ));
            }
        }
        if judged.risk < risk {
            wrong.push(format!(
                "{action} {target}: {} instead of {risk}, {:?}",
                judged.risk, judged.risk_reasons
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(sim.ledger().is_empty(), "a preview changes nothing");
}

/// What removes something or takes it out of service.
fn is_destructive(action: &catalog::Action) -> bool {
    let Some(change) = action.change() else { return false };
    let takes_away = matches!(
        change.changes,
        Changes::Gone | Changes::SnapshotGone | Changes::Node(_) | Changes::Power("stopped")
    );
    takes_away || action.base_risk == Risk::Critical
}

#[test]
fn no_destructive_action_is_left_out() {
    // Arming brings HA back; a shutdown in order is a power cut without the loss, and reads the same world.
    let spared = ["arm_ha", "shutdown_guest"];
    let covered: BTreeSet<&str> = cases().iter().map(|case| case.action).chain(spared).collect();
    let missing: Vec<&str> =
        catalog::actions().filter(|action| is_destructive(action)).map(|action| action.name).collect();
    let missing: Vec<&&str> = missing.iter().filter(|name| !covered.contains(**name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// The same world, seen by a token that may not see guests but the target.
#[tokio::test]
async fn what_a_token_may_not_see_makes_the_worst_of_it() {
    let blind = DEPENDENTS
        .replace("role: Administrator", "role: Narrow")
        .replace("users:\n", "roles:\n  Narrow: [Datastore.Allocate, Datastore.AllocateSpace]\nusers:\n");
    let sim = start(&blind).await;
    let judged = judged(&sim, "remove_storage", "storage/old", &json!({})).await;
    let radius = &judged.preview.blast_radius;
    assert!(radius.hits.iter().all(|hit| hit.subject != "qemu/102"), "{:?}", radius.hits);
    assert!(radius.unknown.iter().any(|why| why.contains("VM.Audit")), "{:?}", radius.unknown);
    assert_eq!(judged.risk, Risk::Critical);
    assert!(judged.risk_reasons.iter().any(|why| why.contains("unknown")) || judged.risk_reasons.len() == 1);
}

/// Guests that are targets are guests; everything else has its own kind.
#[test]
fn every_kind_of_target_has_a_destructive_case() {
    let kinds: BTreeSet<String> =
        cases().iter().map(|case| case.target.split('/').next().unwrap_or_default().to_owned()).collect();
    for kind in
        [TargetKind::Node, TargetKind::Storage, TargetKind::Volume, TargetKind::Pool, TargetKind::HaRule]
    {
        assert!(kinds.contains(kind.as_str()), "{}", kind.as_str());
    }
}

/// Many requests are under way at once, and come back in another order each time.
#[tokio::test]
async fn a_cluster_that_has_not_changed_is_judged_alike_at_every_look() {
    let sim = start(DEPENDENTS).await;
    for Case { action, target, params, .. } in cases() {
        let first = judged(&sim, action, target, &params).await;
        for _ in 0..5 {
            let again = judged(&sim, action, target, &params).await;
            assert_eq!(first.plan_hash, again.plan_hash, "{action} {target}: {:?}", moved(&first, &again));
        }
    }
}
