//! However much there is, a status is one that an API server keeps.

use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::kinds::Kinds;
use crate::{
    api::{GrantedApproval, ProxmoxActionPlanSpec, ProxmoxEnvironment, RefusedApproval},
    core::{
        approval::{Backing, Proof},
        judge::{Setting, judge},
        lifecycle::{Setback, State, report},
        observe::{Guest, Ha, HaResource, Met, Object, Seen, Storage, Volume, World},
        policy::Policy,
        request::normalise,
        testing::{guest, guest_ref, plan, snapshot, world_of},
    },
};

/// etcd takes 1.5 MiB, with the spec, the managed fields and what others write beside it.
const MOST_BYTES: usize = 512 << 10;

/// A cluster of so many guests whose names and settings are this text.
fn crowded(text: &str, count: u32) -> World {
    let mut config: std::collections::BTreeMap<String, String> =
        (0..64).map(|n| (format!("unused{n}"), format!("local:{text}-{n},size=1G"))).collect();
    for n in 0..31 {
        config.insert(format!("scsi{n}"), format!("local:base-100-disk-{n}/vm-100-disk-{n},size=1G"));
        config.insert(format!("net{n}"), format!("virtio,bridge={text},firewall=1"));
    }
    let pending = config.keys().map(|key| (key.clone(), Some(text.to_owned()))).collect();
    let target = Guest {
        name: text.to_owned(),
        status: "running".into(),
        detail: Some(text.to_owned()),
        lock: Some(text.to_owned()),
        tags: vec!["prod".into(), text.to_owned()],
        pool: Some(text.to_owned()),
        protected: true,
        ha_managed: true,
        snapshots: (0..count).map(|n| snapshot(&format!("{text}{n}"))).collect(),
        config: config.clone(),
        pending,
        ..guest("qemu/100")
    };
    let others = (0..count).map(|n| Guest {
        name: text.into(),
        config: config.clone(),
        ..guest(&format!("qemu/{}", 101 + n))
    });
    let volume = |n: u32| Volume {
        id: format!("local:{text}/vm-{}-disk-0", 101 + n),
        storage: "local".into(),
        content: "images".into(),
        vmid: Some(guest_ref(&format!("qemu/{}", 101 + n)).vmid),
        parent: Some(format!("local:base-100-disk-{}", n % 31)),
        ..Volume::default()
    };
    let resource = HaResource { sid: "vm:100".into(), state: text.to_owned(), ..HaResource::default() };
    World {
        guests: Seen::Known(others.chain([target.clone()]).collect()),
        volumes: Seen::Known((0..count).map(volume).collect()),
        storages: Seen::Known(vec![Storage { id: "local".into(), settings: config, ..Storage::default() }]),
        ha: Seen::Known(Ha { resources: vec![resource], ..Ha::default() }),
        pools: Seen::Unknown { why: text.to_owned() },
        ..world_of(target)
    }
}

/// As many settings as a plan holds, as long as they may be.
fn many_settings() -> Value {
    let long = |n: usize| (format!("ipconfig{n}"), json!(format!("ip=dhcp{}", " ".repeat(500))));
    let mut params: Map<String, Value> = (0..32).map(long).collect();
    params.extend((0..29).map(|n| (format!("scsi{n}"), json!(format!("local:{}", n + 1)))));
    params.extend([
        ("description".to_owned(), json!("日".repeat(4096))),
        ("delete".to_owned(), json!("net0,net1,tags")),
    ]);
    Value::Object(params)
}

/// The plan as it would be written, if it is not refused.
fn written(action: &str, target: &str, params: &Value, world: &World, message: &str) -> Option<Value> {
    let spec = json!({"environment": "home", "action": action, "target": target, "params": params, "requestedBy": "x"});
    let asked: ProxmoxActionPlanSpec = serde_json::from_value(spec.clone()).unwrap();
    let reached = json!({"endpoints": ["https://pve1"], "credentials": {"secretRef": {"name": "s"}}});
    let environment = ProxmoxEnvironment::new("home", serde_json::from_value(reached).unwrap());
    let now = Timestamp::UNIX_EPOCH;
    let policy = Policy::of(None, &environment, &[]).unwrap();
    let plan = plan("p", &asked);
    let setting = Setting { plan: &plan, environment: &environment, policy: &policy, now };
    let request = normalise("default", &asked).unwrap_or_else(|wrong| panic!("{wrong:?}"));
    let judged = judge(&request, world, setting).ok()?.judged;
    let setback = Some(Setback { reason: message.to_owned(), message: message.to_owned() });
    let state = State::AwaitingApproval { judged, backing: largest_backing(), setback };
    let status = report(&state, None, Some(1), Some(&Proof::DirectoryAccess), now);
    Some(json!({
        "apiVersion": "proxmox-agent.io/v1alpha1", "kind": "ProxmoxActionPlan",
        "metadata": {"name": "p", "namespace": "default"}, "spec": spec, "status": status,
    }))
}

fn largest_backing() -> Backing {
    let name = "x".repeat(253);
    let granted = (0..16).map(|n| GrantedApproval {
        name: name.clone(),
        uid: "u".repeat(36),
        approved_by: format!("{n:02}{}", "日".repeat(251)),
        groups: vec![name.clone(); 32],
    });
    let refused =
        RefusedApproval { name: name.clone(), approved_by: "日".repeat(253), reason: "r".repeat(128) };
    Backing { granted: granted.collect(), refused: vec![refused; 16] }
}

fn is_kept(plan: &Value) -> usize {
    let kinds = Kinds::new().unwrap();
    kinds.find("ProxmoxActionPlan").unwrap().check_new(plan).unwrap_or_else(|why| panic!("{why}"));
    plan.to_string().len()
}

#[test]
fn the_largest_status_is_kept_and_far_from_what_etcd_takes() {
    let text = "日".repeat(500);
    let world = crowded(&text, 70);
    let of_storage = Met::Object(Object { settings: world.settings().unwrap().clone(), digest: None });
    let storage_world = World { target: of_storage, ..world.clone() };
    let largest = [
        written("delete_guest", "qemu/100", &json!({"purge": true}), &world, &text.repeat(20)),
        written("stop_guest", "qemu/100", &json!({}), &world, &text),
        written("remove_storage", "storage/local", &json!({}), &storage_world, &text),
        written("set_guest_config", "qemu/100", &json!({"delete": "net0,net1"}), &world, &text),
    ];
    let sizes: Vec<usize> = largest.iter().map(|plan| is_kept(plan.as_ref().unwrap())).collect();
    assert!(sizes.iter().all(|size| *size < MOST_BYTES), "{sizes:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4))]

    #[test]
    fn no_name_and_no_number_makes_a_status_that_is_refused(text in "\\PC{0,700}", count in 0u32..20, many in any::<bool>()) {
        let world = crowded(&text, count);
        let params = if many { many_settings() } else { json!({"cores": 2, "delete": "scsi0,net0"}) };
        for (action, params) in [
            ("delete_guest", json!({})),
            ("rollback_snapshot", json!({"snapshot": "before"})),
            ("stop_guest", json!({})),
            ("set_guest_config", params),
            ("clone_guest", json!({"newid": 99999})),
        ] {
            if let Some(plan) = written(action, "qemu/100", &params, &world, &text) {
                prop_assert!(is_kept(&plan) < MOST_BYTES);
            }
        }
    }
}
