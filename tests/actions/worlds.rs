//! Worlds as JSON: how one is made from another, and how two differ.

use std::{fs, path::Path};

use serde_json::{Map, Value, json};

/// What says nothing about what an action did, or is another thing at every look.
const LEFT_OUT: [&str; 12] = [
    "acl",
    "bootSeconds",
    "faults",
    "groups",
    "lockSeconds",
    "refusalSeconds",
    "replicationSeconds",
    "roles",
    "shutdownSeconds",
    "statsSeconds",
    "taskSeconds",
    "tasks",
];

/// A document of `tests/data/actions`.
pub(crate) fn document(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/actions").join(name);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Puts the parts of a patch in the place of what is there: objects part by part, `null` takes away.
pub(crate) fn patch(world: &mut Value, patch: &Value) {
    let Value::Object(parts) = patch else {
        *world = patch.clone();
        return;
    };
    if !world.is_object() {
        *world = json!({});
    }
    for (key, part) in parts {
        match part {
            Value::Null => drop(world.as_object_mut().unwrap().remove(key)),
            part => self::patch(&mut world[key], part),
        }
    }
}

/// What the state of a simulation says about the cluster, in a form that can be compared.
pub(crate) fn essence(mut world: Value) -> Value {
    let whole = world.as_object_mut().unwrap();
    whole.retain(|key, _| !LEFT_OUT.contains(&key.as_str()));
    for kind in ["guests", "nodes"] {
        for one in whole[kind].as_object_mut().unwrap().values_mut() {
            one.as_object_mut().unwrap().remove("uptime");
        }
    }
    if let Some(Value::Object(definitions)) = whole.get_mut("definitions") {
        definitions.retain(|_, kind| kind.as_object().is_some_and(|kind| !kind.is_empty()));
    }
    whole.retain(|key, part| key != "definitions" || part.as_object().is_some_and(|kinds| !kinds.is_empty()));
    for storage in whole["storages"].as_object_mut().unwrap().values_mut() {
        storage["volumes"] = by_name(storage["volumes"].take());
    }
    world
}

/// Volumes by what tells them apart, so that one more is one difference.
fn by_name(volumes: Value) -> Value {
    let name = |volume: &Value| match volume["node"].as_str() {
        Some(node) => format!("{} on {node}", volume["volid"].as_str().unwrap()),
        None => volume["volid"].as_str().unwrap().to_owned(),
    };
    let Value::Array(volumes) = volumes else { return json!({}) };
    volumes.into_iter().map(|volume| (name(&volume), volume)).collect::<Map<String, Value>>().into()
}

/// The patch that leads from one to the other.
pub(crate) fn difference(before: &Value, after: &Value) -> Value {
    let (Value::Object(old), Value::Object(new)) = (before, after) else { return after.clone() };
    let gone = old.keys().filter(|key| !new.contains_key(*key)).map(|key| (key.clone(), Value::Null));
    let others = new.iter().filter(|(key, value)| old.get(*key) != Some(value));
    let others = others.map(|(key, value)| {
        let change = old.get(key).map_or_else(|| value.clone(), |old| difference(old, value));
        (key.clone(), change)
    });
    gone.chain(others).collect::<Map<String, Value>>().into()
}
