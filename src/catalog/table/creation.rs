//! Guests that come to be: from an image, from a template, as a copy of another.

use crate::{
    api::Risk,
    catalog::{
        Action, Again, Change, Changes, Existence, Fill, Filled, Fingerprint, GuestKind, Method, NaturalKey,
        Need, Operation, Param, ParamType, Place, TaskId, Tasks, Touch, Undo,
    },
};

use super::{
    params::{CONTAINER, GUEST, VM, flag, node, param, task},
    settings,
};

pub(super) const GONE: &str =
    "it has to be stopped first if it runs, and all that was written to it since goes with it";

/// What all of them have in common.
const CREATION: Action = Action {
    name: "",
    title: "",
    target: GUEST,
    existence: Existence::Absent,
    params: &[],
    operation: Operation::Change(Change::new(Method::Post, "")),
    base_risk: Risk::Low,
    risk_reason: "adds a guest; takes space on the storage",
    needs: &[],
    plane: "compute",
    domain: "guest",
    requires: &["cluster.quorum"],
    touches: &[Touch::Space],
    fingerprint: Fingerprint::Identity,
    natural_key: NaturalKey::Present(Again::Refused),
    undo: Undo::Plan { action: "delete_guest", fill: Fill::SameTarget, but: GONE },
};

const NEEDS: &[Need] = &[
    Need::on_target(&["VM.Allocate"]),
    Need::on_target(Need::PER_SETTING),
    // It changes how the whole node starts.
    Need::at(&["Sys.Modify"], Place::At("/")).when_given("startup").only_for(VM),
    Need::at(&["Datastore.AllocateSpace"], Place::NewDisks),
    Need::at(&["Datastore.AllocateSpace", "Datastore.Audit"], Place::Images),
    Need::at(&["SDN.Use"], Place::Bridges),
];

static WHERE: &[Param] = &[
    node("the node that it is made on"),
    param("pool", ParamType::Name, "the pool that it belongs to"),
    flag("start", "start it afterwards"),
];

pub(super) static ACTIONS: &[Action] = &[
    Action {
        name: "create_vm",
        title: "Create a VM, from an image, an installation CD or empty",
        target: VM,
        params: &[WHERE, settings::COMMON, settings::VM, settings::CLOUD_INIT],
        operation: Operation::Change(Change {
            fills: &[Filled::Id("vmid"), Filled::Marker("description")],
            tasks: task(&["qmcreate"], TaskId::Vmid),
            changes: Changes::Created,
            ..Change::new(Method::Post, "/nodes/{node}/qemu")
        }),
        needs: NEEDS,
        ..CREATION
    },
    Action {
        name: "create_container",
        title: "Create a container from a template",
        target: CONTAINER,
        params: &[
            &[
                param(
                    "template",
                    ParamType::Volume,
                    "the template, such as `local:vztmpl/debian-13.tar.zst`",
                )
                .sent_as("ostemplate")
                .required(),
                param("storage", ParamType::Name, "where its disks lie if nothing else is said"),
                flag("unprivileged", "root in it is nobody outside"),
                param("password", ParamType::Secret, "the password of root in it"),
                param("sshKeys", ParamType::Text { max: 8192 }, "public SSH keys of root, one a line")
                    .sent_as("ssh-public-keys"),
            ],
            WHERE,
            settings::COMMON,
            settings::CONTAINER,
        ],
        operation: Operation::Change(Change {
            fills: &[Filled::Id("vmid"), Filled::Marker("description")],
            tasks: task(&["vzcreate"], TaskId::Vmid),
            changes: Changes::Created,
            ..Change::new(Method::Post, "/nodes/{node}/lxc")
        }),
        needs: NEEDS,
        ..CREATION
    },
    Action {
        name: "clone_guest",
        title: "Make a copy of a VM, container or template",
        existence: Existence::Exists,
        params: &[&[
            param("newid", ParamType::Vmid, "the number of the copy").required(),
            param("name", ParamType::Name, "the name of the copy").sent_per_kind("name", "hostname"),
            flag("full", "copy the disks; without it the copy of a template rests on the template's disks"),
            param("storage", ParamType::Name, "where the disks of a full copy lie"),
            param("destination", ParamType::Name, "another node that the copy belongs to").sent_as("target"),
            param("pool", ParamType::Name, "the pool that the copy belongs to"),
            param("fromSnapshot", ParamType::ConfigId { max: 40 }, "copy this snapshot, not the present")
                .sent_as("snapname"),
            param("format", ParamType::OneOf(&["raw", "qcow2", "vmdk"]), "format of the disks")
                .only_for(GuestKind::Qemu),
            param("description", ParamType::Text { max: 4096 }, "a note"),
        ]],
        operation: Operation::Change(Change {
            fills: &[Filled::Marker("description")],
            tasks: Tasks { qemu: &["qmclone"], lxc: &["vzclone"], id: TaskId::Vmid },
            changes: Changes::NewGuest("newid"),
            ..Change::new(Method::Post, "/nodes/{node}/{kind}/{vmid}/clone")
        }),
        needs: &[
            Need::on_target(&["VM.Clone"]),
            Need::at(&["VM.Allocate"], Place::NewGuest("newid")),
            Need::at(&["Datastore.AllocateSpace"], Place::CopiedDisks),
        ],
        fingerprint: Fingerprint::IdentityAndConfig,
        undo: Undo::Plan { action: "delete_guest", fill: Fill::NewGuest("newid"), but: GONE },
        ..CREATION
    },
];
