//! Backups and what comes back from them.

use crate::{
    api::Risk,
    catalog::{
        Action, Again, Change, Changes, Existence, Fill, Filled, Fingerprint, Method, NaturalKey, Need,
        Operation, Param, ParamType, Place, TaskId, Tasks, Touch, Undo,
    },
};

use super::creation::GONE;
use super::params::{GUEST, flag, node, param, task};

/// What all of them have in common.
const BACKUP: Action = Action {
    name: "",
    title: "",
    target: GUEST,
    existence: Existence::Exists,
    params: &[],
    operation: Operation::Change(RESTORE),
    base_risk: Risk::Low,
    risk_reason: "",
    needs: &[],
    plane: "storage",
    domain: "backup",
    requires: &[],
    touches: &[Touch::Space],
    fingerprint: Fingerprint::Identity,
    natural_key: NaturalKey::None,
    undo: Undo::Nothing,
};

const RESTORE: Change = Change {
    lxc_fixed: &[("restore", "1")],
    fills: &[Filled::Id("vmid")],
    tasks: Tasks { qemu: &["qmrestore"], lxc: &["vzrestore"], id: TaskId::Vmid },
    ..Change::new(Method::Post, "/nodes/{node}/{kind}")
};

const ARCHIVE: Param =
    param("archive", ParamType::Volume, "the backup, such as `local:backup/vzdump-qemu-100-...`")
        .sent_per_kind("archive", "ostemplate")
        .required();
const STORAGE: Param = param("storage", ParamType::Name, "where its disks lie; as in the backup if absent");

pub(super) static ACTIONS: &[Action] = &[
    Action {
        name: "backup_guest",
        title: "Back a VM or container up",
        params: &[&[
            param("storage", ParamType::Name, "where the backup goes").required(),
            param(
                "mode",
                ParamType::OneOf(&["snapshot", "suspend", "stop"]),
                "whether the guest runs on; `snapshot` if absent",
            ),
            param("compress", ParamType::OneOf(&["0", "gzip", "lzo", "zstd"]), "how it is compressed"),
            param(
                "notes",
                ParamType::Notes { max: 900 },
                "a note that is kept with the backup; `{{guestname}}` and the like are filled in",
            )
            .sent_as("notes-template"),
            flag("protected", "keep it from being pruned"),
        ]],
        operation: Operation::Change(Change {
            // Without it Proxmox would prune older backups as the storage is set to.
            fixed: &[("remove", "0")],
            fills: &[Filled::Id("vmid"), Filled::Marker("notes-template")],
            tasks: task(&["vzdump"], TaskId::Vmid),
            ..Change::new(Method::Post, "/nodes/{node}/vzdump")
        }),
        risk_reason: "adds a restore point; takes space and time",
        needs: &[
            Need::on_target(&["VM.Backup"]),
            Need::at(&["Datastore.AllocateSpace"], Place::Storage("storage")),
        ],
        undo: Undo::Never("the new backup can be deleted by delete_volume once its name is known"),
        ..BACKUP
    },
    Action {
        name: "restore_guest",
        title: "Restore a backup as a VM or container that is not there",
        existence: Existence::Absent,
        params: &[&[
            node("the node that it is restored on"),
            ARCHIVE,
            STORAGE,
            param("pool", ParamType::Name, "the pool that it belongs to"),
            flag("unique", "give its network cards new addresses"),
            flag("start", "start it afterwards"),
        ]],
        operation: Operation::Change(Change { changes: Changes::Created, ..RESTORE }),
        base_risk: Risk::Medium,
        risk_reason: "adds a guest that may be the twin of one that runs",
        needs: &[
            Need::on_target(&["VM.Allocate"]),
            Need::at(&["Datastore.AllocateSpace"], Place::Storage("storage")),
            Need::at(&["Datastore.AllocateSpace"], Place::BackupStorage),
            Need::at(&["VM.Backup"], Place::BackupOwner),
        ],
        requires: &["cluster.quorum"],
        natural_key: NaturalKey::Present(Again::Refused),
        undo: Undo::Plan { action: "delete_guest", fill: Fill::SameTarget, but: GONE },
        ..BACKUP
    },
    Action {
        name: "restore_over_guest",
        title: "Put a backup in the place of a VM or container",
        params: &[&[ARCHIVE, STORAGE, flag("start", "start it afterwards")]],
        operation: Operation::Change(Change { fixed: &[("force", "1")], ..RESTORE }),
        base_risk: Risk::Critical,
        risk_reason: "the guest's disks are overwritten: all that was written since the backup is gone",
        needs: &[
            Need::on_target(&["VM.Backup", "VM.Allocate"]),
            Need::at(&["Datastore.AllocateSpace"], Place::Storage("storage")),
            Need::at(&["Datastore.AllocateSpace"], Place::BackupStorage),
            Need::at(&["VM.Backup"], Place::BackupOwner),
        ],
        requires: &["cluster.quorum"],
        touches: &[Touch::Guest, Touch::NewerData],
        fingerprint: Fingerprint::IdentityAndConfig,
        undo: Undo::Never("take a backup of the present state first"),
        ..BACKUP
    },
];
