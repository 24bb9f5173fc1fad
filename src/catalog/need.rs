use super::TargetKind;

/// A privilege that the token needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need {
    /// Any one of these.
    pub any_of: &'static [&'static str],
    pub on: Place,
    /// Or this privilege at this path.
    pub or: Option<(&'static str, &'static str)>,
    /// Instead of it this one at this path, in a release that does not know it yet.
    pub where_unknown: Option<(&'static str, &'static str)>,
    /// Only if the plan gives this parameter.
    pub given: Option<&'static str>,
    /// Only for these kinds of target; for all if there are none.
    pub kinds: &'static [TargetKind],
}

/// Where a privilege has to be held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// `/vms/100`, `/nodes/pve1`, `/storage/local`, `/pool/web`, or `/` for what belongs to the whole cluster. For a guest
    /// that comes to be, the pool of the parameter `pool` will do too.
    Target,
    /// A path of its own, such as `/` or `/storage`.
    At(&'static str),
    /// The node that the call goes to.
    Node,
    /// `/storage/{value}` of a parameter, each one of a list.
    Storage(&'static str),
    /// `/vms/{value}` of a parameter, each one of a list.
    Guest(&'static str),
    /// `/vms/{value}` of a parameter, or the pool of the parameter `pool`: for a guest that comes to be.
    NewGuest(&'static str),
    /// `/vms/{value}` of a list in a parameter, or `/` if it is not given.
    GuestsOrAll(&'static str),
    /// The storages that the parameters make disks on; the one of the parameter `storage` if they make none.
    NewDisks,
    /// The storage that the copies of the guest's disks lie on: that of the parameter `storage`, else those of the disks.
    CopiedDisks,
    /// The storage of the guest's disk that a parameter names.
    Disk(&'static str),
    /// The storages of the CDs, images and templates that the parameters name.
    Images,
    /// The storage of the target, if it is a volume that is no backup.
    PlainVolume,
    /// The storage of the backup that is the target or that is restored. A guest may always use its own.
    BackupStorage,
    /// The guest that this backup is of.
    BackupOwner,
    /// The bridges of the network cards that the parameters name.
    Bridges,
}

impl Need {
    /// Stands for the privilege that each setting of the call needs.
    pub const PER_SETTING: &'static [&'static str] = &["VM.Config.*"];

    pub const fn on_target(any_of: &'static [&'static str]) -> Self {
        Self::at(any_of, Place::Target)
    }

    pub const fn at(any_of: &'static [&'static str], on: Place) -> Self {
        Self { any_of, on, or: None, where_unknown: None, given: None, kinds: &[] }
    }

    pub const fn or(self, privilege: &'static str, path: &'static str) -> Self {
        Self { or: Some((privilege, path)), ..self }
    }

    pub const fn where_unknown(self, privilege: &'static str, path: &'static str) -> Self {
        Self { where_unknown: Some((privilege, path)), ..self }
    }

    pub const fn only_for(self, kinds: &'static [TargetKind]) -> Self {
        Self { kinds, ..self }
    }

    /// Only if the plan gives this parameter.
    pub const fn when_given(self, name: &'static str) -> Self {
        Self { given: Some(name), ..self }
    }
}
