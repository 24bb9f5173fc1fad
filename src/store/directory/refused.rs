//! What was not accepted: `refused.yaml`, so that nobody has to guess why nothing happens.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::document::Id;
use crate::{core::audit::RefusedObject, ports::Key};

/// One thing that was not accepted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Refusal {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) file: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    pub(super) why: String,
    since: Option<Timestamp>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{}", file.display())?;
            self.line.map_or(Ok(()), |line| write!(f, ":{line}"))?;
            f.write_str(": ")?;
        }
        if let (Some(kind), Some(name)) = (&self.kind, &self.name) {
            write!(f, "{kind} {name}: ")?;
        }
        f.write_str(&self.why)
    }
}

impl Refusal {
    pub(super) fn new(at: Option<(&Path, Option<usize>)>, id: Option<&Id>, why: &str) -> Self {
        Self {
            file: at.map(|(file, _)| file.to_owned()),
            line: at.and_then(|(_, line)| line),
            kind: id.map(|id| id.kind.clone()),
            namespace: id.map(|id| id.key.namespace.clone()),
            name: id.map(|id| id.key.name.clone()),
            why: why.to_owned(),
            since: None,
        }
    }

    pub(super) fn is_about(&self, id: &Id) -> bool {
        self.kind.as_ref() == Some(&id.kind)
            && self.namespace.as_ref() == Some(&id.key.namespace)
            && self.name.as_ref() == Some(&id.key.name)
    }

    pub(super) fn kind(&self) -> Option<&str> {
        self.kind.as_deref()
    }

    pub(super) fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    pub(super) fn id(&self) -> Option<Id> {
        Some(Id {
            kind: self.kind.clone()?,
            key: Key::new(self.namespace.as_deref()?, self.name.as_deref()?),
        })
    }

    /// As others keep it.
    pub(super) fn on_record(&self, uid: Option<&str>) -> crate::ports::Refusal {
        let object = RefusedObject {
            kind: self.kind.clone().unwrap_or_default(),
            name: self.name.clone().unwrap_or_default(),
            uid: uid.unwrap_or_default().to_owned(),
            file: self.file.as_ref().map(|file| file.display().to_string()).unwrap_or_default(),
        };
        let namespace = self.namespace.clone().unwrap_or_default();
        crate::ports::Refusal { namespace, object, why: self.why.clone() }
    }

    /// The same complaint, perhaps on another line.
    fn is_the_same(&self, other: &Self) -> bool {
        let of =
            |r: &Self| (r.file.clone(), r.kind.clone(), r.namespace.clone(), r.name.clone(), r.why.clone());
        of(self) == of(other)
    }
}

/// Dates what is new and keeps the date of what was known; says which are new.
pub(super) fn dated(
    mut now_refused: Vec<Refusal>,
    before: &[Refusal],
    now: Timestamp,
) -> (Vec<Refusal>, Vec<usize>) {
    let mut new = Vec::new();
    for (index, refusal) in now_refused.iter_mut().enumerate() {
        match before.iter().find(|known| known.is_the_same(refusal)) {
            Some(known) => refusal.since = known.since,
            None => {
                refusal.since = Some(now);
                new.push(index);
            }
        }
    }
    (now_refused, new)
}
