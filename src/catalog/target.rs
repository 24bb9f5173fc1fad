use std::{fmt, str::FromStr};

use thiserror::Error;

/// What an action acts on, in Proxmox's own resource ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    Inventory(InventoryScope),
    Guest(GuestRef),
}

/// Which guests an inventory lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum InventoryScope {
    All,
    Running,
}

/// One virtual machine or container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct GuestRef {
    pub kind: GuestKind,
    pub vmid: Vmid,
}

/// Virtual machine or container, by the name that Proxmox uses in paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GuestKind {
    Qemu,
    Lxc,
}

/// A guest's number. Proxmox reserves those below 100.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Vmid(u32);

/// The form of target that an action takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetForm {
    Inventory,
    Guest,
}

/// Why a target can't be read.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum TargetError {
    #[error(
        "`{0}` is not a target: write a kind, a slash and a name, such as qemu/100, lxc/200 or inventory/all"
    )]
    Malformed(String),
    #[error("`{0}` is not a kind of target: known are qemu, lxc and inventory")]
    UnknownKind(String),
    #[error("`{0}` is no guest: Proxmox numbers them from 100 to 999999999")]
    BadVmid(String),
    #[error("`{0}` is not an inventory: known are inventory/all and inventory/running")]
    UnknownInventory(String),
}

impl Vmid {
    pub fn new(number: u32) -> Option<Self> {
        (100..=999_999_999).contains(&number).then_some(Self(number))
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

    /// What people call it.
    pub fn noun(self) -> &'static str {
        match self {
            Self::Qemu => "VM",
            Self::Lxc => "container",
        }
    }
}

impl fmt::Display for GuestRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind.as_str(), self.vmid)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inventory(InventoryScope::All) => f.write_str("inventory/all"),
            Self::Inventory(InventoryScope::Running) => f.write_str("inventory/running"),
            Self::Guest(guest) => guest.fmt(f),
        }
    }
}

impl Target {
    pub fn form(&self) -> TargetForm {
        match self {
            Self::Inventory(_) => TargetForm::Inventory,
            Self::Guest(_) => TargetForm::Guest,
        }
    }
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        let (kind, name) = text.split_once('/').ok_or_else(|| TargetError::Malformed(shown(text)))?;
        let guest = |kind| match vmid(name) {
            Some(vmid) => Ok(Self::Guest(GuestRef { kind, vmid })),
            None => Err(TargetError::BadVmid(shown(text))),
        };
        match kind {
            "qemu" => guest(GuestKind::Qemu),
            "lxc" => guest(GuestKind::Lxc),
            "inventory" => match name {
                "all" => Ok(Self::Inventory(InventoryScope::All)),
                "running" => Ok(Self::Inventory(InventoryScope::Running)),
                _ => Err(TargetError::UnknownInventory(shown(text))),
            },
            _ => Err(TargetError::UnknownKind(shown(kind))),
        }
    }
}

/// Only the decimal form that Proxmox itself prints: `0100` and `+100` would be other spellings of one guest.
fn vmid(text: &str) -> Option<Vmid> {
    text.parse().ok().filter(|number: &u32| number.to_string() == text).and_then(Vmid::new)
}

/// Garbage is quoted only as far as a person reads it.
fn shown(text: &str) -> String {
    text.chars().take(64).collect()
}

impl TargetForm {
    /// An example in every message and document.
    pub fn example(self) -> &'static str {
        match self {
            Self::Inventory => "inventory/all",
            Self::Guest => "qemu/100",
        }
    }

    /// How the form is written.
    pub fn pattern(self) -> &'static str {
        match self {
            Self::Inventory => "inventory/{all,running}",
            Self::Guest => "{qemu,lxc}/VMID",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_reads_back_as_it_was_written() {
        for text in ["qemu/100", "lxc/999999999", "inventory/all", "inventory/running"] {
            assert_eq!(text.parse::<Target>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn every_other_spelling_of_a_guest_is_refused() {
        for text in [
            "",
            "100",
            "qemu",
            "qemu/",
            "qemu/0100",
            "qemu/+100",
            "qemu/99",
            "qemu/1000000000",
            "QEMU/100",
            "qemu/100/",
            "qemu/100 ",
            "vm/100",
            "inventory/some",
        ] {
            assert!(text.parse::<Target>().is_err(), "{text}");
        }
    }

    #[test]
    fn garbage_is_quoted_shortly() {
        let message = "x".repeat(1 << 20).parse::<Target>().unwrap_err().to_string();
        assert!(message.len() < 300);
    }
}
