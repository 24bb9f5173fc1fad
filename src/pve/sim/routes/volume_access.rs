//! Who may use which volume.
use crate::pve::sim::disks;
use crate::pve::sim::engine::Call;
use crate::pve::sim::http::{Refusal, refuse};

/// Demands what using a volume takes; `vmid` is the guest it is for, which may always use its own.
pub(super) fn demand_access(call: &Call<'_>, vmid: Option<u32>, volid: &str) -> Result<(), Refusal> {
    let Some((storage, _)) = volid.split_once(':') else {
        return if call.caller.is_root() {
            Ok(())
        } else {
            refuse("Only root can pass arbitrary filesystem paths.")
        };
    };
    let path = format!("/storage/{storage}");
    if call.has(&path, "Datastore.Allocate") {
        return Ok(());
    }
    let owner = disks::owner_of(volid);
    match (disks::type_of(volid), owner) {
        ("iso" | "vztmpl" | "import", _) => {
            let wanted = ["Datastore.AllocateSpace", "Datastore.Audit"];
            if call.rights().has_any(&path, &wanted) {
                Ok(())
            } else {
                Err(Refusal::privilege(&path, &wanted.join("|")))
            }
        }
        (_, Some(_)) if owner == vmid => Ok(()),
        ("backup", Some(owner)) => {
            call.demand(&path, "Datastore.AllocateSpace")?;
            call.demand(&format!("/vms/{owner}"), "VM.Backup")
        }
        ("images", Some(owner)) => {
            call.demand(&path, "Datastore.Audit")?;
            call.demand(&format!("/vms/{owner}"), "VM.Config.Disk")
        }
        _ => refuse(format!("missing privileges to access {volid}")),
    }
}

/// The same for a volume that has to be of a certain type.
pub(super) fn demand_access_to(
    call: &Call<'_>,
    vmid: Option<u32>,
    volid: &str,
    content: &str,
) -> Result<(), Refusal> {
    if volid.contains(':') && disks::type_of(volid) != content {
        return refuse(format!("unable to use volume {volid} - content type needs to be '{content}'"));
    }
    demand_access(call, vmid, volid)
}
