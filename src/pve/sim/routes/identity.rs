//! What may not be the same in two guests: addresses and ids.
use serde_json::Value;

use super::config::random_mac;
use crate::pve::sim::contract::PropertyString;
use crate::pve::sim::world::{Config, GuestType};

/// Two cards with one address would fight over the network.
pub(super) fn renew_cards(config: &mut Config, kind: GuestType) {
    for (_, value) in config.iter_mut().filter(|(key, _)| key.starts_with("net")) {
        let card = PropertyString::parse(value.as_str().unwrap_or_default());
        *value = renewed(card, kind).into();
    }
}

fn renewed(mut card: PropertyString, kind: GuestType) -> String {
    let text = card.to_string();
    let part = match kind {
        GuestType::Lxc => "hwaddr",
        GuestType::Qemu => text.split(['=', ',']).next().unwrap_or_default(),
    };
    card.set(part, &random_mac());
    card.to_string()
}

/// A new machine id, and a new generation where the guest takes notice of generations.
pub(super) fn renew_identity(config: &mut Config) {
    let present = config.get("smbios1").and_then(Value::as_str).unwrap_or_default();
    let mut smbios = PropertyString::parse(present);
    smbios.set("uuid", &uuid::Uuid::new_v4().to_string());
    config.insert("smbios1".to_owned(), smbios.to_string().into());
    if let Some(generation) = config.get_mut("vmgenid") {
        *generation = uuid::Uuid::new_v4().to_string().into();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_renewed_machine_keeps_what_is_not_its_id() {
        let mut config = Config::from([(
            "smbios1".to_owned(),
            "uuid=7a4d6a52-54f6-4d1a-9d3e-2f1f6f0d0100,serial=x".into(),
        )]);
        renew_identity(&mut config);
        let smbios = PropertyString::parse(config["smbios1"].as_str().unwrap());
        assert_eq!(smbios.get("serial"), Some("x"));
        assert_ne!(smbios.get("uuid"), Some("7a4d6a52-54f6-4d1a-9d3e-2f1f6f0d0100"));
        assert!(!config.contains_key("vmgenid"));
    }

    #[test]
    fn a_renewed_card_keeps_its_model_and_bridge() {
        let mut config = Config::from([("net0".to_owned(), "virtio=BC:24:11:00:01:00,bridge=vmbr0".into())]);
        renew_cards(&mut config, GuestType::Qemu);
        let card = config["net0"].as_str().unwrap();
        assert!(card.starts_with("virtio=BC:24:11:") && card.ends_with(",bridge=vmbr0"), "{card}");
        assert!(!card.contains("BC:24:11:00:01:00"));
    }
}
