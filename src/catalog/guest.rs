use std::fmt;

/// One virtual machine or container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct GuestRef {
    pub kind: GuestKind,
    pub vmid: Vmid,
}

/// Virtual machine or container, by the name that Proxmox uses in paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GuestKind {
    Qemu,
    Lxc,
}

/// A guest's number. Proxmox reserves those below 100.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Vmid(u32);

impl Vmid {
    pub fn new(number: u32) -> Option<Self> {
        (100..=999_999_999).contains(&number).then_some(Self(number))
    }

    /// Only the decimal form that Proxmox itself prints: `0100` and `+100` would be other spellings of one guest.
    pub(super) fn parse(text: &str) -> Option<Self> {
        text.parse().ok().filter(|number: &u32| number.to_string() == text).and_then(Self::new)
    }

    pub fn number(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Vmid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl GuestKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Qemu => "qemu",
            Self::Lxc => "lxc",
        }
    }

    /// What HA calls it.
    fn ha_type(self) -> &'static str {
        match self {
            Self::Qemu => "vm",
            Self::Lxc => "ct",
        }
    }

    /// What people call it.
    pub fn noun(self) -> &'static str {
        match self {
            Self::Qemu => "VM",
            Self::Lxc => "container",
        }
    }
}

impl GuestRef {
    /// How HA calls it.
    pub fn sid(self) -> String {
        format!("{}:{}", self.kind.ha_type(), self.vmid)
    }

    /// The guest that HA calls so.
    pub fn of_sid(sid: &str) -> Option<Self> {
        let (ha_type, number) = sid.split_once(':')?;
        let kind = [GuestKind::Qemu, GuestKind::Lxc].into_iter().find(|kind| kind.ha_type() == ha_type)?;
        Some(Self { kind, vmid: Vmid::parse(number)? })
    }
}

impl fmt::Display for GuestRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind.as_str(), self.vmid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ha_has_its_own_words_for_guests_and_knows_others_too() {
        for (reference, sid) in [("qemu/100", "vm:100"), ("lxc/200", "ct:200")] {
            let guest = GuestRef::of_sid(sid).unwrap();
            assert_eq!((guest.to_string().as_str(), guest.sid().as_str()), (reference, sid));
        }
        for other in ["", "vm", "vm:", "vm:99", "vm:0100", "service:100", "qemu:100", "fencing"] {
            assert_eq!(GuestRef::of_sid(other), None, "{other}");
        }
    }
}
