//! Worlds for the tests of the decisions.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::{
    api::{ProxmoxActionPlan, ProxmoxActionPlanSpec},
    catalog::{self, Action, Existence, GuestRef, Target},
};

use super::{
    observe::{Guest, Ha, Met, MigrationCheck, Network, Nodes, Rights, Sdn, Seen, Snapshot, World},
    request::{Request, normalise, tests::spec},
};

pub fn guest_ref(reference: &str) -> GuestRef {
    match reference.parse() {
        Ok(Target::Guest(guest)) => guest,
        _ => panic!("{reference} is no guest"),
    }
}

/// A stopped guest called `web` on `pve1` with one snapshot, `before`.
pub fn guest(reference: &str) -> Guest {
    Guest {
        reference: guest_ref(reference),
        node: "pve1".into(),
        name: "web".into(),
        status: "stopped".into(),
        detail: None,
        uptime: None,
        smbios_uuid: Some("7a4d6a52".into()),
        config_digest: "d1".into(),
        template: false,
        protected: false,
        lock: None,
        ha_managed: false,
        tags: vec![],
        pool: None,
        onboot: false,
        memory: 512 << 20,
        config: BTreeMap::new(),
        pending: BTreeMap::new(),
        snapshots: vec![snapshot("before")],
    }
}

pub fn snapshot(name: &str) -> Snapshot {
    Snapshot {
        name: name.into(),
        description: String::new(),
        parent: None,
        taken_at: None,
        with_memory: false,
        config: BTreeMap::new(),
    }
}

/// A world with nothing but this guest, the target, seen by a token that may do everything any action needs.
pub fn world_of(guest: Guest) -> World {
    World {
        version: "9.2.11".into(),
        target: Met::Guest(Box::new(guest)),
        rights: all_rights(),
        nodes: Seen::Known(Nodes { quorate: true, ..Nodes::default() }),
        guests: Seen::Known(vec![]),
        storages: Seen::Known(vec![]),
        volumes: Seen::Known(vec![]),
        ha: Seen::Known(Ha::default()),
        replication: Seen::Known(vec![]),
        backup_jobs: Seen::Known(vec![]),
        pools: Seen::Known(vec![]),
        network: Seen::Known(Network::default()),
        sdn: Seen::Known(Sdn::default()),
        firewall: Seen::Known(vec![]),
        acl: Seen::Known(vec![]),
        migration: Seen::Known(MigrationCheck::default()),
        active_tasks: Seen::Known(vec![]),
    }
}

pub fn all_rights() -> Rights {
    let of_actions = catalog::actions().flat_map(|action| action.needs).flat_map(|need| need.any_of.iter());
    let of_settings = ["CDROM", "CPU", "Cloudinit", "Disk", "HWType", "Memory", "Network", "Options"]
        .map(|key| format!("VM.Config.{key}"));
    let all = of_actions.map(ToString::to_string).chain(of_settings).map(|privilege| (privilege, true));
    Rights::new(BTreeMap::from([("/".to_owned(), all.collect())]), BTreeMap::new())
}

/// A plan as it is kept, with the uid `uid`.
pub fn plan(name: &str, spec: &ProxmoxActionPlanSpec) -> ProxmoxActionPlan {
    let mut plan = ProxmoxActionPlan::new(name, spec.clone());
    plan.metadata.uid = Some("uid".into());
    plan.metadata.namespace = Some("default".into());
    plan
}

/// A request for an action with no more than it needs.
pub fn asked(action: &Action, target: &str) -> Request {
    let required = action.params().filter(|param| param.required);
    let mut params: serde_json::Map<String, Value> =
        required.map(|param| (param.name.to_owned(), example(param))).collect();
    // A change of settings names at least one; a note touches nobody.
    let note = ["description", "comment"].into_iter().find(|name| action.param(name).is_some());
    if let Some(note) = note.filter(|_| params.is_empty() && action.existence == Existence::Exists) {
        params.insert(note.to_owned(), json!("a note"));
    }
    normalise("default", &spec(action.name, target, Value::Object(params))).unwrap()
}

/// The first of these that a parameter takes.
fn example(param: &catalog::Param) -> Value {
    let examples = match param.name {
        "destination" => vec![json!("pve2")],
        "node" => vec![json!("pve1")],
        "iface" => vec![json!("vmbr0")],
        "disk" => vec![json!("scsi0")],
        "snapshot" => vec![json!("before")],
        _ => vec![
            json!(1),
            json!(100),
            json!("+5G"),
            json!("local:backup/x"),
            json!("https://example.org/x"),
            json!("sha256"),
            json!("a1"),
            json!("vm:100"),
            json!(true),
        ],
    };
    let words = ["in", "iso", "dir", "node-affinity", "freeze", "snapshot"].map(|word| json!(word));
    examples.into_iter().chain(words).find(|value| param.type_.read(value).is_ok()).unwrap()
}
