//! Drives of guests and volumes on storages.
mod allocate;
mod drives;
mod features;
mod names;
mod size;
mod volumes;

pub(super) use allocate::{allocate, allocate_state, link, rename};
pub(super) use drives::{
    boot_disk, bootable, drive_order, drives, is_cdrom, is_cloud_init, is_drive_key, is_unused_key,
    keep_unused, referenced_volumes,
};
pub(super) use features::{Feature, drive_without, is_base_in_use};
pub(super) use names::{base_of, is_base, owner_of, type_of};
pub(super) use size::{format_size, parse_size};
pub(super) use volumes::{
    DriveRequest, available, content_of, content_types, drive_bytes, drive_request, find, free, free_all_of,
    is_on_node, path_of, reaches, set_size, volume_path,
};
