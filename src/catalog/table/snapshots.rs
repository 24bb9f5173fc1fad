//! Restore points within the storage.

use crate::{
    api::Risk,
    catalog::{
        Action, Change, Changes, Existence, Fill, Filled, Fingerprint, GuestKind, Method, NaturalKey, Need,
        Operation, ParamType, TaskId, Tasks, Touch, Undo,
    },
};

use super::params::{GUEST, flag, param, snapshot};

/// What all of them have in common.
const SNAPSHOT: Action = Action {
    name: "",
    title: "",
    target: GUEST,
    existence: Existence::Exists,
    params: &[],
    operation: Operation::Change(CALL),
    base_risk: Risk::High,
    risk_reason: "",
    needs: &[Need::on_target(&["VM.Snapshot"])],
    plane: "storage",
    domain: "snapshot",
    requires: &[],
    touches: &[],
    fingerprint: Fingerprint::IdentityAndConfig,
    natural_key: NaturalKey::None,
    undo: Undo::Nothing,
};

const CALL: Change = Change {
    method: Method::Post,
    path: "/nodes/{node}/{kind}/{vmid}/snapshot",
    lxc_path: None,
    fixed: &[],
    lxc_fixed: &[],
    fills: &[],
    tasks: Tasks::NONE,
    changes: Changes::Other,
};

const fn tasks(qemu: &'static [&'static str], lxc: &'static [&'static str]) -> Tasks {
    Tasks { qemu, lxc, id: TaskId::Vmid }
}

pub(super) static ACTIONS: &[Action] = &[
    Action {
        name: "create_snapshot",
        title: "Take a snapshot of a VM or container",
        params: &[&[
            snapshot("its name; made from the plan if absent"),
            param("description", ParamType::Text { max: 1024 }, "a note that is kept with the snapshot"),
            flag("vmstate", "keep the memory too").only_for(GuestKind::Qemu),
        ]],
        operation: Operation::Change(Change {
            fills: &[Filled::Snapshot],
            tasks: tasks(&["qmsnapshot"], &["vzsnapshot"]),
            changes: Changes::SnapshotAdded,
            ..CALL
        }),
        base_risk: Risk::Low,
        risk_reason: "adds a restore point; takes space on the storage",
        requires: &["storage.snapshots"],
        fingerprint: Fingerprint::Identity,
        natural_key: NaturalKey::SnapshotPresent,
        undo: Undo::Plan { action: "delete_snapshot", fill: Fill::Snapshot, but: "" },
        ..SNAPSHOT
    },
    Action {
        name: "delete_snapshot",
        title: "Delete a snapshot of a VM or container",
        params: &[&[
            snapshot("its name").required(),
            flag("force", "forget it even if a disk's snapshot can't be removed"),
        ]],
        operation: Operation::Change(Change {
            method: Method::Delete,
            path: "/nodes/{node}/{kind}/{vmid}/snapshot/{snapshot}",
            tasks: tasks(&["qmdelsnapshot"], &["vzdelsnapshot"]),
            changes: Changes::SnapshotGone,
            ..CALL
        }),
        risk_reason: "a restore point is lost",
        touches: &[Touch::Snapshot],
        natural_key: NaturalKey::SnapshotAbsent,
        undo: Undo::Never("a deleted snapshot does not come back"),
        ..SNAPSHOT
    },
    Action {
        name: "rollback_snapshot",
        title: "Put a VM or container back to a snapshot",
        params: &[&[snapshot("its name").required(), flag("start", "start the guest afterwards")]],
        operation: Operation::Change(Change {
            path: "/nodes/{node}/{kind}/{vmid}/snapshot/{snapshot}/rollback",
            tasks: tasks(&["qmrollback"], &["vzrollback"]),
            ..CALL
        }),
        base_risk: Risk::Critical,
        risk_reason: "everything written since the snapshot is discarded; a running guest is stopped",
        needs: &[
            Need::on_target(&["VM.Snapshot", "VM.Snapshot.Rollback"]),
            Need::on_target(&["VM.PowerMgmt"]).when_given("start"),
        ],
        touches: &[Touch::NewerData, Touch::Power],
        undo: Undo::Never("take a snapshot or backup of the present state first"),
        ..SNAPSHOT
    },
];
