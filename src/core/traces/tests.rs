use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Value, json};

use super::*;
use crate::{
    api::{Intent, PreviewedCall},
    catalog::{self, NaturalKey, Target},
    core::{
        call::{PlanIdentity, dispatch_for},
        lifecycle::tests::judged,
        observe::{Guest, Ha, HaResource, Met, Object, Rights, Seen, Snapshot},
        request::{normalise, tests::spec},
        testing::{all_rights, asked, guest, snapshot, world_of},
    },
};

const MARK: &str = "why not\nproxmox-agent plan uid";

fn intent() -> Intent {
    let moment = Time(Timestamp::UNIX_EPOCH);
    Intent {
        attempt: 1,
        nonce: "n".into(),
        node: "pve1".into(),
        storages: vec![],
        task_id: "100".into(),
        task_types: vec![],
        sender: "agent@pve!operator".into(),
        node_time: moment.clone(),
        at: moment.clone(),
        settles_at: moment,
        digest: None,
    }
}

/// What the world tells of a call that was made for `guest("qemu/100")` so long ago.
fn told_after(request: &Request, world: &World, ago: SignedDuration) -> Traces {
    let mut judged = judged(1);
    let met = guest("qemu/100");
    judged.fingerprint = BTreeMap::from(
        [("guest", "qemu/100"), ("smbiosUuid", "7a4d6a52"), ("configDigest", "d1")]
            .map(|(fact, value)| (fact.to_owned(), value.to_owned())),
    );
    let identity = PlanIdentity { hash: &judged.plan_hash, uid: "uid" };
    let call = dispatch_for(request, &world_of(met), identity).unwrap().unwrap().call;
    judged.preview.calls =
        vec![PreviewedCall { method: "POST".into(), path: call.path, params: call.params }];
    let now = Timestamp::UNIX_EPOCH + ago;
    traces(&Announced { request, judged: &judged, intent: &intent(), uid: "uid", now }, world)
}

fn told(action: &str, params: Value, world: &World) -> Traces {
    let request = normalise("default", &spec(action, "qemu/100", params)).unwrap();
    told_after(&request, world, SignedDuration::from_mins(1))
}

fn done(traces: &Traces) -> bool {
    matches!(traces, Traces::Done(_))
}

fn not_done(traces: &Traces) -> bool {
    matches!(traces, Traces::NotDone(_))
}

/// Why nothing tells.
fn unclear(traces: Traces) -> String {
    match traces {
        Traces::Unclear(why) => why,
        other => panic!("{other:?}"),
    }
}

fn with_snapshot(description: &str, lock: Option<&str>) -> World {
    let taken = Snapshot { description: description.into(), ..snapshot("mine") };
    world_of(Guest { snapshots: vec![taken], lock: lock.map(str::to_owned), ..guest("qemu/100") })
}

fn configured(config: &[(&str, &str)], digest: &str) -> World {
    let config = config.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    world_of(Guest { config, config_digest: digest.into(), ..guest("qemu/100") })
}

#[test]
fn what_can_not_be_seen_is_never_taken_for_done_or_for_not_done() {
    for action in catalog::actions().filter(|action| !action.is_read()) {
        for kind in action.target {
            let request = asked(action, kind.example());
            let is_told_by_number = matches!(request.target, Target::Guest(_))
                && matches!(action.natural_key, NaturalKey::Present(_) | NaturalKey::Absent(_));
            let mut blind = vec![World::default(), World { rights: all_rights(), ..World::default() }];
            if !is_told_by_number && !matches!(request.target, Target::HaRule(_) | Target::BackupJob(_)) {
                blind.push(World { target: Met::Absent, rights: Rights::default(), ..World::default() });
            }
            if let Target::Guest(_) = request.target {
                // It is there, and nothing tells what it is.
                blind.push(World { target: Met::Object(Object::default()), ..World::default() });
            }
            for world in blind {
                let told = told_after(&request, &world, SignedDuration::ZERO);
                assert!(matches!(told, Traces::Unclear(_)), "{} {}: {told:?}", action.name, kind.example());
            }
        }
    }
}

#[test]
fn a_snapshot_shows_that_it_was_taken_by_this_plan_only_with_its_mark() {
    let named = json!({"snapshot": "mine"});
    let told = |world: &World| told("create_snapshot", named.clone(), world);
    assert!(done(&told(&with_snapshot(MARK, None))));
    assert!(not_done(&told(&world_of(guest("qemu/100")))));
    for other in ["", "proxmox-agent plan another", "proxmox-agent plan uid2"] {
        assert!(unclear(told(&with_snapshot(other, None))).contains("somebody else's"), "{other}");
    }
    assert!(unclear(told(&with_snapshot(MARK, Some("snapshot")))).contains("still being taken"));
    assert!(done(&told(&with_snapshot(MARK, Some("backup")))), "a backup has nothing to do with it");
}

#[test]
fn a_snapshot_that_is_there_was_not_removed_if_nothing_was_touched() {
    let named = json!({"snapshot": "mine"});
    let told = |world: &World| told("delete_snapshot", named.clone(), world);
    assert!(done(&told(&world_of(guest("qemu/100")))));
    assert!(not_done(&told(&with_snapshot("", None))));
    let touched = world_of(Guest {
        snapshots: vec![snapshot("mine")],
        config_digest: "d2".into(),
        lock: Some("snapshot-delete".into()),
        ..guest("qemu/100")
    });
    let why = unclear(told(&touched));
    assert!(why.contains("newer one") && why.contains("locked (snapshot-delete)"), "{why}");
}

#[test]
fn whoever_has_the_number_now_says_nothing_of_the_guest_that_the_call_was_for() {
    let other = world_of(Guest { smbios_uuid: Some("other".into()), template: true, ..guest("qemu/100") });
    for (action, params) in [
        ("create_snapshot", json!({})),
        ("delete_snapshot", json!({"snapshot": "mine"})),
        ("convert_to_template", json!({})),
        ("start_guest", json!({})),
        ("set_guest_config", json!({"cores": 2})),
        ("delete_guest", json!({})),
    ] {
        assert!(unclear(told(action, params, &other)).contains("another guest"), "{action}");
    }
}

#[test]
fn a_new_guest_is_this_plans_only_with_its_mark_and_done_only_when_it_is_unlocked() {
    let create = |world: &World| told("create_vm", json!({"node": "pve1"}), world);
    let absent = World { target: Met::Absent, ..World::default() };
    assert!(not_done(&create(&absent)));
    assert!(done(&create(&configured(&[("description", MARK)], "d"))));
    assert!(unclear(create(&configured(&[("description", "mine")], "d"))).contains("without the mark"));
    let copying = Guest {
        config: BTreeMap::from([("description".to_owned(), MARK.to_owned())]),
        lock: Some("clone".into()),
        ..guest("qemu/101")
    };
    let why = unclear(told("clone_guest", json!({"newid": 101}), &world_of(copying)));
    assert!(why.contains("locked it (clone)"), "{why}");
}

#[test]
fn a_copy_is_looked_for_under_its_own_number_and_not_at_its_source() {
    let request = normalise("default", &spec("clone_guest", "qemu/100", json!({"newid": 101}))).unwrap();
    assert_eq!(query(&request).target.to_string(), "qemu/101");
}

#[test]
fn a_guest_that_is_still_there_may_be_half_gone() {
    assert!(done(&told("delete_guest", json!({}), &World { target: Met::Absent, ..World::default() })));
    let why = unclear(told("delete_guest", json!({}), &world_of(guest("qemu/100"))));
    assert!(why.contains("still there") && why.contains("would not refuse a second"), "{why}");
}

#[test]
fn a_guest_in_the_state_that_was_asked_for_is_done_and_in_any_other_nobody_knows() {
    let is = |status: &str, detail: Option<&str>| {
        let detail = detail.map(str::to_owned);
        world_of(Guest { status: status.into(), detail, uptime: Some(30), ..guest("qemu/100") })
    };
    assert!(done(&told("start_guest", json!({}), &is("running", None))));
    assert!(done(&told("stop_guest", json!({}), &is("stopped", None))));
    assert!(done(&told("shutdown_guest", json!({}), &is("stopped", None))));
    let why = unclear(told("start_guest", json!({}), &is("stopped", None)));
    assert!(why.contains("changed it back"), "{why}");
    assert!(unclear(told("resume_guest", json!({}), &is("running", Some("paused")))).contains("(paused)"));
    let why = unclear(told("reboot_guest", json!({}), &is("running", None)));
    assert!(why.contains("qemu/100 is running on pve1, up for 0 minutes"), "{why}");
}

#[test]
fn settings_that_are_as_they_were_to_the_letter_were_not_changed_by_a_call_that_changes_them() {
    let set = |params: Value, config: &[(&str, &str)], digest| {
        told("set_guest_config", params, &configured(config, digest))
    };
    let cores = || json!({"cores": 4});
    assert!(not_done(&set(cores(), &[("cores", "2")], "d1")));
    assert!(not_done(&set(cores(), &[], "d1")));
    assert!(not_done(&set(json!({"delete": "cores"}), &[("cores", "2")], "d1")));
    assert!(done(&set(cores(), &[("cores", "4")], "d2")));
    assert!(unclear(set(cores(), &[("cores", "2")], "d2")).contains("cores"));
    assert!(done(&set(json!({"tags": "B;a"}), &[("tags", "a;b")], "d2")));
    // The call would leave these as they are, so the digest tells nothing.
    assert!(done(&set(cores(), &[("cores", "4")], "d1")));
    unclear(set(json!({"tags": "B;a"}), &[("tags", "a;b")], "d1"));
    let card = json!({"net0": "virtio,bridge=vmbr0"});
    let is = [("net0", "virtio=BC:24:11:00:01:00,bridge=vmbr0")];
    unclear(set(card.clone(), &is, "d1"));
    assert!(done(&set(card.clone(), &is, "d2")));
    unclear(set(card, &[("net0", "virtio=BC:24:11:00:01:00,bridge=vmbr0,firewall=1")], "d2"));
    unclear(set(json!({"cipassword": "a/b"}), &[("cipassword", "**********")], "d2"));
}

#[test]
fn a_change_that_waits_for_the_next_start_is_done() {
    let waits = |value: Option<&str>| {
        let pending = BTreeMap::from([("cores".to_owned(), value.map(str::to_owned))]);
        let config = BTreeMap::from([("cores".to_owned(), "2".to_owned())]);
        world_of(Guest { pending, config, config_digest: "d2".into(), ..guest("qemu/100") })
    };
    assert!(done(&told("set_guest_config", json!({"cores": 4}), &waits(Some("4")))));
    assert!(done(&told("set_guest_config", json!({"delete": "cores"}), &waits(None))));
    unclear(told("set_guest_config", json!({"cores": 4}), &waits(Some("8"))));
    unclear(told("set_guest_config", json!({"revert": "cores"}), &waits(Some("4"))));
}

#[test]
fn a_disk_that_has_its_size_was_made_larger_and_one_that_has_not_may_be_growing() {
    let disk = |size: &str, digest| configured(&[("scsi0", &format!("local:100/x,size={size}"))], digest);
    let resize =
        |size: &str, world: &World| told("resize_disk", json!({"disk": "scsi0", "size": size}), world);
    assert!(done(&resize("16G", &disk("16G", "d2"))));
    unclear(resize("16G", &disk("8G", "d1")));
    assert!(
        unclear(resize("+8G", &disk("16G", "d2"))).contains("how large"),
        "nobody wrote down what it was"
    );
}

#[test]
fn what_was_not_done_a_while_ago_may_have_been_done_and_taken_back() {
    let request = normalise("default", &spec("create_snapshot", "qemu/100", json!({}))).unwrap();
    let world = world_of(guest("qemu/100"));
    assert!(not_done(&told_after(&request, &world, FRESH)));
    let why = unclear(told_after(&request, &world, FRESH + SignedDuration::from_secs(1)));
    assert!(why.contains("taken back"), "{why}");
}

#[test]
fn what_ha_looks_after_is_told_only_by_what_was_seen_whole() {
    let resource = HaResource {
        sid: "vm:100".into(),
        settings: BTreeMap::from([("state".to_owned(), "started".to_owned())]),
        ..HaResource::default()
    };
    let seen = Ha { resources: vec![resource], ..Ha::default() };
    let with = |ha: Seen<Ha>| World { ha, ..world_of(guest("qemu/100")) };
    let add = |state: &str, ha: Seen<Ha>| told("add_ha_resource", json!({"state": state}), &with(ha));
    assert!(done(&add("started", Seen::Known(seen.clone()))));
    unclear(add("stopped", Seen::Known(seen.clone())));
    assert!(not_done(&add("started", Seen::Known(Ha::default()))));
    let why = "node pve3 does not answer".to_owned();
    assert!(unclear(add("started", Seen::Partly { seen: Ha::default(), why })).contains("pve3"));
    let remove = |ha: Seen<Ha>| told("remove_ha_resource", json!({}), &with(ha));
    assert!(done(&remove(Seen::Known(Ha::default()))));
    assert!(not_done(&remove(Seen::Known(seen))));
}

#[test]
fn what_lies_on_a_storage_is_gone_only_for_who_would_see_it() {
    let request = normalise(
        "default",
        &spec("delete_volume", "volume/tank:100/vm-100-disk-0.qcow2", json!({"node": "pve1"})),
    );
    let request = request.unwrap();
    let told = |privilege: &str| {
        let given = BTreeMap::from([("/".to_owned(), BTreeMap::from([(privilege.to_owned(), true)]))]);
        let rights = Rights::new(given, BTreeMap::new());
        let world = World { target: Met::Absent, rights, ..World::default() };
        told_after(&request, &world, SignedDuration::ZERO)
    };
    assert!(done(&told("Datastore.Allocate")));
    assert!(unclear(told("Datastore.Audit")).contains("lacks Datastore.Allocate on /storage/tank"));
}
