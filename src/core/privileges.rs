//! What a token has to be allowed, held against what it is allowed.

use std::collections::BTreeSet;

use crate::{
    api::PrivilegeReport,
    catalog::{Need, Place, Target},
};

use super::{
    call::Dispatch,
    config_keys,
    observe::{World, disks_in, nics_in},
    request::Request,
};

/// Privileges by which a token can make itself more, or reach everything: worth a word where the action needs none of it.
const FAR_REACHING: [&str; 9] = [
    "Permissions.Modify",
    "User.Modify",
    "Realm.Allocate",
    "Realm.AllocateUser",
    "Sys.Console",
    "Sys.Modify",
    "Sys.PowerMgmt",
    "VM.GuestAgent.Unrestricted",
    "VM.Monitor",
];

/// A privilege at a place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Grant {
    any_of: Vec<String>,
    path: String,
}

/// What is needed and far exceeded, or what is lacking.
pub fn compare(
    request: &Request,
    world: &World,
    dispatch: Option<&Dispatch>,
) -> Result<PrivilegeReport, Vec<String>> {
    let needed = needed(request, world, dispatch);
    let holds =
        |grant: &Grant| grant.any_of.iter().any(|privilege| world.rights.holds(&grant.path, privilege));
    let lacking: Vec<String> = needed.iter().filter(|grant| !holds(grant)).map(Grant::words).collect();
    if !lacking.is_empty() {
        return Err(lacking);
    }
    let beyond = world.rights.anywhere().into_iter().filter(|(privilege, _)| {
        FAR_REACHING.contains(privilege)
            && !needed.iter().any(|grant| grant.any_of.iter().any(|needed| needed == privilege))
    });
    Ok(PrivilegeReport {
        needed: needed.iter().map(Grant::words).collect(),
        beyond: beyond.map(|(privilege, path)| format!("{privilege} on {path}")).collect(),
    })
}

/// The paths at which rights have to be known exactly.
pub fn paths(request: &Request) -> BTreeSet<String> {
    let world = World::default();
    needed(request, &world, None).into_iter().map(|grant| grant.path).collect()
}

fn needed(request: &Request, world: &World, dispatch: Option<&Dispatch>) -> BTreeSet<Grant> {
    let given = |need: &&Need| need.given.is_none_or(|name| request.params.contains_key(name));
    let mut grants: BTreeSet<Grant> = BTreeSet::new();
    for need in request.action.needs.iter().filter(given) {
        for path in places(need.on, request, world, dispatch) {
            if need.any_of == Need::PER_SETTING {
                grants.extend(per_setting(dispatch, &path));
            } else {
                grants.insert(Grant { any_of: need.any_of.iter().map(ToString::to_string).collect(), path });
            }
        }
    }
    grants
}

/// Each setting of a guest has its own privilege.
fn per_setting(dispatch: Option<&Dispatch>, path: &str) -> Vec<Grant> {
    let Some(Dispatch { call, .. }) = dispatch else { return vec![] };
    let privileges = config_keys::privileges(&call.params, &call.secrets).into_iter();
    privileges.map(|privilege| Grant { any_of: vec![privilege.to_owned()], path: path.to_owned() }).collect()
}

fn places(place: Place, request: &Request, world: &World, dispatch: Option<&Dispatch>) -> Vec<String> {
    let named = |kind: &str, param: &str| {
        let value = request.params.get(param).map(crate::catalog::ParamValue::to_wire);
        value.map(|value| format!("/{kind}/{value}")).into_iter().collect()
    };
    match place {
        Place::Target => vec![place_of(&request.target)],
        Place::At(path) => vec![path.to_owned()],
        Place::Node => dispatch.map(|dispatch| format!("/nodes/{}", dispatch.node)).into_iter().collect(),
        Place::Storage(param) => named("storage", param),
        Place::Guest(param) => named("vms", param),
        Place::Pool(param) => named("pool", param),
        Place::DiskStorages => disk_storages(request, world),
        Place::Bridges => bridges(dispatch),
    }
}

fn place_of(target: &Target) -> String {
    match target {
        Target::Guest(guest) => format!("/vms/{}", guest.vmid),
        Target::Node(node) => format!("/nodes/{node}"),
        Target::Storage(storage) => format!("/storage/{storage}"),
        Target::Volume(volume) => format!("/storage/{}", volume.storage),
        Target::Pool(pool) => format!("/pool/{pool}"),
        Target::Replication(id) => {
            let vmid = id.as_str().split('-').next().unwrap_or_default();
            format!("/vms/{vmid}")
        }
        Target::Inventory(_) | Target::Cluster | Target::HaRule(_) | Target::BackupJob(_) => "/".to_owned(),
    }
}

/// The storages that the parameters allocate on; where they name none, those of the guest's own disks.
fn disk_storages(request: &Request, world: &World) -> Vec<String> {
    let texts = request.params.iter().map(|(name, value)| (name.clone(), value.to_wire()));
    let asked: BTreeSet<String> = disks_in(&texts.collect())
        .iter()
        .filter(|disk| !disk.is_cdrom)
        .map(|disk| format!("/storage/{}", disk.storage()))
        .collect();
    if !asked.is_empty() {
        return asked.into_iter().collect();
    }
    if let Some(storage) = request.text("storage") {
        return vec![format!("/storage/{storage}")];
    }
    let own = world.guest().map(super::observe::Guest::disks).unwrap_or_default();
    let own = own.iter().filter(|disk| !disk.is_cdrom).map(|disk| format!("/storage/{}", disk.storage()));
    own.collect::<BTreeSet<String>>().into_iter().collect()
}

/// Proxmox keeps the right to a plain bridge under the zone `localnetwork`.
fn bridges(dispatch: Option<&Dispatch>) -> Vec<String> {
    let nics = dispatch.map(|dispatch| nics_in(&dispatch.call.params)).unwrap_or_default();
    let bridges = nics.into_iter().filter_map(|nic| nic.bridge);
    bridges.map(|bridge| format!("/sdn/zones/localnetwork/{bridge}")).collect()
}

impl Grant {
    fn words(&self) -> String {
        format!("{} on {}", self.any_of.join(" or "), self.path)
    }
}
