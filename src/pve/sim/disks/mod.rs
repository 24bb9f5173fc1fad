//! Drives of guests and volumes on storages.
mod drives;
mod size;
mod volumes;

pub(super) use drives::{
    boot_disk, bootable, drive_order, drives, is_cdrom, is_drive_key, is_unused_key, referenced_volumes,
};
pub(super) use size::{format_size, parse_size};
pub(super) use volumes::{
    DriveRequest, allocate, available, content_types, drive_bytes, drive_request, find, free, free_all_of,
    is_on_node, new_name, path_of, supports_snapshots, volume_path,
};
