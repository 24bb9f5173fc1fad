//! Guests by the names that others give them.

use crate::{
    catalog::{GuestRef, Vmid},
    core::observe::Guest,
};

/// A guest that only its number is known of.
pub(super) fn numbered(vmid: Vmid, guests: &[Guest]) -> String {
    let known = guests.iter().find(|guest| guest.reference.vmid == vmid);
    known.map_or_else(|| format!("guest/{vmid}"), |guest| guest.reference.to_string())
}

/// What HA looks after; by HA's own name if it is no guest.
pub(super) fn of_resource(sid: &str) -> String {
    GuestRef::of_sid(sid).map_or_else(|| format!("ha/{sid}"), |guest| guest.to_string())
}
