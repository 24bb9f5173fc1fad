/// A privilege that the token needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need {
    /// Any one of these.
    pub any_of: &'static [&'static str],
    pub on: Place,
    /// Only if the plan gives this parameter.
    pub given: Option<&'static str>,
}

/// Where a privilege has to be held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// `/vms/100`, `/nodes/pve1`, `/storage/local`, `/pool/web`, or `/` for what belongs to the whole cluster.
    Target,
    /// A path of its own, such as `/` or `/storage`.
    At(&'static str),
    /// The node that the call goes to.
    Node,
    /// `/storage/{value}` of a parameter.
    Storage(&'static str),
    /// `/vms/{value}` of a parameter.
    Guest(&'static str),
    /// `/pool/{value}` of a parameter.
    Pool(&'static str),
    /// The storages of the disks that the parameters allocate or that the guest has.
    DiskStorages,
    /// The bridges of the network cards that the parameters name.
    Bridges,
}

impl Need {
    /// Stands for the privilege that each setting of the call needs.
    pub const PER_SETTING: &'static [&'static str] = &["VM.Config.*"];

    pub const fn on_target(any_of: &'static [&'static str]) -> Self {
        Self { any_of, on: Place::Target, given: None }
    }

    pub const fn at(any_of: &'static [&'static str], on: Place) -> Self {
        Self { any_of, on, given: None }
    }

    /// Only if the plan gives this parameter.
    pub const fn when_given(self, name: &'static str) -> Self {
        Self { given: Some(name), ..self }
    }
}
