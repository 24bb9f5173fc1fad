//! What is at stake with the target itself, if it is a guest and the action is not harmless.

use crate::{
    api::Risk,
    catalog::Touch,
    core::observe::{Guest, Volume},
};

use super::{Ask, Radius, backups};

/// Tags by which people mark what others depend on.
const PRODUCTION: [&str; 2] = ["prod", "production"];

pub(super) fn look(ask: Ask<'_>, found: &mut Radius) {
    let base = ask.request.action.base_risk;
    let Some(guest) = ask.world.guest() else { return };
    if base == Risk::Low {
        return;
    }
    let mut is = |holds: bool, effect: &str, raises: Option<Risk>| {
        if holds {
            found.hit(&guest.reference, effect).raises = raises;
        }
    };
    is(guest.protected, "is protected", Some(one_more(base)));
    is(is_production(guest), "is tagged as production", Some(one_more(base)));
    // It starts and stops by itself: that voids an approval only where it makes the action riskier.
    is(guest.is_running() && base < Risk::High && !is_about_running(ask), "is running", Some(Risk::High));
    is(guest.ha_managed, "is looked after by HA", None);
    if let Some(volumes) = ask.world.volumes.known() {
        restore(ask, guest, volumes, found);
    }
}

/// Whoever switches a guest off means that it runs.
fn is_about_running(ask: Ask<'_>) -> bool {
    let plain = [Touch::Power, Touch::Boot, Touch::Migration, Touch::HaResource];
    ask.request.action.touches.iter().all(|touch| plain.contains(touch))
}

pub(super) fn is_production(guest: &Guest) -> bool {
    guest.tags.iter().any(|tag| PRODUCTION.contains(&tag.to_lowercase().as_str()))
}

fn restore(ask: Ask<'_>, guest: &Guest, volumes: &[Volume], found: &mut Radius) {
    let backups = backups::backups_of(guest.reference.vmid, volumes);
    if backups.is_empty() {
        found.hit(&guest.reference, "has no backup").raises(Risk::High);
    } else {
        found.hit(&guest.reference, "has a backup").detail(backups::told(&backups, ask.now));
    }
}

fn one_more(risk: Risk) -> Risk {
    match risk {
        Risk::Low => Risk::Medium,
        Risk::Medium => Risk::High,
        Risk::High | Risk::Critical => Risk::Critical,
    }
}
