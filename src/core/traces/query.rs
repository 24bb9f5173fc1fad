//! What has to be looked at.

use std::collections::BTreeSet;

use crate::{
    catalog::{Changes, Existence, GuestRef, NaturalKey, ParamValue, Section, Target, Vmid, VolumeId},
    core::{observe::Query, request::Request},
};

/// Only what the natural key is read from: everything else could be out of sight for no good reason.
pub fn query(request: &Request) -> Query {
    let action = request.action;
    let is_asked_by_number = matches!(action.natural_key, NaturalKey::Present(_) | NaturalKey::Absent(_))
        && action.domain != "ha"
        && action.domain != "firewall";
    Query {
        target: made_of(request).unwrap_or_else(|| request.target.clone()),
        // Whether a number is taken is told even to a token that may not see by whom.
        existence: if is_asked_by_number { Existence::Absent } else { action.existence },
        node: request.text("node").map(str::to_owned),
        destination: None,
        sections: section(request).into_iter().collect(),
    }
}

fn section(request: &Request) -> Option<Section> {
    match request.action.domain {
        "ha" => Some(Section::Ha),
        "network" => Some(Section::Network),
        "firewall" => Some(Section::Firewall),
        "pool" => Some(Section::Pools),
        _ => None,
    }
}

/// Where what comes to be is not the target itself.
fn made_of(request: &Request) -> Option<Target> {
    match (&request.target, request.action.changes()) {
        (Target::Guest(of), Some(Changes::NewGuest(param))) => {
            let Some(ParamValue::Integer(number)) = request.params.get(param) else { return None };
            let vmid = u32::try_from(*number).ok().and_then(Vmid::new)?;
            Some(Target::Guest(GuestRef { kind: of.kind, vmid }))
        }
        (Target::Storage(storage), _) => {
            let name = format!("{}/{}", request.text("content")?, request.text("filename")?);
            Some(Target::Volume(VolumeId { storage: storage.clone(), name }))
        }
        _ => None,
    }
}

/// Where the token's rights have to be known: without them what is there may not be shown.
pub fn places(request: &Request) -> BTreeSet<String> {
    sight(&query(request).target).into_iter().flat_map(|(path, _)| [path]).collect()
}

/// The path at which any of these privileges shows whether the target is there; `None` if everybody is told, or nobody
/// at all.
pub(super) fn sight(target: &Target) -> Option<(String, &'static [&'static str])> {
    match target {
        Target::Storage(storage) => {
            Some((format!("/storage/{storage}"), &["Datastore.Audit", "Datastore.AllocateSpace"]))
        }
        Target::Volume(volume) => {
            let path = format!("/storage/{}", volume.storage);
            // Others see a backup or a disk only if they may see its guest, too.
            match volume.name.split('/').next() {
                Some("iso" | "vztmpl" | "import" | "snippets") => {
                    Some((path, &["Datastore.Allocate", "Datastore.Audit", "Datastore.AllocateSpace"]))
                }
                _ => Some((path, &["Datastore.Allocate"])),
            }
        }
        Target::Pool(pool) => Some((format!("/pool/{pool}"), &["Pool.Audit"])),
        Target::Replication(job) => {
            let guest = job.as_str().split('-').next().unwrap_or_default();
            Some((format!("/vms/{guest}"), &["VM.Audit"]))
        }
        _ => None,
    }
}
