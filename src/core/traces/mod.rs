//! Whether an action was carried out, by what is there now: the natural key that the catalogue names for it.
//!
//! What is not known for sure is [`Traces::Unclear`]: an answer too few calls a person, one too many acts twice.

mod evidence;
mod guests;
mod objects;
mod query;
mod settings;
#[cfg(test)]
mod tests;

use jiff::{SignedDuration, Timestamp};

use crate::{
    api::Intent,
    catalog::{Again, NaturalKey, Target},
};

use super::{judge::Judged, observe::World, request::Request};

pub use query::{places, query};

/// What the target itself tells of a call whose answer never came and whose task can't be found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Traces {
    /// It was carried out: this shows it.
    Done(String),
    /// It was not carried out, and Proxmox would refuse the second of two such calls: it may be sent again.
    NotDone(String),
    /// Nothing tells, for this reason.
    Unclear(String),
}

/// A call that was announced.
#[derive(Clone, Copy, Debug)]
pub struct Announced<'a> {
    pub request: &'a Request,
    /// As it was when the call was announced.
    pub judged: &'a Judged,
    pub intent: &'a Intent,
    /// The plan's, which marks what it makes.
    pub uid: &'a str,
    /// By the clock of the node that was to carry it out.
    pub now: Timestamp,
}

/// For so long nobody will have taken back what the call did, so that things are as if it had never come.
const FRESH: SignedDuration = SignedDuration::from_mins(10);

/// Reads them.
pub fn traces(of: &Announced<'_>, world: &World) -> Traces {
    let key = of.request.action.natural_key;
    let read = match read(of, world, key) {
        Traces::NotDone(why) if key.again() == Again::Taken => {
            Traces::Unclear(format!("{why}; but Proxmox would not refuse a second call"))
        }
        Traces::NotDone(why) if !of.is_fresh() => Traces::Unclear(format!(
            "{why}; but the call is so old that what it did may have been taken back since"
        )),
        read => read,
    };
    match (read, evidence::of(of, world)) {
        (Traces::Unclear(why), Some(evidence)) => Traces::Unclear(format!("{why}; {evidence}")),
        (read, _) => read,
    }
}

fn read(of: &Announced<'_>, world: &World, key: NaturalKey) -> Traces {
    let is_guest = matches!(of.request.target, Target::Guest(_)) && of.request.action.domain != "ha";
    let read = match key {
        NaturalKey::None => Err("what it leaves behind does not tell".to_owned()),
        NaturalKey::SnapshotPresent => guests::snapshot_taken(of, world),
        NaturalKey::SnapshotAbsent => guests::snapshot_removed(of, world),
        NaturalKey::Template => guests::made_a_template(of, world),
        NaturalKey::PowerState => guests::switched(of, world),
        NaturalKey::Present(_) if of.request.action.domain == "firewall" => objects::rule_added(of, world),
        NaturalKey::Present(_) if of.request.action.name == "download_to_storage" => {
            objects::downloaded(of, world)
        }
        NaturalKey::Present(_) if is_guest => guests::made(of, world),
        NaturalKey::Present(_) => objects::made(of, world),
        NaturalKey::Absent(_) if is_guest => guests::gone(of, world),
        NaturalKey::Absent(_) => objects::gone(of, world),
        NaturalKey::Settings(_) => settings::changed(of, world),
    };
    read.unwrap_or_else(Traces::Unclear)
}

impl Announced<'_> {
    fn is_fresh(&self) -> bool {
        self.now.duration_since(self.intent.node_time.0) <= FRESH
    }

    /// What was sent under this name, beyond the plan's own parameters.
    fn sent(&self, name: &str) -> Option<&str> {
        self.judged.preview.calls.first()?.params.get(name).map(String::as_str)
    }

    /// Whether a note carries the plan's mark.
    fn is_marked(&self, note: Option<&String>) -> bool {
        let mark = super::call::mark(self.uid);
        !self.uid.is_empty()
            && note.is_some_and(|note| note.lines().any(|line| line.trim_end().ends_with(&mark)))
    }

    /// Whether the guest's settings are, to the letter, those that the call was made for.
    fn is_unchanged(&self, digest: &str) -> bool {
        self.judged.fingerprint.get("configDigest").is_some_and(|judged| judged == digest)
    }
}
