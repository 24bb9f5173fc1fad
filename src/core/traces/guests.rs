//! Guests: whether they are there, what they are doing, and their snapshots.

use crate::{
    catalog::{Changes, Target, Touch, split_list},
    core::{
        identity::replaced_by,
        observe::{Guest, Met, Seen, World},
        request::Request,
    },
};

use super::{
    Announced,
    Traces::{self, Done, NotDone, Unclear},
};

/// The guest that the call was made for.
pub(super) fn target<'a>(of: &Announced<'_>, world: &'a World) -> Result<&'a Guest, String> {
    let target = &of.request.target;
    let guest = world.guest().ok_or_else(|| format!("{target} is not seen any more"))?;
    let differences = replaced_by(of.judged, guest, &set_by(of.request));
    if !differences.is_empty() {
        return Err(format!("{target} is another guest now ({})", differences.join(", ")));
    }
    Ok(guest)
}

/// What of its identity the request itself sets.
fn set_by(request: &Request) -> Vec<&'static str> {
    let deleted = split_list(request.text("delete").unwrap_or_default());
    let named = request.params.keys().map(String::as_str).chain(deleted);
    named
        .filter_map(|name| match name {
            "smbios1" => Some("smbiosUuid"),
            name if name.starts_with("net") => Some("macAddress"),
            _ => None,
        })
        .collect()
}

pub(super) fn snapshot_taken(of: &Announced<'_>, world: &World) -> Result<Traces, String> {
    let guest = target(of, world)?;
    let name = of.sent("snapname").ok_or("the name of the snapshot is not on record")?;
    Ok(match guest.snapshot(name) {
        None => NotDone(format!("{} has no snapshot `{name}`", guest.reference)),
        Some(snapshot) if !of.is_marked(Some(&snapshot.description)) => Unclear(format!(
            "{} has a snapshot `{name}`, but not with the mark of this plan: somebody else's",
            guest.reference
        )),
        Some(_) if guest.lock.as_deref() == Some("snapshot") => {
            Unclear(format!("the snapshot `{name}` is still being taken, or that broke off"))
        }
        Some(_) => Done(format!("{} has the snapshot `{name}` with this plan's mark", guest.reference)),
    })
}

pub(super) fn snapshot_removed(of: &Announced<'_>, world: &World) -> Result<Traces, String> {
    let guest = target(of, world)?;
    let name = of.request.text("snapshot").unwrap_or_default();
    let is_there = format!("the snapshot `{name}` of {} is there", guest.reference);
    Ok(match guest.snapshot(name) {
        None => Done(format!("the snapshot `{name}` of {} is gone", guest.reference)),
        // The snapshots stand in the same file as the settings, and so does the lock of who removes one.
        Some(_) if of.is_unchanged(&guest.config_digest) => NotDone(format!("{is_there}, untouched")),
        Some(_) => {
            Unclear(format!("{is_there}, but the guest has changed: it may be a newer one of this name"))
        }
    })
}

pub(super) fn made_a_template(of: &Announced<'_>, world: &World) -> Result<Traces, String> {
    let guest = target(of, world)?;
    Ok(match guest.template {
        true => Done(format!("{} is a template", guest.reference)),
        false => NotDone(format!("{} is no template", guest.reference)),
    })
}

/// A guest that was created, copied or restored.
pub(super) fn made(of: &Announced<'_>, world: &World) -> Result<Traces, String> {
    let guest = match &world.target {
        Met::Absent => return Ok(NotDone("no guest has its number".to_owned())),
        Met::Guest(guest) => guest,
        Met::Object(_) => return Err("its number is taken, by what this token may not see".to_owned()),
        Met::Nothing => return Err("whether it is there was not seen".to_owned()),
    };
    let Guest { reference, lock, .. } = guest.as_ref();
    Ok(match (of.is_marked(guest.config.get("description")), lock) {
        (true, None) => Done(format!("{reference} is there with this plan's mark")),
        (_, Some(lock)) => {
            Unclear(format!("{reference} is there, but not ready: Proxmox has locked it ({lock})"))
        }
        (false, None) => Unclear(format!("{reference} is there, but without the mark of this plan")),
    })
}

pub(super) fn gone(of: &Announced<'_>, world: &World) -> Result<Traces, String> {
    match &world.target {
        Met::Absent => Ok(Done(format!("{} is gone", of.request.target))),
        _ => target(of, world).map(|guest| NotDone(format!("{} is still there", guest.reference))),
    }
}

/// Whoever did it, the target is as it was to be; if it is not, somebody may have changed it back.
pub(super) fn switched(of: &Announced<'_>, world: &World) -> Result<Traces, String> {
    let (what, is, goal) = match &of.request.target {
        Target::Guest(_) => {
            let guest = target(of, world)?;
            let Some(Changes::Power(goal)) = of.request.action.changes() else {
                return Err("what it was to become is not on record".to_owned());
            };
            (guest.reference.to_string(), guest.detail.as_ref().unwrap_or(&guest.status).clone(), goal)
        }
        Target::Node(node) => {
            let status = world.settings().and_then(|settings| settings.get("status"));
            let status = status.ok_or_else(|| format!("node {node} is not seen any more"))?;
            (format!("node {node}"), status.clone(), "offline")
        }
        _ => armed(of, world)?,
    };
    Ok(match is == goal {
        true => Done(format!("{what} is {goal}; who did it is not known")),
        false => {
            Unclear(format!("{what} is {is}, not {goal}: it was not done, or somebody has changed it back"))
        }
    })
}

fn armed(of: &Announced<'_>, world: &World) -> Result<(String, String, &'static str), String> {
    let Seen::Known(ha) = &world.ha else { return Err("whether HA is armed can't be seen".to_owned()) };
    let armed = ha.armed.ok_or("this version does not tell whether HA is armed")?;
    let word = |armed: bool| if armed { "armed" } else { "disarmed" };
    Ok(("HA".to_owned(), word(armed).to_owned(), word(of.request.action.touches(Touch::HaOn))))
}
