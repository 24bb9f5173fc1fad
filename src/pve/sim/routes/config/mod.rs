//! Reading and changing the configuration of a guest.
mod apply;
mod attach;
mod change;
mod cloud_init;
mod drive_checks;
mod hotplug;
mod keys;
mod privileges;
mod resize;

use serde_json::{Value, json};

use super::{Route, data, nothing};
use crate::pve::sim::engine::Call;
use crate::pve::sim::http::{Answer, Refusal, Reply, refuse};
use crate::pve::sim::world::{Config, Guest, GuestType};

pub(super) use attach::{NewDrives, attach};
pub(super) use change::config_keys;
pub(super) use drive_checks::check_drives;
pub(super) use keys::{normalise, random_mac};
pub(super) use privileges::demand_keys;

pub(super) const ROUTES: &[Route] = &[
    ("GET", "/nodes/{node}/qemu/{vmid}/config", read),
    ("GET", "/nodes/{node}/lxc/{vmid}/config", read),
    ("PUT", "/nodes/{node}/qemu/{vmid}/config", change::put),
    ("PUT", "/nodes/{node}/lxc/{vmid}/config", change::put),
    ("POST", "/nodes/{node}/qemu/{vmid}/config", change::post),
    ("GET", "/nodes/{node}/qemu/{vmid}/pending", pending),
    ("GET", "/nodes/{node}/lxc/{vmid}/pending", pending),
    ("PUT", "/nodes/{node}/qemu/{vmid}/resize", resize::vm),
    ("PUT", "/nodes/{node}/lxc/{vmid}/resize", resize::container),
    ("PUT", "/nodes/{node}/qemu/{vmid}/unlink", change::unlink),
    ("GET", "/nodes/{node}/qemu/{vmid}/cloudinit", cloud_init::pending),
    ("PUT", "/nodes/{node}/qemu/{vmid}/cloudinit", cloud_init::regenerate),
];

/// The configuration after the next start, unless the present one is asked for.
fn read(call: &mut Call<'_>) -> Answer {
    let guest = call.guest()?;
    if call.parameters.has("snapshot") && call.parameters.flag("current") {
        let text = "cannot use 'snapshot' parameter with 'current'".to_owned();
        let names = ["current", "snapshot"].map(str::to_owned);
        return Err(Refusal::Parameters(names.map(|name| (name, text.clone())).into()));
    }
    let mut config = match call.parameters.text("snapshot") {
        Some(name) => {
            let found = guest.snapshots.get(name);
            found.ok_or_else(|| Refusal::Failed(format!("snapshot '{name}' does not exist")))?.config.clone()
        }
        None if call.parameters.flag("current") => guest.config.clone(),
        None => guest.future_config(),
    };
    if let Some(parent) = &guest.parent {
        config.insert("parent".to_owned(), parent.as_str().into());
    }
    config.insert("digest".to_owned(), guest.digest().into());
    let shown = config.into_iter().map(|(key, value)| (key.clone(), cloud_init::hide_password(&key, value)));
    data(shown.collect::<serde_json::Map<_, _>>())
}

fn pending(call: &mut Call<'_>) -> Answer {
    let guest = call.guest()?;
    let mut rows: Vec<Value> =
        guest.config.iter().map(|(key, value)| pending_row(guest, key, Some(value))).collect();
    let new = guest.pending.keys().filter(|key| !guest.config.contains_key(*key));
    rows.extend(new.map(|key| pending_row(guest, key, None)));
    rows.push(json!({ "key": "digest", "value": guest.digest() }));
    data(rows)
}

fn pending_row(guest: &Guest, key: &str, value: Option<&Value>) -> Value {
    let mut row = json!({ "key": key });
    if let Some(value) = value {
        row["value"] = cloud_init::hide_password(key, value.clone());
    }
    if let Some(pending) = guest.pending.get(key) {
        row["pending"] = cloud_init::hide_password(key, pending.clone());
    }
    if guest.pending_delete.contains(key) {
        row["delete"] = 1.into();
    }
    row
}
