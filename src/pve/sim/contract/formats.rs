//! The named formats of the schema, with the words in which Proxmox refuses a value.
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::parameters::split_list;

const CONTENT_TYPES: [&str; 8] =
    ["backup", "images", "import", "iso", "none", "rootdir", "snippets", "vztmpl"];
const HA_TYPES: [&str; 2] = ["ct", "vm"];

/// `Err` holds the reason without the "invalid format - " that precedes it. Formats without a rule accept all.
pub(super) fn check(format: &str, value: &str) -> Result<(), String> {
    if let Some(item_format) = format.strip_suffix("-list") {
        return split_list(value).try_for_each(|item| check(item_format, item));
    }
    match format {
        "pve-vmid" => demand(is_vmid(value), "value does not look like a valid VM ID"),
        "dns-name" => demand(is_dns_name(value), "value does not look like a valid DNS name"),
        "pve-node" => demand(is_node_name(value), "value does not look like a valid node name"),
        "pve-configid" => {
            refuse_unless(is_config_id(value), || format!("invalid configuration ID '{value}'"))
        }
        "pve-storage-id" => refuse_unless(is_storage_id(value), || {
            format!("storage ID '{value}' contains illegal characters")
        }),
        "pve-storage-content" => {
            refuse_unless(CONTENT_TYPES.contains(&value), || format!("invalid content type '{value}'"))
        }
        "pve-volume-id" => volume_id(value),
        "pve-volume-id-or-qm-path" if matches!(value, "none" | "cdrom") || value.starts_with('/') => Ok(()),
        "pve-volume-id-or-absolute-path" if value.starts_with('/') => Ok(()),
        "pve-volume-id-or-qm-path" | "pve-volume-id-or-absolute-path" => volume_id(value),
        "pve-tag" => demand(is_tag(value), "invalid characters in tag"),
        "pve-poolid" => {
            refuse_unless(is_pool_id(value), || format!("pool name '{value}' contains invalid characters"))
        }
        "pve-groupid" => {
            refuse_unless(is_word(value), || format!("group name '{value}' contains invalid characters"))
        }
        "pve-roleid" => {
            refuse_unless(is_word(value), || format!("role name '{value}' contains invalid characters"))
        }
        "pve-realm" => demand(is_realm(value), "value does not look like a valid realm"),
        "pve-userid" => user_id(value),
        "pve-tokenid" => token_id(value),
        "pve-priv" => {
            demand(crate::pve::sim::access::is_privilege(value), &format!("invalid privilege '{value}'"))
        }
        "pve-ha-resource-id" => {
            demand(is_ha_resource(value), "value does not look like a valid ha resource id")
        }
        "pve-ha-resource-or-vm-id" => {
            demand(is_ha_resource(value) || is_vmid(value), "value does not look like a valid ha resource id")
        }
        "pve-bridge-id" => demand(is_interface(value, 2, 20), "value does not look like a valid bridge name"),
        "pve-iface" => demand(is_interface(value, 2, 20), "value does not look like a valid interface name"),
        "mac-addr" => demand(is_unicast_mac(value), "value does not look like a valid unicast MAC address"),
        "ip" => demand(value.parse::<IpAddr>().is_ok(), "value does not look like a valid IP address"),
        "ipv4" => demand(value.parse::<Ipv4Addr>().is_ok(), "value does not look like a valid IPv4 address"),
        "ipv6" => demand(value.parse::<Ipv6Addr>().is_ok(), "value does not look like a valid IPv6 address"),
        "CIDR" => demand(is_cidr(value), "value does not look like a valid IP network"),
        "disk-size" => refuse_unless(is_disk_size(value), || {
            format!("value does not look like a valid disk size: {value}")
        }),
        "pve-storage-path" => {
            demand(value.starts_with('/'), "value does not look like a valid absolute path")
        }
        "pve-fw-sport-spec" | "pve-fw-dport-spec" => value.split(',').try_for_each(port_or_range),
        "email-opt" | "email" => {
            demand(value.is_empty() || value.contains('@'), "value does not look like a valid email address")
        }
        _ => Ok(()),
    }
}

fn demand(holds: bool, text: &str) -> Result<(), String> {
    refuse_unless(holds, || text.to_owned())
}

fn refuse_unless(holds: bool, text: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(text()) }
}

fn is_vmid(value: &str) -> bool {
    let digits = value.chars().all(|c| c.is_ascii_digit());
    digits && !value.starts_with('0') && (3..=9).contains(&value.len())
}

fn is_label(value: &str) -> bool {
    let inner = value.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    !value.is_empty() && value.len() <= 63 && inner && !value.starts_with('-') && !value.ends_with('-')
}

fn is_dns_name(value: &str) -> bool {
    value.split('.').all(is_label)
}

fn is_node_name(value: &str) -> bool {
    is_label(value)
}

fn starts_with_letter(value: &str) -> bool {
    value.starts_with(|c: char| c.is_ascii_alphabetic())
}

fn is_config_id(value: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    value.len() >= 2 && starts_with_letter(value) && value.chars().all(allowed)
}

fn is_storage_id(value: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let ends_well = value.ends_with(|c: char| c.is_ascii_alphanumeric());
    value.len() >= 2 && starts_with_letter(value) && ends_well && value.chars().all(allowed)
}

fn volume_id(value: &str) -> Result<(), String> {
    let parsed =
        value.split_once(':').filter(|(storage, volume)| is_storage_id(storage) && !volume.is_empty());
    refuse_unless(parsed.is_some(), || format!("unable to parse volume ID '{value}'"))
}

/// A number, a range of numbers, or the name of a service.
fn port_or_range(value: &str) -> Result<(), String> {
    let is_port = |text: &str| text.parse::<u16>().is_ok();
    let is_range = || value.split_once(':').is_some_and(|(first, last)| is_port(first) && is_port(last));
    let name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '+' | '.');
    let is_service = || value.starts_with(|c: char| c.is_ascii_alphabetic()) && value.chars().all(name);
    refuse_unless(is_port(value) || is_range() || is_service(), || format!("invalid port '{value}'"))
}

fn is_tag(value: &str) -> bool {
    let first = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let rest = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '+' | '.');
    value.starts_with(first) && value.chars().all(rest)
}

fn is_word(value: &str) -> bool {
    !value.is_empty() && value.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))
}

/// Pools nest up to three deep.
fn is_pool_id(value: &str) -> bool {
    let levels: Vec<&str> = value.split('/').collect();
    levels.len() <= 3 && levels.iter().all(|level| is_word(level))
}

fn is_realm(value: &str) -> bool {
    value.len() >= 2 && starts_with_letter(value) && is_word(value)
}

fn user_id(value: &str) -> Result<(), String> {
    if value.len() < 3 {
        return Err(format!("user name '{value}' is too short"));
    }
    let parsed = value
        .rsplit_once('@')
        .filter(|(name, realm)| !name.is_empty() && !name.contains([' ', ':', '/']) && is_realm(realm));
    refuse_unless(parsed.is_some(), || format!("value '{value}' does not look like a valid user name"))
}

fn token_id(value: &str) -> Result<(), String> {
    let parsed = value.split_once('!').filter(|(user, token)| user_id(user).is_ok() && is_realm(token));
    refuse_unless(parsed.is_some(), || format!("value '{value}' does not look like a valid token ID"))
}

fn is_ha_resource(value: &str) -> bool {
    value.split_once(':').is_some_and(|(kind, name)| HA_TYPES.contains(&kind) && !name.is_empty())
}

fn is_interface(value: &str, shortest: usize, longest: usize) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | ':' | '-');
    (shortest..=longest).contains(&value.len()) && starts_with_letter(value) && value.chars().all(allowed)
}

fn is_unicast_mac(value: &str) -> bool {
    let parts: Vec<&str> = value.split(':').collect();
    let bytes: Vec<u8> =
        parts.iter().filter(|part| part.len() == 2).flat_map(|part| u8::from_str_radix(part, 16)).collect();
    parts.len() == 6 && bytes.len() == 6 && bytes[0] & 1 == 0
}

fn is_cidr(value: &str) -> bool {
    let parsed = value
        .split_once('/')
        .and_then(|(address, bits)| Some((address.parse().ok()?, bits.parse::<u8>().ok()?)));
    match parsed {
        Some((IpAddr::V4(_), bits)) => (0..=32).contains(&bits),
        Some((IpAddr::V6(_), bits)) => (0..=128).contains(&bits),
        None => false,
    }
}

fn is_disk_size(value: &str) -> bool {
    let number = value.trim_end_matches(['K', 'M', 'G', 'T']);
    value.len() - number.len() <= 1
        && number.parse::<f64>().is_ok_and(f64::is_finite)
        && !number.starts_with(['+', '-'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(format: &str, value: &str, reason: &str) {
        assert_eq!(check(format, value), Err(reason.to_owned()));
    }

    #[test]
    fn refusals_use_the_words_of_proxmox() {
        refused("pve-vmid", "99", "value does not look like a valid VM ID");
        refused("pve-configid", "a", "invalid configuration ID 'a'");
        refused("pve-storage-id", "1x", "storage ID '1x' contains illegal characters");
        refused("pve-storage-content-list", "iso,imagez", "invalid content type 'imagez'");
        refused("pve-poolid", "bad pool", "pool name 'bad pool' contains invalid characters");
        refused("pve-ha-resource-id", "foo", "value does not look like a valid ha resource id");
        refused("pve-tag-list", "a b$", "invalid characters in tag");
        refused("pve-volume-id-or-qm-path", "local", "unable to parse volume ID 'local'");
        refused("pve-fw-dport-spec", "22,http!", "invalid port 'http!'");
        refused("pve-fw-sport-spec", "80:65536", "invalid port '80:65536'");
    }

    #[test]
    fn ports_are_numbers_ranges_and_services() {
        assert_eq!(check("pve-fw-dport-spec", "22,8000:8100,https"), Ok(()));
    }

    #[test]
    fn a_drive_may_be_empty_or_a_path() {
        assert_eq!(check("pve-volume-id-or-qm-path", "none"), Ok(()));
        assert_eq!(check("pve-volume-id-or-qm-path", "/dev/sdb"), Ok(()));
    }

    #[test]
    fn multicast_addresses_are_no_network_cards() {
        assert!(check("mac-addr", "BC:24:11:28:38:64").is_ok());
        assert!(check("mac-addr", "01:24:11:28:38:64").is_err());
    }
}
