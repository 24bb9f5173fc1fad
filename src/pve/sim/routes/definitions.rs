//! Definitions that are kept, shown and judged by their form, and otherwise have no effect here: backup jobs, HA rules,
//! device mappings, SDN zones and networks.
use serde_json::{Map, Value, json};

use super::{Route, data, nothing};
use crate::pve::sim::contract::{Given, config_value};
use crate::pve::sim::engine::Call;
use crate::pve::sim::http::{Answer, Refusal, refuse};
use crate::pve::sim::world::{Config, sha1_hex};

pub(super) const ROUTES: &[Route] = &[
    ("GET", "/cluster/backup", |call| list(call, &BACKUP_JOBS)),
    ("POST", "/cluster/backup", create_backup_job),
    ("GET", "/cluster/backup/{id}", |call| read(call, &BACKUP_JOBS)),
    ("PUT", "/cluster/backup/{id}", |call| update(call, &BACKUP_JOBS)),
    ("DELETE", "/cluster/backup/{id}", |call| delete(call, &BACKUP_JOBS)),
    ("GET", "/cluster/backup-info/not-backed-up", not_backed_up),
    ("GET", "/cluster/ha/rules", |call| list(call, &HA_RULES)),
    ("POST", "/cluster/ha/rules", create_ha_rule),
    ("GET", "/cluster/ha/rules/{rule}", |call| read(call, &HA_RULES)),
    ("PUT", "/cluster/ha/rules/{rule}", |call| update(call, &HA_RULES)),
    ("DELETE", "/cluster/ha/rules/{rule}", |call| delete(call, &HA_RULES)),
    ("GET", "/cluster/mapping/pci", |call| list(call, &PCI_MAPPINGS)),
    ("POST", "/cluster/mapping/pci", |call| create(call, &PCI_MAPPINGS)),
    ("GET", "/cluster/mapping/pci/{id}", |call| read(call, &PCI_MAPPINGS)),
    ("DELETE", "/cluster/mapping/pci/{id}", |call| delete(call, &PCI_MAPPINGS)),
    ("GET", "/cluster/replication", |_| data(Value::Array(Vec::new()))),
    ("GET", "/cluster/sdn/zones", |call| list(call, &ZONES)),
    ("POST", "/cluster/sdn/zones", |call| create(call, &ZONES)),
    ("DELETE", "/cluster/sdn/zones/{zone}", |call| delete(call, &ZONES)),
    ("GET", "/cluster/sdn/vnets", |call| list(call, &NETWORKS)),
    ("POST", "/cluster/sdn/vnets", |call| create(call, &NETWORKS)),
    ("DELETE", "/cluster/sdn/vnets/{vnet}", |call| delete(call, &NETWORKS)),
];

/// What differs between the kinds of definitions.
#[derive(Debug)]
struct Kind {
    /// Its name in a world file.
    name: &'static str,
    /// The parameter that holds the id.
    id: &'static str,
    /// What rows say their type is, where no parameter does.
    row_type: Option<&'static str>,
    /// How messages call it.
    noun: &'static str,
    has_digest: bool,
    /// Changes wait until the whole of the network is applied.
    is_staged: bool,
}

const BACKUP_JOBS: Kind = Kind {
    name: "backupJobs",
    id: "id",
    row_type: Some("vzdump"),
    noun: "job",
    has_digest: false,
    is_staged: false,
};
const HA_RULES: Kind =
    Kind { name: "haRules", id: "rule", row_type: None, noun: "ha rule", has_digest: true, is_staged: false };
const PCI_MAPPINGS: Kind = Kind {
    name: "pciMappings",
    id: "id",
    row_type: Some("pci"),
    noun: "pci mapping",
    has_digest: true,
    is_staged: false,
};
const ZONES: Kind = Kind {
    name: "zones",
    id: "zone",
    row_type: None,
    noun: "sdn zone object",
    has_digest: true,
    is_staged: true,
};
const NETWORKS: Kind = Kind {
    name: "vnets",
    id: "vnet",
    row_type: Some("vnet"),
    noun: "sdn vnet object",
    has_digest: true,
    is_staged: true,
};

fn settings(call: &Call<'_>, kind: &Kind) -> Config {
    let skipped = |name: &str| {
        name == kind.id || matches!(name, "digest" | "delete" | "pending" | "running" | "lock-token")
    };
    let value = |name: &str| match call.parameters.get(name)? {
        Given::List(items) => Some(json!(items)),
        Given::Text(text) => {
            let property = call.operation.parameter(name);
            let is_list = property.is_some_and(|property| property.kind() == "array");
            Some(if is_list { json!([text]) } else { config_value(property, text) })
        }
        Given::Object => None,
    };
    let names = call.parameters.names().filter(|name| !skipped(name));
    names.filter_map(|name| Some((name.to_owned(), value(name)?))).collect()
}

fn shown(call: &Call<'_>, kind: &Kind, id: &str, definition: &Config) -> Value {
    let mut row: Map<String, Value> = definition.clone().into_iter().collect();
    row.insert(kind.id.to_owned(), id.into());
    if let Some(row_type) = kind.row_type {
        row.insert("type".to_owned(), row_type.into());
    }
    if kind.has_digest {
        row.insert(
            "digest".to_owned(),
            sha1_hex(&format!("{:?}", call.state.world.definitions.get(kind.name))).into(),
        );
    }
    if kind.is_staged && call.parameters.flag("pending") {
        row.insert("state".to_owned(), "new".into());
        row.insert("pending".to_owned(), json!({}));
        row.insert("digest".to_owned(), Value::Null);
    }
    Value::Object(row)
}

/// Lists of what everybody may ask for show only what the caller has rights on.
fn is_visible(call: &Call<'_>, kind: &Kind, id: &str, definition: &Config) -> bool {
    let (path, privileges): (String, &[&str]) = match kind.name {
        "pciMappings" => (format!("/mapping/pci/{id}"), &["Mapping.Use", "Mapping.Modify", "Mapping.Audit"]),
        "zones" => (format!("/sdn/zones/{id}"), &["SDN.Audit", "SDN.Allocate"]),
        "vnets" => (network_path(definition, id), &["SDN.Audit", "SDN.Allocate"]),
        _ => return true,
    };
    call.rights().has_any(&path, privileges)
}

fn network_path(network: &Config, id: &str) -> String {
    let zone = network.get("zone").and_then(Value::as_str).unwrap_or("-");
    format!("/sdn/zones/{zone}/{id}")
}

fn list(call: &mut Call<'_>, kind: &Kind) -> Answer {
    let all = call.state.world.definitions.get(kind.name).into_iter().flatten();
    let rows: Vec<Value> = all
        .filter(|(id, definition)| is_visible(call, kind, id, definition))
        .map(|(id, definition)| shown(call, kind, id, definition))
        .collect();
    data(rows)
}

fn missing(call: &Call<'_>, kind: &Kind) -> Refusal {
    let id = call.text(kind.id);
    if kind.name == BACKUP_JOBS.name {
        return Refusal::parameter("id", format!("No such job '{id}'"));
    }
    Refusal::Failed(format!("no such {} '{id}'", kind.noun))
}

fn read(call: &mut Call<'_>, kind: &Kind) -> Answer {
    let id = call.text(kind.id);
    match call.state.world.definitions.get(kind.name).and_then(|all| all.get(id)) {
        Some(definition) => data(shown(call, kind, id, definition)),
        None => Err(missing(call, kind)),
    }
}

fn create(call: &mut Call<'_>, kind: &Kind) -> Answer {
    let id = call.text(kind.id).to_owned();
    insert(call, kind, id)
}

fn insert(call: &mut Call<'_>, kind: &Kind, id: String) -> Answer {
    let mut definition = settings(call, kind);
    if kind.name == NETWORKS.name {
        call.demand(&network_path(&definition, &id), "SDN.Allocate")?;
    }
    if kind.row_type.is_some() {
        definition.remove("type");
    }
    let all = call.state.world.definitions.entry(kind.name.to_owned()).or_default();
    if all.contains_key(&id) {
        return refuse(match kind.name {
            "backupJobs" => format!("Job '{id}' already exists"),
            _ => format!("create {} failed: {} ID '{id}' already defined", kind.noun, kind.noun),
        });
    }
    all.insert(id, definition);
    nothing()
}

fn update(call: &mut Call<'_>, kind: &Kind) -> Answer {
    let (changes, removed) = (settings(call, kind), call.parameters.list("delete"));
    let id = call.text(kind.id).to_owned();
    let all = call.state.world.definitions.entry(kind.name.to_owned()).or_default();
    let Some(definition) = all.get_mut(&id) else {
        return Err(missing(call, kind));
    };
    definition.retain(|key, _| !removed.contains(key));
    definition.extend(changes);
    nothing()
}

fn delete(call: &mut Call<'_>, kind: &Kind) -> Answer {
    let id = call.text(kind.id).to_owned();
    let known = call.state.world.definitions.get(kind.name).and_then(|all| all.get(&id));
    if let Some(network) = known.filter(|_| kind.name == NETWORKS.name) {
        call.demand(&network_path(network, &id), "SDN.Allocate")?;
    }
    if kind.name == ZONES.name {
        demand_unused_zone(call, &id)?;
    }
    let removed = call.state.world.definitions.get_mut(kind.name).and_then(|all| all.remove(&id));
    if removed.is_some() { nothing() } else { Err(missing(call, kind)) }
}

fn demand_unused_zone(call: &Call<'_>, zone: &str) -> Result<(), Refusal> {
    let mut networks = call.state.world.definitions.get(NETWORKS.name).into_iter().flatten();
    match networks.find(|(_, network)| network.get("zone").is_some_and(|used| used == zone)) {
        Some((network, _)) => {
            refuse(format!("delete sdn zone object failed: zone {zone} is used by vnet {network}"))
        }
        None => Ok(()),
    }
}

/// A job without an id gets one.
fn create_backup_job(call: &mut Call<'_>) -> Answer {
    let made_up = || format!("backup-{}", &uuid::Uuid::new_v4().to_string()[..13]);
    let id = call.parameters.text("id").map_or_else(made_up, str::to_owned);
    insert(call, &BACKUP_JOBS, id.clone())?;
    let next = call.state.clock.seconds() / 86_400 * 86_400 + 86_400;
    if let Some(job) = call.state.world.definitions.get_mut(BACKUP_JOBS.name).and_then(|all| all.get_mut(&id))
    {
        job.entry("enabled".to_owned()).or_insert_with(|| 1.into());
        job.insert("next-run".to_owned(), next.into());
    }
    nothing()
}

fn not_backed_up(call: &mut Call<'_>) -> Answer {
    let jobs =
        || call.state.world.definitions.get(BACKUP_JOBS.name).into_iter().flatten().map(|(_, job)| job);
    let covered = |vmid: &u32| {
        jobs().any(|job| {
            let named = job.get("vmid").and_then(Value::as_str).unwrap_or_default();
            named.split(',').any(|named| named == vmid.to_string())
                || job.get("all").is_some_and(|all| *all == 1)
        })
    };
    let guests = call.state.world.guests.iter().filter(|(vmid, _)| !covered(vmid));
    let visible = guests.filter(|(vmid, _)| call.has(&format!("/vms/{vmid}"), "VM.Audit"));
    let rows: Vec<Value> = visible
        .map(|(vmid, guest)| json!({ "vmid": vmid, "name": guest.name(*vmid), "type": guest.kind.name() }))
        .collect();
    data(rows)
}

/// Rules are judged together with what they are about.
fn create_ha_rule(call: &mut Call<'_>) -> Answer {
    const DOING: &str = "create ha rule failed: ";
    let rule = call.text("rule").to_owned();
    let unknown: Vec<String> = call
        .parameters
        .list("nodes")
        .into_iter()
        .filter(|node| {
            let name = node.split(':').next().unwrap_or_default();
            !call.state.world.nodes.contains_key(name)
        })
        .collect();
    if !unknown.is_empty() {
        return refuse(format!("{DOING}cannot use non-existent node(s) {}.", unknown.join(", ")));
    }
    if call.text("type") == "resource-affinity" && call.parameters.list("resources").len() < 2 {
        let why = "resources: rule is ineffective as there are less than two resources";
        return refuse(format!("{DOING}400 Rule '{rule}' is invalid.\n{why}"));
    }
    insert(call, &HA_RULES, rule.clone())?;
    if let Some(rules) = call.state.world.definitions.get_mut(HA_RULES.name) {
        let order = rules.len();
        if let Some(definition) = rules.get_mut(&rule) {
            definition.insert("order".to_owned(), order.into());
        }
    }
    nothing()
}
