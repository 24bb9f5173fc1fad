//! A cluster of three nodes for the tests of the radius.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Radius, radius};
use crate::{
    api::Risk,
    catalog::Section,
    core::{
        observe::{
            BackupJob, Guest, HaResource, HaRule, Interface, Met, Node, Nodes, Object, Query, Seen, Storage,
            Volume, World,
        },
        request::{Request, normalise, tests::spec},
        risk::assess,
        testing::{guest, guest_ref, world_of},
    },
};

pub fn request(action: &str, target: &str, params: Value) -> Request {
    normalise("default", &spec(action, target, params)).unwrap_or_else(|wrong| panic!("{action}: {wrong:?}"))
}

pub fn settings(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// A stopped guest without snapshots.
pub fn with(reference: &str, config: &[(&str, &str)]) -> Guest {
    Guest { config: settings(config), snapshots: vec![], ..guest(reference) }
}

pub fn running(guest: Guest) -> Guest {
    Guest { status: "running".into(), ..guest }
}

pub fn disk(id: &str, vmid: u32, parent: Option<&str>) -> Volume {
    Volume {
        id: id.into(),
        storage: id.split(':').next().unwrap_or_default().into(),
        content: "images".into(),
        vmid: Some(guest_ref(&format!("qemu/{vmid}")).vmid),
        parent: parent.map(str::to_owned),
        ..Volume::default()
    }
}

pub fn backup(id: &str, vmid: u32) -> Volume {
    Volume { content: "backup".into(), created_at: Some(0), ..disk(id, vmid, None) }
}

pub fn storage(id: &str, kind: &str, pairs: &[(&str, &str)]) -> Storage {
    Storage { id: id.into(), kind: kind.into(), settings: settings(pairs), ..Storage::default() }
}

pub fn job(id: &str, vmids: &[u32]) -> BackupJob {
    let vmids = vmids.iter().map(|vmid| guest_ref(&format!("qemu/{vmid}")).vmid);
    BackupJob { id: id.into(), enabled: true, guests: vmids.collect(), ..BackupJob::default() }
}

pub fn resource(sid: &str, node: &str) -> HaResource {
    HaResource { sid: sid.into(), state: "started".into(), node: Some(node.into()), ..HaResource::default() }
}

pub fn rule(id: &str, kind: &str, resources: &[&str], nodes: &[&str], pairs: &[(&str, &str)]) -> HaRule {
    let owned = |list: &[&str]| list.iter().map(ToString::to_string).collect();
    HaRule {
        id: id.into(),
        kind: kind.into(),
        resources: owned(resources),
        nodes: owned(nodes),
        settings: settings(pairs),
    }
}

pub fn interface(name: &str, addresses: &[&str], ports: &[&str]) -> Interface {
    let owned = |list: &[&str]| list.iter().map(ToString::to_string).collect();
    Interface { name: name.into(), addresses: owned(addresses), ports: owned(ports), ..Interface::default() }
}

fn node(name: &str, ip: &str) -> Node {
    Node {
        name: name.into(),
        online: true,
        ip: Some(ip.into()),
        votes: 1,
        memory: Some((12 << 30, 16 << 30)),
    }
}

/// Three nodes with 4 of 16 GiB free each, and every part seen and empty.
pub fn world() -> World {
    World {
        target: Met::Object(Object::default()),
        nodes: Seen::Known(Nodes {
            quorate: true,
            is_cluster: true,
            nodes: vec![node("pve1", "10.0.0.1"), node("pve2", "10.0.0.2"), node("pve3", "10.0.0.3")],
        }),
        ..world_of(guest("qemu/100"))
    }
}

/// The world with this guest as the target, and others beside it.
pub fn world_with(target: Guest, others: Vec<Guest>) -> World {
    let guests = [vec![target.clone()], others].concat();
    World { target: Met::Guest(Box::new(target)), guests: Seen::Known(guests), ..world() }
}

/// Who is hit, and how risky that makes it, by what is looked at for the action and nothing else.
pub fn seen(action: &str, target: &str, params: Value, world: &World) -> (Radius, Risk) {
    let request = request(action, target, params);
    let looked_at = with_parts(world, |section| {
        if Query::of(&request).sections.contains(&section) { Part::AsItIs } else { Part::NotAsked }
    });
    let radius = radius(&request, &looked_at, jiff::Timestamp::UNIX_EPOCH);
    let risk = assess(&request, &radius).risk();
    (radius, risk)
}

/// What becomes of a part of the world.
pub enum Part {
    AsItIs,
    NotAsked,
    Unknown,
}

/// The world with some parts changed. The settings within snapshots are seen as the guests are.
pub fn with_parts(world: &World, becomes: impl Fn(Section) -> Part) -> World {
    fn part<T: Clone>(now: &Seen<T>, section: Section, becomes: &impl Fn(Section) -> Part) -> Seen<T> {
        match becomes(section) {
            Part::AsItIs => now.clone(),
            Part::NotAsked => Seen::NotAsked,
            Part::Unknown => Seen::Unknown { why: format!("{section:?}") },
        }
    }
    World {
        nodes: part(&world.nodes, Section::Nodes, &becomes),
        guests: part(&world.guests, Section::Guests, &becomes),
        storages: part(&world.storages, Section::Storages, &becomes),
        volumes: part(&world.volumes, Section::Volumes, &becomes),
        ha: part(&world.ha, Section::Ha, &becomes),
        replication: part(&world.replication, Section::Replication, &becomes),
        backup_jobs: part(&world.backup_jobs, Section::BackupJobs, &becomes),
        pools: part(&world.pools, Section::Pools, &becomes),
        network: part(&world.network, Section::Network, &becomes),
        sdn: part(&world.sdn, Section::Sdn, &becomes),
        firewall: part(&world.firewall, Section::Firewall, &becomes),
        acl: part(&world.acl, Section::Acl, &becomes),
        migration: part(&world.migration, Section::Migration, &becomes),
        active_tasks: part(&world.active_tasks, Section::ActiveTasks, &becomes),
        ..world.clone()
    }
}

#[track_caller]
pub fn assert_hit(radius: &Radius, subject: &str, effect: &str, raises: Option<Risk>) {
    let hit = radius.hits.iter().find(|hit| hit.subject == subject && hit.effect == effect);
    let Some(hit) = hit else { panic!("{subject} {effect} is not among {:#?}", radius.hits) };
    assert_eq!(hit.raises, raises, "{subject} {effect}");
}
