//! What Proxmox does by the clock: backups and replication.

use crate::{
    api::Risk,
    catalog::{
        Action, Again, Change, Changes, Existence, Fill, Filled, Fingerprint, Method, NaturalKey, Need,
        Operation, Param, ParamType, Place, TargetKind, Touch, Undo,
    },
};

use super::params::{flag, param};

/// What all backup jobs have in common.
const JOB: Action = Action {
    name: "",
    title: "",
    target: &[TargetKind::BackupJob],
    existence: Existence::Exists,
    params: &[],
    operation: Operation::Change(Change::new(Method::Post, "")),
    base_risk: Risk::Medium,
    risk_reason: "",
    needs: &[Need::at(&["Sys.Modify"], Place::At("/"))],
    plane: "storage",
    domain: "backup",
    requires: &["cluster.quorum"],
    touches: &[Touch::BackupJob],
    fingerprint: Fingerprint::IdentityAndConfig,
    natural_key: NaturalKey::Settings(Again::Taken),
    undo: Undo::Nothing,
};

static BACKUP: &[Param] = &[
    param("schedule", ParamType::Settings { max: 128 }, "when, such as `sun 01:00`"),
    param("storage", ParamType::Name, "where the backups go"),
    param("guests", ParamType::List { max: 2048 }, "which guests, by number").sent_as("vmid"),
    flag("all", "all guests"),
    param("exclude", ParamType::List { max: 2048 }, "which guests not, with `all`"),
    param("pool", ParamType::Name, "the guests of a pool"),
    param("onlyOnNode", ParamType::Name, "only the guests on this node").sent_as("node"),
    param("mode", ParamType::OneOf(&["snapshot", "suspend", "stop"]), "whether guests run on"),
    param("compress", ParamType::OneOf(&["0", "gzip", "lzo", "zstd"]), "how they are compressed"),
    param("pruneBackups", ParamType::Settings { max: 256 }, "which are kept, such as `keep-last=7`")
        .sent_as("prune-backups"),
    flag("protected", "keep them from being pruned"),
    flag("enabled", "whether it runs at all"),
    param("comment", ParamType::Text { max: 512 }, "a note"),
];

/// What all replication jobs have in common.
const REPLICATION: Action = Action {
    target: &[TargetKind::Replication],
    needs: &[Need::on_target(&["VM.Replicate"]).where_unknown("Datastore.Allocate", "/storage")],
    domain: "replication",
    touches: &[Touch::Replication],
    ..JOB
};

pub(super) static ACTIONS: &[Action] = &[
    Action {
        name: "create_backup_job",
        title: "Create a backup job",
        existence: Existence::Absent,
        params: &[BACKUP],
        operation: Operation::Change(Change {
            fills: &[Filled::Id("id")],
            changes: Changes::Created,
            ..Change::new(Method::Post, "/cluster/backup")
        }),
        risk_reason: "takes space and time by the clock; may prune older backups",
        natural_key: NaturalKey::Present(Again::Refused),
        undo: Undo::Plan { action: "delete_backup_job", fill: Fill::SameTarget, but: "" },
        ..JOB
    },
    Action {
        name: "change_backup_job",
        title: "Change a backup job",
        params: &[BACKUP, &[param("delete", ParamType::List { max: 256 }, "settings to remove")]],
        operation: Operation::Change(Change {
            changes: Changes::Settings,
            ..Change::new(Method::Put, "/cluster/backup/{id}")
        }),
        risk_reason: "guests may be left without a backup, or older ones pruned",
        undo: Undo::Plan { action: "change_backup_job", fill: Fill::OldSettings, but: "" },
        ..JOB
    },
    Action {
        name: "delete_backup_job",
        title: "Delete a backup job",
        operation: Operation::Change(Change {
            changes: Changes::Gone,
            ..Change::new(Method::Delete, "/cluster/backup/{id}")
        }),
        base_risk: Risk::High,
        risk_reason: "its guests are no longer backed up by it",
        natural_key: NaturalKey::Absent(Again::Refused),
        undo: Undo::Plan { action: "create_backup_job", fill: Fill::OldObject, but: "" },
        ..JOB
    },
    Action {
        name: "add_replication",
        title: "Keep a copy of a guest's disks on another node",
        existence: Existence::Absent,
        params: &[&[
            param("destination", ParamType::Name, "the node that holds the copy")
                .sent_as("target")
                .required(),
            param("schedule", ParamType::Settings { max: 128 }, "when, such as `*/15`"),
            param("rate", ParamType::Integer { min: 1, max: 1_000_000 }, "at most so many MB a second"),
            flag("disable", "add it switched off"),
            param("comment", ParamType::Text { max: 512 }, "a note"),
        ]],
        operation: Operation::Change(Change {
            fixed: &[("type", "local")],
            fills: &[Filled::Id("id")],
            changes: Changes::Created,
            ..Change::new(Method::Post, "/cluster/replication")
        }),
        risk_reason: "takes space on the other node and load on both; the guest's storage has to be able to do it",
        natural_key: NaturalKey::Present(Again::Refused),
        undo: Undo::Plan { action: "remove_replication", fill: Fill::SameTarget, but: "" },
        ..REPLICATION
    },
    Action {
        name: "remove_replication",
        title: "Keep no longer a copy of a guest's disks on another node",
        params: &[&[
            flag("keep", "leave the copy where it is"),
            flag("force", "forget the job at once, without cleaning up"),
        ]],
        operation: Operation::Change(Change {
            changes: Changes::Gone,
            ..Change::new(Method::Delete, "/cluster/replication/{id}")
        }),
        base_risk: Risk::High,
        risk_reason: "the copy is deleted; a failed node takes the guest's data with it",
        // The job stays, marked, until the node has cleaned up; whoever asks again is let.
        natural_key: NaturalKey::Absent(Again::Taken),
        undo: Undo::Plan {
            action: "add_replication",
            fill: Fill::OldObject,
            but: "the first copy is made anew",
        },
        ..REPLICATION
    },
];
