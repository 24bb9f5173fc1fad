//! What keeps a guest from harm, or others from the guest, and is taken off by the settings that are asked for.

use std::collections::BTreeMap;

use crate::{
    api::Risk,
    catalog::{Changes, Existence, GuestKind, GuestRef},
    core::observe::{Guest, names_disk},
};

use super::{Ask, Radius, stakes::is_production};

pub(super) fn look(ask: Ask<'_>, found: &mut Radius) {
    let Some(target) = ask.request.target.guest() else { return };
    let Some(change) = ask.request.action.change() else { return };
    if !matches!(change.changes, Changes::Settings | Changes::Created) {
        return;
    }
    let asked: BTreeMap<String, String> =
        ask.request.params.iter().map(|(name, value)| (name.clone(), value.to_wire())).collect();
    if let Some(guest) = ask.world.guest() {
        taken_off(ask, guest, &asked, found);
    }
    privileged(ask, target, &asked, found);
    for (key, value) in asked.iter().filter(|(key, _)| names_disk(key)) {
        reaches(target, key, value, found);
    }
}

fn taken_off(ask: Ask<'_>, guest: &Guest, asked: &BTreeMap<String, String>, found: &mut Radius) {
    let subject = &guest.reference;
    let goes = |name: &str| ask.removed().any(|removed| removed == name);
    let is_off = |name: &str| goes(name) || asked.get(name).is_some_and(|value| value == "0");
    if guest.protected && is_off("protection") {
        found.hit(subject, "loses its protection from being deleted").raises(Risk::High);
    }
    let tags = asked.get("tags").map(|tags| tags.split([',', ';', ' ']).map(str::to_owned).collect());
    if is_production(guest)
        && (goes("tags") || tags.is_some_and(|tags| !is_production(&Guest { tags, ..guest.clone() })))
    {
        found
            .hit(subject, "is no longer tagged as production, which makes later plans less risky")
            .raises(Risk::High);
    }
    for name in ask.removed().filter(|name| ["lock", "template", "vmgenid"].contains(name)) {
        found.hit(subject, format!("loses its {name}, which Proxmox sets itself")).raises(Risk::Critical);
    }
    for nic in guest.nics() {
        let is_filtered = |text: &String| text.split(',').any(|property| property == "firewall=1");
        let was = guest.config.get(&nic.key).is_some_and(is_filtered);
        if was && asked.get(&nic.key).is_some_and(|new| !is_filtered(new)) {
            found.hit(subject, format!("has no firewall before {} any more", nic.key)).raises(Risk::High);
        }
    }
}

/// What root in a container may do to its node.
fn privileged(ask: Ask<'_>, target: GuestRef, asked: &BTreeMap<String, String>, found: &mut Radius) {
    if target.kind != GuestKind::Lxc {
        return;
    }
    let is_made = ask.request.action.existence == Existence::Absent && asked.contains_key("template");
    if is_made && asked.get("unprivileged").is_none_or(|flag| flag != "1") {
        let effect = "would be privileged: its root is the node's root if it breaks out; set `unprivileged`";
        found.hit(&target, effect).raises(Risk::High);
    }
    if let Some(features) = asked.get("features") {
        found.hit(&target, format!("may do more to its node: {features}")).raises(Risk::High);
    }
}

/// What a disk that is asked for takes from the node or from another guest.
fn reaches(target: GuestRef, key: &str, value: &str, found: &mut Radius) {
    for property in value.split(',') {
        let (name, volume) = property.split_once('=').unwrap_or(("file", property));
        if !["file", "volume", "import-from"].contains(&name) {
            continue;
        }
        if volume.starts_with('/') {
            found.hit(&target, format!("reaches {volume} of its node as {key}")).raises(Risk::Critical);
        }
        let Some(owner) = owner(volume).filter(|owner| *owner != target.vmid.number()) else { continue };
        let effect = match name {
            "import-from" => format!("has its disk {volume} copied to {target}"),
            _ => format!("shares its disk {volume} with {target}"),
        };
        let risk = if name == "import-from" { Risk::High } else { Risk::Critical };
        found.hit(&format!("guest/{owner}"), effect).raises(risk);
    }
}

/// The number in the name of a disk: `vm-100-disk-0`, `base-100-disk-0`, `subvol-100-disk-0`.
fn owner(volume: &str) -> Option<u32> {
    let (_, path) = volume.split_once(':')?;
    let mut parts = path.rsplit('/').next()?.split('-');
    ["vm", "base", "subvol"].contains(&parts.next()?).then(|| parts.next()?.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::testing::{seen, storage, with, world};
    use super::*;
    use crate::core::observe::{Met, Seen, World};

    fn hits(action: &str, target: &str, params: Value, met: Met) -> (String, Risk) {
        let storages = Seen::Known(vec![storage("local", "dir", &[("path", "/a")])]);
        let world = World { target: met, storages, ..world() };
        let (radius, risk) = seen(action, target, params, &world);
        let words = radius.hits.iter().map(|hit| format!("{} {}", hit.subject, hit.effect));
        (words.collect::<Vec<_>>().join("\n"), risk)
    }

    fn changed(action: &str, params: Value) -> (String, Risk) {
        let config = [("net0", "virtio,bridge=vmbr0,firewall=1"), ("tags", "prod;web")];
        let guest = Guest { protected: true, tags: vec!["prod".into()], ..with("qemu/100", &config) };
        hits(action, "qemu/100", params, Met::Guest(Box::new(guest)))
    }

    #[test]
    fn what_guards_a_guest_is_not_taken_off_unnoticed() {
        for (action, params, words, least) in [
            ("set_guest_config", json!({"protection": false}), "loses its protection", Risk::High),
            ("set_guest_config", json!({"delete": "protection"}), "loses its protection", Risk::High),
            ("set_guest_tags", json!({"tags": "web"}), "no longer tagged as production", Risk::High),
            ("set_guest_config", json!({"delete": "tags"}), "no longer tagged as production", Risk::High),
            ("set_guest_config", json!({"delete": "lock"}), "loses its lock", Risk::Critical),
            (
                "set_guest_config",
                json!({"net0": "virtio,bridge=vmbr0"}),
                "no firewall before net0",
                Risk::High,
            ),
        ] {
            let (hits, risk) = changed(action, params);
            assert!(hits.contains(words) && risk >= least, "{words}: {risk} {hits}");
        }
        let (hits, risk) = changed("set_guest_tags", json!({"tags": "prod;db"}));
        assert!(hits.is_empty() && risk == Risk::Low, "{hits}");
    }

    #[test]
    fn what_a_new_guest_could_do_to_others_is_no_low_risk() {
        let container = |more: Value| {
            let mut params =
                json!({"node": "pve1", "template": "local:vztmpl/debian.tar.zst", "rootfs": "local:4"});
            params.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            hits("create_container", "lxc/200", params, Met::Absent)
        };
        let (words, risk) = container(json!({"unprivileged": true}));
        assert!(risk == Risk::Low, "{words}");
        for more in [json!({}), json!({"unprivileged": false})] {
            let (words, risk) = container(more);
            assert!(words.contains("would be privileged") && risk == Risk::High, "{words}");
        }
        let (words, risk) = container(json!({"unprivileged": true, "features": "nesting=1"}));
        assert!(words.contains("may do more to its node: nesting=1") && risk == Risk::High, "{words}");
        let (words, risk) = container(json!({"unprivileged": true, "mp0": "/etc,mp=/mnt"}));
        assert!(words.contains("reaches /etc of its node as mp0") && risk == Risk::Critical, "{words}");
        let vm =
            |disk: &str| hits("create_vm", "qemu/200", json!({"node": "pve1", "scsi0": disk}), Met::Absent);
        let (words, risk) = vm("local:101/vm-101-disk-0.qcow2");
        assert!(words.contains("guest/101 shares its disk") && risk == Risk::Critical, "{words}");
        let (words, risk) = vm("local:0,import-from=local:vm-101-disk-0");
        assert!(words.contains("guest/101 has its disk") && risk == Risk::High, "{words}");
        for own in ["local:vm-200-disk-0", "local:32", "local:0,import-from=local:import/talos.qcow2"] {
            assert_eq!(vm(own).1, Risk::Low, "{own}");
        }
    }
}
