//! Every action, one entry each.

use crate::api::Risk;

use super::{Action, Fingerprint, GuestKind, HaEnd, Method, Operation, Param, ParamType, TargetForm};

const TIMEOUT: ParamType = ParamType::Integer { min: 0, max: 86_400 };

/// How long Proxmox waits for the guest.
const fn timeout(doc: &'static str) -> Param {
    Param { name: "timeout", wire: Some("timeout"), type_: TIMEOUT, required: false, only_for: None, doc }
}

/// Proxmox refuses names longer than 40 characters.
const fn snapshot(wire: Option<&'static str>, required: bool, doc: &'static str) -> Param {
    Param { name: "snapshot", wire, type_: ParamType::ConfigId { max: 40 }, required, only_for: None, doc }
}

const fn flag(
    name: &'static str,
    wire: &'static str,
    only_for: Option<GuestKind>,
    doc: &'static str,
) -> Param {
    Param { name, wire: Some(wire), type_: ParamType::Bool, required: false, only_for, doc }
}

/// Every action that a plan can ask for.
pub static ACTIONS: &[Action] = &[
    Action {
        name: "read_inventory",
        title: "List the guests of the environment",
        target: TargetForm::Inventory,
        params: &[],
        operation: Operation::ReadInventory,
        base_risk: Risk::Low,
        risk_reason: "reads only",
        privileges: &["VM.Audit"],
        plane: "observe",
        domain: "inventory",
        requires: &[],
        fingerprint: Fingerprint::None,
        ha_end: None,
        undo: "nothing to undo: nothing changes",
    },
    Action {
        name: "start_guest",
        title: "Start a VM or container",
        target: TargetForm::Guest,
        params: &[Param {
            only_for: Some(GuestKind::Qemu),
            ..timeout("seconds to wait for the VM to come up")
        }],
        operation: Operation::GuestCall {
            method: Method::Post,
            path: "/status/start",
            qemu_tasks: &["qmstart", "hastart"],
            lxc_tasks: &["vzstart", "hastart"],
        },
        base_risk: Risk::Low,
        risk_reason: "can be taken back at once; takes memory and CPU of its node",
        privileges: &["VM.PowerMgmt"],
        plane: "compute",
        domain: "guest",
        requires: &["cluster.quorum"],
        fingerprint: Fingerprint::Identity,
        ha_end: Some(HaEnd::Running),
        undo: "shutdown_guest on the same target",
    },
    Action {
        name: "stop_guest",
        title: "Cut the power of a VM or container",
        target: TargetForm::Guest,
        params: &[
            Param { only_for: Some(GuestKind::Qemu), ..timeout("seconds to wait for the VM to end") },
            flag("overruleShutdown", "overrule-shutdown", None, "abort a shutdown that is under way"),
        ],
        operation: Operation::GuestCall {
            method: Method::Post,
            path: "/status/stop",
            qemu_tasks: &["qmstop", "hastop"],
            lxc_tasks: &["vzstop", "hastop"],
        },
        base_risk: Risk::High,
        risk_reason: "a power cut: what the guest has not written to disk is lost",
        privileges: &["VM.PowerMgmt"],
        plane: "compute",
        domain: "guest",
        requires: &[],
        fingerprint: Fingerprint::Identity,
        ha_end: Some(HaEnd::Stopped),
        undo: "start_guest brings the guest back, not what it had not yet written",
    },
    Action {
        name: "shutdown_guest",
        title: "Shut a VM or container down in order",
        target: TargetForm::Guest,
        params: &[
            timeout("seconds to wait for the guest to end"),
            flag("forceStop", "forceStop", None, "cut the power when the time is over"),
        ],
        operation: Operation::GuestCall {
            method: Method::Post,
            path: "/status/shutdown",
            qemu_tasks: &["qmshutdown", "hastop"],
            lxc_tasks: &["vzshutdown", "hastop"],
        },
        base_risk: Risk::Medium,
        risk_reason: "an outage until the guest is started again",
        privileges: &["VM.PowerMgmt"],
        plane: "compute",
        domain: "guest",
        requires: &[],
        fingerprint: Fingerprint::Identity,
        ha_end: Some(HaEnd::Stopped),
        undo: "start_guest on the same target",
    },
    Action {
        name: "reboot_guest",
        title: "Shut a VM or container down and start it again",
        target: TargetForm::Guest,
        params: &[timeout("seconds to wait for the shutdown")],
        operation: Operation::GuestCall {
            method: Method::Post,
            path: "/status/reboot",
            qemu_tasks: &["qmreboot"],
            lxc_tasks: &["vzreboot"],
        },
        base_risk: Risk::Medium,
        risk_reason: "a short outage; pending configuration takes effect",
        privileges: &["VM.PowerMgmt"],
        plane: "compute",
        domain: "guest",
        requires: &[],
        fingerprint: Fingerprint::Identity,
        ha_end: None,
        undo: "can't be undone: the outage has happened",
    },
    Action {
        name: "create_snapshot",
        title: "Take a snapshot of a VM or container",
        target: TargetForm::Guest,
        params: &[
            snapshot(Some("snapname"), false, "its name; made from the plan if absent"),
            Param {
                name: "description",
                wire: Some("description"),
                type_: ParamType::Text { max: 1024 },
                required: false,
                only_for: None,
                doc: "a note that is kept with the snapshot",
            },
            flag("vmstate", "vmstate", Some(GuestKind::Qemu), "keep the memory too"),
        ],
        operation: Operation::GuestCall {
            method: Method::Post,
            path: "/snapshot",
            qemu_tasks: &["qmsnapshot"],
            lxc_tasks: &["vzsnapshot"],
        },
        base_risk: Risk::Low,
        risk_reason: "adds a restore point; takes space on the storage",
        privileges: &["VM.Snapshot"],
        plane: "storage",
        domain: "snapshot",
        requires: &["storage.snapshots"],
        fingerprint: Fingerprint::Identity,
        ha_end: None,
        undo: "delete_snapshot with the same name",
    },
    Action {
        name: "delete_snapshot",
        title: "Delete a snapshot of a VM or container",
        target: TargetForm::Guest,
        params: &[
            snapshot(None, true, "its name"),
            flag("force", "force", None, "forget it even if a disk's snapshot can't be removed"),
        ],
        operation: Operation::GuestCall {
            method: Method::Delete,
            path: "/snapshot/{snapshot}",
            qemu_tasks: &["qmdelsnapshot"],
            lxc_tasks: &["vzdelsnapshot"],
        },
        base_risk: Risk::High,
        risk_reason: "a restore point is lost",
        privileges: &["VM.Snapshot"],
        plane: "storage",
        domain: "snapshot",
        requires: &[],
        fingerprint: Fingerprint::IdentityAndConfig,
        ha_end: None,
        undo: "can't be undone: a deleted snapshot does not come back",
    },
    Action {
        name: "rollback_snapshot",
        title: "Put a VM or container back to a snapshot",
        target: TargetForm::Guest,
        params: &[
            snapshot(None, true, "its name"),
            flag("start", "start", None, "start the guest afterwards"),
        ],
        operation: Operation::GuestCall {
            method: Method::Post,
            path: "/snapshot/{snapshot}/rollback",
            qemu_tasks: &["qmrollback"],
            lxc_tasks: &["vzrollback"],
        },
        base_risk: Risk::Critical,
        risk_reason: "everything written since the snapshot is discarded; a running guest is stopped",
        privileges: &["VM.Snapshot.Rollback"],
        plane: "storage",
        domain: "snapshot",
        requires: &[],
        fingerprint: Fingerprint::IdentityAndConfig,
        ha_end: None,
        undo: "can't be undone: take a snapshot or backup of the present state first",
    },
    Action {
        name: "delete_guest",
        title: "Delete a VM or container and its disks",
        target: TargetForm::Guest,
        params: &[
            flag("purge", "purge", None, "remove it from backup, replication and HA jobs too"),
            flag(
                "destroyUnreferencedDisks",
                "destroy-unreferenced-disks",
                None,
                "also remove disks that carry its number but stand in no configuration",
            ),
            flag("force", "force", Some(GuestKind::Lxc), "delete it even while it runs"),
        ],
        operation: Operation::GuestCall {
            method: Method::Delete,
            path: "",
            qemu_tasks: &["qmdestroy"],
            lxc_tasks: &["vzdestroy"],
        },
        base_risk: Risk::Critical,
        risk_reason: "the guest and its disks are gone for good",
        privileges: &["VM.Allocate"],
        plane: "compute",
        domain: "guest",
        requires: &["cluster.quorum"],
        fingerprint: Fingerprint::IdentityAndConfig,
        ha_end: None,
        undo: "can't be undone: only a backup brings the guest back",
    },
];

/// The action of this name.
pub fn find(name: &str) -> Option<&'static Action> {
    ACTIONS.iter().find(|action| action.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_handed_to_the_ha_manager_says_by_what_its_end_is_seen() {
        for action in ACTIONS {
            let kinds = [GuestKind::Qemu, GuestKind::Lxc];
            let mut tasks = kinds.into_iter().flat_map(|kind| action.task_types(kind));
            let handed = tasks.any(|task| task.starts_with("ha"));
            assert_eq!(action.ha_end.is_some(), handed, "{}", action.name);
            if let Some(HaEnd::OnNode(node)) = action.ha_end {
                assert!(
                    action.params.iter().any(|param| param.name == node && param.required),
                    "{}",
                    action.name
                );
            }
        }
    }
}
