//! Judging a change of the configuration before it is made.
use std::collections::BTreeMap;
use std::time::Duration;

use super::apply::{ApplyError, Target, apply};
use super::drive_checks::check_drives;
use super::keys::normalise;
use super::privileges::demand_keys;
use super::{Answer, Call, Config, GuestType, Refusal, Reply, nothing, refuse};
use crate::pve::sim::contract::Given;
use crate::pve::sim::disks;
use crate::pve::sim::world::Guest;

/// Parameters of the call that are no configuration keys.
const CONTROLS: [&str; 11] = [
    "background_delay",
    "delete",
    "digest",
    "force",
    "idlist",
    "import-working-storage",
    "node",
    "revert",
    "skiplock",
    "vmid",
    "unlink",
];

/// What is to become of the configuration.
#[derive(Debug, Clone)]
pub(super) struct Change {
    pub(super) set: Config,
    pub(super) delete: Vec<String>,
    pub(super) revert: Vec<String>,
    pub(super) destroy_disks: bool,
}

pub(super) fn put(call: &mut Call<'_>) -> Answer {
    let (delete, revert) = (call.parameters.list("delete"), call.parameters.list("revert"));
    change_now(call, delete, revert)
}

/// The old way to remove drives, which is the same change under another name.
pub(super) fn unlink(call: &mut Call<'_>) -> Answer {
    let drives = call.parameters.list("idlist");
    change_now(call, drives, Vec::new())
}

fn change_now(call: &mut Call<'_>, delete: Vec<String>, revert: Vec<String>) -> Answer {
    let change = judge(call, delete, revert)?;
    let Target { node, kind, vmid } = target(call);
    if !call.state.world.cluster.quorate {
        let file = format!("/etc/pve/nodes/{node}/{}/{vmid}.conf.tmp.4096", kind.config_folder());
        return refuse(format!("unable to open file '{file}' - Permission denied"));
    }
    match apply(call.state, &target(call), &change, &mut Vec::new()) {
        Ok(()) => nothing(),
        Err(ApplyError::Parameter(name, text)) => Err(Refusal::parameter(&name, text)),
        Err(ApplyError::Failed(text)) => Err(Refusal::Failed(text)),
    }
}

/// The same change by a worker; only what has been judged so far is refused at once.
pub(super) fn post(call: &mut Call<'_>) -> Answer {
    let (delete, revert) = (call.parameters.list("delete"), call.parameters.list("revert"));
    let change = judge(call, delete, revert)?;
    let target = target(call);
    let intro = format!("update VM {}: {}", target.vmid, as_options(call));
    let new = call.guest_task("qmconfig", move |run| {
        run.say(intro);
        let mut log = Vec::new();
        let result = apply(run.state, &target, &change, &mut log);
        run.log.extend(log);
        result.map_err(|error| match error {
            ApplyError::Failed(text) | ApplyError::Parameter(_, text) => text,
        })
    });
    let upid = call.state.fork(new);
    match call.parameters.number("background_delay") {
        Some(seconds) => Ok(Reply::TaskUnlessDone { upid, within: Duration::from_secs(seconds) }),
        None => Ok(Reply::Task(upid)),
    }
}

fn target(call: &Call<'_>) -> Target {
    Target { node: call.node().to_owned(), kind: call.guest_type(), vmid: call.vmid() }
}

fn as_options(call: &Call<'_>) -> String {
    let shown = call.parameters.texts().filter(|(name, _)| !matches!(*name, "node" | "vmid" | "digest"));
    let option = |(name, value): (&str, &str)| {
        let value = if name == "cipassword" { "<hidden>" } else { value };
        format!("-{name} {value}")
    };
    shown.map(option).collect::<Vec<_>>().join(" ")
}

fn judge(call: &Call<'_>, delete: Vec<String>, revert: Vec<String>) -> Result<Change, Refusal> {
    let kind = call.guest_type();
    let given: BTreeMap<&str, &str> =
        call.parameters.texts().filter(|(name, _)| !CONTROLS.contains(name)).collect();
    if given.is_empty() && delete.is_empty() && revert.is_empty() {
        return refuse("no options specified");
    }
    if call.parameters.flag("skiplock") && !call.caller.is_root() {
        return Err(Refusal::parameter("skiplock", "Only root may use this option."));
    }
    demand_deletable(call, &given, &delete)?;
    let changed = given.iter().map(|(key, value)| (*key, *value));
    let removed = delete.iter().chain(&revert).map(|key| (key.as_str(), ""));
    demand_keys(call, kind, call.vmid(), changed.chain(removed))?;
    check_drives(call, given.iter().map(|(key, value)| (*key, *value)))?;
    let guest = call.guest()?;
    call.demand_free_guest()?;
    demand_digest(call, guest)?;
    // Throwing the saved memory away is the way out of being suspended.
    let discards = delete.iter().any(|key| key == "vmstate") && guest.text("lock") == Some("suspended");
    if !call.parameters.flag("skiplock") && !discards {
        guest.demand_unlocked().map_err(Refusal::Failed)?;
    }
    demand_balloon_fits(guest, &given)?;
    let set =
        given.into_iter().map(|(key, text)| (key.to_owned(), normalise(call, kind, key, text))).collect();
    Ok(Change { set, delete, revert, destroy_disks: call.parameters.flag("force") })
}

fn demand_deletable(call: &Call<'_>, given: &BTreeMap<&str, &str>, delete: &[String]) -> Result<(), Refusal> {
    for key in delete {
        let writer = call.state.contract.config_writer(call.guest_type().name());
        let known = writer.is_some_and(|writer| writer.parameter(key).is_some());
        let known = known && !CONTROLS.contains(&key.as_str());
        if given.contains_key(key.as_str()) {
            let text = format!("you can't use '-{key}' and -delete {key}' at the same time");
            return Err(Refusal::parameter("delete", text));
        }
        if !known && !disks::is_unused_key(key) && key != "vmstate" {
            return Err(Refusal::parameter("delete", format!("unknown option '{key}'")));
        }
    }
    Ok(())
}

fn demand_digest(call: &Call<'_>, guest: &Guest) -> Result<(), Refusal> {
    let Some(expected) = call.parameters.text("digest").filter(|digest| !digest.is_empty()) else {
        return Ok(());
    };
    if expected == guest.digest() {
        return Ok(());
    }
    refuse(match guest.kind {
        GuestType::Qemu => "checksum mismatch (file change by other user?)",
        GuestType::Lxc => "detected modified configuration - file changed by other user? Try again.",
    })
}

fn demand_balloon_fits(guest: &Guest, given: &BTreeMap<&str, &str>) -> Result<(), Refusal> {
    let wanted = |key: &str| given.get(key).and_then(|text| text.trim_start_matches("current=").parse().ok());
    if guest.kind == GuestType::Lxc || !(given.contains_key("memory") || given.contains_key("balloon")) {
        return Ok(());
    }
    let memory = wanted("memory").or(guest.number("memory")).unwrap_or(512);
    let balloon = wanted("balloon").or(guest.number("balloon")).unwrap_or_default();
    if balloon > memory {
        return refuse("balloon value too large (must be smaller than assigned memory)");
    }
    Ok(())
}

/// The configuration keys among the parameters of a call that makes a guest.
pub(in crate::pve::sim::routes) fn config_keys<'a>(
    call: &'a Call<'_>,
    kind: GuestType,
) -> Vec<(&'a str, &'a str)> {
    let Some(writer) = call.state.contract.config_writer(kind.name()) else {
        return Vec::new();
    };
    let is_key = |name: &str| writer.parameter(name).is_some() && !CONTROLS.contains(&name);
    let texts = call.parameters.names().filter(|name| is_key(name)).filter_map(|name| {
        match call.parameters.get(name)? {
            Given::Text(text) => Some((name, text.as_str())),
            Given::List(_) | Given::Object => None,
        }
    });
    texts.collect()
}
