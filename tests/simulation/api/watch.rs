//! What a watch tells.

use super::{Asked, Change, Objects, What};

/// A watch on one kind, and how far it has come.
#[derive(Clone, Debug)]
pub(crate) struct Watch {
    plural: String,
    selector: String,
    since: u64,
}

impl Watch {
    pub(crate) fn of(asked: &Asked) -> Self {
        let since =
            asked.query("resourceVersion").and_then(|version| version.parse().ok()).unwrap_or_default();
        Self { plural: asked.plural().to_owned(), selector: asked.selector().to_owned(), since }
    }

    /// The next change that concerns it.
    pub(crate) fn next(&mut self, objects: &Objects) -> Option<Change> {
        assert!(self.selector.is_empty(), "no watch of the program has a selector");
        let all = objects.changes();
        let first = all.partition_point(|change| change.version <= self.since);
        let found = all[first..].iter().find(|change| change.id.plural == self.plural).cloned();
        self.since = found.as_ref().map_or(objects.version(), |change| change.version);
        found
    }

    /// One that was told before.
    pub(crate) fn earlier(&self, objects: &Objects) -> Option<Change> {
        let told = |change: &&Change| change.id.plural == self.plural && change.version < self.since;
        objects.changes().iter().rev().filter(told).nth(1).cloned()
    }

    pub(crate) fn plural(&self) -> &str {
        &self.plural
    }
}

/// As it is written on the wire.
pub(crate) fn line(change: &Change) -> Vec<u8> {
    let what = match change.what {
        What::Added => "ADDED",
        What::Modified => "MODIFIED",
        What::Deleted => "DELETED",
    };
    format!("{{\"type\":\"{what}\",\"object\":{}}}\n", change.stored.text).into_bytes()
}
