use crate::api::Risk;

use super::{GuestKind, Method, Need, Param, TargetKind, Touch};

/// One thing that can be done.
#[derive(Debug)]
pub struct Action {
    /// `verb_object`; the name that plans use.
    pub name: &'static str,
    /// What it does, for people.
    pub title: &'static str,
    /// The kinds of target that it takes.
    pub target: &'static [TargetKind],
    /// What has to be true of the target before.
    pub existence: Existence,
    /// In groups, because many share some.
    pub params: &'static [&'static [Param]],
    pub operation: Operation,
    pub base_risk: Risk,
    /// Why the risk is what it is.
    pub risk_reason: &'static str,
    /// Privileges that the token needs; all of them.
    pub needs: &'static [Need],
    /// `observe`, `compute`, `storage`, `network` or `cluster`: which layer of the platform it touches.
    pub plane: &'static str,
    /// Which part of the house it belongs to.
    pub domain: &'static str,
    /// What has to hold before it can work.
    pub requires: &'static [&'static str],
    /// What it takes away, and from whom: decides what is looked at before.
    pub touches: &'static [Touch],
    pub fingerprint: Fingerprint,
    pub natural_key: NaturalKey,
    pub undo: Undo,
}

/// Whether the target is there before the action, or comes to be by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existence {
    /// There is nothing that could be missing.
    Given,
    Exists,
    Absent,
}

/// How an action is carried out.
#[derive(Debug)]
pub enum Operation {
    /// Reads; nothing is sent that changes anything.
    Read(Reading),
    /// One call.
    Change(Change),
}

/// What a reading action reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    Inventory,
    Nodes,
    Guest,
    Tasks,
    Storage,
    Rights,
}

/// The one call of an action that changes something.
#[derive(Debug)]
pub struct Change {
    pub method: Method,
    /// `{node}`, `{kind}`, `{vmid}` and `{id}` (of the target) stand for what was met, any other name in braces for the
    /// parameter of that name.
    pub path: &'static str,
    /// Where a container has another path than a VM.
    pub lxc_path: Option<&'static str>,
    /// Sent with every call.
    pub fixed: &'static [(&'static str, &'static str)],
    /// Sent with every call on a container.
    pub lxc_fixed: &'static [(&'static str, &'static str)],
    /// What it sends of the target and of what was met, beyond the plan's own parameters.
    pub fills: &'static [Filled],
    pub tasks: Tasks,
    /// What of the present state it replaces.
    pub changes: Changes,
}

impl Change {
    /// A call without parameters of its own that is carried out at once.
    pub const fn new(method: Method, path: &'static str) -> Self {
        Self {
            method,
            path,
            lxc_path: None,
            fixed: &[],
            lxc_fixed: &[],
            fills: &[],
            tasks: Tasks::NONE,
            changes: Changes::Other,
        }
    }
}

/// A parameter that the plan does not spell out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filled {
    /// The id of the target, under this name.
    Id(&'static str),
    /// The guest as HA calls it, under this name.
    Sid(&'static str),
    /// The digest of the configuration that was met: Proxmox refuses the call if it has changed since.
    Digest,
    /// The digest of the firewall rules that were met: a position means another rule when they have changed since.
    RulesDigest,
    /// A snapshot's name, made from the plan if it names none, and a description that carries the plan's uid.
    Snapshot,
    /// A description or note, under this name, that carries the plan's uid.
    Marker(&'static str),
}

/// The task that carries a call out, if there is one.
#[derive(Clone, Copy, Debug)]
pub struct Tasks {
    /// The types that it may have; none for a call that is carried out at once.
    pub qemu: &'static [&'static str],
    pub lxc: &'static [&'static str],
    pub id: TaskId,
}

/// What stands in the `id` of the task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskId {
    Vmid,
    Empty,
    /// Always the same word.
    Word(&'static str),
    /// The value of a parameter.
    Param(&'static str),
    /// The volume's owner and storage, `100@local`, or the storage alone.
    Volume,
}

impl Tasks {
    /// Carried out at once, without a task.
    pub const NONE: Self = Self { qemu: &[], lxc: &[], id: TaskId::Empty };

    /// The same types whatever the target is.
    pub const fn of(types: &'static [&'static str], id: TaskId) -> Self {
        Self { qemu: types, lxc: types, id }
    }
}

/// What of the present state an action replaces: what a person sees as the difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changes {
    /// The settings that the call names get the values that it gives.
    Settings,
    /// The guest is `running`, `stopped` or `paused` afterwards.
    Power(&'static str),
    /// The target is gone afterwards.
    Gone,
    /// The target is there afterwards.
    Created,
    /// Another guest is there afterwards, with the number in this parameter.
    NewGuest(&'static str),
    /// The guest is on another node afterwards, named by this parameter.
    Node(&'static str),
    /// One of the guest's disks is on another storage afterwards.
    DiskStorage,
    /// One of the guest's disks has another size afterwards.
    DiskSize,
    /// A snapshot is added.
    SnapshotAdded,
    /// A snapshot is gone.
    SnapshotGone,
    /// Settings that were written before and wait come into force.
    WaitingApplied,
    /// Nothing that could be shown as before and after.
    Other,
}

/// What of the target enters planHash: an approval counts only as long as this stays the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fingerprint {
    /// Nothing: there is no single target.
    None,
    /// Which guest or object it is, and where.
    Identity,
    /// Also its configuration, because what is lost depends on it.
    IdentityAndConfig,
}

/// By what one can tell, without a task, that the action was carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NaturalKey {
    /// Nothing: a second run could not be told from the first.
    None,
    /// The snapshot of this plan's name is there, with the plan's mark.
    SnapshotPresent,
    /// The snapshot is gone.
    SnapshotAbsent,
    /// The guest or object is there, with the plan's mark where it can carry one.
    Present(Again),
    /// The guest or object is gone.
    Absent(Again),
    /// The settings have the new values.
    Settings(Again),
    /// The guest is a template.
    Template,
    /// The guest is in the state that was asked for.
    PowerState,
}

/// What Proxmox makes of the second of two such calls, whichever of them comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    Refused,
    /// It may be carried out too.
    Taken,
}

/// How an action is taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undo {
    /// Nothing changes.
    Nothing,
    /// It can't, for this reason.
    Never(&'static str),
    /// By another plan; `but` tells what does not come back, if anything.
    Plan { action: &'static str, fill: Fill, but: &'static str },
}

/// What a compensating plan is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fill {
    /// The same target and no parameters.
    SameTarget,
    /// The same target, and the parameters of these names as the plan has them.
    SameParams(&'static [&'static str]),
    /// The same target, and these values.
    Fixed(&'static [(&'static str, &'static str)]),
    /// The snapshot that the plan takes.
    Snapshot,
    /// The guest that the plan brings forth, its number in this parameter.
    NewGuest(&'static str),
    /// The values that the settings have now.
    OldSettings,
    /// The node that the guest is on now.
    OldNode,
    /// The storage that the disk is on now.
    OldStorage,
    /// The target with all the settings that it has now.
    OldObject,
}

impl Action {
    /// Nothing is ever changed by it.
    pub fn is_read(&self) -> bool {
        matches!(self.operation, Operation::Read(_))
    }

    pub fn change(&self) -> Option<&Change> {
        match &self.operation {
            Operation::Read(_) => None,
            Operation::Change(change) => Some(change),
        }
    }

    /// The types that its task may have.
    pub fn task_types(&self, kind: GuestKind) -> &'static [&'static str] {
        self.change().map_or(&[], |change| match kind {
            GuestKind::Qemu => change.tasks.qemu,
            GuestKind::Lxc => change.tasks.lxc,
        })
    }

    /// What of the present state it replaces, if it changes anything.
    pub fn changes(&self) -> Option<Changes> {
        self.change().map(|change| change.changes)
    }

    pub fn touches(&self, touch: Touch) -> bool {
        self.touches.contains(&touch)
    }

    pub fn params(&self) -> impl Iterator<Item = &'static Param> {
        self.params.iter().copied().flatten()
    }

    /// The parameter that a plan spells so: `scsi[n]` stands for `scsi0`, `scsi1` and so on.
    pub fn param(&self, name: &str) -> Option<&'static Param> {
        self.params().find(|param| param.is_called(name))
    }
}

impl Fingerprint {
    pub const fn described(self) -> &'static str {
        match self {
            Self::None => "which Proxmox it is, and who is hit",
            Self::Identity => "which target it is and where, and who is hit",
            Self::IdentityAndConfig => "which target it is and where, its settings, and who is hit",
        }
    }
}

impl NaturalKey {
    pub const fn described(self) -> &'static str {
        match self {
            Self::None => "nothing: a second run could not be told from the first",
            Self::SnapshotPresent => "the snapshot of this name with the plan's mark",
            Self::SnapshotAbsent => "the snapshot is gone",
            Self::Present(_) => "the target is there",
            Self::Absent(_) => "the target is gone",
            Self::Settings(_) => "the settings have the new values",
            Self::Template => "the guest is a template",
            Self::PowerState => "the target is in the state that was asked for",
        }
    }

    /// Whether Proxmox refuses the second of two such calls, whichever of them comes first.
    pub const fn again(self) -> Again {
        match self {
            Self::SnapshotPresent | Self::SnapshotAbsent | Self::Template => Again::Refused,
            Self::Present(again) | Self::Absent(again) | Self::Settings(again) => again,
            Self::None | Self::PowerState => Again::Taken,
        }
    }
}
