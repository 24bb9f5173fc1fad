use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{
    api::{Preset, ProxmoxPolicy},
    core::{
        observe::{BackupJob, Guest, Met, Seen},
        request::{normalise, tests::spec},
        testing::{all_rights, guest, plan, snapshot, world_of},
    },
};

fn judged_by(
    request: &Request,
    world: &World,
    environment: &ProxmoxEnvironment,
    policy: Option<&ProxmoxPolicy>,
) -> Result<Judged, Unjudged> {
    let policy = Policy::of(policy, environment, &[])?;
    let plan = plan("p", &Default::default());
    let setting = Setting { plan: &plan, environment, policy: &policy, now: Timestamp::UNIX_EPOCH };
    judge(request, world, setting).map(|judgement| judgement.judged)
}

fn environment(number: u8) -> ProxmoxEnvironment {
    let endpoint = format!("https://pve{number}");
    let spec = json!({"endpoints": [endpoint], "credentials": {"secretRef": {"name": "s"}}});
    let mut environment = ProxmoxEnvironment::new("home", serde_json::from_value(spec).unwrap());
    environment.metadata.uid = Some("env".into());
    environment
}

fn policy(preset: Preset) -> ProxmoxPolicy {
    let mut policy =
        ProxmoxPolicy::new("house", crate::api::ProxmoxPolicySpec { preset, ..Default::default() });
    policy.metadata.uid = Some(format!("policy-{preset}"));
    policy
}

fn judged(action: &str, params: serde_json::Value, met: &Guest) -> Result<Judged, Unjudged> {
    judged_in(action, params, met, &environment(1), None)
}

fn judged_in(
    action: &str,
    params: serde_json::Value,
    met: &Guest,
    environment: &ProxmoxEnvironment,
    policy: Option<&ProxmoxPolicy>,
) -> Result<Judged, Unjudged> {
    let request = normalise("default", &spec(action, &met.reference.to_string(), params)).unwrap();
    judged_by(&request, &world_of(met.clone()), environment, policy)
}

fn denied(result: Result<Judged, Unjudged>) -> &'static str {
    match result {
        Err(Unjudged::Denied(denial)) => denial.reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_can_not_be_is_denied_before_anybody_is_asked() {
    let met = guest("qemu/100");
    let name = |name: &str| json!({"snapshot": name});
    assert_eq!(denied(judged("create_snapshot", name("before"), &met)), "SnapshotExists");
    assert_eq!(denied(judged("rollback_snapshot", name("after"), &met)), "SnapshotNotFound");
    assert!(judged("rollback_snapshot", name("before"), &met).is_ok());
    let request = normalise("default", &spec("start_guest", "qemu/999", json!({}))).unwrap();
    let environment = environment(1);
    let world = World { target: Met::Absent, rights: all_rights(), ..World::default() };
    assert_eq!(denied(judged_by(&request, &world, &environment, None)), "TargetNotFound");
}

#[test]
fn an_approval_is_void_when_the_target_is_another_one() {
    let before = judged("delete_guest", json!({}), &guest("qemu/100")).unwrap();
    for (change, what) in [
        (Guest { node: "pve2".into(), ..guest("qemu/100") }, "node: pve1 -> pve2"),
        (Guest { name: "db".into(), ..guest("qemu/100") }, "name: web -> db"),
        (Guest { smbios_uuid: Some("other".into()), ..guest("qemu/100") }, "smbiosUuid: 7a4d6a52 -> other"),
        (Guest { config_digest: "d2".into(), ..guest("qemu/100") }, "configDigest: d1 -> d2"),
    ] {
        let now = judged("delete_guest", json!({}), &change).unwrap();
        assert_ne!(before.plan_hash, now.plan_hash, "{what}");
        assert_eq!(moved(&before, &now), [what]);
    }
}

#[test]
fn a_container_is_known_by_its_first_network_card_and_a_vm_is_not() {
    let with_cards = |reference: &str, cards: &[(&str, &str)]| {
        let config = cards.iter().map(|(key, card)| ((*key).to_owned(), (*card).to_owned())).collect();
        let met = Guest { config, ..guest(reference) };
        judged("stop_guest", json!({}), &met).unwrap().fingerprint.get("macAddress").cloned()
    };
    let cards =
        [("net10", "name=eth1,hwaddr=BC:24:11:00:02:10"), ("net2", "name=eth0,hwaddr=BC:24:11:00:02:00")];
    assert_eq!(with_cards("lxc/200", &cards).as_deref(), Some("bc:24:11:00:02:00"));
    assert_eq!(with_cards("lxc/200", &[]), None);
    assert_eq!(with_cards("qemu/100", &[("net0", "virtio=BC:24:11:00:01:00,bridge=vmbr0")]), None);
}

#[test]
fn what_has_moved_around_the_target_is_told_in_words() {
    let world = world_of(guest("qemu/100"));
    let request = normalise("default", &spec("delete_guest", "qemu/100", json!({}))).unwrap();
    let environment = environment(1);
    let judged = |world: &World| judged_by(&request, world, &environment, None).unwrap();
    let before = judged(&world);
    let unseen = World { ha: Seen::Unknown { why: "HA can't be seen".into() }, ..world.clone() };
    assert_eq!(moved(&before, &judged(&unseen)), ["now also unknown: HA can't be seen"]);
    assert_eq!(moved(&judged(&unseen), &before), ["no longer unknown: HA can't be seen"]);
    let protected = world_of(Guest { protected: true, ..guest("qemu/100") });
    assert_eq!(moved(&before, &judged(&protected)), ["now also hit: qemu/100 is protected"]);
}

#[test]
fn who_is_hit_counts_and_not_only_how_many() {
    let backed_up_by = |id: &str| {
        let job = BackupJob {
            id: id.into(),
            guests: vec![guest("qemu/100").reference.vmid],
            ..BackupJob::default()
        };
        let world = World { backup_jobs: Seen::Known(vec![job]), ..world_of(guest("qemu/100")) };
        let request = normalise("default", &spec("delete_guest", "qemu/100", json!({}))).unwrap();
        judged_by(&request, &world, &environment(1), None).unwrap()
    };
    let (nightly, weekly) = (backed_up_by("nightly"), backed_up_by("weekly"));
    assert_eq!(nightly.preview.blast_radius.hits.len(), weekly.preview.blast_radius.hits.len());
    assert_ne!(nightly.plan_hash, weekly.plan_hash);
}

#[test]
fn what_the_api_of_that_release_would_refuse_is_denied_by_the_plan_s_own_name_for_it() {
    let result = judged("set_guest_config", json!({"scsi0": "local-lvm:8,cache=fast"}), &guest("qemu/100"));
    let Err(Unjudged::Denied(denial)) = result else { panic!("{result:?}") };
    assert_eq!(denial.reason, "InvalidParameters");
    assert!(denial.message.starts_with("spec.params.scsi0: scsi0.cache"), "{}", denial.message);
}

#[test]
fn a_power_cut_does_not_depend_on_the_configuration() {
    let before = judged("stop_guest", json!({}), &guest("qemu/100")).unwrap();
    let edited = Guest { config_digest: "d2".into(), ..guest("qemu/100") };
    assert_eq!(before.plan_hash, judged("stop_guest", json!({}), &edited).unwrap().plan_hash);
}

#[test]
fn another_environment_or_policy_makes_another_plan_hash() {
    let met = guest("qemu/100");
    let judge = |number, preset: Option<Preset>| {
        let policy = preset.map(policy);
        judged_in("stop_guest", json!({}), &met, &environment(number), policy.as_ref()).unwrap()
    };
    let before = judge(1, None);
    let elsewhere = moved(&before, &judge(2, None));
    assert!(elsewhere.len() == 1 && elsewhere[0].starts_with("environment: env/"), "{elsewhere:?}");
    let moved = moved(&before, &judge(1, Some(Preset::Strict)));
    assert_eq!(moved, ["policy: balanced/2 -> policy-strict/0"]);
    let mut made_anew = policy(Preset::Strict);
    made_anew.metadata.uid = Some("another".into());
    let anew = judged_in("stop_guest", json!({}), &met, &environment(1), Some(&made_anew)).unwrap();
    assert_ne!(judge(1, Some(Preset::Strict)).plan_hash, anew.plan_hash);
}

#[test]
fn a_new_site_or_time_out_voids_no_approval() {
    let before = environment(1);
    let mut after = before.clone();
    after.spec.site = "cellar".into();
    after.spec.request_timeout_seconds = 7;
    let judge =
        |environment| judged_in("stop_guest", json!({}), &guest("qemu/100"), environment, None).unwrap();
    assert_eq!(judge(&before).plan_hash, judge(&after).plan_hash);
}

#[test]
fn what_proxmox_would_refuse_is_said_beforehand() {
    let met =
        Guest { protected: true, status: "running".into(), lock: Some("backup".into()), ..guest("qemu/100") };
    let warnings = judged("delete_guest", json!({}), &met).unwrap().preview.warnings;
    for word in ["protected", "running", "snapshots go with it", "locked: backup"] {
        assert!(warnings.iter().any(|warning| warning.contains(word)), "{word}: {warnings:?}");
    }
}

proptest! {
    /// What Proxmox or a writer sends must never make the API server refuse the status.
    #[test]
    fn no_guest_makes_a_preview_that_is_too_long(name in ".{0,2000}", lock in ".{0,2000}", count in 0usize..300) {
        let met = Guest {
            name,
            lock: Some(lock),
            snapshots: (0..count).map(|n| snapshot(&format!("s{n}"))).collect(),
            ..guest("qemu/100")
        };
        let judged = judged("delete_guest", json!({}), &met).unwrap();
        prop_assert!(judged.preview.summary.chars().count() <= 512);
        prop_assert!(judged.preview.warnings.len() <= 16);
        prop_assert!(judged.preview.warnings.iter().all(|warning| warning.chars().count() <= 512));
        prop_assert!(judged.fingerprint.values().all(|value| value.chars().count() <= 512));
    }
}
