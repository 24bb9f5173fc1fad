//! Cloud-init: what the drive that was made for a running VM says, and what it would say now.
use serde_json::{Value, json};

use super::hotplug::is_cloud_init_key;
use super::{Answer, Call, Guest, Refusal, data, nothing};
use crate::pve::sim::disks;
use crate::pve::sim::world::GuestType;

impl Guest {
    /// Remembers what the drive says, when a setting changes after the drive was made.
    pub(super) fn note_in_image(&mut self, key: &str, old: Option<&Value>, new: Option<&Value>) {
        let concerned = self.kind == GuestType::Qemu && is_cloud_init_key(key) && self.is_running();
        if !concerned || old == new {
            return;
        }
        let in_image =
            self.image_differs.entry(key.to_owned()).or_insert_with(|| old.cloned().unwrap_or_default());
        if Some(&*in_image).filter(|value| !value.is_null()) == new {
            self.image_differs.remove(key);
        }
    }
}

/// Passwords are never shown, not even in their stored form.
pub(super) const HIDDEN: &str = "**********";

pub(super) fn hide_password(key: &str, value: Value) -> Value {
    if key == "cipassword" && !value.is_null() { HIDDEN.into() } else { value }
}

pub(super) fn pending(call: &mut Call<'_>) -> Answer {
    let guest = call.guest()?;
    let present = guest.config.iter().filter(|(key, _)| is_cloud_init_key(key));
    let mut rows: Vec<Value> = present
        .map(|(key, value)| {
            let value = hide_password(key, value.clone());
            match guest.image_differs.get(key) {
                None => json!({ "key": key, "value": value }),
                Some(Value::Null) => json!({ "key": key, "pending": value }),
                Some(old) => {
                    json!({ "key": key, "value": hide_password(key, old.clone()), "pending": value })
                }
            }
        })
        .collect();
    let deleted = guest.image_differs.keys().filter(|key| !guest.config.contains_key(*key));
    rows.extend(deleted.map(|key| json!({ "key": key, "delete": 1 })));
    data(rows)
}

pub(super) fn regenerate(call: &mut Call<'_>) -> Answer {
    call.demand_free_guest()?;
    let guest = call.guest_mut()?;
    guest.demand_unlocked().map_err(Refusal::Failed)?;
    if disks::drives(&guest.config).any(|(_, drive)| disks::is_cloud_init(&drive)) {
        guest.image_differs.clear();
    }
    nothing()
}
