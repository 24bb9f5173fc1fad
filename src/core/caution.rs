//! What a person should know before saying yes, beyond what is hit.

use super::{
    observe::{Guest, World},
    request::Request,
};

pub(super) fn warnings(request: &Request, world: &World) -> Vec<String> {
    let mut warnings = Vec::new();
    if let Some(guest) = world.guest() {
        about_guest(request, guest, &mut warnings);
    }
    if request.action.name == "create_snapshot" && request.text("snapshot").is_none() {
        warnings.push("its name is made from the plan, so that it can be found again".to_owned());
    }
    if world.nodes.known().is_some_and(|nodes| !nodes.quorate) {
        warnings.push("the cluster has no quorum: Proxmox refuses most changes until it has".to_owned());
    }
    warnings
}

fn about_guest(request: &Request, guest: &Guest, warnings: &mut Vec<String>) {
    let action = request.action.name;
    let running = guest.is_running();
    let forced = request.flag("force");
    let mut warn = |holds: bool, text: &str| {
        if holds {
            warnings.push(text.to_owned());
        }
    };
    let deletes = action == "delete_guest";
    warn(
        deletes && guest.protected,
        "it is protected: Proxmox will refuse until the protection is taken off",
    );
    warn(deletes && running && !forced, "it is running: Proxmox will refuse until it is stopped");
    warn(deletes && running && forced, "it is running and will be stopped by force");
    warn(
        deletes && !guest.snapshots.is_empty(),
        &format!("its snapshots go with it: {}", guest.snapshots.len()),
    );
    warn(action == "rollback_snapshot" && running, "it is running and will be stopped by force");
    warn(action == "start_guest" && guest.template, "it is a template: Proxmox will refuse to start it");
    warn(action == "start_guest" && running, "it is already running");
    let needs_power = ["stop_guest", "shutdown_guest", "reboot_guest", "reset_guest", "suspend_guest"];
    warn(needs_power.contains(&action) && !running, &format!("it is not running: it is {}", guest.status));
    warn(
        action == "convert_to_template" && running,
        "it is running: Proxmox will refuse until it is stopped",
    );
    warn(
        action == "convert_to_template" && !guest.snapshots.is_empty(),
        "it has snapshots: Proxmox will refuse until they are gone",
    );
    if let Some(lock) = &guest.lock {
        warn(true, &format!("Proxmox has it locked: {}", lock.chars().take(64).collect::<String>()));
    }
    warn(
        guest.ha_managed,
        "the HA manager looks after it: Proxmox only hands the request over, and HA acts in its own time",
    );
}
