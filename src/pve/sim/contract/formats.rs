//! The words in which Proxmox refuses what does not have the form that the schema names.

/// The reason without the "invalid format - " that precedes it.
pub(super) fn refusal(format: &str, value: &str) -> String {
    let what = match format {
        "pve-configid" => return format!("invalid configuration ID '{value}'"),
        "pve-storage-id" => return format!("storage ID '{value}' contains illegal characters"),
        "pve-storage-content" => return format!("invalid content type '{value}'"),
        "pve-volume-id" | "pve-volume-id-or-qm-path" | "pve-volume-id-or-absolute-path" => {
            return format!("unable to parse volume ID '{value}'");
        }
        "pve-tag" => return "invalid characters in tag".to_owned(),
        "pve-poolid" => return format!("pool name '{value}' contains invalid characters"),
        "pve-groupid" => return format!("group name '{value}' contains invalid characters"),
        "pve-roleid" => return format!("role name '{value}' contains invalid characters"),
        "pve-userid" if value.len() < 3 => return format!("user name '{value}' is too short"),
        "pve-userid" => return format!("value '{value}' does not look like a valid user name"),
        "pve-tokenid" => return format!("value '{value}' does not look like a valid token ID"),
        "pve-priv" => return format!("invalid privilege '{value}'"),
        "pve-fw-sport-spec" | "pve-fw-dport-spec" => return format!("invalid port '{value}'"),
        "disk-size" => return format!("value does not look like a valid disk size: {value}"),
        "pve-vmid" => "VM ID",
        "dns-name" => "DNS name",
        "pve-node" => "node name",
        "pve-realm" => "realm",
        "pve-ha-resource-id" | "pve-ha-resource-or-vm-id" => "ha resource id",
        "pve-ha-group-node" => "ha group node",
        "pve-ha-node" => "ha node",
        "pve-bridge-id" => "bridge name",
        "pve-iface" => "interface name",
        "mac-addr" => "unicast MAC address",
        "ip" => "IP address",
        "ipv4" => "IPv4 address",
        "ipv6" => "IPv6 address",
        "CIDR" => "IP network",
        "pve-storage-path" => "absolute path",
        "email-opt" | "email" => "email address",
        _ => return format!("value does not look like a valid {format}"),
    };
    format!("value does not look like a valid {what}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_use_the_words_of_proxmox() {
        for (format, value, words) in [
            ("pve-vmid", "99", "value does not look like a valid VM ID"),
            ("pve-configid", "a", "invalid configuration ID 'a'"),
            ("pve-storage-id", "1x", "storage ID '1x' contains illegal characters"),
            ("pve-storage-content", "imagez", "invalid content type 'imagez'"),
            ("pve-poolid", "bad pool", "pool name 'bad pool' contains invalid characters"),
            ("pve-ha-resource-id", "foo", "value does not look like a valid ha resource id"),
            ("pve-fw-dport-spec", "http!", "invalid port 'http!'"),
            ("pve-tag", "b$", "invalid characters in tag"),
            ("pve-volume-id-or-qm-path", "local", "unable to parse volume ID 'local'"),
        ] {
            assert_eq!(refusal(format, value), words);
        }
    }
}
