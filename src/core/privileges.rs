//! What a token has to be allowed, held against what it is allowed.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    api::PrivilegeReport,
    catalog::{Existence, Need, ParamValue, Place, Target, contract::Release, split_list},
};

use super::{
    call::Dispatch,
    config_keys,
    observe::{Disk, Guest, Nic, World, disks_in, names_disk, nics_in},
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

/// Any one of these privileges, each at its path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Grant(Vec<(String, String)>);

/// What is needed and far exceeded, or what is lacking.
pub fn compare(
    request: &Request,
    world: &World,
    dispatch: Option<&Dispatch>,
) -> Result<PrivilegeReport, Vec<String>> {
    let needed = needed(request, world, dispatch);
    let holds = |grant: &Grant| grant.0.iter().any(|(privilege, path)| world.rights.holds(path, privilege));
    let lacking: Vec<String> = needed.iter().filter(|grant| !holds(grant)).map(Grant::words).collect();
    if !lacking.is_empty() {
        return Err(lacking);
    }
    let beyond = world.rights.anywhere().into_iter().filter(|(privilege, _)| {
        FAR_REACHING.contains(privilege)
            && !needed.iter().any(|grant| grant.0.iter().any(|(needed, _)| needed == privilege))
    });
    Ok(PrivilegeReport { needed: needed.iter().map(Grant::words).collect(), beyond: by_path(beyond) })
}

/// One line for each path.
fn by_path<'a>(held: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<String> {
    let mut paths: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    held.for_each(|(privilege, path)| paths.entry(path).or_default().push(privilege));
    paths.into_iter().map(|(path, privileges)| format!("{} on {path}", privileges.join(", "))).collect()
}

/// The paths at which rights have to be known exactly.
pub fn paths(request: &Request) -> BTreeSet<String> {
    let world = World::default();
    needed(request, &world, None).into_iter().flat_map(|grant| grant.0).map(|(_, path)| path).collect()
}

fn needed(request: &Request, world: &World, dispatch: Option<&Dispatch>) -> BTreeSet<Grant> {
    let kind = request.target.kind();
    let release = Release::of(&world.version).ok();
    let applies = |need: &&Need| {
        need.given.is_none_or(|name| request.params.contains_key(name))
            && (need.kinds.is_empty() || need.kinds.contains(&kind))
    };
    let mut grants: BTreeSet<Grant> = BTreeSet::new();
    for need in request.action.needs.iter().filter(applies) {
        for paths in places(need.on, request, world, dispatch) {
            if need.any_of == Need::PER_SETTING {
                grants.extend(per_setting(request, world, dispatch, &paths));
            } else {
                grants.insert(grant(need, &paths, release));
            }
        }
    }
    grants
}

/// What a need asks for in a release. As long as that is not known, both ways count.
fn grant(need: &Need, paths: &[String], release: Option<Release>) -> Grant {
    let knows = |release: Release| need.any_of.iter().any(|privilege| release.has_privilege(privilege));
    match (need.where_unknown, release) {
        (None, _) => Grant::of(need.any_of, paths, need.or),
        (Some(_), Some(release)) if knows(release) => Grant::of(need.any_of, paths, need.or),
        (Some(instead), Some(_)) => Grant::of(&[], &[], Some(instead)),
        (Some(instead), None) => Grant::of(need.any_of, paths, Some(instead)),
    }
}

/// Each setting of a guest has its own privilege.
fn per_setting(
    request: &Request,
    world: &World,
    dispatch: Option<&Dispatch>,
    paths: &[String],
) -> Vec<Grant> {
    let (Some(Dispatch { call, .. }), Some(guest)) = (dispatch, request.target.guest()) else {
        return vec![];
    };
    let privileges = config_keys::privileges(call, guest.kind, world.guest()).into_iter();
    privileges.map(|any_of| Grant::of(any_of, paths, None)).collect()
}

/// Where a privilege has to be held: at one path of each row.
fn places(place: Place, request: &Request, world: &World, dispatch: Option<&Dispatch>) -> Vec<Vec<String>> {
    let one = |path: String| vec![vec![path]];
    let each = |kind: &str, param: &str| {
        let values = request.params.get(param).map(ParamValue::to_wire).unwrap_or_default();
        // `from:to` says where what lies on one storage goes; `1` that everything stays on its own.
        let there = split_list(&values).map(|value| value.split_once(':').map_or(value, |(_, to)| to));
        there.filter(|value| *value != "1").map(|value| vec![format!("/{kind}/{value}")]).collect::<Vec<_>>()
    };
    let or_pool = |mut rows: Vec<Vec<String>>| {
        let pool = request.text("pool").map(|pool| format!("/pool/{pool}"));
        rows.iter_mut().for_each(|row| row.extend(pool.clone()));
        rows
    };
    match place {
        Place::Target if request.action.existence == Existence::Absent => {
            or_pool(one(place_of(&request.target)))
        }
        Place::Target => one(place_of(&request.target)),
        Place::At(path) => one(path.to_owned()),
        Place::Node => {
            dispatch.map(|dispatch| vec![format!("/nodes/{}", dispatch.node)]).into_iter().collect()
        }
        Place::Storage(param) => each("storage", param),
        Place::Guest(param) => each("vms", param),
        Place::NewGuest(param) => or_pool(each("vms", param)),
        Place::GuestsOrAll(param) if request.params.contains_key(param) => each("vms", param),
        Place::GuestsOrAll(_) => one("/".to_owned()),
        Place::NewDisks => on_storages(new_disks(request)),
        Place::CopiedDisks => on_storages(copied_disks(request, world)),
        Place::Disk(param) => on_storages(storage_of_disk(request, world, param)),
        Place::Images => on_storages(images(request)),
        Place::PlainVolume if backup_of(request).is_none() => one(place_of(&request.target)),
        Place::PlainVolume => vec![],
        Place::BackupStorage => on_storages(backup_of(request).map(|(storage, _)| storage)),
        Place::BackupOwner => {
            backup_of(request).map(|(_, owner)| vec![format!("/vms/{owner}")]).into_iter().collect()
        }
        Place::Bridges => bridges(world, dispatch).into_iter().map(|path| vec![path]).collect(),
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

/// Each once, however many disks are on it.
fn on_storages(names: impl IntoIterator<Item = String>) -> Vec<Vec<String>> {
    let names: BTreeSet<String> = names.into_iter().collect();
    names.into_iter().map(|name| vec![format!("/storage/{name}")]).collect()
}

/// The volumes that the parameters name.
fn volumes(request: &Request) -> Vec<Disk> {
    let texts = request.params.iter().map(|(name, value)| (name.clone(), value.to_wire()));
    disks_in(&texts.collect())
}

/// The storages that disks are made on; what exists already is only named.
fn new_disks(request: &Request) -> Vec<String> {
    let volumes = volumes(request);
    let made: Vec<String> =
        volumes.iter().filter(|disk| disk.is_new()).map(|disk| disk.storage().to_owned()).collect();
    if !made.is_empty() { made } else { request.text("storage").map(str::to_owned).into_iter().collect() }
}

fn copied_disks(request: &Request, world: &World) -> Vec<String> {
    if let Some(storage) = request.text("storage") {
        return vec![storage.to_owned()];
    }
    let own = world.guest().map(Guest::disks).unwrap_or_default();
    own.iter().filter(|disk| !disk.is_cdrom).map(|disk| disk.storage().to_owned()).collect()
}

fn storage_of_disk(request: &Request, world: &World, param: &str) -> Option<String> {
    let named = request.text(param)?;
    let own = world.guest()?.disks();
    own.iter().find(|disk| disk.key == named).map(|disk| disk.storage().to_owned())
}

/// The storages of images: of CDs, of what disks are imported from, of a container's template.
fn images(request: &Request) -> Vec<String> {
    let values = request.params.iter().filter(|(name, _)| names_disk(name) || *name == "template");
    let storage = |volume: &str| {
        let (storage, rest) = volume.split_once(':')?;
        let is_image = ["iso/", "vztmpl/", "import/"].iter().any(|content| rest.starts_with(content));
        is_image.then(|| storage.to_owned())
    };
    let parts = values.flat_map(|(_, value)| {
        let value = value.to_wire();
        let part = |part: &str| storage(part.split_once('=').map_or(part, |(_, value)| value));
        value.split(',').filter_map(part).collect::<Vec<_>>()
    });
    parts.collect()
}

/// The storage of the backup that a request is about, and whose backup it is. None if it is the target's own.
fn backup_of(request: &Request) -> Option<(String, String)> {
    let volume = match &request.target {
        Target::Volume(volume) => volume.to_string(),
        _ => request.params.get("archive")?.to_wire(),
    };
    let (storage, name) = volume.split_once(':')?;
    let owner = backup_owner(name)?;
    let is_own = request.target.guest().is_some_and(|guest| guest.vmid.to_string() == owner);
    (!is_own).then(|| (storage.to_owned(), owner.to_owned()))
}

/// `backup/vzdump-qemu-100-...` on most storages, `backup/vm/100/...` on a backup server.
fn backup_owner(name: &str) -> Option<&str> {
    let name = name.strip_prefix("backup/")?;
    let mut parts = name.split(['-', '/']);
    let kind = parts.find(|part| ["qemu", "lxc", "vm", "ct"].contains(part));
    kind.and_then(|_| parts.next()).filter(|owner| owner.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Where cards are plugged in, and where those are that they take the place of. Proxmox keeps the right to a plain bridge
/// under the zone `localnetwork`, and that to a VLAN below it.
fn bridges(world: &World, dispatch: Option<&Dispatch>) -> BTreeSet<String> {
    let Some(Dispatch { call, .. }) = dispatch else { return BTreeSet::new() };
    let taken_out: BTreeSet<&str> = config_keys::removed(call).collect();
    let is_touched = |nic: &Nic| call.params.contains_key(&nic.key) || taken_out.contains(nic.key.as_str());
    let old = world.guest().map(Guest::nics).unwrap_or_default().into_iter().filter(is_touched);
    let place = |nic: Nic| {
        let vlan = nic.vlan.map(|vlan| format!("/{vlan}")).unwrap_or_default();
        Some(format!("/sdn/zones/localnetwork/{}{vlan}", nic.bridge?))
    };
    nics_in(&call.params).into_iter().chain(old).filter_map(place).collect()
}

impl Grant {
    fn of(any_of: &[&str], paths: &[String], or: Option<(&str, &str)>) -> Self {
        let at_paths =
            any_of.iter().flat_map(|privilege| paths.iter().map(|path| (*privilege, path.as_str())));
        Self(at_paths.chain(or).map(|(privilege, path)| (privilege.to_owned(), path.to_owned())).collect())
    }

    fn words(&self) -> String {
        let all: Vec<String> =
            self.0.iter().map(|(privilege, path)| format!("{privilege} on {path}")).collect();
        all.join(" or ")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::core::{
        call::{PlanIdentity, dispatch_for},
        hash::PlanHash,
        observe::{Guest, Rights},
        request::{normalise, tests::spec},
        testing::{guest, world_of},
    };

    fn compared(
        action: &str,
        target: &str,
        params: Value,
        held: &[(&str, &str)],
    ) -> Result<PrivilegeReport, Vec<String>> {
        let mut given: BTreeMap<String, BTreeMap<String, bool>> = BTreeMap::new();
        for (privilege, path) in held {
            given.entry((*path).to_owned()).or_default().insert((*privilege).to_owned(), true);
        }
        let config = BTreeMap::from([("scsi0".to_owned(), "local-lvm:vm-100-disk-0,size=8G".to_owned())]);
        let mut world = world_of(Guest { config, ..guest("qemu/100") });
        world.rights = Rights::new(given, BTreeMap::new());
        let request = normalise("default", &spec(action, target, params)).unwrap();
        let hash = PlanHash::of("a test", &1).unwrap();
        let dispatch = dispatch_for(&request, &world, PlanIdentity { hash: &hash, uid: "uid" }).unwrap();
        compare(&request, &world, dispatch.as_ref())
    }

    #[test]
    fn what_is_lacking_is_named_with_its_place() {
        let lacking = compared("start_guest", "qemu/100", json!({}), &[("VM.Audit", "/vms")]).unwrap_err();
        assert_eq!(lacking, ["VM.PowerMgmt on /vms/100"]);
        let held = [("VM.PowerMgmt", "/vms")];
        assert_eq!(compared("start_guest", "qemu/100", json!({}), &held).unwrap().needed, lacking);
    }

    #[test]
    fn a_disk_that_is_there_takes_no_space_and_a_cd_is_no_disk() {
        let config = [("ide2", "local:iso/a.iso,media=cdrom"), ("net0", "virtio,bridge=vmbr0,tag=5")];
        let config = config.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        let met = Guest { config, ..guest("qemu/100") };
        let lacking = |params| {
            let request = normalise("default", &spec("set_guest_config", "qemu/100", params)).unwrap();
            let world = World { rights: Rights::default(), ..world_of(met.clone()) };
            let plan = PlanIdentity { hash: &PlanHash::of("a test", &1).unwrap(), uid: "uid" };
            let dispatch = dispatch_for(&request, &world, plan).unwrap();
            compare(&request, &world, dispatch.as_ref()).unwrap_err()
        };
        assert_eq!(lacking(json!({"scsi1": "tank:vm-100-disk-1"})), ["VM.Config.Disk on /vms/100"]);
        let new = ["Datastore.AllocateSpace on /storage/tank", "VM.Config.Disk on /vms/100"];
        assert_eq!(lacking(json!({"scsi1": "tank:8"})), new);
        assert_eq!(lacking(json!({"delete": "ide2"})), ["VM.Config.CDROM on /vms/100"]);
        let image = "Datastore.AllocateSpace on /storage/local or Datastore.Audit on /storage/local";
        let cd = json!({"ide2": "local:iso/b.iso,media=cdrom"});
        assert_eq!(lacking(cd), [image, "VM.Config.CDROM on /vms/100"]);
        let card = ["SDN.Use on /sdn/zones/localnetwork/vmbr0/5", "VM.Config.Network on /vms/100"];
        assert_eq!(lacking(json!({"delete": "net0"})), card, "it is taken out of where it is");
    }

    #[test]
    fn a_backup_of_another_guest_has_its_own_rights() {
        let lacking = |action: &str, target: &str, params| compared(action, target, params, &[]).unwrap_err();
        for archive in
            ["local:backup/vzdump-qemu-101-2026_11_01-02_00_00.vma.zst", "local:backup/vm/101/2026"]
        {
            let params = json!({"node": "pve1", "archive": archive});
            let needed = [
                "Datastore.AllocateSpace on /storage/local",
                "VM.Allocate on /vms/300",
                "VM.Backup on /vms/101",
            ];
            assert_eq!(lacking("restore_guest", "qemu/300", params), needed, "{archive}");
            let own = lacking("restore_over_guest", "qemu/101", json!({"archive": archive}));
            assert_eq!(own, ["VM.Backup on /vms/101 or VM.Allocate on /vms/101"], "{archive}");
        }
    }

    #[test]
    fn each_setting_needs_its_own_privilege() {
        let params = json!({"cores": 4, "net0": "virtio,bridge=vmbr1", "delete": "scsi0", "cipassword": "ci/password"});
        let lacking = compared("set_guest_config", "qemu/100", params, &[]).unwrap_err();
        for needed in [
            "VM.Config.CPU on /vms/100",
            "VM.Config.Network on /vms/100",
            "VM.Config.Disk on /vms/100",
            "VM.Config.Cloudinit on /vms/100 or VM.Config.Network on /vms/100",
            "SDN.Use on /sdn/zones/localnetwork/vmbr1",
        ] {
            assert!(lacking.iter().any(|words| words == needed), "{needed}: {lacking:?}");
        }
        assert!(!lacking.iter().any(|words| words.contains("VM.Config.Memory")), "{lacking:?}");
    }

    #[test]
    fn a_new_disk_needs_space_where_it_lies() {
        let params = json!({"scsi1": "ceph:32"});
        let held = [("VM.Config.Disk", "/vms")];
        let lacking = compared("set_guest_config", "qemu/100", params, &held).unwrap_err();
        assert_eq!(lacking, ["Datastore.AllocateSpace on /storage/ceph"]);
    }

    #[test]
    fn rights_on_a_pool_are_enough_for_a_guest_that_comes_into_it() {
        let held = [
            ("VM.Clone", "/vms/100"),
            ("VM.Allocate", "/pool/web"),
            ("Datastore.AllocateSpace", "/storage/local-lvm"),
        ];
        assert!(compared("clone_guest", "qemu/100", json!({"newid": 101, "pool": "web"}), &held).is_ok());
        let lacking = compared("clone_guest", "qemu/100", json!({"newid": 101}), &held).unwrap_err();
        assert_eq!(lacking, ["VM.Allocate on /vms/101"]);
    }

    #[test]
    fn a_token_that_may_do_far_more_is_worth_a_word() {
        let held =
            [("VM.PowerMgmt", "/"), ("Permissions.Modify", "/"), ("User.Modify", "/"), ("VM.Audit", "/")];
        let report = compared("start_guest", "qemu/100", json!({}), &held).unwrap();
        assert_eq!(report.beyond, ["Permissions.Modify, User.Modify on /"]);
    }

    #[test]
    fn an_older_release_asks_for_what_it_knows() {
        let spec = spec("add_replication", "replication/100-1", json!({"destination": "pve2"}));
        let request = normalise("default", &spec).unwrap();
        for (version, needed) in
            [("9.2.11", "VM.Replicate on /vms/100"), ("8.4.14", "Datastore.Allocate on /storage")]
        {
            let world =
                World { version: version.into(), rights: Rights::default(), ..world_of(guest("qemu/100")) };
            assert_eq!(compare(&request, &world, None).unwrap_err(), [needed], "{version}");
        }
        let paths = paths(&request);
        assert!(paths.contains("/vms/100") && paths.contains("/storage"), "{paths:?}");
    }

    #[test]
    fn a_privilege_that_only_a_parameter_needs_is_needed_only_with_it() {
        let held = [("VM.PowerMgmt", "/vms/100")];
        assert!(compared("suspend_guest", "qemu/100", json!({}), &held).is_ok());
        assert!(compared("suspend_guest", "qemu/100", json!({"toDisk": true}), &held).is_err());
    }
}
