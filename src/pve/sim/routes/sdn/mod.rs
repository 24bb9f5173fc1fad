//! The software-defined network: what is defined waits until the whole of it is applied.
pub(super) mod subnets;
pub(super) mod vnets;
pub(super) mod whole;
pub(super) mod zones;

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::definitions::{self, change, demand_digest, digest, settings, stored, text};
use super::{Route, data, nothing};
use crate::pve::sim::engine::{Call, State};
use crate::pve::sim::http::{Answer, Refusal, refuse};
use crate::pve::sim::world::Config;

/// What differs between the kinds of definitions.
#[derive(Debug)]
struct Kind {
    /// Its name in a world file.
    name: &'static str,
    /// The parameter that holds the id.
    id: &'static str,
    /// How messages call it.
    noun: &'static str,
}

fn applied<'a>(state: &'a State, kind: &Kind) -> Option<&'a BTreeMap<String, Config>> {
    state.world.applied_sdn.as_ref()?.get(kind.name)
}

/// How the definition is shown: as it was defined, as it is in force, or what tells the one from the other.
fn rows(call: &Call<'_>, kind: &Kind) -> Vec<(String, Config, Value)> {
    let none = BTreeMap::new();
    let running = applied(call.state, kind).unwrap_or(&none);
    let defined = call.state.world.definitions.get(kind.name).unwrap_or(&none);
    if call.parameters.flag("pending") {
        let ids = running.keys().chain(defined.keys().filter(|id| !running.contains_key(*id)));
        return ids
            .map(|id| {
                let (old, new) = (running.get(id), defined.get(id));
                let present = new.or(old).cloned().unwrap_or_default();
                (id.clone(), present, pending_row(kind, id, old, new))
            })
            .collect();
    }
    let shown = if call.parameters.flag("running") { running } else { defined };
    let digest = digest(call.state, kind.name);
    let row = |(id, definition): (&String, &Config)| {
        let mut row = definitions::row(definition, kind.id, id);
        row["digest"] = digest.as_str().into();
        (id.clone(), definition.clone(), row)
    };
    shown.iter().map(row).collect()
}

/// What is in force, with the changes that wait beside it.
fn pending_row(kind: &Kind, id: &str, old: Option<&Config>, new: Option<&Config>) -> Value {
    let none = Config::new();
    let (before, after) = (old.unwrap_or(&none), new.unwrap_or(&none));
    let mut row: Map<String, Value> = before.clone().into_iter().collect();
    let mut waiting = Map::new();
    for (key, value) in after {
        if key == "type" {
            row.insert(key.clone(), value.clone());
        } else if before.get(key) != Some(value) {
            waiting.insert(key.clone(), value.clone());
        }
    }
    for key in before.keys().filter(|key| new.is_some() && !after.contains_key(*key)) {
        waiting.insert(key.clone(), "deleted".into());
    }
    let state = match (old, new) {
        (None, _) => Some("new"),
        (_, None) => Some("deleted"),
        _ if waiting.is_empty() => None,
        _ => Some("changed"),
    };
    if let Some(state) = state {
        row.insert("state".to_owned(), state.into());
        row.insert("pending".to_owned(), waiting.into());
    }
    row.insert(kind.id.to_owned(), id.into());
    row.insert("digest".to_owned(), Value::Null);
    Value::Object(row)
}

fn read(call: &Call<'_>, kind: &Kind) -> Answer {
    let id = call.text(kind.id);
    match rows(call, kind).into_iter().find(|(found, _, _)| found == id) {
        Some((_, _, row)) => data(row),
        None => refuse(missing(id)),
    }
}

fn missing(id: &str) -> String {
    format!("sdn '{id}' does not exist")
}

fn create(call: &mut Call<'_>, kind: &Kind, id: String) -> Answer {
    let definition = settings(call, kind.id);
    let doing = format!("create {} failed: ", kind.noun);
    call.state.demand_file_lock("sdn_cfg", &doing)?;
    if call.state.world.definition(kind.name, &id).is_some() {
        return refuse(format!("{doing}{} ID '{id}' already defined", kind.noun));
    }
    stored(call.state, kind.name).insert(id, definition);
    nothing()
}

fn update(call: &mut Call<'_>, kind: &Kind) -> Answer {
    let doing = format!("update {} failed: ", kind.noun);
    call.state.demand_file_lock("sdn_cfg", &doing)?;
    demand_digest(call, &digest(call.state, kind.name), &doing)?;
    if change(call, kind.name, kind.id) {
        return nothing();
    }
    refuse(format!("{doing}{}", missing(call.text(kind.id))))
}

fn delete(call: &mut Call<'_>, kind: &Kind, id: &str) -> Answer {
    let doing = format!("delete {} failed: ", kind.noun);
    call.state.demand_file_lock("sdn_cfg", &doing)?;
    match stored(call.state, kind.name).remove(id) {
        Some(_) => nothing(),
        None => refuse(format!("{doing}{}", missing(id))),
    }
}

/// Where the rights on a network are granted.
fn network_path(call: &Call<'_>, id: &str) -> String {
    let zone = call.state.world.definition("vnets", id).and_then(|network| text(network, "zone"));
    format!("/sdn/zones/{}/{id}", zone.unwrap_or("-"))
}

fn demand_network(call: &Call<'_>, id: &str) -> Result<(), Refusal> {
    call.demand(&network_path(call, id), "SDN.Allocate")
}
