//! What a person should know before saying yes, beyond what is hit.

use crate::catalog::{Changes, GuestKind, Touch};

use super::{
    observe::{Guest, ReplicationJob, World},
    request::Request,
};

/// What goes only while the guest runs.
const NEEDS_POWER: [&str; 5] =
    ["stop_guest", "shutdown_guest", "reboot_guest", "reset_guest", "suspend_guest"];

/// Settings that a running VM takes without a restart, if its `hotplug` is as Proxmox leaves it.
const HOTPLUGGED: [&str; 11] = [
    "name",
    "description",
    "tags",
    "onboot",
    "startup",
    "protection",
    "net",
    "scsi",
    "virtio",
    "unused",
    "agent",
];

pub(super) fn warnings(request: &Request, world: &World) -> Vec<String> {
    let mut warnings = Vec::new();
    if let Some(guest) = world.guest() {
        warnings.extend(state(request, guest).map(str::to_owned));
        warnings.extend(refusals(request, guest, world));
        if is_deleted(request) && !guest.snapshots.is_empty() {
            warnings.push(format!("its snapshots go with it: {}", guest.snapshots.len()));
        }
        warnings.extend(settings(request, guest));
        warnings.extend(waiting(request, guest));
    }
    if request.action.changes() == Some(Changes::SnapshotAdded) && request.text("snapshot").is_none() {
        warnings.push("its name is made from the plan, so that it can be found again".to_owned());
    }
    if request.action.changes() == Some(Changes::WaitingApplied)
        && world.network.known().is_some_and(|network| network.waiting.is_none())
    {
        warnings
            .push("no change of the network waits: all interfaces are loaded anew all the same".to_owned());
    }
    if [Touch::NodeGuests, Touch::NodeBoot, Touch::Sdn].into_iter().any(|touch| request.action.touches(touch))
    {
        warnings.push(
            "its task ends well even if some of what it starts fails: look at the tasks of each guest or node".to_owned(),
        );
    }
    if world.nodes.known().is_some_and(|nodes| !nodes.quorate) {
        warnings.push("the cluster has no quorum: Proxmox refuses most changes until it has".to_owned());
    }
    warnings
}

/// What the state of the guest means for the action.
fn state(request: &Request, guest: &Guest) -> impl Iterator<Item = &'static str> {
    let action = request.action.name;
    let running = guest.is_running();
    let paused = guest.detail.as_deref() == Some("paused");
    let is_container = guest.reference.kind == GuestKind::Lxc;
    let facts = [
        (action == "start_guest" && running, "it is already running"),
        (NEEDS_POWER.contains(&action) && !running, "it is not running: there is nothing to switch"),
        (action == "resume_guest" && running && !paused, "it is not paused: there is nothing to resume"),
        (action == "suspend_guest" && paused, "it is already paused"),
        (
            is_deleted(request) && running && request.flag("force"),
            "it is running and will be stopped by force",
        ),
        (
            action == "rollback_snapshot" && !request.flag("start") && !is_container,
            "it stays off afterwards, unless the snapshot keeps its memory",
        ),
        (action == "rollback_snapshot", "its settings go back to those of the snapshot too"),
        (
            guest.ha_managed && HANDED_OVER.iter().any(|touch| request.action.touches(*touch)),
            "the HA manager looks after it: Proxmox only hands the request over, and HA acts in its own time",
        ),
    ];
    facts.into_iter().filter_map(|(holds, text)| holds.then_some(text))
}

/// What Proxmox leaves to HA for guests that it manages.
const HANDED_OVER: [Touch; 4] = [Touch::Power, Touch::Boot, Touch::Migration, Touch::HaResource];

/// Whether Proxmox says no, why, and until when.
type Refusal = (bool, &'static str, &'static str);

/// Why Proxmox will say no.
fn refusals(request: &Request, guest: &Guest, world: &World) -> Vec<String> {
    let action = request.action;
    let mut refusals: Vec<Refusal> = Vec::new();
    if action.touches(Touch::Guest) {
        refusals.extend(overwritten(request, guest));
    }
    if is_deleted(request) && !request.flag("purge") {
        refusals.extend(deleted(guest, world));
    }
    if action.touches(Touch::Template) {
        refusals.extend(made_template(guest));
    }
    if action.touches(Touch::Migration) {
        refusals.extend(migrated(request, guest, world));
    }
    if action.changes() == Some(Changes::DiskStorage) {
        refusals.extend(disk_moved(request, guest));
    }
    if action.changes() == Some(Changes::SnapshotAdded) {
        refusals.push((guest.template, "it is a template", "never"));
    }
    if action.name == "start_guest" {
        refusals.push((guest.template, "it is a template", "never: a full clone of it can be started"));
    }
    let told = refusals.into_iter().filter(|(holds, ..)| *holds);
    let told = told.map(|(_, why, until)| format!("{why}: Proxmox will refuse until {until}"));
    told.chain(locked(guest)).collect()
}

fn overwritten(request: &Request, guest: &Guest) -> [Refusal; 2] {
    [
        (guest.protected, "it is protected", "the protection is taken off"),
        (guest.is_running() && !request.flag("force"), "it is running", "it is stopped"),
    ]
}

fn deleted(guest: &Guest, world: &World) -> [Refusal; 2] {
    let in_ha = guest.ha_managed
        || world.ha.known().is_some_and(|ha| ha.resources.iter().any(|own| own.sid == guest.reference.sid()));
    let copies = |job: &ReplicationJob| job.guest == Some(guest.reference.vmid);
    let copied = world.replication.known().is_some_and(|jobs| jobs.iter().any(copies));
    [
        (in_ha, "HA looks after it", "HA is told not to, or `purge` is set"),
        (copied, "it is replicated", "the job is gone"),
    ]
}

fn made_template(guest: &Guest) -> [Refusal; 3] {
    [
        (guest.template, "it is a template already", "never"),
        (guest.is_running(), "it is running", "it is stopped"),
        (!guest.snapshots.is_empty(), "it has snapshots", "they are gone"),
    ]
}

fn migrated(request: &Request, guest: &Guest, world: &World) -> [Refusal; 4] {
    let running = guest.is_running();
    let is_vm = guest.reference.kind == GuestKind::Qemu;
    let has_local_disks = world.migration.known().is_some_and(|check| !check.local_disks.is_empty());
    [
        (running && is_vm && !request.flag("online"), "it is running", "it is stopped, or `online` is set"),
        (
            running && !is_vm && !request.flag("restart"),
            "the container is running",
            "it is stopped, or `restart` is set",
        ),
        (request.text("destination") == Some(&guest.node), "it is there already", "it is elsewhere"),
        (
            running && has_local_disks && !request.flag("withLocalDisks"),
            "it has local disks",
            "`withLocalDisks` is set",
        ),
    ]
}

fn disk_moved(request: &Request, guest: &Guest) -> [Refusal; 2] {
    let is_container = guest.reference.kind == GuestKind::Lxc;
    [
        (!guest.snapshots.is_empty() && request.flag("delete"), "it has snapshots", "they are gone"),
        (is_container && guest.is_running(), "the container is running", "it is stopped"),
    ]
}

fn locked(guest: &Guest) -> Option<String> {
    let lock: String = guest.lock.as_ref()?.chars().take(64).collect();
    Some(format!("Proxmox has it locked: {lock}; it refuses most changes until the lock is gone"))
}

/// The guest itself goes, not only something that belongs to it.
fn is_deleted(request: &Request) -> bool {
    request.action.touches(Touch::Guest) && request.action.changes() == Some(Changes::Gone)
}

/// Settings that a running guest takes only at its next start.
fn settings(request: &Request, guest: &Guest) -> Vec<String> {
    if request.action.name != "set_guest_config" || !guest.is_running() {
        return vec![];
    }
    let taken = |name: &str| HOTPLUGGED.contains(&name.trim_end_matches(|c: char| c.is_ascii_digit()));
    let removed = request.list("delete");
    let set = request
        .params
        .keys()
        .map(String::as_str)
        .filter(|name| !["delete", "revert", "force"].contains(name));
    let late: Vec<&str> = set.chain(removed).filter(|name| !taken(name)).collect();
    match late.is_empty() {
        true => vec![],
        false => vec![format!(
            "it is running and may take these settings only at its next start: {}",
            late.join(", ")
        )],
    }
}

/// Settings of others that come into force along with this.
fn waiting(request: &Request, guest: &Guest) -> Option<String> {
    let starts = ["start_guest", "reboot_guest", "stop_guest", "shutdown_guest", "rollback_snapshot"];
    let waiting: Vec<&str> = guest.pending.keys().map(String::as_str).collect();
    (starts.contains(&request.action.name) && !waiting.is_empty())
        .then(|| format!("settings that wait take effect at its next start: {}", waiting.join(", ")))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::core::{
        observe::{MigrationCheck, ReplicationJob, Seen},
        request::{normalise, tests::spec},
        testing::{guest, world_of},
    };

    fn running(reference: &str) -> Guest {
        Guest { status: "running".into(), ..guest(reference) }
    }

    #[track_caller]
    fn assert_warns(action: &str, params: Value, world: &World, warning: &str) {
        let target = world.guest().unwrap().reference.to_string();
        let warnings = warnings(&normalise("default", &spec(action, &target, params)).unwrap(), world);
        assert!(warnings.iter().any(|one| one.contains(warning)), "{action}: {warnings:?}");
    }

    #[test]
    fn a_task_that_tells_nothing_of_those_it_starts_is_not_trusted() {
        let world = world_of(guest("qemu/100"));
        for (action, target) in [
            ("stop_node_guests", "node/pve1"),
            ("start_node_guests", "node/pve1"),
            ("apply_sdn", "cluster/all"),
        ] {
            let warnings = warnings(&normalise("default", &spec(action, target, json!({}))).unwrap(), &world);
            assert!(
                warnings.iter().any(|one| one.contains("even if some of what it starts fails")),
                "{action}"
            );
        }
    }

    #[test]
    fn what_proxmox_will_refuse_is_said_with_the_way_out() {
        let vmid = guest("qemu/100").reference.vmid;
        let copied = vec![ReplicationJob { guest: Some(vmid), ..ReplicationJob::default() }];
        let copied = World { replication: Seen::Known(copied), ..world_of(guest("qemu/100")) };
        let local = MigrationCheck { local_disks: vec!["local:x".into()], ..MigrationCheck::default() };
        let local = World { migration: Seen::Known(local), ..world_of(running("qemu/100")) };
        let template = world_of(Guest { template: true, ..guest("qemu/100") });
        for (action, params, world, warning) in [
            ("delete_guest", json!({}), &copied, "replicated: Proxmox will refuse until the job is gone"),
            (
                "migrate_guest",
                json!({"destination": "pve2"}),
                &local,
                "until it is stopped, or `online` is set",
            ),
            (
                "migrate_guest",
                json!({"destination": "pve2", "online": true}),
                &local,
                "`withLocalDisks` is set",
            ),
            ("migrate_guest", json!({"destination": "pve1"}), &local, "it is there already"),
            ("start_guest", json!({}), &template, "a full clone of it can be started"),
            (
                "move_disk",
                json!({"disk": "scsi0", "storage": "nfs", "delete": true}),
                &local,
                "it has snapshots",
            ),
        ] {
            assert_warns(action, params, world, warning);
        }
    }

    #[test]
    fn what_changes_nothing_now_is_said_beforehand() {
        let mut met = running("qemu/100");
        met.pending.insert("memory".into(), Some("2048".into()));
        let world = world_of(Guest { ha_managed: true, ..met });
        for (action, params, warning) in [
            ("start_guest", json!({}), "it is already running"),
            ("shutdown_guest", json!({}), "HA acts in its own time"),
            ("reboot_guest", json!({}), "settings that wait take effect at its next start: memory"),
            ("set_guest_config", json!({"memory": 4096, "name": "db"}), "only at its next start: memory"),
        ] {
            assert_warns(action, params, &world, warning);
        }
        let hot = normalise("default", &spec("set_guest_config", "qemu/100", json!({"name": "db"}))).unwrap();
        assert!(!warnings(&hot, &world).iter().any(|warning| warning.contains("next start")));
    }
}
