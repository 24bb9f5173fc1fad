//! Guests by the names that others give them.

use crate::{
    catalog::{GuestKind, GuestRef, Target, Vmid},
    core::observe::Guest,
};

/// A guest that only its number is known of.
pub(super) fn numbered(vmid: Vmid, guests: &[Guest]) -> String {
    let known = guests.iter().find(|guest| guest.reference.vmid == vmid);
    known.map_or_else(|| format!("guest/{vmid}"), |guest| guest.reference.to_string())
}

/// The guest that HA calls `vm:100` or `ct:100`.
pub(super) fn of_sid(sid: &str) -> Option<GuestRef> {
    let (kind, vmid) = sid.split_once(':')?;
    let kind = match kind {
        "vm" => GuestKind::Qemu,
        "ct" => GuestKind::Lxc,
        _ => return None,
    };
    match format!("{}/{vmid}", kind.as_str()).parse() {
        Ok(Target::Guest(guest)) => Some(guest),
        _ => None,
    }
}

/// The same as a subject; HA's own name for what is no guest.
pub(super) fn of_resource(sid: &str) -> String {
    of_sid(sid).map_or_else(|| format!("ha/{sid}"), |guest| guest.to_string())
}
