//! What the token under test may do: what the catalogue says is needed, and what it takes to see the target.

use std::collections::{BTreeMap, BTreeSet};

use proxmox_agent::catalog::{Existence, Target};
use serde_json::{Value, json};

use crate::book::Entry;

/// A privilege and the path that it is held at.
pub(crate) type Grant = (String, String);
pub(crate) type Grants = BTreeSet<Grant>;

/// Any one of these will do: `VM.Snapshot on /vms/100 or VM.Snapshot.Rollback on /vms/100`.
#[derive(Clone, Debug)]
pub(crate) struct Needed {
    pub words: String,
    pub any_of: Vec<Grant>,
}

impl Needed {
    pub fn read(words: &str) -> Self {
        let grant = |grant: &str| {
            let (privilege, path) = grant.rsplit_once(" on ").unwrap_or_else(|| panic!("{words}"));
            (privilege.to_owned(), path.to_owned())
        };
        Self { words: words.to_owned(), any_of: words.split(" or ").map(grant).collect() }
    }
}

/// What it takes to see the target at all. The catalogue does not list it: without it, the target is not there.
pub(crate) fn sight(entry: &Entry) -> Grants {
    let at = |privilege: &str, path: String| Grants::from([(privilege.to_owned(), path)]);
    let is_to_be = entry.action().existence == Existence::Absent;
    match entry.target() {
        Target::HaRule(_) | Target::BackupJob(_) => at("Sys.Audit", "/".to_owned()),
        _ if is_to_be => Grants::new(),
        Target::Guest(guest) => at("VM.Audit", format!("/vms/{}", guest.vmid)),
        Target::Storage(id) => at("Datastore.Audit", format!("/storage/{id}")),
        Target::Volume(volume) => at("Datastore.Audit", format!("/storage/{}", volume.storage)),
        Target::Pool(id) => at("Pool.Audit", format!("/pool/{id}")),
        Target::Replication(id) => {
            at("VM.Audit", format!("/vms/{}", id.as_str().split('-').next().unwrap_or_default()))
        }
        Target::Node(_) | Target::Cluster | Target::Inventory(_) => Grants::new(),
    }
}

/// The least that will do: of each need the `nth` alternative, or its last.
pub(crate) fn least(needed: &[Needed], nth: usize) -> Grants {
    let pick = |needed: &Needed| needed.any_of[nth.min(needed.any_of.len() - 1)].clone();
    needed.iter().map(pick).collect()
}

/// All that is needed, but nothing of this one need.
pub(crate) fn without(grants: &Grants, lacking: &Needed) -> Grants {
    grants.iter().filter(|grant| !lacking.any_of.contains(grant)).cloned().collect()
}

/// Gives exactly these to the token under test, at these paths and not below.
pub(crate) fn give(world: &mut Value, grants: &Grants) {
    let mut by_path: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (privilege, path) in grants {
        by_path.entry(path).or_default().push(privilege);
    }
    let mut roles = json!({});
    let mut acl = Vec::new();
    for (at, (path, privileges)) in by_path.into_iter().enumerate() {
        let role = format!("Needed{at}");
        roles[&role] = json!(privileges);
        acl.push(json!({"path": path, "who": "agent@pve", "role": role, "propagate": false}));
    }
    world["roles"] = roles;
    world["acl"] = acl.into();
}
