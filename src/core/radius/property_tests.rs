//! What holds for every action and every world.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::json;

use super::{radius, testing::*};
use crate::{
    api::{Preview, ProxmoxEnvironment, Risk},
    catalog::{self, Section, Touch},
    core::{
        afterwards::afterwards,
        judge::{Setting, judge},
        observe::{Guest, Ha, Met, Object, Seen, World, disks_in},
        policy::Policy,
        request::Request,
        risk::assess,
        testing::{asked, guest, plan, snapshot},
    },
};

/// A request for each action that touches anything, on each kind of target that it takes.
fn requests() -> Vec<Request> {
    let touching = catalog::actions().filter(|action| !action.touches.is_empty());
    touching.flat_map(|action| action.target.iter().map(|kind| asked(action, kind.example()))).collect()
}

fn target_of(request: &Request) -> Met {
    match request.target.guest() {
        Some(reference) => {
            Met::Guest(Box::new(with(&reference.to_string(), &[("scsi0", "local:vm-100-disk-0,size=1G")])))
        }
        None => Met::Object(Object::default()),
    }
}

/// The sections that a touch asks for, with the settings of snapshots counted to the guests.
fn sections(touches: &[Touch]) -> BTreeSet<String> {
    let sections = touches.iter().flat_map(|touch| touch.sections());
    sections
        .filter(|section| **section != Section::SnapshotConfigs)
        .map(|section| format!("{section:?}"))
        .collect()
}

#[test]
fn every_part_that_is_looked_at_is_used_and_every_part_that_is_used_is_looked_at() {
    for request in requests() {
        let world = World { target: target_of(&request), ..world() };
        let hidden = with_parts(&world, |_| Part::Unknown);
        let unknown: BTreeSet<String> =
            radius(&request, &hidden, Timestamp::UNIX_EPOCH).unknown.into_iter().collect();
        assert_eq!(unknown, sections(request.action.touches), "{}", request.action.name);
    }
}

#[test]
fn whatever_can_not_be_seen_makes_an_action_as_risky_as_can_be() {
    for request in requests() {
        let touched = request.action.touches.iter().flat_map(|touch| touch.sections());
        for hidden in touched.filter(|section| **section != Section::SnapshotConfigs) {
            let world = World { target: target_of(&request), ..world() };
            let world =
                with_parts(&world, |section| if section == *hidden { Part::Unknown } else { Part::AsItIs });
            let risk = assess(&request, &radius(&request, &world, Timestamp::UNIX_EPOCH)).risk();
            assert_eq!(risk, Risk::Critical, "{} without {hidden:?}", request.action.name);
        }
    }
}

/// A cluster in which much depends on much.
fn tangled(targets: &Met) -> World {
    let base = &[("scsi0", "local:base-100-disk-0"), ("net0", "virtio,bridge=vmbr0"), ("tags", "prod")];
    let guests: Vec<Guest> = (100..108)
        .map(|vmid| {
            let own = format!("local:base-100-disk-0/vm-{vmid}-disk-0");
            let config = [
                ("scsi0", own.as_str()),
                ("net0", "virtio,bridge=vmbr0"),
                ("ide2", "local:iso/debian.iso,media=cdrom"),
            ];
            running(with(&format!("qemu/{vmid}"), if vmid == 100 { base } else { &config }))
        })
        .collect();
    let sids: Vec<String> = (100..108).map(|vmid| format!("vm:{vmid}")).collect();
    let sids: Vec<&str> = sids.iter().map(String::as_str).collect();
    World {
        target: targets.clone(),
        guests: Seen::Known(guests),
        volumes: Seen::Known((100..108).map(|vmid| backup(&format!("local:backup/{vmid}"), vmid)).collect()),
        storages: Seen::Known(vec![
            storage("local", "dir", &[("path", "/a")]),
            storage("same", "dir", &[("path", "/a")]),
        ]),
        ha: Seen::Known(Ha {
            resources: sids.iter().map(|sid| resource(sid, "pve1")).collect(),
            rules: vec![
                rule("keep-apart", "resource-affinity", &sids, &[], &[("affinity", "negative")]),
                rule("home", "node-affinity", &sids, &["pve1"], &[("strict", "1")]),
            ],
            armed: None,
        }),
        backup_jobs: Seen::Known(vec![job("nightly", &[100, 101, 102]), job("weekly", &[101])]),
        network: Seen::Known(crate::core::observe::Network {
            interfaces: vec![
                interface("vmbr0", &["10.0.0.1/24"], &["nic0"]),
                interface("vmbr0.10", &[], &[]),
            ],
            waiting: Some("-iface vmbr0 inet manual".into()),
        }),
        ..world()
    }
}

fn shuffle<T>(part: &mut Seen<Vec<T>>, by: usize) {
    if let Seen::Known(rows) = part {
        turn(rows, by);
    }
}

fn turn<T>(rows: &mut [T], by: usize) {
    if !rows.is_empty() {
        rows.rotate_left(by % rows.len());
        if by % 2 == 1 {
            rows.reverse();
        }
    }
}

/// What a person would see, unless the request is refused before.
fn previewed(request: &Request, world: &World) -> Option<Preview> {
    let spec = json!({"endpoints": ["https://pve1"], "credentials": {"secretRef": {"name": "s"}}});
    let environment = ProxmoxEnvironment::new("home", serde_json::from_value(spec).unwrap());
    let policy = Policy::of(None, &environment, &[]).unwrap();
    let plan = plan("p", &Default::default());
    let setting =
        Setting { plan: &plan, environment: &environment, policy: &policy, now: Timestamp::UNIX_EPOCH };
    judge(request, world, setting).ok().map(|judgement| judgement.judged.preview)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_order_in_which_things_are_seen_changes_nothing(by in 1usize..40) {
        for request in requests() {
            let world = tangled(&target_of(&request));
            let mut other = world.clone();
            shuffle(&mut other.guests, by);
            shuffle(&mut other.volumes, by);
            shuffle(&mut other.storages, by);
            shuffle(&mut other.backup_jobs, by);
            if let Seen::Known(nodes) = &mut other.nodes {
                turn(&mut nodes.nodes, by);
            }
            if let Seen::Known(network) = &mut other.network {
                turn(&mut network.interfaces, by);
            }
            if let Seen::Known(ha) = &mut other.ha {
                turn(&mut ha.resources, by);
                turn(&mut ha.rules, by);
                ha.rules.iter_mut().for_each(|rule| turn(&mut rule.resources, by));
            }
            let seen = |world: &World| radius(&request, world, Timestamp::UNIX_EPOCH);
            prop_assert_eq!(seen(&world), seen(&other), "{}", request.action.name);
            prop_assert_eq!(afterwards(&request, &world), afterwards(&request, &other));
        }
    }

    #[test]
    fn another_guest_that_depends_on_it_never_lowers_the_risk(vmid in 200u32..300, node in "pve[123]", on in any::<bool>()) {
        let config = [("boot", "order=scsi0"), ("scsi0", "local:base-100-disk-0/vm-1-disk-0"), ("net0", "virtio,bridge=vmbr0")];
        let status = if on { "running" } else { "stopped" };
        let more = Guest { node, status: status.into(), ..with(&format!("qemu/{vmid}"), &config) };
        for request in requests() {
            let world = tangled(&target_of(&request));
            let mut other = world.clone();
            if let Seen::Known(guests) = &mut other.guests {
                guests.push(more.clone());
            }
            let risk = |world: &World| assess(&request, &radius(&request, world, Timestamp::UNIX_EPOCH)).risk();
            prop_assert!(risk(&other) >= risk(&world), "{}", request.action.name);
        }
    }

    #[test]
    fn no_settings_are_too_strange_to_judge(
        config in prop::collection::btree_map("(scsi|net|unused|mp|boot|bootdisk|hookscript|cicustom|rootfs)[0-9]?", ".{0,40}", 0..8),
        parent in prop::option::of(".{0,20}"),
        waiting in ".{0,900}",
    ) {
        let strange = Guest { config: config.clone(), snapshots: vec![crate::core::observe::Snapshot { parent: parent.clone(), config: config.clone(), ..snapshot("before") }], ..running(guest("qemu/100")) };
        let volumes = disks_in(&config).into_iter().map(|own| disk(&own.volume, 100, parent.as_deref()));
        for request in requests() {
            let mut world = tangled(&target_of(&request));
            if request.target.guest().is_some() {
                world.target = Met::Guest(Box::new(strange.clone()));
            }
            world.guests = Seen::Known(vec![strange.clone(), Guest { pending: BTreeMap::new(), ..strange.clone() }]);
            world.volumes = Seen::Known(volumes.clone().collect());
            world.network = Seen::Known(crate::core::observe::Network { waiting: Some(waiting.clone()), ..Default::default() });
            let found = radius(&request, &world, Timestamp::UNIX_EPOCH);
            let words: Vec<_> = found.hits.iter().map(|hit| (&hit.subject, &hit.effect)).collect();
            prop_assert_eq!(words.iter().collect::<BTreeSet<_>>().len(), words.len());
            prop_assert!(assess(&request, &found).reasons().len() <= 16);
            afterwards(&request, &world);
            if let Some(preview) = previewed(&request, &world) {
                let radius = &preview.blast_radius;
                prop_assert!(radius.hits.len() <= 64 && radius.unknown.len() <= 16);
                for hit in &radius.hits {
                    let long = [&hit.effect, &hit.detail].iter().any(|text| text.chars().count() > 512);
                    prop_assert!(!long && hit.subject.chars().count() <= 253);
                }
                let lines = preview.afterwards.iter().chain(&preview.warnings);
                prop_assert!(preview.afterwards.len() <= 16 && preview.warnings.len() <= 16);
                prop_assert!(lines.into_iter().all(|line| line.chars().count() <= 512));
            }
        }
    }
}
