//! Whom nothing of high risk may hit.

use crate::{
    api::{Protection, Risk},
    catalog::{Target, Vmid},
    core::observe::{Guest, World},
};

use super::facts::Case;

/// Everyone who is protected and would be hit, in words. Nobody if the risk is not high.
pub(super) fn violated(protection: &Protection, case: Case<'_>, risk: Risk) -> Vec<String> {
    if risk < Risk::High {
        return vec![];
    }
    let target = case.request.target.to_string();
    let hit = case.radius.hits.iter().map(|hit| hit.subject.as_str());
    let mut subjects: Vec<&str> = std::iter::once(target.as_str()).chain(hit).collect();
    subjects.sort_unstable();
    subjects.dedup();
    subjects.iter().filter_map(|subject| told(protection, case.world, subject)).collect()
}

fn told(protection: &Protection, world: &World, subject: &str) -> Option<String> {
    if protection.targets.iter().any(|named| is_same(named, subject)) {
        return Some(format!("{subject} is named as protected"));
    }
    let guest = guest(world, subject)?;
    let mark = |kind: &str, mark: &str| format!("{subject} is protected by its {kind} {mark}");
    if let Some(tag) = guest.tags.iter().find(|tag| protection.tags.contains(tag)) {
        return Some(mark("tag", tag));
    }
    let pool = protection.pools.iter().find(|pool| is_in(guest, pool, world))?;
    Some(mark("pool", pool))
}

/// A guest that only its number is known of is told as `guest/100`.
fn is_same(named: &str, subject: &str) -> bool {
    named == subject
        || vmid(subject).is_some_and(|of| subject.starts_with("guest/") && vmid(named) == Some(of))
}

fn vmid(subject: &str) -> Option<Vmid> {
    let number = subject.strip_prefix("guest/").map(|number| format!("qemu/{number}"));
    match number.as_deref().unwrap_or(subject).parse() {
        Ok(Target::Guest(guest)) => Some(guest.vmid),
        _ => None,
    }
}

/// As far as it was looked at.
fn guest<'a>(world: &'a World, subject: &str) -> Option<&'a Guest> {
    let wanted = vmid(subject)?;
    let others = world.guests.known().into_iter().flatten();
    world.guest().into_iter().chain(others).find(|guest| guest.reference.vmid == wanted)
}

fn is_in(guest: &Guest, pool: &str, world: &World) -> bool {
    let holds =
        |known: &crate::core::observe::Pool| known.id == pool && known.guests.contains(&guest.reference.vmid);
    guest.pool.as_deref() == Some(pool) || world.pools.known().is_some_and(|pools| pools.iter().any(holds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_that_only_its_number_is_known_of_is_who_has_that_number() {
        for (named, subject, same) in [
            ("qemu/100", "qemu/100", true),
            ("qemu/100", "guest/100", true),
            ("lxc/100", "guest/100", true),
            ("qemu/101", "guest/100", false),
            ("lxc/100", "qemu/100", false),
            ("storage/backup", "storage/backup", true),
            ("storage/backup", "storage/local", false),
        ] {
            assert_eq!(is_same(named, subject), same, "{named} {subject}");
        }
    }
}
