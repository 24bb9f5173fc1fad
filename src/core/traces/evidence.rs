//! What helps a person where nothing proves anything.

use crate::{
    catalog::{Filled, NaturalKey},
    core::{call::mark, measure::age, observe::World},
};

use super::Announced;

pub(super) fn of(of: &Announced<'_>, world: &World) -> Option<String> {
    let words: Vec<String> = guest(of, world).into_iter().chain(disk(of, world)).chain(marked(of)).collect();
    (!words.is_empty()).then(|| words.join("; "))
}

fn guest(of: &Announced<'_>, world: &World) -> Option<String> {
    let guest = world.guest()?;
    let mut words = format!("{} is {} on {}", guest.reference, guest.status, guest.node);
    let mut add = |more: &str| words.push_str(more);
    if let Some(detail) = &guest.detail {
        add(&format!(" ({detail})"));
    }
    if let Some(uptime) = guest.uptime.filter(|_| guest.is_running()) {
        add(&format!(", up for {}", age(of.now, of.now.as_second().saturating_sub(uptime))));
    }
    if let Some(lock) = &guest.lock {
        add(&format!(", locked ({lock})"));
    }
    let is_the_judged = of.request.target.guest() == Some(guest.reference);
    if is_the_judged && of.judged.fingerprint.contains_key("configDigest") {
        let how = if of.is_unchanged(&guest.config_digest) { "as they were" } else { "not as they were" };
        add(&format!(", its settings are {how}"));
    }
    Some(words)
}

/// Where the disk is that was to move.
fn disk(of: &Announced<'_>, world: &World) -> Option<String> {
    let name = of.request.text("disk")?;
    let disk = world.guest()?.disks().into_iter().find(|disk| disk.key == name)?;
    Some(format!("{name} is {}", disk.volume))
}

/// What a call without a natural key leaves all the same.
fn marked(of: &Announced<'_>) -> Option<String> {
    let action = of.request.action;
    let marks = action.change()?.fills.iter().any(|filled| matches!(filled, Filled::Marker(_)));
    (marks && action.natural_key == NaturalKey::None)
        .then(|| format!("what it made has `{}` in its notes", mark(of.uid)))
}
