//! Guests that become another way, or go elsewhere.

use crate::{
    api::Risk,
    catalog::{
        Action, Again, Change, Changes, Existence, Fill, Filled, Fingerprint, GuestKind, Method, NaturalKey,
        Need, Operation, Param, ParamType, Place, TaskId, Tasks, Touch, Undo,
    },
};

use super::{
    params::{GUEST, VM, flag, param, task},
    settings,
};

/// What all of them have in common.
const CHANGE: Action = Action {
    name: "",
    title: "",
    target: GUEST,
    existence: Existence::Exists,
    params: &[],
    operation: Operation::Change(SET),
    base_risk: Risk::Medium,
    risk_reason: "",
    needs: &[],
    plane: "compute",
    domain: "guest",
    requires: &["cluster.quorum"],
    touches: &[],
    fingerprint: Fingerprint::IdentityAndConfig,
    natural_key: NaturalKey::Settings(Again::Refused),
    undo: Undo::Nothing,
};

/// Carried out at once; Proxmox compares the digest of the settings that were met.
const SET: Change = Change {
    fills: &[Filled::Digest],
    changes: Changes::Settings,
    ..Change::new(Method::Put, "/nodes/{node}/{kind}/{vmid}/config")
};

static LISTS: &[Param] = &[
    param("delete", ParamType::List { max: 512 }, "settings to remove, separated by commas"),
    param(
        "revert",
        ParamType::List { max: 512 },
        "changes that wait for the next start and are to be dropped",
    ),
    flag("force", "remove the disks that `delete` names, instead of keeping them as unused")
        .only_for(GuestKind::Qemu),
];

const VM_SETTINGS: &[&str] = &[
    "VM.Config.Options",
    "VM.Config.Disk",
    "VM.Config.CDROM",
    "VM.Config.CPU",
    "VM.Config.Memory",
    "VM.Config.Network",
    "VM.Config.HWType",
    "VM.Config.Cloudinit",
];
const CONTAINER_SETTINGS: &[&str] =
    &["VM.Config.Options", "VM.Config.Disk", "VM.Config.CPU", "VM.Config.Memory", "VM.Config.Network"];

const DISK: Param =
    param("disk", ParamType::ConfigId { max: 16 }, "such as `scsi0`, or `rootfs` of a container");

pub(super) static ACTIONS: &[Action] = &[
    Action {
        name: "set_guest_config",
        title: "Change the settings of a VM or container",
        params: &[LISTS, settings::COMMON, settings::VM, settings::CLOUD_INIT, settings::CONTAINER],
        risk_reason: "the guest may behave otherwise, at once or at its next start",
        needs: &[
            Need::on_target(Need::PER_SETTING),
            // Whoever may change nothing else may not change these either.
            Need::on_target(VM_SETTINGS).when_given("freeze"),
            Need::on_target(CONTAINER_SETTINGS).when_given("features"),
            // It changes how the whole node starts.
            Need::at(&["Sys.Modify"], Place::At("/")).when_given("startup").only_for(VM),
            Need::at(&["Datastore.AllocateSpace"], Place::NewDisks),
            Need::at(&["Datastore.AllocateSpace", "Datastore.Audit"], Place::Images),
            Need::at(&["SDN.Use"], Place::Bridges),
        ],
        touches: &[Touch::Disks, Touch::Nics],
        undo: Undo::Plan {
            action: "set_guest_config",
            fill: Fill::OldSettings,
            but: "disks that were made or removed, and waiting changes that were dropped, stay so",
        },
        ..CHANGE
    },
    Action {
        name: "set_guest_tags",
        title: "Set the tags of a VM or container",
        params: &[&[param(
            "tags",
            ParamType::Settings { max: 512 },
            "all its tags, separated by semicolons",
        )
        .required()]],
        base_risk: Risk::Low,
        risk_reason: "a label; policies may read it",
        needs: &[Need::on_target(&["VM.Config.Options"])],
        undo: Undo::Plan { action: "set_guest_config", fill: Fill::OldSettings, but: "" },
        ..CHANGE
    },
    Action {
        name: "regenerate_cloud_init",
        title: "Write a VM's cloud-init drive anew",
        target: VM,
        operation: Operation::Change(Change::new(Method::Put, "/nodes/{node}/qemu/{vmid}/cloudinit")),
        base_risk: Risk::Low,
        risk_reason: "can be repeated; takes effect at the next start",
        needs: &[Need::on_target(&["VM.Config.Cloudinit"])],
        natural_key: NaturalKey::None,
        undo: Undo::Never("the drive is made from the settings: change them back and write it anew"),
        ..CHANGE
    },
    Action {
        name: "resize_disk",
        title: "Make a disk of a VM or container larger",
        params: &[&[
            DISK.required(),
            param(
                "size",
                ParamType::Size,
                "the size afterwards, such as `64G`, or what is added, such as `+5G`",
            )
            .required(),
        ]],
        operation: Operation::Change(Change {
            tasks: task(&["resize"], TaskId::Vmid),
            changes: Changes::DiskSize,
            path: "/nodes/{node}/{kind}/{vmid}/resize",
            ..SET
        }),
        base_risk: Risk::High,
        risk_reason: "a disk can't be made smaller again",
        needs: &[
            Need::on_target(&["VM.Config.Disk"]),
            Need::at(&["Datastore.AllocateSpace"], Place::Disk("disk")),
        ],
        plane: "storage",
        touches: &[Touch::DiskPlace],
        // The disk grows before its size is written down: the digest comes too late to tell.
        natural_key: NaturalKey::Settings(Again::Taken),
        undo: Undo::Never("Proxmox does not make disks smaller"),
        ..CHANGE
    },
    Action {
        name: "move_disk",
        title: "Move a disk of a VM or container to another storage",
        params: &[&[
            DISK.sent_per_kind("disk", "volume").required(),
            param("storage", ParamType::Name, "where it goes").required(),
            flag("delete", "remove the old copy afterwards, instead of keeping it as unused"),
            param("format", ParamType::OneOf(&["raw", "qcow2", "vmdk"]), "format of the new copy")
                .only_for(GuestKind::Qemu),
        ]],
        operation: Operation::Change(Change {
            method: Method::Post,
            path: "/nodes/{node}/{kind}/{vmid}/move_disk",
            lxc_path: Some("/nodes/{node}/{kind}/{vmid}/move_volume"),
            tasks: Tasks { qemu: &["qmmove"], lxc: &["move_volume"], id: TaskId::Vmid },
            changes: Changes::DiskStorage,
            ..SET
        }),
        base_risk: Risk::High,
        risk_reason: "load on both storages; a container has to be off",
        needs: &[
            Need::on_target(&["VM.Config.Disk"]),
            Need::at(&["Datastore.AllocateSpace"], Place::Storage("storage")),
        ],
        plane: "storage",
        touches: &[Touch::DiskPlace, Touch::Space],
        natural_key: NaturalKey::None,
        undo: Undo::Plan { action: "move_disk", fill: Fill::OldStorage, but: "" },
        ..CHANGE
    },
    Action {
        name: "migrate_guest",
        title: "Move a VM or container to another node",
        params: &[&[
            param("destination", ParamType::Name, "the node that it goes to").sent_as("target").required(),
            flag("online", "move a VM while it runs").only_for(GuestKind::Qemu),
            flag("restart", "stop a running container and start it there").only_for(GuestKind::Lxc),
            flag("withLocalDisks", "take along disks that are on this node alone")
                .sent_as("with-local-disks")
                .only_for(GuestKind::Qemu),
            param("targetStorage", ParamType::List { max: 512 }, "where its disks lie there")
                .sent_per_kind("targetstorage", "target-storage"),
        ]],
        operation: Operation::Change(Change {
            method: Method::Post,
            tasks: Tasks {
                qemu: &["qmigrate", "hamigrate"],
                lxc: &["vzmigrate", "hamigrate"],
                id: TaskId::Vmid,
            },
            changes: Changes::Node("destination"),
            ..Change::new(Method::Post, "/nodes/{node}/{kind}/{vmid}/migrate")
        }),
        base_risk: Risk::High,
        risk_reason: "offline or with a restart it is an outage; a migration that breaks off can leave it locked",
        needs: &[
            Need::on_target(&["VM.Migrate"]),
            Need::on_target(&["VM.Config.Disk"]).when_given("targetStorage"),
            Need::at(&["Datastore.AllocateSpace"], Place::Storage("targetStorage")),
        ],
        touches: &[Touch::Migration],
        natural_key: NaturalKey::None,
        undo: Undo::Plan { action: "migrate_guest", fill: Fill::OldNode, but: "" },
        ..CHANGE
    },
];
