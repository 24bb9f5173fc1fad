//! Definitions that are kept by kind and id: what the files have in common that serve them, and device mappings, which
//! are only kept and shown.
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

use super::{Route, data, nothing};
use crate::pve::sim::contract::{Given, config_value};
use crate::pve::sim::engine::{Call, State};
use crate::pve::sim::http::{Answer, Refusal, refuse};
use crate::pve::sim::world::{Config, sha1_hex};

pub(super) const ROUTES: &[Route] = &[
    ("GET", "/cluster/mapping/pci", list_mappings),
    ("POST", "/cluster/mapping/pci", create_mapping),
    ("GET", "/cluster/mapping/pci/{id}", read_mapping),
    ("DELETE", "/cluster/mapping/pci/{id}", delete_mapping),
];

const PCI_MAPPINGS: &str = "pciMappings";

/// Parameters that say how to act, and are not part of what is defined.
const DIRECTIONS: [&str; 6] = ["digest", "delete", "pending", "running", "lock-token", "node"];

/// What a request says about the definition whose id is in the parameter of that name.
pub(super) fn settings(call: &Call<'_>, id: &str) -> Config {
    let is_direction = |name: &str| {
        DIRECTIONS.contains(&name) && !(name == "node" && call.operation.path.starts_with("/cluster/backup"))
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
    let names = call.parameters.names().filter(|name| *name != id && !is_direction(name));
    names.filter_map(|name| Some((name.to_owned(), value(name)?))).collect()
}

pub(super) fn stored<'a>(state: &'a mut State, kind: &str) -> &'a mut BTreeMap<String, Config> {
    state.world.definitions.entry(kind.to_owned()).or_default()
}

/// Changes a definition as the request says, and answers whether there is such a definition.
pub(super) fn change(call: &mut Call<'_>, kind: &str, id_parameter: &str) -> bool {
    let (changes, removed) = (settings(call, id_parameter), call.parameters.list("delete"));
    let id = call.text(id_parameter).to_owned();
    let Some(definition) = stored(call.state, kind).get_mut(&id) else {
        return false;
    };
    definition.retain(|key, _| !removed.contains(key));
    definition.extend(changes);
    true
}

/// The SHA-1 of the file in which all definitions of the kind are.
pub(super) fn digest(state: &State, kind: &str) -> String {
    sha1_hex(&format!("{:?}", state.world.definitions.get(kind)))
}

/// A change that was thought out for another version of the file is refused.
pub(super) fn demand_digest(call: &Call<'_>, present: &str, doing: &str) -> Result<(), Refusal> {
    match call.parameters.text("digest") {
        Some(given) if given != present => {
            refuse(format!("{doing}detected modified configuration - file changed by other user? Try again."))
        }
        _ => Ok(()),
    }
}

pub(super) fn text<'a>(definition: &'a Config, key: &str) -> Option<&'a str> {
    definition.get(key).and_then(Value::as_str)
}

/// A definition as a row of a list, with its id.
pub(super) fn row(definition: &Config, id_key: &str, id: &str) -> Value {
    let mut row: Map<String, Value> = definition.clone().into_iter().collect();
    row.insert(id_key.to_owned(), id.into());
    Value::Object(row)
}

fn mapping_row(state: &State, id: &str, mapping: &Config) -> Value {
    let mut row = row(mapping, "id", id);
    row["type"] = "pci".into();
    row["digest"] = digest(state, PCI_MAPPINGS).into();
    row
}

/// Lists of what everybody may ask for show only what the caller has rights on.
fn list_mappings(call: &mut Call<'_>) -> Answer {
    let privileges = ["Mapping.Use", "Mapping.Modify", "Mapping.Audit"];
    let visible = |id: &String| call.rights().has_any(&format!("/mapping/pci/{id}"), &privileges);
    let mappings = call.state.world.defined(PCI_MAPPINGS).filter(|(id, _)| visible(id));
    let rows: Vec<Value> = mappings.map(|(id, mapping)| mapping_row(call.state, id, mapping)).collect();
    data(rows)
}

fn read_mapping(call: &mut Call<'_>) -> Answer {
    let id = call.text("id");
    match call.state.world.definition(PCI_MAPPINGS, id) {
        Some(mapping) => data(mapping_row(call.state, id, mapping)),
        None => refuse(format!("no such pci mapping '{id}'")),
    }
}

fn create_mapping(call: &mut Call<'_>) -> Answer {
    let (id, mapping) = (call.text("id").to_owned(), settings(call, "id"));
    if call.state.world.definition(PCI_MAPPINGS, &id).is_some() {
        return refuse(format!("create pci mapping failed: pci mapping ID '{id}' already defined"));
    }
    stored(call.state, PCI_MAPPINGS).insert(id, mapping);
    nothing()
}

fn delete_mapping(call: &mut Call<'_>) -> Answer {
    let id = call.text("id").to_owned();
    match stored(call.state, PCI_MAPPINGS).remove(&id) {
        Some(_) => nothing(),
        None => refuse(format!("no such pci mapping '{id}'")),
    }
}
