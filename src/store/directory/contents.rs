//! What the store holds: the files as they are now, the objects as they were accepted.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::json;
use tokio::sync::watch;

use super::{
    document::Id,
    files::{Files, SETTLE, Scan},
    kinds::Kinds,
    object::Object,
    refused::{Refusal, dated},
    state::State,
};
use crate::{
    ports::{Clock, Key, Notice, Severity, StoreError},
    store::refusals::Refusals,
};

/// How long an object whose file is gone keeps its identity. Editors and `git checkout` remove a file and write it
/// anew: that must not cost a plan its status. It can't be read in the meantime.
pub(super) const GRACE: Duration = Duration::from_secs(1);
/// What is refused beyond that is counted, not listed.
const MAX_REFUSED: usize = 1000;

/// An object and what its file says about it right now.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) object: Arc<Object>,
    /// It can be read: its file is there, or it is held.
    pub(super) is_there: bool,
    /// Its file says what was accepted, and nothing else.
    pub(super) is_confirmed: bool,
}

/// What a name stands for.
pub(super) enum Found {
    Object(Arc<Object>),
    Malformed(String),
    Nothing,
}

/// Everything, behind one lock.
#[derive(Debug)]
pub(super) struct Contents {
    pub(super) kinds: Kinds,
    files: Files,
    pub(super) state: State,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) objects: BTreeMap<Id, Entry>,
    /// Objects whose own state can't be read: not taken for new ones.
    pub(super) broken: BTreeMap<Id, String>,
    /// Declared, never accepted.
    pub(super) malformed: BTreeMap<Id, String>,
    /// Since when the file of an object is gone.
    pub(super) missing: BTreeMap<Id, Instant>,
    refused: Vec<Refusal>,
    /// What others found wrong, with the version that they saw.
    reported: BTreeMap<Id, (String, String)>,
    next_version: u64,
    in_the_making: bool,
    /// The last look was not digested to its end.
    unfinished: bool,
    pub(super) changes: watch::Sender<u64>,
    pub(super) told: Refusals,
}

/// What one look at the files yields.
#[derive(Debug, Default)]
pub(super) struct Round {
    pub(super) refusals: Vec<Refusal>,
    pub(super) malformed: BTreeMap<Id, String>,
    /// Named in a file that says nothing usable about them.
    pub(super) spoiled: BTreeSet<Id>,
}

impl Contents {
    pub(super) fn load(
        kinds: Kinds,
        files: Files,
        state: State,
        clock: Arc<dyn Clock>,
    ) -> std::io::Result<Self> {
        let (mut objects, mut broken) = (BTreeMap::new(), BTreeMap::new());
        for definition in kinds.iter() {
            let (kept, unusable) = state.load(&definition.kind, &definition.plural)?;
            for object in kept {
                let entry = Entry { is_there: false, is_confirmed: false, object: Arc::new(object) };
                objects.insert(entry.object.id(), entry);
            }
            for one in unusable {
                let why = format!("its state can't be read, put the file right or remove it: {}", one.why);
                broken.insert(one.id, why);
            }
        }
        let latest = objects.values().filter_map(|e: &Entry| e.object.version().parse::<u64>().ok()).max();
        let refused =
            state.load_refused().and_then(|list| serde_json::from_value(list).ok()).unwrap_or_default();
        Ok(Self {
            next_version: latest.unwrap_or_default() + 1,
            kinds,
            files,
            state,
            clock,
            objects,
            broken,
            malformed: BTreeMap::new(),
            missing: BTreeMap::new(),
            refused,
            reported: BTreeMap::new(),
            in_the_making: false,
            unfinished: true,
            changes: watch::Sender::new(0),
            told: Refusals::default(),
        })
    }

    /// Looks at the directory and digests what has changed.
    pub(super) fn refresh(&mut self) -> Result<(), StoreError> {
        let (scan, changed) =
            self.files.scan(&self.kinds).map_err(|e| unavailable("read the directory", &e))?;
        self.in_the_making = scan.anything_in_the_making();
        if changed || self.unfinished || !self.missing.is_empty() {
            self.unfinished = true;
            self.digest(&scan)?;
            self.unfinished = false;
        }
        Ok(())
    }

    /// When to look again although no file changes.
    pub(super) fn look_again_in(&self) -> Option<Duration> {
        (self.in_the_making || self.unfinished || !self.missing.is_empty()).then_some(SETTLE)
    }

    pub(super) fn refusals(&self) -> Vec<String> {
        self.refused.iter().map(ToString::to_string).collect()
    }

    pub(super) fn anything_in_the_making(&self) -> bool {
        self.in_the_making
    }

    pub(super) fn find(&self, id: &Id) -> Found {
        match self.objects.get(id).filter(|entry| entry.is_there) {
            Some(entry) => Found::Object(Arc::clone(&entry.object)),
            None => match self.malformed.get(id).or_else(|| self.broken.get(id)) {
                Some(why) => Found::Malformed(why.clone()),
                None => Found::Nothing,
            },
        }
    }

    /// Everything of a kind that watchers are told of.
    pub(super) fn of_kind(&self, kind: &str) -> BTreeMap<Key, Result<Arc<Object>, String>> {
        let wrong = self.broken.iter().chain(&self.malformed);
        let wrong =
            wrong.filter(|(id, _)| id.kind == kind).map(|(id, why)| (id.key.clone(), Err(why.clone())));
        let there = self.objects.iter().filter(|(id, entry)| id.kind == kind && entry.is_there);
        wrong.chain(there.map(|(id, entry)| (id.key.clone(), Ok(Arc::clone(&entry.object))))).collect()
    }

    /// Keeps an object, on disk first.
    pub(super) fn keep(&mut self, entry: Entry) -> Result<(), StoreError> {
        let id = entry.object.id();
        let plural =
            self.kinds.find(&id.kind).map(|definition| definition.plural.as_str()).unwrap_or_default();
        self.state
            .keep(plural, &entry.object)
            .map_err(|e| unavailable(&format!("write the state of {id}"), &e))?;
        self.objects.insert(id, entry);
        self.tell_watchers();
        Ok(())
    }

    /// Lets an object go; what was known of it is moved aside.
    pub(super) fn bury(&mut self, id: &Id) -> Result<(), StoreError> {
        let Some(entry) = self.objects.get(id) else { return Ok(()) };
        let plural =
            self.kinds.find(&id.kind).map(|definition| definition.plural.as_str()).unwrap_or_default();
        self.state
            .bury(plural, &entry.object)
            .map_err(|e| unavailable(&format!("move the state of {id}"), &e))?;
        self.objects.remove(id);
        // Its file may be there again and was not taken as long as this one was in the way.
        self.unfinished = true;
        self.tell_watchers();
        Ok(())
    }

    pub(super) fn new_version(&mut self) -> u64 {
        self.next_version += 1;
        self.next_version - 1
    }

    pub(super) fn tell_watchers(&self) {
        self.changes.send_modify(|version| *version = version.wrapping_add(1));
    }

    /// What somebody else found wrong with an object.
    pub(super) fn report(&mut self, id: Id, why: &str) -> Result<(), StoreError> {
        if self.refused.iter().any(|refusal| refusal.is_about(&id)) {
            return Ok(());
        }
        if let Some(entry) = self.objects.get(&id) {
            self.reported.insert(id, (entry.object.version().to_owned(), why.to_owned()));
            self.unfinished = true;
        }
        self.refresh()
    }

    fn digest(&mut self, scan: &Scan) -> Result<(), StoreError> {
        let mut round = Round::default();
        self.judge_all(scan, &mut round)?;
        let Round { mut refusals, mut malformed, .. } = round;
        // What was wrong with a file that is being written is neither put right nor wrong anew, until it is complete.
        let in_the_making = |refusal: &&Refusal| {
            refusal.file.as_ref().and_then(|file| scan.files.get(file)).is_some_and(|file| file.in_the_making)
        };
        for refusal in self.refused.iter().filter(in_the_making) {
            if let Some(id) = refusal.id().filter(|id| !self.objects.contains_key(id)) {
                malformed.entry(id).or_insert_with(|| refusal.why.clone());
            }
            refusals.push(refusal.clone());
        }
        refusals.extend(
            scan.unreadable.iter().map(|(file, why)| Refusal::new(Some((file.as_path(), None)), None, why)),
        );
        refusals.extend(self.broken.iter().map(|(id, why)| Refusal::new(None, Some(id), why)));
        let objects = &self.objects;
        self.reported.retain(|id, (version, _)| {
            objects.get(id).is_some_and(|entry| entry.is_there && entry.object.version() == version)
                && !refusals.iter().any(|refusal| refusal.is_about(id))
        });
        refusals.extend(self.reported.iter().map(|(id, (_, why))| Refusal::new(None, Some(id), why)));
        if refusals.len() > MAX_REFUSED {
            let why = format!("and {} more", refusals.len() - MAX_REFUSED);
            refusals.truncate(MAX_REFUSED);
            refusals.push(Refusal::new(None, None, &why));
        }
        if self.malformed != malformed {
            self.malformed = malformed;
            self.tell_watchers();
        }
        self.keep_refused(refusals)
    }

    fn keep_refused(&mut self, refusals: Vec<Refusal>) -> Result<(), StoreError> {
        let (refusals, new) = dated(refusals, &self.refused, self.clock.now());
        if refusals == self.refused {
            return Ok(());
        }
        let failed = |e| unavailable("write the list of what was refused", &e);
        self.state.keep_refused(&json!(refusals)).map_err(failed)?;
        for refusal in new.into_iter().filter_map(|index| refusals.get(index)) {
            let file = refusal.file.as_deref().unwrap_or(Path::new("-")).display();
            tracing::warn!(%file, kind = refusal.kind(), name = refusal.name(), why = refusal.why, "not accepted");
            self.told.tell(refusal.on_record(refusal.id().and_then(|id| self.uid_of(&id))));
            if let Some(id) = refusal.id() {
                let notice = Notice {
                    severity: Severity::Warning,
                    reason: "Refused".to_owned(),
                    message: refusal.why.clone(),
                };
                self.tell(&id, self.uid_of(&id), &notice);
            }
        }
        self.refused = refusals;
        Ok(())
    }

    fn uid_of(&self, id: &Id) -> Option<&str> {
        self.objects.get(id).map(|entry| entry.object.uid())
    }

    /// Tells people something about an object.
    pub(super) fn tell(&self, id: &Id, uid: Option<&str>, notice: &Notice) {
        let line = json!({
            "time": self.clock.now(), "kind": id.kind, "namespace": id.key.namespace, "name": id.key.name, "uid": uid,
            "severity": format!("{:?}", notice.severity), "reason": notice.reason, "message": notice.message,
        });
        if let Err(error) = self.state.tell(&line) {
            tracing::warn!(%error, object = %id, "failed to write a notice to events.jsonl");
        }
    }
}

pub(super) fn unavailable(what: &str, why: &std::io::Error) -> StoreError {
    StoreError::Unavailable { what: what.to_owned(), why: why.to_string() }
}
