//! Guests that go for good, or become something else.

use crate::{
    api::Risk,
    catalog::{
        Action, Again, Change, Changes, Existence, Fingerprint, GuestKind, Method, NaturalKey, Need,
        Operation, TaskId, Tasks, Touch, Undo,
    },
};

use super::params::{GUEST, flag};

pub(super) static ACTIONS: &[Action] = &[
    Action {
        name: "delete_guest",
        title: "Delete a VM or container and its disks",
        target: GUEST,
        existence: Existence::Exists,
        params: &[&[
            flag("purge", "remove it from backup, replication and HA jobs too"),
            flag(
                "destroyUnreferencedDisks",
                "also remove disks that carry its number but stand in no configuration",
            )
            .sent_as("destroy-unreferenced-disks"),
            flag("force", "delete it even while it runs").only_for(GuestKind::Lxc),
        ]],
        operation: Operation::Change(Change {
            method: Method::Delete,
            path: "/nodes/{node}/{kind}/{vmid}",
            lxc_path: None,
            fixed: &[],
            lxc_fixed: &[],
            fills: &[],
            tasks: Tasks { qemu: &["qmdestroy"], lxc: &["vzdestroy"], id: TaskId::Vmid },
            changes: Changes::Gone,
        }),
        base_risk: Risk::Critical,
        risk_reason: "the guest and its disks are gone for good",
        needs: &[Need::on_target(&["VM.Allocate"])],
        plane: "compute",
        domain: "guest",
        requires: &["cluster.quorum"],
        touches: &[Touch::Guest],
        fingerprint: Fingerprint::IdentityAndConfig,
        // One that breaks off leaves a part of the guest, which a second one would go on with.
        natural_key: NaturalKey::Absent(Again::Taken),
        undo: Undo::Never("only a backup brings the guest back"),
    },
    Action {
        name: "convert_to_template",
        title: "Turn a VM or container into a template",
        target: GUEST,
        existence: Existence::Exists,
        params: &[],
        operation: Operation::Change(Change {
            method: Method::Post,
            path: "/nodes/{node}/{kind}/{vmid}/template",
            lxc_path: None,
            fixed: &[],
            lxc_fixed: &[],
            fills: &[],
            tasks: Tasks { qemu: &["qmtemplate"], lxc: &["vztemplate"], id: TaskId::Vmid },
            changes: Changes::Other,
        }),
        base_risk: Risk::High,
        risk_reason: "one-way: a template can't be started any more",
        needs: &[Need::on_target(&["VM.Allocate"])],
        plane: "compute",
        domain: "guest",
        requires: &[],
        touches: &[Touch::Template],
        fingerprint: Fingerprint::IdentityAndConfig,
        natural_key: NaturalKey::Template,
        undo: Undo::Never("Proxmox has no way back; a full clone of the template can be started"),
    },
];
