//! Making a change of the configuration that has been judged.
use serde_json::Value;

use super::attach::{NewDrives, attach};
use super::change::Change;
use super::hotplug::{is_live, plug_problem};
use super::{Guest, GuestType};
use crate::pve::sim::contract::PropertyString;
use crate::pve::sim::disks;
use crate::pve::sim::engine::State;
use crate::pve::sim::routes::vm_state;

#[derive(Debug)]
pub(super) enum ApplyError {
    Parameter(String, String),
    Failed(String),
}

impl From<String> for ApplyError {
    fn from(text: String) -> Self {
        Self::Failed(text)
    }
}

/// The guest whose configuration is changed.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) node: String,
    pub(super) kind: GuestType,
    pub(super) vmid: u32,
}

impl Target {
    fn guest<'a>(&self, state: &'a mut State) -> Result<&'a mut Guest, String> {
        state.guest_mut(&self.node, self.kind, self.vmid)
    }
}

pub(super) fn apply(
    state: &mut State,
    target: &Target,
    change: &Change,
    log: &mut Vec<String>,
) -> Result<(), ApplyError> {
    let guest = target.guest(state)?;
    demand_unprotected(guest, target.vmid, change)?;
    demand_boot_devices(guest, change)?;
    for key in &change.revert {
        revert(target.guest(state)?, key, target.vmid);
    }
    for key in &change.delete {
        delete(state, target, key, change.destroy_disks)?;
    }
    let drives = NewDrives { node: &target.node, kind: target.kind, vmid: target.vmid };
    let mut made = Vec::new();
    for (key, value) in &change.set {
        let value = match value.as_str().filter(|_| disks::is_drive_key(key)) {
            Some(text) => attach(state, &drives, key, text, log)?.into(),
            None => value.clone(),
        };
        made.push((key, value));
    }
    for (key, value) in made {
        boot_from_new_cdrom(target.guest(state)?, key, &value);
        set(state, target, key, value)?;
    }
    Ok(())
}

/// Protection keeps disks, not the rest of the configuration.
fn demand_unprotected(guest: &Guest, vmid: u32, change: &Change) -> Result<(), String> {
    if !guest.flag("protection") {
        return Ok(());
    }
    let is_disk = |key: &&String| disks::is_unused_key(key) || disks::is_drive_key(key);
    if let Some(key) = change.delete.iter().filter(|key| guest.config.contains_key(*key)).find(is_disk) {
        let what = match (guest.kind, disks::is_unused_key(key)) {
            (GuestType::Lxc, _) => format!("can't remove CT {vmid} drive '{key}'"),
            (GuestType::Qemu, true) => {
                format!("can't remove unused disk '{}'", guest.text(key).unwrap_or(key))
            }
            (GuestType::Qemu, false) => format!("can't remove drive '{key}'"),
        };
        return Err(format!("{what} - protection mode enabled"));
    }
    match change.set.keys().find(|key| disks::is_drive_key(key)) {
        Some(key) if guest.kind == GuestType::Lxc => {
            Err(format!("can't update CT {vmid} drive '{key}' - protection mode enabled"))
        }
        _ => Ok(()),
    }
}

/// A boot order may only name what is there after the change.
fn demand_boot_devices(guest: &Guest, change: &Change) -> Result<(), String> {
    let order = change.set.get("boot").and_then(Value::as_str).and_then(|boot| boot.strip_prefix("order="));
    for device in order.into_iter().flat_map(|order| order.split(';')) {
        let known =
            [&guest.config, &guest.pending, &change.set].iter().any(|config| config.contains_key(device));
        if !known || change.delete.iter().any(|key| key == device) {
            return Err(format!("invalid bootorder: device '{device}' does not exist'"));
        }
    }
    Ok(())
}

/// What was made for a change that is taken back stays as an unused disk.
fn revert(guest: &mut Guest, key: &str, vmid: u32) {
    guest.pending_delete.remove(key);
    if let Some(value) = guest.pending.remove(key) {
        keep_replaced(guest, key, &value, vmid);
    }
}

fn delete(state: &mut State, target: &Target, key: &str, destroy: bool) -> Result<(), ApplyError> {
    let vmid = target.vmid;
    let guest = target.guest(state)?;
    let was_pending = guest.pending.remove(key);
    if let Some(value) = &was_pending {
        keep_replaced(guest, key, value, vmid);
    }
    if was_pending.is_some() || guest.config.contains_key(key) {
        drop_from_boot_order(guest, key);
    }
    if !guest.config.contains_key(key) {
        return Ok(());
    }
    if guest.is_running() && !is_live(guest, key, None) {
        guest.pending_delete.insert(key.to_owned());
        return Ok(());
    }
    let removed = guest.config.get(key).cloned().unwrap_or_default();
    if key == "vmstate" {
        vm_state::discard(state, &target.node, vmid);
        if let Some(guest) = target.guest(state).ok().filter(|guest| guest.text("lock") == Some("suspended"))
        {
            guest.config.remove("lock");
        }
        return Ok(());
    }
    guest.note_in_image(key, Some(&removed), None);
    let drive = PropertyString::parse(removed.as_str().unwrap_or_default());
    let is_own = disks::owner_of(&drive.bare) == Some(vmid);
    let dies =
        disks::is_unused_key(key) || disks::is_cloud_init(&drive) || (destroy && disks::is_drive_key(key));
    if dies && is_own {
        demand_no_snapshot_of(guest, &drive.bare)?;
    }
    guest.config.remove(key);
    if dies && is_own {
        disks::free(state, &target.node, &drive.bare);
    } else {
        keep_replaced(guest, key, &removed, vmid);
    }
    Ok(())
}

fn demand_no_snapshot_of(guest: &Guest, volid: &str) -> Result<(), String> {
    let names_it = |config| disks::referenced_volumes(config).iter().any(|(_, named)| named == volid);
    if guest.snapshots.values().any(|snapshot| names_it(&snapshot.config)) {
        return Err(format!("unable to delete '{volid}' - volume is still in use (snapshot?)"));
    }
    Ok(())
}

/// A disk that leaves its drive stays in the configuration as an unused one, if it is the guest's own.
fn keep_replaced(guest: &mut Guest, key: &str, value: &Value, vmid: u32) {
    let drive = PropertyString::parse(value.as_str().unwrap_or_default());
    let is_disk = disks::is_drive_key(key) && !disks::is_cdrom(&drive);
    if is_disk && disks::owner_of(&drive.bare) == Some(vmid) {
        disks::keep_unused(guest, &drive.bare);
    }
}

fn boot_order(guest: &Guest) -> Option<Vec<String>> {
    let order = guest.text("boot")?.strip_prefix("order=")?;
    Some(order.split(';').map(str::to_owned).collect())
}

fn write_boot_order(guest: &mut Guest, order: &[String]) {
    let boot = if order.is_empty() { " ".to_owned() } else { format!("order={}", order.join(";")) };
    if guest.is_running() {
        guest.pending.insert("boot".to_owned(), boot.into());
    } else {
        guest.config.insert("boot".to_owned(), boot.into());
    }
}

fn drop_from_boot_order(guest: &mut Guest, key: &str) {
    if let Some(mut order) = boot_order(guest).filter(|order| order.iter().any(|device| device == key)) {
        order.retain(|device| device != key);
        write_boot_order(guest, &order);
    }
}

/// A new CD-ROM drive is booted from too, after all others.
fn boot_from_new_cdrom(guest: &mut Guest, key: &str, value: &Value) {
    let is_cdrom = value.as_str().is_some_and(|text| disks::is_cdrom(&PropertyString::parse(text)));
    if !(is_cdrom && disks::is_drive_key(key)) {
        return;
    }
    if let Some(mut order) = boot_order(guest).filter(|order| order.iter().all(|device| device != key)) {
        order.push(key.to_owned());
        write_boot_order(guest, &order);
    }
}

fn set(state: &mut State, target: &Target, key: &str, value: Value) -> Result<(), ApplyError> {
    let bridges = state.world.nodes.get(&target.node).map(|node| node.bridges.clone()).unwrap_or_default();
    let guest = target.guest(state)?;
    guest.pending_delete.remove(key);
    if guest.pending.get(key).is_some_and(|pending| *pending == value) {
        return Ok(());
    }
    if let Some(replaced) = guest.pending.remove(key) {
        keep_replaced(guest, key, &replaced, target.vmid);
    }
    if guest.is_running() && guest.config.get(key) != Some(&value) {
        if let Some(problem) =
            plug_problem(target.vmid, key, &value, &bridges).filter(|_| target.kind == GuestType::Qemu)
        {
            guest.pending.insert(key.to_owned(), value);
            return Err(ApplyError::Parameter(key.to_owned(), problem));
        }
        if !is_live(guest, key, Some(&value)) {
            guest.pending.insert(key.to_owned(), value);
            return Ok(());
        }
    }
    let old = guest.config.insert(key.to_owned(), value.clone());
    guest.note_in_image(key, old.as_ref(), Some(&value));
    let new_volume = PropertyString::parse(value.as_str().unwrap_or_default()).bare;
    if let Some(old) =
        old.filter(|old| PropertyString::parse(old.as_str().unwrap_or_default()).bare != new_volume)
    {
        keep_replaced(guest, key, &old, target.vmid);
    }
    Ok(())
}
