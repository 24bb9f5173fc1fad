//! What the name of a volume tells: whose it is, and what it builds on.

/// The guest that a volume belongs to.
pub(in crate::pve::sim) fn owner_of(volid: &str) -> Option<u32> {
    let (_, name) = volid.split_once(':')?;
    let folders: Vec<&str> = name.split('/').collect();
    match folders.as_slice() {
        ["backup", "vm" | "ct", vmid, _] => vmid.parse().ok(),
        ["backup", file] => file.strip_prefix("vzdump-")?.split('-').nth(1)?.parse().ok(),
        [.., folder, _] if folder.parse::<u32>().is_ok() => folder.parse().ok(),
        [.., own] if is_disk_name(own) => own.split('-').nth(1)?.parse().ok(),
        _ => None,
    }
}

/// The type of content that the name speaks of; containers' disks are images too.
pub(in crate::pve::sim) fn type_of(volid: &str) -> &str {
    let name = volid.split_once(':').map_or(volid, |(_, name)| name);
    match name.split_once('/') {
        Some((folder @ ("iso" | "vztmpl" | "backup" | "import" | "snippets"), _)) => folder,
        _ => "images",
    }
}

fn is_disk_name(name: &str) -> bool {
    ["vm-", "subvol-"].iter().any(|stem| name.starts_with(stem)) || is_base_name(name)
}

fn is_base_name(name: &str) -> bool {
    ["base-", "basevol-"].iter().any(|stem| name.starts_with(stem))
}

pub(in crate::pve::sim) fn is_base(volid: &str) -> bool {
    is_base_name(volid.rsplit([':', '/']).next().unwrap_or_default())
}

/// The volume that a linked one names in front of itself: `tank:base-9-disk-0/vm-100-disk-0` builds on
/// `tank:base-9-disk-0`. Where the name has no room for that, as on LVM, nothing tells.
pub(in crate::pve::sim) fn base_of(volid: &str) -> Option<String> {
    let (storage, name) = volid.split_once(':')?;
    let folders: Vec<&str> = name.split('/').collect();
    match folders.as_slice() {
        [base, _] if is_base_name(base) => Some(format!("{storage}:{base}")),
        [owner, base, _, _] if is_base_name(base) => Some(format!("{storage}:{owner}/{base}")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volumes_name_tells_whose_it_is() {
        for (volid, owner) in [
            ("tank:100/vm-100-disk-0.qcow2", Some(100)),
            ("tank:9000/base-9000-disk-0.qcow2/101/vm-101-disk-0.qcow2", Some(101)),
            ("zfs:base-9000-disk-0/vm-101-disk-0", Some(101)),
            ("zfs:subvol-200-disk-0", Some(200)),
            ("lvm:vm-100-cloudinit", Some(100)),
            ("tank:backup/vzdump-qemu-100-2026_11_21-10_00_00.vma.zst", Some(100)),
            ("pbs:backup/ct/200/2026-11-21T10:00:00Z", Some(200)),
            ("tank:iso/vm-tools.iso", None),
        ] {
            assert_eq!(owner_of(volid), owner, "{volid}");
        }
    }

    #[test]
    fn a_linked_volume_names_what_it_builds_on() {
        let linked = "tank:9000/base-9000-disk-0.qcow2/101/vm-101-disk-0.qcow2";
        assert_eq!(base_of(linked).as_deref(), Some("tank:9000/base-9000-disk-0.qcow2"));
        assert_eq!(base_of("zfs:base-9-disk-0/vm-101-disk-0").as_deref(), Some("zfs:base-9-disk-0"));
        assert_eq!(base_of("lvm:vm-101-disk-0"), None);
        assert!(is_base("tank:9000/base-9000-disk-0.qcow2") && !is_base(linked));
    }
}
