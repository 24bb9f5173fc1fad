//! What an approval takes for granted about the target, and what has moved since.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    api::{BlastRadius, PreviewedHit, ProxmoxEnvironment},
    catalog::{Fingerprint, GuestKind},
};

use super::{
    hash::{NotCanonical, RequestHash},
    judge::Judged,
    observe::{Guest, Met, World},
    radius::Radius,
    request::Request,
};

/// The entry that stands for everyone who is hit.
const RADIUS: &str = "blastRadius";

pub(super) fn fingerprint(
    request: &Request,
    world: &World,
    radius: &Radius,
    environment: &ProxmoxEnvironment,
) -> Result<BTreeMap<String, String>, NotCanonical> {
    let mut facts = BTreeMap::from([("environment".to_owned(), which_proxmox(environment)?)]);
    let mut add = |name: &str, value: &str| {
        facts.insert(name.to_owned(), value.chars().take(512).collect());
    };
    let depth = request.action.fingerprint;
    match &world.target {
        Met::Guest(guest) if depth != Fingerprint::None => identity(guest, &mut add),
        _ => {}
    }
    if depth == Fingerprint::IdentityAndConfig {
        match &world.target {
            Met::Guest(guest) => add("configDigest", &guest.config_digest),
            Met::Object(object) => add("settings", &digest_of(&object.settings)?),
            Met::Nothing | Met::Absent => {}
        }
    }
    if !request.action.touches.is_empty() {
        add(RADIUS, &summary(radius)?);
    }
    Ok(facts)
}

/// Which guest it is, as an approval takes it for granted.
pub(super) fn identity_of(guest: &Guest) -> BTreeMap<String, String> {
    let mut facts = BTreeMap::new();
    identity(guest, &mut |name, value| drop(facts.insert(name.to_owned(), value.to_owned())));
    facts
}

fn identity(guest: &Guest, add: &mut impl FnMut(&str, &str)) {
    add("guest", &guest.reference.to_string());
    add("name", &guest.name);
    add("node", &guest.node);
    if let Some(uuid) = &guest.smbios_uuid {
        add("smbiosUuid", uuid);
    }
    // A container has no such thing; what it keeps is the address of its first network card.
    let first_card = guest.nics().into_iter().min_by_key(|nic| (nic.key.len(), nic.key.clone()));
    if guest.reference.kind == GuestKind::Lxc
        && let Some(address) = first_card.and_then(|nic| nic.mac)
    {
        add("macAddress", &address.to_lowercase());
    }
}

pub(super) fn digest_of(settings: &BTreeMap<String, String>) -> Result<String, NotCanonical> {
    Ok(RequestHash::of("the settings", settings)?.short())
}

/// How many are hit, and a hash of who and how.
fn summary(radius: &Radius) -> Result<String, NotCanonical> {
    let hits: Vec<(&str, &str)> =
        radius.hits.iter().map(|hit| (hit.subject.as_str(), hit.effect.as_str())).collect();
    let hash = RequestHash::of("the blast radius", &(hits, &radius.unknown))?.short();
    Ok(format!("{} hit, {} unknown, {hash}", radius.hits.len(), radius.unknown.len()))
}

/// Which Proxmox it is and how it is reached; its site and time-outs may change under an approval.
fn which_proxmox(environment: &ProxmoxEnvironment) -> Result<String, NotCanonical> {
    let spec = &environment.spec;
    let reached =
        RequestHash::of("the environment", &(&spec.endpoints, &spec.credentials, &spec.tls, spec.tier))?;
    Ok(format!("{}/{}", environment.metadata.uid.as_deref().unwrap_or_default(), reached.short()))
}

/// What differs between the target as it was approved and as it is, in words.
pub fn moved(before: &Judged, now: &Judged) -> Vec<String> {
    let absent = "absent".to_owned();
    let keys: BTreeSet<&String> = before.fingerprint.keys().chain(now.fingerprint.keys()).collect();
    let mut moved: Vec<String> = Vec::new();
    for key in keys {
        let (was, is) = (before.fingerprint.get(key), now.fingerprint.get(key));
        if was == is {
            continue;
        }
        if key == RADIUS {
            moved.extend(moved_radius(before, now));
        } else {
            moved.push(format!("{key}: {} -> {}", was.unwrap_or(&absent), is.unwrap_or(&absent)));
        }
    }
    if before.policy.revision != now.policy.revision {
        moved.push(format!("policy: {} -> {}", before.policy.revision, now.policy.revision));
    }
    if moved.is_empty() { ruled_otherwise(before, now) } else { moved }
}

/// The target is as it was, and so is the policy: its rules say something else now, or the environment's knobs do.
fn ruled_otherwise(before: &Judged, now: &Judged) -> Vec<String> {
    let mut moved = Vec::new();
    if before.risk != now.risk {
        moved.push(format!("risk: {} -> {}", before.risk, now.risk));
    }
    if before.demand.told() != now.demand.told() {
        moved.push(format!("approvals: {} -> {}", before.demand.told(), now.demand.told()));
    }
    if moved.is_empty() && before.plan_hash != now.plan_hash {
        moved.push(format!("planHash: {} -> {}", before.plan_hash, now.plan_hash));
    }
    moved
}

/// Who is hit or unseen now and was not before, and the other way round, as far as the previews hold them.
fn moved_radius(before: &Judged, now: &Judged) -> Vec<String> {
    let words = |hit: &PreviewedHit| format!("hit: {} {}", hit.subject, hit.effect);
    let of = |judged: &Judged| -> BTreeSet<String> {
        let BlastRadius { hits, unknown, .. } = &judged.preview.blast_radius;
        hits.iter().map(words).chain(unknown.iter().map(|why| format!("unknown: {why}"))).collect()
    };
    let (was, is) = (of(before), of(now));
    let new = is.difference(&was).map(|what| format!("now also {what}"));
    let gone = was.difference(&is).map(|what| format!("no longer {what}"));
    let moved: Vec<String> = new.chain(gone).take(8).collect();
    if moved.is_empty() { vec!["what is hit beyond the preview's bounds".to_owned()] } else { moved }
}
