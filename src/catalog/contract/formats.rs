//! The named formats of the schema: whether a value has the form, and which form that is.
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Release;

const CONTENT_TYPES: [&str; 8] =
    ["backup", "images", "import", "iso", "none", "rootdir", "snippets", "vztmpl"];
const HA_TYPES: [&str; 2] = ["ct", "vm"];

/// The name of a format, its rule, and the rule in words.
type Form = (&'static str, fn(&str) -> bool, &'static str);

/// Lists whose names do not end in `-list`; their items are ports.
pub(super) const PORT_LISTS: [&str; 2] = ["pve-fw-dport-spec", "pve-fw-sport-spec"];

const PORT: &str = "ports, ranges such as 8000:8100, or services such as https, with commas between";

const FORMS: [Form; 33] = [
    ("CIDR", is_cidr, "an IP network such as 192.0.2.0/24"),
    ("disk-size", is_disk_size, "a size such as 32G"),
    ("dns-name", is_dns_name, "a DNS name"),
    ("email", is_email, "an email address"),
    ("email-opt", is_email, "an email address, or nothing"),
    ("ip", |value| value.parse::<IpAddr>().is_ok(), "an IP address"),
    ("ipv4", |value| value.parse::<Ipv4Addr>().is_ok(), "an IPv4 address"),
    ("ipv6", |value| value.parse::<Ipv6Addr>().is_ok(), "an IPv6 address"),
    ("mac-addr", is_unicast_mac, "a unicast MAC address such as BC:24:11:00:00:01"),
    ("pve-bridge-id", is_interface, "the name of a bridge, such as vmbr0"),
    ("pve-configid", is_config_id, "a letter followed by letters, digits, `-` or `_`, 2 characters or more"),
    ("pve-fw-dport-spec", is_port_spec, PORT),
    ("pve-fw-sport-spec", is_port_spec, PORT),
    ("pve-groupid", is_word, "the name of a group: letters, digits, `.`, `-` and `_`"),
    ("pve-ha-group-node", is_ha_node, "the name of a node, with a priority if wanted: pve1:2"),
    ("pve-ha-node", is_ha_node, "the name of a node, with a priority if wanted: pve1:2"),
    ("pve-ha-resource-id", is_ha_resource, "an HA resource such as vm:100 or ct:200"),
    ("pve-ha-resource-or-vm-id", is_ha_resource_or_guest, "an HA resource such as vm:100, or a guest id"),
    ("pve-iface", is_interface, "the name of a network interface, such as eno1"),
    ("pve-node", is_node_name, "the name of a node: letters, digits and `-`"),
    (
        "pve-poolid",
        is_pool_id,
        "the name of a pool: letters, digits, `.`, `-` and `_`, up to three levels with `/`",
    ),
    ("pve-realm", is_realm, "the name of a realm, such as pam"),
    ("pve-roleid", is_word, "the name of a role: letters, digits, `.`, `-` and `_`"),
    (
        "pve-storage-content",
        is_content_type,
        "one of backup, images, import, iso, none, rootdir, snippets, vztmpl",
    ),
    (
        "pve-storage-id",
        is_storage_id,
        "the name of a storage: a letter, then letters, digits, `-`, `_` or `.`",
    ),
    ("pve-storage-path", is_path, "an absolute path"),
    ("pve-tag", is_tag, "a tag: letters, digits, `_`, `-`, `+` and `.`"),
    ("pve-tokenid", is_token, "a token such as agent@pve!operator"),
    ("pve-userid", is_user, "a user such as root@pam"),
    ("pve-vmid", is_vmid, "a guest id: a number from 100 to 999999999"),
    ("pve-volume-id", is_volume, "a volume such as local-lvm:vm-100-disk-0"),
    (
        "pve-volume-id-or-absolute-path",
        is_volume_or_path,
        "a volume such as local:iso/a.iso, or an absolute path",
    ),
    (
        "pve-volume-id-or-qm-path",
        is_drive,
        "a volume such as local-lvm:vm-100-disk-0, an absolute path, `none` or `cdrom`",
    ),
];

fn form(name: &str) -> Option<&'static Form> {
    FORMS.iter().find(|(known, ..)| *known == name)
}

/// Formats without a rule accept all: to refuse what the real system takes would be worse.
pub(super) fn fits(format: &str, value: &str, release: Release) -> bool {
    match format {
        "pve-priv" => release.has_privilege(value),
        _ => form(format).is_none_or(|(_, fits, _)| fits(value)),
    }
}

/// The form in words, of those formats that have a rule.
pub(super) fn in_words(format: &str) -> Option<&'static str> {
    match format {
        "pve-priv" => Some("a privilege such as VM.Audit"),
        _ => form(format).map(|(.., words)| *words),
    }
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

fn is_volume(value: &str) -> bool {
    value.split_once(':').is_some_and(|(storage, volume)| is_storage_id(storage) && !volume.is_empty())
}

fn is_path(value: &str) -> bool {
    value.starts_with('/')
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

fn is_user(value: &str) -> bool {
    let fits =
        |(name, realm): (&str, &str)| !name.is_empty() && !name.contains([' ', ':', '/']) && is_realm(realm);
    value.len() >= 3 && value.rsplit_once('@').is_some_and(fits)
}

fn is_token(value: &str) -> bool {
    value.split_once('!').is_some_and(|(user, token)| is_user(user) && is_realm(token))
}

fn is_ha_resource(value: &str) -> bool {
    value.split_once(':').is_some_and(|(kind, name)| HA_TYPES.contains(&kind) && !name.is_empty())
}

/// A node's name, with a priority if wanted.
fn is_ha_node(value: &str) -> bool {
    match value.split_once(':') {
        Some((node, priority)) => is_node_name(node) && is_number(priority),
        None => is_node_name(value),
    }
}

fn is_number(value: &str) -> bool {
    !value.is_empty() && value.chars().all(|c| c.is_ascii_digit())
}

fn is_interface(value: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | ':' | '-');
    (2..=20).contains(&value.len()) && starts_with_letter(value) && value.chars().all(allowed)
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

/// A number, a range of numbers, or the name of a service.
fn is_port_spec(value: &str) -> bool {
    let is_port = |text: &str| text.parse::<u16>().is_ok();
    let is_range = || value.split_once(':').is_some_and(|(first, last)| is_port(first) && is_port(last));
    let in_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '+' | '.');
    is_port(value) || is_range() || (starts_with_letter(value) && value.chars().all(in_name))
}

fn is_email(value: &str) -> bool {
    value.is_empty() || value.contains('@')
}

fn is_content_type(value: &str) -> bool {
    CONTENT_TYPES.contains(&value)
}

fn is_ha_resource_or_guest(value: &str) -> bool {
    is_ha_resource(value) || is_vmid(value)
}

fn is_volume_or_path(value: &str) -> bool {
    is_path(value) || is_volume(value)
}

fn is_drive(value: &str) -> bool {
    matches!(value, "none" | "cdrom") || is_volume_or_path(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(format: &str, value: &str) {
        assert!(!fits(format, value, Release::V9_2), "{format} takes {value}");
    }

    #[test]
    fn what_has_not_the_form_is_refused() {
        refused("pve-vmid", "99");
        refused("pve-configid", "a");
        refused("pve-storage-id", "1x");
        refused("pve-storage-content", "imagez");
        refused("pve-poolid", "bad pool");
        refused("pve-ha-resource-id", "foo");
        refused("pve-ha-group-node", "pve1:high");
        refused("pve-tag", "b$");
        refused("pve-volume-id-or-qm-path", "local");
    }

    #[test]
    fn a_drive_may_be_empty_or_a_path() {
        for value in ["none", "/dev/sdb", "local-lvm:vm-100-disk-0"] {
            assert!(fits("pve-volume-id-or-qm-path", value, Release::V9_2), "{value}");
        }
    }

    #[test]
    fn ports_are_numbers_ranges_and_services() {
        for port in ["22", "8000:8100", "https"] {
            assert!(fits("pve-fw-dport-spec", port, Release::V9_2), "{port}");
        }
        refused("pve-fw-dport-spec", "http!");
        refused("pve-fw-sport-spec", "80:65536");
    }

    #[test]
    fn multicast_addresses_are_no_network_cards() {
        assert!(fits("mac-addr", "BC:24:11:28:38:64", Release::V9_2));
        refused("mac-addr", "01:24:11:28:38:64");
    }

    #[test]
    fn privileges_are_those_of_the_release() {
        assert!(fits("pve-priv", "VM.Monitor", Release::V8_4));
        refused("pve-priv", "VM.Monitor");
    }
}
