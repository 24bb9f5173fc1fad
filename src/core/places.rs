//! How much may happen at the same time on one node and with one storage, and whose turn it is.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::{
    api::{Budgets, Intent},
    catalog::Target,
};

use super::{
    call::Dispatch,
    observe::{Disk, Guest, World, disks_in},
    request::Request,
};

/// Reasons of plans for which there is no place yet.
pub const NODE_BUSY: &str = "NodeBusy";
pub const STORAGE_BUSY: &str = "StorageBusy";

/// What the task of a plan is at work on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Occupied {
    /// None if nothing runs on any node for long: what has no task is done when it is answered.
    pub node: Option<String>,
    /// Those of the same name on several nodes count as one: that they are not is nothing that could be seen here.
    pub storages: BTreeSet<String>,
}

/// Parameters of calls that name a storage to write to.
const STORAGE_PARAMS: &[&str] = &["storage", "targetstorage", "target-storage", "statestorage"];

/// What a call will be at work on: the node that carries it out; the storages that hold the guest's disks, those that the
/// call names, and the one that it is about. A call without a task is at work on nothing.
pub fn occupied(request: &Request, dispatch: &Dispatch, world: &World) -> Occupied {
    if !dispatch.call.starts_task {
        return Occupied::default();
    }
    let disks = world.guest().map(Guest::disks).unwrap_or_default();
    let new_disks = disks_in(&dispatch.call.params);
    let disks = disks.iter().chain(&new_disks).filter(|disk| !disk.is_cdrom).map(Disk::storage);
    let storages = named(&dispatch.call.params).chain(disks).chain(target(request));
    Occupied {
        node: Some(dispatch.node.clone()),
        storages: storages.filter(|name| !name.is_empty()).map(str::to_owned).collect(),
    }
}

fn named(params: &BTreeMap<String, String>) -> impl Iterator<Item = &str> {
    let named = STORAGE_PARAMS.iter().filter_map(|name| params.get(*name));
    // A migration may name pairs: `from:to,from:to`.
    named.flat_map(|text| text.split(',')).filter_map(|pair| pair.rsplit(':').next())
}

fn target(request: &Request) -> Option<&str> {
    match &request.target {
        Target::Storage(storage) => Some(storage.as_str()),
        Target::Volume(volume) => Some(volume.storage.as_str()),
        _ => None,
    }
}

/// What a plan whose intent is on record is at work on.
pub fn occupied_by(intent: &Intent) -> Occupied {
    Occupied {
        node: (!intent.task_types.is_empty()).then(|| intent.node.clone()),
        storages: intent.storages.iter().cloned().collect(),
    }
}

/// A plan that is at work, or waits for its turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The plan's name; all plans of an environment are in one namespace.
    pub plan: String,
    /// When the plan was made: the oldest goes first.
    pub made_at: Timestamp,
    pub occupied: Occupied,
}

impl Claim {
    fn comes_before(&self, other: &Self) -> bool {
        (self.made_at, &self.plan) < (other.made_at, &other.plan)
    }
}

/// Why a plan has to wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Busy {
    pub reason: &'static str,
    pub message: String,
}

/// Whether there is a place for a plan, beside those that are at work and those that are older and wait for the same.
///
/// An older plan keeps its turn on everything that it needs, also while only one of these is busy: otherwise a plan that
/// needs two things would never get both at once from those that need one.
pub fn turn(claim: &Claim, at_work: &[Claim], waiting: &[Claim], budgets: Budgets) -> Result<(), Busy> {
    let line = Line { claim, at_work, waiting };
    claim.occupied.node.iter().try_for_each(|node| {
        let what = format!("node {node}");
        line.look(NODE_BUSY, &what, "tasksPerNode", budgets.tasks_per_node, |other| {
            other.node.as_ref() == Some(node)
        })
    })?;
    claim.occupied.storages.iter().try_for_each(|storage| {
        let what = format!("storage {storage}");
        line.look(STORAGE_BUSY, &what, "tasksPerStorage", budgets.tasks_per_storage, |other| {
            other.storages.contains(storage)
        })
    })
}

/// Whose turn it is now, oldest first.
pub fn turns(at_work: &[Claim], waiting: &[Claim], budgets: Budgets) -> Vec<String> {
    let may_go = |claim: &&Claim| turn(claim, at_work, waiting, budgets).is_ok();
    let mut next: Vec<&Claim> = waiting.iter().filter(may_go).collect();
    next.sort_by_key(|claim| (claim.made_at, &claim.plan));
    next.into_iter().map(|claim| claim.plan.clone()).collect()
}

struct Line<'a> {
    claim: &'a Claim,
    at_work: &'a [Claim],
    waiting: &'a [Claim],
}

impl Line<'_> {
    fn look(
        &self,
        reason: &'static str,
        what: &str,
        field: &str,
        budget: u32,
        needs_it: impl Fn(&Occupied) -> bool,
    ) -> Result<(), Busy> {
        let others = |claims: &[Claim]| -> Vec<String> {
            let concerned = claims.iter().filter(|other| other.plan != self.claim.plan);
            concerned.filter(|other| needs_it(&other.occupied)).map(|other| other.plan.clone()).collect()
        };
        let older: Vec<Claim> =
            self.waiting.iter().filter(|other| other.comes_before(self.claim)).cloned().collect();
        let (at_work, before) = (others(self.at_work), others(&older));
        if at_work.len() + before.len() < budget as usize {
            return Ok(());
        }
        let older = if before.is_empty() { String::new() } else { format!("; older: {}", listed(&before)) };
        let message = format!(
            "waits for {what}, where not more than {budget} plans may be at work at once (spec.budgets.{field} of the \
             environment); at work: {}{older}",
            listed(&at_work)
        );
        Err(Busy { reason, message })
    }
}

/// Names enough to see who it is.
fn listed(plans: &[String]) -> String {
    const SHOWN: usize = 8;
    let shown = plans.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    match plans.len() {
        0 => "none".to_owned(),
        all if all > SHOWN => format!("{shown} and {} more", all - SHOWN),
        _ => shown,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::core::{
        call::{PlanIdentity, dispatch_for},
        observe::Met,
        request::{normalise, tests::spec},
        testing::{all_rights, guest, world_of},
    };

    fn claim(plan: &str, made_at: i64, node: &str, storages: &[&str]) -> Claim {
        Claim {
            plan: plan.to_owned(),
            made_at: Timestamp::from_second(made_at).unwrap(),
            occupied: Occupied {
                node: Some(node.to_owned()),
                storages: storages.iter().map(|name| (*name).to_owned()).collect(),
            },
        }
    }

    const TWO_AND_ONE: Budgets = Budgets { tasks_per_node: 2, tasks_per_storage: 1 };

    #[test]
    fn a_plan_goes_as_long_as_there_is_a_place_on_its_node_and_storages() {
        let at_work = [claim("a", 1, "pve1", &["tank"])];
        let ask = |claim: &Claim| turn(claim, &at_work, &[], TWO_AND_ONE);
        assert_eq!(ask(&claim("b", 2, "pve1", &["local"])), Ok(()));
        assert_eq!(ask(&claim("b", 2, "pve2", &[])), Ok(()));
        let busy = ask(&claim("b", 2, "pve2", &["tank"])).unwrap_err();
        assert_eq!(busy.reason, STORAGE_BUSY);
        assert!(busy.message.contains("storage tank") && busy.message.contains("at work: a"), "{busy:?}");
        let at_work = [claim("a", 1, "pve1", &[]), claim("b", 2, "pve1", &[])];
        let busy = turn(&claim("c", 3, "pve1", &[]), &at_work, &[], TWO_AND_ONE).unwrap_err();
        assert_eq!(busy.reason, NODE_BUSY);
        assert!(busy.message.contains("at work: a, b"), "{busy:?}");
    }

    #[test]
    fn a_plan_does_not_stand_in_its_own_way() {
        let own = claim("a", 1, "pve1", &["tank"]);
        assert_eq!(turn(&own, std::slice::from_ref(&own), std::slice::from_ref(&own), TWO_AND_ONE), Ok(()));
    }

    #[test]
    fn the_oldest_goes_first() {
        let waiting = [claim("new", 9, "pve1", &["tank"]), claim("old", 1, "pve2", &["tank"])];
        assert_eq!(turns(&[], &waiting, TWO_AND_ONE), ["old"]);
        let busy = turn(&waiting[0], &[], &waiting, TWO_AND_ONE).unwrap_err();
        assert!(busy.message.contains("at work: none; older: old"), "{busy:?}");
    }

    #[test]
    fn nobody_overtakes_a_plan_that_needs_several_things() {
        let at_work = [claim("a", 0, "pve1", &["tank"])];
        let waiting = [claim("old", 1, "pve1", &["tank", "fast"]), claim("new", 2, "pve2", &["fast"])];
        assert!(turns(&at_work, &waiting, TWO_AND_ONE).is_empty());
        assert_eq!(turns(&[], &waiting, TWO_AND_ONE), ["old"]);
    }

    #[test]
    fn everybody_for_whom_there_is_a_place_goes_at_once() {
        let waiting = [
            claim("c", 3, "pve1", &[]),
            claim("a", 1, "pve1", &[]),
            claim("b", 2, "pve1", &[]),
            claim("d", 4, "pve2", &[]),
        ];
        assert_eq!(turns(&[], &waiting, TWO_AND_ONE), ["a", "b", "d"]);
    }

    fn occupied_by_plan(action: &str, target: &str, params: serde_json::Value, world: &World) -> Occupied {
        let request = normalise("default", &spec(action, target, params)).unwrap();
        let hash = request.hash().unwrap().to_string().parse().unwrap();
        let dispatch = dispatch_for(&request, world, PlanIdentity { hash: &hash, uid: "uid" }).unwrap();
        occupied(&request, &dispatch.unwrap(), world)
    }

    fn on(node: &str, storages: &[&str]) -> Occupied {
        claim("a", 1, node, storages).occupied
    }

    fn guest_with(reference: &str, config: &[(&str, &str)]) -> World {
        let config = config.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        world_of(Guest { config, ..guest(reference) })
    }

    #[test]
    fn every_kind_of_disk_counts_once_for_its_storage() {
        let world = guest_with(
            "qemu/100",
            &[
                ("scsi0", "tank:100/vm-100-disk-0.qcow2,size=8G"),
                ("virtio15", "file=fast:vm-100-disk-1,ssd=1"),
                ("efidisk0", "tank:100/vm-100-disk-2.raw"),
                ("unused3", "old:vm-100-disk-9"),
                ("rootfs", "volume=ct:subvol-1"),
                ("mp0", "tank:subvol-2,mp=/srv"),
                ("scsihw", "virtio-scsi-pci"),
                ("net0", "virtio=AA:BB"),
            ],
        );
        let start = occupied_by_plan("start_guest", "qemu/100", json!({}), &world);
        assert_eq!(start, on("pve1", &["ct", "fast", "old", "tank"]));
    }

    #[test]
    fn media_devices_and_folders_of_the_host_are_no_disks() {
        let world = guest_with(
            "qemu/100",
            &[
                ("ide2", "local:iso/debian.iso,media=cdrom"),
                ("ide0", "none,media=cdrom"),
                ("scsi1", "/dev/sdb,backup=0"),
                ("mp1", "/srv/data,mp=/data"),
                ("ide3", "tank:vm-100-cloudinit,media=cdrom"),
            ],
        );
        assert_eq!(occupied_by_plan("start_guest", "qemu/100", json!({}), &world), on("pve1", &[]));
    }

    #[test]
    fn a_call_occupies_the_storages_that_it_names_beside_those_of_the_disks() {
        let world = guest_with("qemu/100", &[("scsi0", "tank:vm-100-disk-0")]);
        let params = json!({"destination": "pve2", "targetStorage": "fast"});
        let migrate = occupied_by_plan("migrate_guest", "qemu/100", params, &world);
        assert_eq!(migrate, on("pve1", &["fast", "tank"]));
        let pairs = BTreeMap::from([("targetstorage".to_owned(), "a:b,c:d".to_owned())]);
        assert_eq!(named(&pairs).collect::<Vec<_>>(), ["b", "d"]);
    }

    #[test]
    fn a_guest_that_is_not_there_yet_occupies_its_node_and_storages() {
        let none = World { target: Met::Absent, rights: all_rights(), ..World::default() };
        let params = json!({"node": "pve3", "scsi0": "tank:8", "ide2": "iso:iso/a.iso,media=cdrom"});
        assert_eq!(occupied_by_plan("create_vm", "qemu/700", params, &none), on("pve3", &["tank"]));
        let params = json!({"node": "pve3", "archive": "store:backup/vzdump-qemu-700-2026_01_01-00_00_00.vma", "storage": "tank"});
        assert_eq!(occupied_by_plan("restore_guest", "qemu/700", params, &none), on("pve3", &["tank"]));
    }

    #[test]
    fn what_is_done_when_it_is_answered_is_at_work_on_nothing() {
        let world = World { rights: all_rights(), ..World::default() };
        let params = json!({"type": "dir", "path": "/srv"});
        assert_eq!(occupied_by_plan("add_storage", "storage/tank", params, &world), Occupied::default());
        let full = [claim("a", 1, "pve1", &[]), claim("b", 1, "pve1", &[])];
        let at_once = Claim { occupied: Occupied::default(), ..claim("c", 2, "pve1", &[]) };
        assert_eq!(turn(&at_once, &full, &[], TWO_AND_ONE), Ok(()));
    }
}
