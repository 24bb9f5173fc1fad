//! Storages and what lies on them.

use crate::{
    api::Risk,
    catalog::{
        Action, Again, Change, Changes, Existence, Fill, Filled, Fingerprint, Method, NaturalKey, Need,
        Operation, ParamType, Place, TargetKind, TaskId, Touch, Undo,
    },
};

use super::params::{flag, node, param, task};

/// What all of them have in common.
const STORAGE: Action = Action {
    name: "",
    title: "",
    target: &[TargetKind::Storage],
    existence: Existence::Exists,
    params: &[],
    operation: Operation::Change(Change::new(Method::Post, "/storage")),
    base_risk: Risk::High,
    risk_reason: "",
    needs: &[Need::at(&["Datastore.Allocate"], Place::At("/storage"))],
    plane: "storage",
    domain: "storage",
    requires: &["cluster.quorum"],
    touches: &[],
    fingerprint: Fingerprint::IdentityAndConfig,
    natural_key: NaturalKey::Present(Again::Taken),
    undo: Undo::Nothing,
};

const TEXT: ParamType = ParamType::Settings { max: 512 };

pub(super) static ACTIONS: &[Action] = &[
    Action {
        name: "download_to_storage",
        title: "Let a node download an image or template to a storage",
        params: &[&[
            node("the node that downloads it"),
            param("url", ParamType::Url, "where it comes from").required(),
            param("content", ParamType::OneOf(&["iso", "vztmpl", "import"]), "what it is").required(),
            param("filename", ParamType::Name, "what it is called on the storage").required(),
            param("checksum", TEXT, "what its content has to add up to").required(),
            param(
                "checksumAlgorithm",
                ParamType::OneOf(&["md5", "sha1", "sha224", "sha256", "sha384", "sha512"]),
                "how the checksum is made",
            )
            .sent_as("checksum-algorithm")
            .required(),
        ]],
        operation: Operation::Change(Change {
            tasks: task(&["download"], TaskId::Param("filename")),
            ..Change::new(Method::Post, "/nodes/{node}/storage/{id}/download-url")
        }),
        base_risk: Risk::Medium,
        risk_reason: "the node fetches what the address gives; takes space on the storage",
        needs: &[
            Need::on_target(&["Datastore.AllocateTemplate"]),
            // Either the first alone, or both of the others.
            Need::at(&["Sys.AccessNetwork"], Place::Node).or("Sys.Modify", "/"),
            Need::at(&["Sys.AccessNetwork"], Place::Node).or("Sys.Audit", "/"),
        ],
        requires: &[],
        touches: &[Touch::Space],
        undo: Undo::Never("the file can be deleted by delete_volume"),
        ..STORAGE
    },
    Action {
        name: "delete_volume",
        title: "Delete an image, a backup or a disk",
        target: &[TargetKind::Volume],
        params: &[&[node("the node that it lies on, or any that sees the storage")]],
        operation: Operation::Change(Change {
            tasks: task(&["imgdel"], TaskId::Volume),
            changes: Changes::Gone,
            ..Change::new(Method::Delete, "/nodes/{node}/storage/{storage}/content/{id}")
        }),
        base_risk: Risk::Critical,
        risk_reason: "gone for good; Proxmox does not ask whether a guest still uses it",
        needs: &[
            Need::at(&["Datastore.Allocate"], Place::PlainVolume),
            Need::at(&["Datastore.AllocateSpace"], Place::BackupStorage),
            Need::at(&["VM.Backup"], Place::BackupOwner),
        ],
        requires: &[],
        touches: &[Touch::Volume],
        natural_key: NaturalKey::Absent(Again::Taken),
        undo: Undo::Never("a deleted volume does not come back"),
        ..STORAGE
    },
    Action {
        name: "add_storage",
        title: "Add a storage to the cluster",
        existence: Existence::Absent,
        params: &[&[
            param(
                "type",
                ParamType::OneOf(&[
                    "dir", "nfs", "cifs", "lvm", "lvmthin", "zfspool", "btrfs", "pbs", "rbd", "cephfs",
                    "iscsi",
                ]),
                "the kind of storage",
            )
            .required(),
            param("content", ParamType::List { max: 128 }, "what it may hold, such as `images,backup`"),
            param("nodes", ParamType::List { max: 512 }, "the nodes that it is on; all if absent"),
            flag("disable", "add it switched off"),
            flag("shared", "all nodes see the same content"),
            param("path", TEXT, "its directory"),
            param("server", TEXT, "its server"),
            param("export", TEXT, "the export of an NFS server"),
            param("share", TEXT, "the share of a CIFS server"),
            param("username", TEXT, "the user on the server"),
            param("password", ParamType::Secret, "that user's password"),
            param("encryptionKey", ParamType::Secret, "the key that backups are encrypted with")
                .sent_as("encryption-key"),
            param("fingerprint", TEXT, "the fingerprint of a Proxmox Backup Server"),
            param("datastore", TEXT, "the datastore of a Proxmox Backup Server"),
            param("namespace", TEXT, "the namespace in it"),
            param("vgname", TEXT, "the volume group"),
            param("thinpool", TEXT, "the thin pool"),
            param("pool", TEXT, "the ZFS or Ceph pool"),
            param("portal", TEXT, "the iSCSI portal"),
            param("iscsiTarget", TEXT, "the iSCSI target").sent_as("target"),
            param("monhost", TEXT, "the Ceph monitors"),
            param("pruneBackups", TEXT, "which backups are kept, such as `keep-last=3`")
                .sent_as("prune-backups"),
        ]],
        operation: Operation::Change(Change {
            fills: &[Filled::Id("storage")],
            changes: Changes::Created,
            ..Change::new(Method::Post, "/storage")
        }),
        risk_reason: "every node tries to reach it; what lies on it can be used by every guest",
        natural_key: NaturalKey::Present(Again::Refused),
        undo: Undo::Plan { action: "remove_storage", fill: Fill::SameTarget, but: "" },
        ..STORAGE
    },
    Action {
        name: "remove_storage",
        title: "Remove a storage from the cluster, without deleting what lies on it",
        operation: Operation::Change(Change {
            changes: Changes::Gone,
            ..Change::new(Method::Delete, "/storage/{id}")
        }),
        base_risk: Risk::Critical,
        risk_reason: "guests with disks there don't start any more; Proxmox does not ask",
        touches: &[Touch::Storage],
        natural_key: NaturalKey::Absent(Again::Refused),
        undo: Undo::Plan {
            action: "add_storage",
            fill: Fill::OldObject,
            but: "its password or key has to be given anew",
        },
        ..STORAGE
    },
];
