//! The parameters and other parts that many entries share.

use crate::catalog::{GuestKind, Param, ParamType, TargetKind, TaskId, Tasks, Wire};

pub(super) const GUEST: &[TargetKind] = &[TargetKind::Qemu, TargetKind::Lxc];
pub(super) const VM: &[TargetKind] = &[TargetKind::Qemu];
pub(super) const CONTAINER: &[TargetKind] = &[TargetKind::Lxc];
pub(super) const NODE: &[TargetKind] = &[TargetKind::Node];
pub(super) const CLUSTER: &[TargetKind] = &[TargetKind::Cluster];

/// An optional parameter that Proxmox spells as the plan does.
pub(super) const fn param(name: &'static str, type_: ParamType, doc: &'static str) -> Param {
    Param { name, row: None, wire: Wire::Same, type_, required: false, only_for: None, doc }
}

pub(super) const fn flag(name: &'static str, doc: &'static str) -> Param {
    param(name, ParamType::Bool, doc)
}

impl Param {
    pub(super) const fn required(self) -> Self {
        Self { required: true, ..self }
    }

    pub(super) const fn only_for(self, kind: GuestKind) -> Self {
        Self { only_for: Some(kind), ..self }
    }

    pub(super) const fn sent_as(self, name: &'static str) -> Self {
        Self { wire: Wire::As(name), ..self }
    }

    pub(super) const fn sent_per_kind(self, qemu: &'static str, lxc: &'static str) -> Self {
        Self { wire: Wire::PerKind { qemu, lxc }, ..self }
    }

    /// It stands in the path, or only tells this program something.
    pub(super) const fn not_sent(self) -> Self {
        Self { wire: Wire::Nowhere, ..self }
    }

    /// A row of so many of them.
    pub(super) const fn times(self, count: u16) -> Self {
        Self { row: Some(count), ..self }
    }
}

/// How long Proxmox waits for the guest.
pub(super) const fn timeout(doc: &'static str) -> Param {
    param("timeout", ParamType::Integer { min: 0, max: 86_400 }, doc)
}

/// Proxmox refuses snapshot names longer than 40 characters.
pub(super) const fn snapshot(doc: &'static str) -> Param {
    param("snapshot", ParamType::ConfigId { max: 40 }, doc).not_sent()
}

/// The node that carries it out.
pub(super) const fn node(doc: &'static str) -> Param {
    param("node", ParamType::Name, doc).not_sent().required()
}

/// One type of task, whatever the target is.
pub(super) const fn task(types: &'static [&'static str], id: TaskId) -> Tasks {
    Tasks { qemu: types, lxc: types, id }
}
