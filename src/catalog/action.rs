use crate::api::Risk;

use super::{GuestKind, Method, Param, TargetForm};

/// One thing that can be done.
#[derive(Debug)]
pub struct Action {
    /// `verb_object`; the name that plans use.
    pub name: &'static str,
    /// What it does, for people.
    pub title: &'static str,
    pub target: TargetForm,
    pub params: &'static [Param],
    pub operation: Operation,
    pub base_risk: Risk,
    /// Why the risk is what it is.
    pub risk_reason: &'static str,
    /// Privileges that the token needs on the target.
    pub privileges: &'static [&'static str],
    /// `observe`, `compute` or `storage`: which layer of the platform it touches.
    pub plane: &'static str,
    /// Which part of the house it belongs to.
    pub domain: &'static str,
    /// What has to hold before it can work.
    pub requires: &'static [&'static str],
    pub fingerprint: Fingerprint,
    /// Where its guest is in the end if the HA manager carries it out; for actions that can be handed to it.
    pub ha_end: Option<HaEnd>,
    /// How to take it back, or why that can't be done.
    pub undo: &'static str,
}

/// How an action is carried out.
#[derive(Debug)]
pub enum Operation {
    /// Reads the inventory; nothing is sent that changes anything.
    ReadInventory,
    /// One call on a guest that starts one task.
    GuestCall {
        method: Method,
        /// Below `/nodes/{node}/{kind}/{vmid}`; `{snapshot}` stands for the parameter of that name.
        path: &'static str,
        qemu_tasks: &'static [&'static str],
        lxc_tasks: &'static [&'static str],
    },
}

/// What of the target enters planHash: an approval counts only as long as this stays the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fingerprint {
    /// Nothing: there is no single target.
    None,
    /// Which guest it is, and where.
    Identity,
    /// Also its configuration, because what is lost depends on it.
    IdentityAndConfig,
}

/// By what can be seen of a guest that the HA manager has done what it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HaEnd {
    Running,
    Stopped,
    /// On the node that this parameter of the action names.
    OnNode(&'static str),
}

impl Action {
    /// Nothing is ever changed by it.
    pub fn is_read(&self) -> bool {
        matches!(self.operation, Operation::ReadInventory)
    }

    /// The types that its task may have.
    pub fn task_types(&self, kind: GuestKind) -> &'static [&'static str] {
        match (&self.operation, kind) {
            (Operation::ReadInventory, _) => &[],
            (Operation::GuestCall { qemu_tasks, .. }, GuestKind::Qemu) => qemu_tasks,
            (Operation::GuestCall { lxc_tasks, .. }, GuestKind::Lxc) => lxc_tasks,
        }
    }
}
