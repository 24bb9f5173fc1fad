//! What is another way afterwards, as a person reads it.

use std::collections::BTreeMap;

use crate::{
    api::PreviewedChange,
    catalog::{Changes, ParamValue, Target, split_list},
};

use super::{
    call::Dispatch,
    observe::{Guest, World, hide},
    request::Request,
};

/// Parameters of a call that say how it is done, not what is set.
pub(super) const NOT_SETTINGS: [&str; 6] =
    ["digest", "delete", "revert", "node", "skiplock", "background_delay"];

pub fn changes(request: &Request, world: &World, dispatch: &Dispatch) -> Vec<PreviewedChange> {
    let Some(change) = request.action.change() else { return vec![] };
    let target = request.target.to_string();
    let guest = world.guest();
    match change.changes {
        Changes::Power(becomes) => {
            vec![changed("status", guest.map(|guest| guest.status.clone()), Some(becomes.into()))]
        }
        Changes::Gone => vec![changed(&target, Some(present(request, world)), None)],
        Changes::Created => created(&target, dispatch),
        Changes::NewGuest(param) => {
            let vmid = request.params.get(param).map(ParamValue::to_wire).unwrap_or_default();
            vec![changed(&format!("guest {vmid}"), None, Some(format!("made from {target}")))]
        }
        Changes::Node(param) => {
            let to = request.params.get(param).map(ParamValue::to_wire);
            vec![changed("node", guest.map(|guest| guest.node.clone()), to)]
        }
        Changes::DiskStorage => {
            disk_change(request, guest, |disk| Some(disk.storage().to_owned()), "storage")
        }
        Changes::DiskSize => disk_change(request, guest, |disk| disk.size.clone(), "size"),
        Changes::SnapshotAdded => vec![changed(&snapshot(dispatch, request), None, Some("taken now".into()))],
        Changes::SnapshotGone => {
            vec![changed(&snapshot(dispatch, request), Some("a restore point".into()), None)]
        }
        Changes::Settings => settings(request, world, dispatch),
        Changes::WaitingApplied | Changes::Other => vec![],
    }
}

fn changed(what: &str, from: Option<String>, to: Option<String>) -> PreviewedChange {
    PreviewedChange { what: what.to_owned(), from, to }
}

fn present(request: &Request, world: &World) -> String {
    match world.guest() {
        Some(guest) => {
            format!("{} `{}` on {}, {}", guest.reference.kind.noun(), guest.name, guest.node, guest.status)
        }
        None => {
            let settings = present_settings(request, world).cloned().unwrap_or_default();
            let settings: Vec<String> =
                settings.iter().map(|(name, value)| format!("{name}={}", hide(name, value))).collect();
            if settings.is_empty() { "there".to_owned() } else { settings.join(", ") }
        }
    }
}

fn created(target: &str, dispatch: &Dispatch) -> Vec<PreviewedChange> {
    let mut changes = vec![changed(target, None, Some("created".to_owned()))];
    changes.extend(sent_settings(dispatch).map(|(name, value)| changed(&name, None, Some(value))));
    changes
}

/// What the call sets, with secrets as where they are kept.
fn sent_settings(dispatch: &Dispatch) -> impl Iterator<Item = (String, String)> {
    let secrets =
        dispatch.call.secrets.iter().map(|(name, from)| (name.clone(), format!("(from secret {from})")));
    let plain = dispatch.call.params.iter().map(|(name, value)| (name.clone(), value.clone()));
    plain.chain(secrets).filter(|(name, _)| !NOT_SETTINGS.contains(&name.as_str()))
}

fn settings(request: &Request, world: &World, dispatch: &Dispatch) -> Vec<PreviewedChange> {
    let nothing = BTreeMap::new();
    let now = present_settings(request, world).unwrap_or(&nothing);
    let seen = |name: &str| now.get(name).map(|value| hide(name, value).to_owned());
    let waiting = |name: &str| {
        let value = world.guest().and_then(|guest| guest.pending.get(name)?.as_ref());
        value.map(|value| hide(name, value).to_owned())
    };
    let mut changes: Vec<PreviewedChange> = sent_settings(dispatch)
        .filter(|(name, value)| now.get(name) != Some(value))
        .map(|(name, value)| changed(&name, seen(&name), Some(value)))
        .collect();
    let deleted = dispatch.call.params.get("delete").map(String::as_str).unwrap_or_default();
    for name in split_list(deleted) {
        changes.push(changed(name, seen(name), None));
    }
    let reverted = dispatch.call.params.get("revert").map(String::as_str).unwrap_or_default();
    for name in split_list(reverted) {
        changes.push(changed(&format!("{name} (waiting)"), waiting(name), seen(name)));
    }
    changes
}

fn disk_change(
    request: &Request,
    guest: Option<&Guest>,
    of: fn(&super::observe::Disk) -> Option<String>,
    param: &str,
) -> Vec<PreviewedChange> {
    let name = request.text("disk").unwrap_or_default();
    let disk = guest.and_then(|guest| guest.disks().into_iter().find(|disk| disk.key == name));
    vec![changed(name, disk.as_ref().and_then(of), request.text(param).map(str::to_owned))]
}

fn snapshot(dispatch: &Dispatch, request: &Request) -> String {
    let named = dispatch.call.params.get("snapname").map(String::as_str);
    format!("snapshot {}", named.or(request.text("snapshot")).unwrap_or_default())
}

/// The settings that an action is about as they are now: those of the target, of what HA does for it, of the network
/// interface or the firewall rule that the parameters name.
pub fn present_settings<'a>(request: &Request, world: &'a World) -> Option<&'a BTreeMap<String, String>> {
    match (request.action.domain, &request.target) {
        ("ha", Target::Guest(guest)) => {
            let resources = &world.ha.known()?.resources;
            resources.iter().find(|resource| resource.sid == guest.sid()).map(|resource| &resource.settings)
        }
        ("network", _) => {
            let iface = request.text("iface")?;
            let interfaces = &world.network.known()?.interfaces;
            interfaces.iter().find(|interface| interface.name == iface).map(|interface| &interface.settings)
        }
        ("firewall", _) => {
            let Some(ParamValue::Integer(position)) = request.params.get("position") else { return None };
            let rules = world.firewall.known()?;
            rules.iter().find(|rule| i64::from(rule.position) == *position).map(|rule| &rule.settings)
        }
        _ => world.settings(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::core::{
        call::{PlanIdentity, dispatch_for},
        hash::PlanHash,
        request::{normalise, tests::spec},
        testing::{guest, world_of},
    };

    /// `what: from -> to`, one line each.
    fn lines(action: &str, params: Value, guest: Guest) -> Vec<String> {
        let world = world_of(guest);
        let request = normalise("default", &spec(action, "qemu/100", params)).unwrap();
        let hash = PlanHash::of("a test", &1).unwrap();
        let dispatch =
            dispatch_for(&request, &world, PlanIdentity { hash: &hash, uid: "uid" }).unwrap().unwrap();
        let shown = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
        changes(&request, &world, &dispatch)
            .into_iter()
            .map(|change| format!("{}: {} -> {}", change.what, shown(change.from), shown(change.to)))
            .collect()
    }

    fn configured() -> Guest {
        let config = [("cores", "2"), ("name", "web"), ("scsi0", "local-lvm:vm-100-disk-0,size=8G")];
        let config = config.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Guest { config: BTreeMap::from(config), ..guest("qemu/100") }
    }

    #[test]
    fn only_what_becomes_another_way_is_shown() {
        let params = json!({"cores": 4, "name": "web", "cipassword": "ci/password", "delete": "scsi0"});
        assert_eq!(
            lines("set_guest_config", params, configured()),
            [
                "cores: 2 -> 4",
                "cipassword: - -> (from secret ci/password)",
                "scsi0: local-lvm:vm-100-disk-0,size=8G -> -"
            ]
        );
    }

    #[test]
    fn a_waiting_change_that_is_dropped_is_shown_as_such() {
        let pending = BTreeMap::from([("cores".to_owned(), Some("8".to_owned()))]);
        let guest = Guest { pending, ..configured() };
        assert_eq!(lines("set_guest_config", json!({"revert": "cores"}), guest), ["cores (waiting): 8 -> 2"]);
    }

    #[test]
    fn power_places_and_sizes_are_shown_before_and_after() {
        assert_eq!(lines("start_guest", json!({}), configured()), ["status: stopped -> running"]);
        assert_eq!(
            lines("migrate_guest", json!({"destination": "pve2"}), configured()),
            ["node: pve1 -> pve2"]
        );
        assert_eq!(
            lines("resize_disk", json!({"disk": "scsi0", "size": "+5G"}), configured()),
            ["scsi0: 8G -> +5G"]
        );
        assert_eq!(
            lines("delete_guest", json!({}), configured()),
            ["qemu/100: VM `web` on pve1, stopped -> -"]
        );
    }

    #[test]
    fn what_is_secret_now_is_not_shown_as_what_was_before() {
        let mut guest = configured();
        guest.config.insert("cipassword".into(), "canary".into());
        guest.pending.insert("cipassword".into(), Some("canary".into()));
        for params in [
            json!({"cipassword": "ci/password"}),
            json!({"delete": "cipassword"}),
            json!({"revert": "cipassword"}),
        ] {
            let lines = lines("set_guest_config", params, guest.clone());
            assert!(lines[0].contains("(hidden)") && !lines[0].contains("canary"), "{lines:?}");
        }
    }
}
