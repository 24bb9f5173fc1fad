//! What is stored: objects, each under a version that counts up over all of them, and every change that was ever made.

use std::{collections::BTreeMap, ops::Deref, sync::Arc, time::Duration};

use serde_json::{Value, json};

use super::rules;
use crate::history;

/// The one namespace that there is.
pub(crate) const NAMESPACE: &str = "default";

/// Plural and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Id {
    pub(crate) plural: String,
    pub(crate) name: String,
}

impl Id {
    pub(crate) fn new(plural: &str, name: &str) -> Self {
        Self { plural: plural.to_owned(), name: name.to_owned() }
    }

    pub(crate) fn plan(name: &str) -> Self {
        Self::new("proxmoxactionplans", name)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Added,
    Modified,
    Deleted,
}

/// One write that was taken.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) version: u64,
    pub(crate) at: Duration,
    pub(crate) what: What,
    pub(crate) id: Id,
    /// As it is afterwards; of one that was deleted, as it was last.
    pub(crate) stored: Stored,
}

/// An object, and how it is written.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) object: Arc<Value>,
    pub(crate) text: Arc<str>,
}

impl Deref for Stored {
    type Target = Value;

    fn deref(&self) -> &Value {
        &self.object
    }
}

/// Why a write was not taken, as the API server says it.
#[derive(Clone, Debug)]
pub(crate) struct Refused {
    pub(crate) code: u16,
    pub(crate) reason: &'static str,
    pub(crate) message: String,
}

impl Refused {
    pub(crate) fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into() }
    }
}

type Written = Result<Stored, Refused>;

#[derive(Debug, Default)]
pub(crate) struct Objects {
    all: BTreeMap<Id, Stored>,
    version: u64,
    made: u64,
    changes: Vec<Change>,
    /// A planted error: the version that a writer has read does not matter.
    pub(crate) forgets_versions: bool,
}

impl Objects {
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    pub(crate) fn changes(&self) -> &[Change] {
        &self.changes
    }

    pub(crate) fn get(&self, id: &Id) -> Written {
        let missing = || Refused::new(404, "NotFound", format!("{} \"{}\" not found", id.plural, id.name));
        self.all.get(id).cloned().ok_or_else(missing)
    }

    /// `selector` names fields by their paths, such as `spec.target=qemu/100`.
    pub(crate) fn list(&self, plural: &str, selector: &str) -> Vec<Stored> {
        let of_kind = self.all.iter().filter(|(id, _)| id.plural == plural);
        of_kind.filter(|(_, stored)| selects(selector, stored)).map(|(_, stored)| stored.clone()).collect()
    }

    pub(crate) fn create(&mut self, plural: &str, mut object: Value, at: Duration) -> Written {
        let id = Id::new(plural, object["metadata"]["name"].as_str().unwrap());
        if self.all.contains_key(&id) {
            return Err(Refused::new(409, "AlreadyExists", format!("{} already exists", id.name)));
        }
        rules::check(plural, &object, None).map_err(|why| Refused::new(422, "Invalid", why))?;
        self.made += 1;
        let meta = object["metadata"].as_object_mut().unwrap();
        meta.insert("namespace".into(), json!(NAMESPACE));
        meta.insert("uid".into(), json!(format!("{:08x}-0000-4000-8000-000000000000", self.made)));
        meta.insert("generation".into(), json!(1));
        meta.insert("creationTimestamp".into(), json!(whole_seconds(at)));
        Ok(self.keep(id, object, What::Added, at))
    }

    /// Whatever else stands in `new`, only the status is taken.
    pub(crate) fn replace_status(&mut self, id: &Id, new: &Value, at: Duration) -> Written {
        let old = self.get(id)?;
        self.fence(id, &old, new)?;
        let mut object = Value::clone(&old);
        object["status"].clone_from(&new["status"]);
        if object == *old {
            return Ok(old);
        }
        rules::check(&id.plural, &object, Some(&old)).map_err(|why| Refused::new(422, "Invalid", why))?;
        Ok(self.keep(id.clone(), object, What::Modified, at))
    }

    /// A merge patch of the finalizers, which is the only patch that is ever sent.
    pub(crate) fn patch_finalizers(&mut self, id: &Id, patch: &Value, at: Duration) -> Written {
        let old = self.get(id)?;
        self.fence(id, &old, patch)?;
        let mut object = Value::clone(&old);
        object["metadata"]["finalizers"].clone_from(&patch["metadata"]["finalizers"]);
        let free = object["metadata"]["finalizers"].as_array().is_none_or(Vec::is_empty);
        if free && !object["metadata"]["deletionTimestamp"].is_null() {
            return Ok(self.remove(id, &object, at));
        }
        if object == *old {
            return Ok(old);
        }
        Ok(self.keep(id.clone(), object, What::Modified, at))
    }

    /// What is held stays, marked as going.
    pub(crate) fn delete(&mut self, id: &Id, at: Duration) -> Written {
        let old = self.get(id)?;
        let is_free = old["metadata"]["finalizers"].as_array().is_none_or(Vec::is_empty);
        let phase = old["status"]["phase"].as_str().unwrap_or_default();
        if is_free && ["Dispatching", "Running"].contains(&phase) {
            let message = format!("plan {} is {phase}", id.name);
            return Err(Refused::new(403, "Forbidden", message));
        }
        if is_free {
            return Ok(self.remove(id, &old, at));
        }
        if !old["metadata"]["deletionTimestamp"].is_null() {
            return Ok(old);
        }
        let mut object = Value::clone(&old);
        object["metadata"]["deletionTimestamp"] = json!(whole_seconds(at));
        object["metadata"]["deletionGracePeriodSeconds"] = json!(0);
        Ok(self.keep(id.clone(), object, What::Modified, at))
    }

    fn fence(&self, id: &Id, old: &Value, new: &Value) -> Result<(), Refused> {
        let (read, now) = (&new["metadata"]["resourceVersion"], &old["metadata"]["resourceVersion"]);
        let another = new["metadata"].get("uid").is_some_and(|uid| *uid != old["metadata"]["uid"]);
        if (!read.is_null() && read != now || another) && !self.forgets_versions {
            let message = format!("{} was read as {read} and is {now} now", id.name);
            return Err(Refused::new(409, "Conflict", message));
        }
        Ok(())
    }

    fn remove(&mut self, id: &Id, last: &Value, at: Duration) -> Stored {
        self.all.remove(id);
        self.record(id.clone(), last.clone(), What::Deleted, at)
    }

    fn keep(&mut self, id: Id, object: Value, what: What, at: Duration) -> Stored {
        let stored = self.record(id.clone(), object, what, at);
        self.all.insert(id, stored.clone());
        stored
    }

    fn record(&mut self, id: Id, mut object: Value, what: What, at: Duration) -> Stored {
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        let stored = Stored { text: object.to_string().into(), object: Arc::new(object) };
        self.changes.push(Change { version: self.version, at, what, id, stored: stored.clone() });
        stored
    }
}

/// Objects are dated by whole seconds.
fn whole_seconds(at: Duration) -> String {
    history::at(Duration::from_secs(at.as_secs())).to_string()
}

fn selects(selector: &str, object: &Value) -> bool {
    let at = |path: &str| object.pointer(&format!("/{}", path.replace('.', "/"))).and_then(Value::as_str);
    let holds = |one: &str| match one.split_once("!=") {
        Some((path, value)) => at(path).unwrap_or_default() != value,
        None => one.split_once('=').is_none_or(|(path, value)| at(path).unwrap_or_default() == value),
    };
    selector.split(',').all(holds)
}
