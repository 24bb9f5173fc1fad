//! Judging a change of the configuration before it is made.
use std::collections::BTreeMap;
use std::time::Duration;

use super::apply::{ApplyError, apply};
use super::keys::{demand_keys, normalise};
use super::{Answer, Call, Config, GuestType, Refusal, Reply, nothing, refuse};
use crate::pve::sim::contract::{Given, PropertyString};
use crate::pve::sim::disks::{self, DriveRequest};
use crate::pve::sim::engine::State;
use crate::pve::sim::world::Guest;

/// Parameters of the call that are no configuration keys.
const CONTROLS: [&str; 10] = [
    "background_delay",
    "delete",
    "digest",
    "force",
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
    let change = judge(call)?;
    let (node, kind, vmid) = (call.node().to_owned(), call.guest_type(), call.vmid());
    if !call.state.world.cluster.quorate {
        let file = format!("/etc/pve/nodes/{node}/{}/{vmid}.conf.tmp.4096", kind.config_folder());
        return refuse(format!("unable to open file '{file}' - Permission denied"));
    }
    match apply(call.state, &node, kind, vmid, &change, &mut Vec::new()) {
        Ok(()) => nothing(),
        Err(ApplyError::Parameter(name, text)) => Err(Refusal::parameter(&name, text)),
        Err(ApplyError::Failed(text)) => Err(Refusal::Failed(text)),
    }
}

/// The same change by a worker; only what has been judged so far is refused at once.
pub(super) fn post(call: &mut Call<'_>) -> Answer {
    let change = judge(call)?;
    let (node, kind, vmid) = (call.node().to_owned(), call.guest_type(), call.vmid());
    let intro = format!("update {} {vmid}: {}", kind.short(), as_options(call));
    let new = call.guest_task("qmconfig", move |run| {
        run.say(intro);
        let mut log = Vec::new();
        let result = apply(run.state, &node, kind, vmid, &change, &mut log);
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

fn as_options(call: &Call<'_>) -> String {
    let shown = call.parameters.texts().filter(|(name, _)| !matches!(*name, "node" | "vmid" | "digest"));
    let option = |(name, value): (&str, &str)| {
        let value = if name == "cipassword" { "<hidden>" } else { value };
        format!("-{name} {value}")
    };
    shown.map(option).collect::<Vec<_>>().join(" ")
}

fn judge(call: &Call<'_>) -> Result<Change, Refusal> {
    let kind = call.guest_type();
    let given: BTreeMap<&str, &str> =
        call.parameters.texts().filter(|(name, _)| !CONTROLS.contains(name)).collect();
    let (delete, revert) = (call.parameters.list("delete"), call.parameters.list("revert"));
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
    if !call.parameters.flag("skiplock") {
        guest.demand_unlocked().map_err(Refusal::Failed)?;
    }
    demand_unprotected(guest, &delete)?;
    let set =
        given.into_iter().map(|(key, text)| (key.to_owned(), normalise(call, kind, key, text))).collect();
    Ok(Change { set, delete, revert, destroy_disks: call.parameters.flag("force") })
}

fn demand_deletable(call: &Call<'_>, given: &BTreeMap<&str, &str>, delete: &[String]) -> Result<(), Refusal> {
    for key in delete {
        let known = call.operation.parameter(key).is_some() && !CONTROLS.contains(&key.as_str());
        if given.contains_key(key.as_str()) {
            let text = format!("you can't use '-{key}' and -delete {key}' at the same time");
            return Err(Refusal::parameter("delete", text));
        }
        if !known && !disks::is_unused_key(key) {
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

fn demand_unprotected(guest: &Guest, delete: &[String]) -> Result<(), Refusal> {
    if !guest.flag("protection") {
        return Ok(());
    }
    for key in delete {
        let cdrom = guest.text(key).is_some_and(|text| disks::is_cdrom(&PropertyString::parse(text)));
        if disks::is_unused_key(key) {
            return refuse(format!("can't remove unused disk '{key}' - protection mode enabled"));
        }
        if disks::is_drive_key(key) && !cdrom {
            return refuse(format!("can't remove drive '{key}' - protection mode enabled"));
        }
    }
    Ok(())
}

/// Storages that drives name have to be there and open to the caller.
pub(in crate::pve::sim::routes) fn check_drives<'a>(
    call: &Call<'_>,
    given: impl Iterator<Item = (&'a str, &'a str)>,
) -> Result<(), Refusal> {
    for (_, text) in given.filter(|(key, _)| disks::is_drive_key(key)) {
        let drive = PropertyString::parse(text);
        check_drive(call.state, call, &disks::drive_request(&drive))?;
        if let Some(source) = drive.get("import-from").and_then(|volid| volid.split_once(':')) {
            disks::available(call.state, call.node(), source.0).map_err(Refusal::Failed)?;
        }
    }
    Ok(())
}

fn check_drive(state: &State, call: &Call<'_>, request: &DriveRequest) -> Result<(), Refusal> {
    let (storage, privileges): (&str, &[&str]) = match request {
        DriveRequest::Nothing => return Ok(()),
        DriveRequest::New { storage, .. } | DriveRequest::CloudInit { storage } => {
            (storage, &["Datastore.AllocateSpace"])
        }
        DriveRequest::Existing { storage, .. } => (storage, &["Datastore.Audit", "Datastore.AllocateSpace"]),
    };
    let path = format!("/storage/{storage}");
    if !call.rights().has_any(&path, privileges) {
        return Err(Refusal::privilege(&path, &privileges.join("|")));
    }
    let found = disks::available(state, call.node(), storage).map_err(Refusal::Failed)?;
    let wanted = if call.guest_type() == GuestType::Lxc { "rootdir" } else { "images" };
    let makes = matches!(request, DriveRequest::New { .. } | DriveRequest::CloudInit { .. });
    if makes && !disks::content_types(found).contains(&wanted) {
        let what = if wanted == "images" { "vm images" } else { "container directories" };
        return refuse(format!("storage '{storage}' does not support {what}"));
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
