//! Whether the storages and volumes that drives name may be used for them.
use super::{Call, GuestType, Refusal, refuse};
use crate::pve::sim::contract::PropertyString;
use crate::pve::sim::disks::{self, DriveRequest};
use crate::pve::sim::routes::volume_access::demand_access;

/// Storages that drives name have to be there and open to the caller.
pub(in crate::pve::sim::routes) fn check_drives<'a>(
    call: &Call<'_>,
    given: impl Iterator<Item = (&'a str, &'a str)>,
) -> Result<(), Refusal> {
    for (key, text) in given.filter(|(key, _)| disks::is_drive_key(key)) {
        let drive = super::attach::parse_drive(text);
        check_drive(call, key, &drive)?;
        if let Some(source) = drive.get("import-from") {
            check_source(call, key, source)?;
        }
    }
    Ok(())
}

fn check_drive(call: &Call<'_>, key: &str, drive: &PropertyString) -> Result<(), Refusal> {
    match disks::drive_request(drive) {
        DriveRequest::Nothing if drive.bare == "cdrom" => call.demand("/", "Sys.Console"),
        DriveRequest::Nothing => Ok(()),
        DriveRequest::CloudInit { storage } => {
            disks::available(call.state, call.node(), &storage).map(|_| ()).map_err(Refusal::Failed)
        }
        DriveRequest::New { storage, .. } => {
            call.demand(&format!("/storage/{storage}"), "Datastore.AllocateSpace")?;
            demand_content(call, &storage)
        }
        DriveRequest::Existing { storage, volid } => {
            demand_access(call, Some(call.vmid()), &volid)?;
            disks::available(call.state, call.node(), &storage).map_err(Refusal::Failed)?;
            if call.guest_type() == GuestType::Qemu && !["images", "iso"].contains(&disks::type_of(&volid)) {
                return Err(Refusal::parameter(key, "content type needs to be 'images' or 'iso'"));
            }
            Ok(())
        }
    }
}

fn demand_content(call: &Call<'_>, storage: &str) -> Result<(), Refusal> {
    let found = disks::available(call.state, call.node(), storage).map_err(Refusal::Failed)?;
    let wanted = disks::content_of(call.guest_type());
    if disks::content_types(found).contains(&wanted) {
        return Ok(());
    }
    let makes_guest = !call.operation.path.contains("{vmid}");
    match (call.guest_type(), makes_guest) {
        (GuestType::Qemu, _) => {
            Err(Refusal::parameter("storage", format!("storage '{storage}' does not support vm images")))
        }
        (GuestType::Lxc, true) => Err(Refusal::parameter(
            "storage",
            format!("storage '{storage}' does not support container directories"),
        )),
        (GuestType::Lxc, false) => {
            refuse(format!("storage '{storage}' does not allow content type 'rootdir' (Container)"))
        }
    }
}

/// What is imported comes from a disk image, or from another guest's disk.
fn check_source(call: &Call<'_>, key: &str, source: &str) -> Result<(), Refusal> {
    let Some((storage, _)) = source.split_once(':') else {
        return demand_access(call, None, source);
    };
    disks::available(call.state, call.node(), storage).map_err(Refusal::Failed)?;
    let content = disks::type_of(source);
    if !["images", "import"].contains(&content) {
        let text = format!("{source} has wrong type '{content}' - needs to be 'images' or 'import'");
        return Err(Refusal::parameter(key, text));
    }
    match disks::owner_of(source) {
        Some(owner) => call.demand(&format!("/vms/{owner}"), "VM.Clone"),
        None => demand_access(call, Some(call.vmid()), source),
    }
}
