//! Times in which nothing is sent.

use jiff::{Timestamp, tz::TimeZone};
use kube::ResourceExt;

use crate::api::{Freeze as GlobalFreeze, FreezeWindow, ProxmoxPolicy};

use super::{calendar, ruling::Hold};

/// The reason of a plan that waits for the end of a freeze.
pub const FROZEN: &str = "Frozen";

/// One freeze, and where it is written down.
#[derive(Clone, Debug)]
pub(super) struct Freeze {
    pub by: String,
    when: When,
}

#[derive(Clone, Debug)]
enum When {
    Global(GlobalFreeze),
    Window(FreezeWindow),
}

/// A freeze that is on. Without an end it lasts until somebody takes it away.
#[derive(Clone, Debug)]
pub(super) struct On<'a> {
    pub by: &'a str,
    reason: &'a str,
    until: Option<Timestamp>,
}

/// The windows of the policy itself, and the global freezes of all policies around it.
pub(super) fn all(policy: Option<&ProxmoxPolicy>, beside: &[ProxmoxPolicy]) -> Vec<Freeze> {
    let windows = policy.into_iter().flat_map(|policy| {
        let window = |window: &FreezeWindow| Freeze {
            by: format!("freeze window {} of policy {}", window.name, policy.name_any()),
            when: When::Window(window.clone()),
        };
        policy.spec.freeze_windows.iter().map(window).collect::<Vec<_>>()
    });
    let others =
        beside.iter().filter(|other| policy.is_none_or(|own| own.metadata.name != other.metadata.name));
    let global = policy.into_iter().chain(others).filter_map(|policy| {
        let freeze = policy.spec.global_freeze.clone()?;
        Some(Freeze {
            by: format!("globalFreeze of policy {}", policy.name_any()),
            when: When::Global(freeze),
        })
    });
    windows.chain(global).collect()
}

impl Freeze {
    pub(super) fn on(&self, now: Timestamp, zone: &TimeZone) -> Option<On<'_>> {
        let (reason, until) = match &self.when {
            When::Global(freeze) => {
                let until = freeze.until.as_ref().map(|until| until.0);
                until.is_none_or(|until| now < until).then_some((freeze.reason.as_str(), until))
            }
            When::Window(window) => Some((window.reason.as_str(), window_until(window, now, zone)?)),
        }?;
        Some(On { by: &self.by, reason, until })
    }
}

/// Outer `None`: it is not on.
fn window_until(window: &FreezeWindow, now: Timestamp, zone: &TimeZone) -> Option<Option<Timestamp>> {
    let until = window.until.as_ref().map(|until| until.0);
    if window.from.as_ref().is_some_and(|from| now < from.0) || until.is_some_and(|until| until <= now) {
        return None;
    }
    let Some(weekly) = &window.weekly else { return Some(until) };
    let hours_until = calendar::until(weekly, now, zone)?;
    Some(Some(until.map_or(hours_until, |until| until.min(hours_until))))
}

impl On<'_> {
    pub(super) fn told(&self) -> String {
        let until =
            self.until.map_or_else(|| "until it is taken away".to_owned(), |until| format!("until {until}"));
        let reason = if self.reason.is_empty() { String::new() } else { format!(": {}", self.reason) };
        format!("frozen {until} by {}{reason}", self.by)
    }
}

/// What all of them together hold up. It is looked at again when the last one that has an end is over.
pub(super) fn hold(on: &[On<'_>]) -> Option<Hold> {
    let told: Vec<String> = on.iter().map(On::told).collect();
    let until = on
        .iter()
        .map(|freeze| freeze.until)
        .collect::<Option<Vec<_>>>()
        .and_then(|ends| ends.into_iter().max());
    (!on.is_empty()).then(|| Hold { reason: FROZEN, message: told.join("; "), until })
}
