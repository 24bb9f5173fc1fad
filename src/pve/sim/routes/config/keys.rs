//! How Proxmox rewrites the values of single configuration keys.
use serde_json::Value;

use crate::pve::sim::contract::{PropertyString, config_value};
use crate::pve::sim::engine::Call;
use crate::pve::sim::world::{GuestType, sha1_hex};

/// The value as it is stored and shown; disks are another matter.
pub(in crate::pve::sim::routes) fn normalise(
    call: &Call<'_>,
    kind: GuestType,
    key: &str,
    text: &str,
) -> Value {
    let stem = key.trim_end_matches(|c: char| c.is_ascii_digit());
    match (kind, stem) {
        (_, "tags") => tags(text).into(),
        (GuestType::Qemu, "net") => vm_card(text).into(),
        (GuestType::Lxc, "net") => container_card(text).into(),
        (GuestType::Qemu, "cipassword") => hashed(text).into(),
        (GuestType::Lxc, "description") => format!("{}\n", text.trim_end_matches('\n')).into(),
        _ => {
            let writer = call.state.contract.config_writer(kind.name());
            config_value(writer.and_then(|writer| writer.parameter(key)), text)
        }
    }
}

/// A password is only kept in a form that it can't be read from; one that has such a form already is kept as it is.
fn hashed(password: &str) -> String {
    if ["$1$", "$5$", "$6$", "$2a$", "$2y$"].iter().any(|prefix| password.starts_with(prefix)) {
        return password.to_owned();
    }
    let salt = uuid::Uuid::new_v4().simple().to_string();
    format!("$5${}${}", &salt[..8], sha1_hex(&format!("{salt}{password}")))
}

/// Tags are lower case, single, and joined by semicolons.
fn tags(text: &str) -> String {
    let mut kept: Vec<String> = Vec::new();
    for tag in text.split([',', ';', ' ']).filter(|tag| !tag.is_empty()).map(str::to_lowercase) {
        if !kept.contains(&tag) {
            kept.push(tag);
        }
    }
    kept.join(";")
}

/// An address of the vendor's range, drawn at random.
pub(in crate::pve::sim::routes) fn random_mac() -> String {
    let bytes = *uuid::Uuid::new_v4().as_bytes();
    format!("BC:24:11:{:02X}:{:02X}:{:02X}", bytes[0], bytes[1], bytes[2])
}

/// `virtio,bridge=vmbr0` becomes `virtio=BC:24:11:…,bridge=vmbr0`.
fn vm_card(text: &str) -> String {
    let mut card = PropertyString::parse(text);
    let mac = card.take("macaddr").unwrap_or_else(random_mac);
    let model = card.take("model").unwrap_or_else(|| std::mem::take(&mut card.bare));
    if model.is_empty() {
        return card.to_string();
    }
    card.put_first(&model, &mac);
    card.to_string()
}

fn container_card(text: &str) -> String {
    let mut card = PropertyString::parse(text);
    if card.get("hwaddr").is_none() {
        card.set("hwaddr", &random_mac());
    }
    if card.get("type").is_none() {
        card.set("type", "veth");
    }
    card.sort();
    if let Some(name) = card.take("name") {
        card.put_first("name", &name);
    }
    card.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_lowered_and_single() {
        assert_eq!(tags("Zed,alpha;web alpha"), "zed;alpha;web");
    }

    #[test]
    fn a_password_is_not_kept() {
        assert!(!hashed("secret").contains("secret") && hashed("secret").starts_with("$5$"));
        assert_eq!(hashed("$6$salt$hash"), "$6$salt$hash");
    }

    #[test]
    fn a_card_gets_an_address() {
        let card = vm_card("virtio,bridge=vmbr0");
        assert!(card.starts_with("virtio=BC:24:11:") && card.ends_with(",bridge=vmbr0"), "{card}");
        assert_eq!(vm_card("virtio=BC:24:11:28:38:64,bridge=vmbr0"), "virtio=BC:24:11:28:38:64,bridge=vmbr0");
        assert_eq!(vm_card("model=e1000,macaddr=BC:24:11:28:38:64"), "e1000=BC:24:11:28:38:64");
    }

    #[test]
    fn a_containers_card_is_written_in_order() {
        let card = container_card("name=eth0,bridge=vmbr0,ip=dhcp,hwaddr=BC:24:11:A7:FB:60");
        assert_eq!(card, "name=eth0,bridge=vmbr0,hwaddr=BC:24:11:A7:FB:60,ip=dhcp,type=veth");
    }
}
