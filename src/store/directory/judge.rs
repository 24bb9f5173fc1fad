//! What becomes of each object, given what the files say about it.
//!
//! - One document: it is the object. A new one is checked as on creation, another spec as on update. What is refused
//!   changes nothing: the accepted object stays in force.
//! - Several documents of one name: all are reported. None is taken for a new object, and an accepted one stays as it is.
//! - No document: the object is gone, unless its file can't be read or is being written.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
    time::Instant,
};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use uuid::Uuid;

use super::{
    contents::{Contents, Entry, GRACE, Round},
    document::{Declared, Id},
    files::Scan,
    object::Object,
    refused::Refusal,
};
use crate::ports::StoreError;

/// A document and where it stands.
#[derive(Clone, Copy)]
struct Place<'a> {
    file: &'a Path,
    in_the_making: bool,
    declared: &'a Declared,
}

impl Round {
    fn refuse(&mut self, place: Place<'_>, why: &str) {
        let at = Some((place.file, Some(place.declared.line)));
        self.refusals.push(Refusal::new(at, Some(&place.declared.id), why));
    }

    /// Refused, and there is no accepted object of that name.
    fn refuse_new(&mut self, place: Place<'_>, why: &str) {
        self.refuse(place, why);
        self.malformed.insert(place.declared.id.clone(), why.to_owned());
    }
}

impl Contents {
    pub(super) fn judge_all(&mut self, scan: &Scan, round: &mut Round) -> Result<(), StoreError> {
        let mut places: BTreeMap<&Id, Vec<Place<'_>>> = BTreeMap::new();
        for (path, file) in &scan.files {
            for document in file.documents.iter() {
                match document {
                    Ok(declared) => places.entry(&declared.id).or_default().push(Place {
                        file: path,
                        in_the_making: file.in_the_making,
                        declared,
                    }),
                    Err(unusable) => {
                        round.spoiled.extend(unusable.id.clone());
                        if !file.in_the_making {
                            let at = Some((path.as_path(), Some(unusable.line)));
                            round.refusals.push(Refusal::new(at, unusable.id.as_ref(), &unusable.why));
                            if let Some(id) = unusable.id.as_ref().filter(|id| !self.objects.contains_key(id))
                            {
                                round.malformed.insert(id.clone(), unusable.why.clone());
                            }
                        }
                    }
                }
            }
        }
        let ids: BTreeSet<Id> = self.objects.keys().chain(places.keys().copied()).cloned().collect();
        for id in ids {
            let places = places.get(&id).map(Vec::as_slice).unwrap_or_default();
            match (self.objects.get(&id).cloned(), places) {
                (None, places) => self.judge_new(&id, places, round)?,
                (Some(entry), []) => self.judge_absent(&id, entry, scan, round)?,
                (Some(entry), places) => self.judge_present(&id, entry, places, round)?,
            }
        }
        Ok(())
    }

    fn judge_new(&mut self, id: &Id, places: &[Place<'_>], round: &mut Round) -> Result<(), StoreError> {
        let [place] = places else {
            refuse_duplicates(places, |place, why| round.refuse_new(place, why));
            return Ok(());
        };
        // Whether a name is free can't be told while its state can't be read: that is reported already.
        if place.in_the_making || self.broken.contains_key(id) {
            return Ok(());
        }
        let Some(definition) = self.kinds.find(&id.kind) else { return Ok(()) };
        if let Err(why) = definition.check_new(&place.declared.object) {
            round.refuse_new(*place, &why);
            return Ok(());
        }
        let uid = Uuid::parse_str(&self.clock.nonce()).unwrap_or_else(|_| Uuid::new_v4()).to_string();
        let (version, now) = (self.new_version(), Time(self.clock.now()));
        let object = Object::new(place.declared, place.file.to_owned(), uid, version, now);
        self.keep(Entry { object: Arc::new(object), is_there: true, is_confirmed: true })
    }

    fn judge_absent(
        &mut self,
        id: &Id,
        mut entry: Entry,
        scan: &Scan,
        round: &Round,
    ) -> Result<(), StoreError> {
        let object = &entry.object;
        let held = object.is_held();
        if object.is_going() || round.spoiled.contains(id) || scan.is_unclear(&object.file) {
            self.missing.remove(id);
            self.show(id, true, false);
            return Ok(());
        }
        if self.missing.entry(id.clone()).or_insert_with(Instant::now).elapsed() < GRACE {
            self.show(id, held, false);
            return Ok(());
        }
        if held {
            let (version, now) = (self.new_version(), Time(self.clock.now()));
            let object = Arc::make_mut(&mut entry.object);
            object.metadata.deletion_timestamp = Some(now);
            object.metadata.deletion_grace_period_seconds = Some(0);
            object.metadata.resource_version = Some(version.to_string());
            self.keep(Entry { is_there: true, is_confirmed: false, ..entry })?;
        } else {
            self.bury(id)?;
        }
        self.missing.remove(id);
        Ok(())
    }

    fn judge_present(
        &mut self,
        id: &Id,
        mut entry: Entry,
        places: &[Place<'_>],
        round: &mut Round,
    ) -> Result<(), StoreError> {
        self.missing.remove(id);
        if entry.object.is_going() {
            let why =
                "the deleted object of this name is still needed: this one is taken when that one is gone";
            places.iter().for_each(|place| round.refuse(*place, why));
            self.show(id, true, false);
            return Ok(());
        }
        let Some(definition) = self.kinds.find(&id.kind) else { return Ok(()) };
        let [place] = places else {
            refuse_duplicates(places, |place, why| round.refuse(place, why));
            let same = places.iter().any(|p| definition.same_spec(&p.declared.spec, &entry.object.spec));
            self.show(id, true, same);
            return Ok(());
        };
        let (declared, accepted) = (place.declared, &entry.object);
        let same = definition.same_spec(&declared.spec, &accepted.spec);
        if place.in_the_making || (same && says_the_same(place, accepted)) {
            self.show(id, true, same);
            return Ok(());
        }
        if !same {
            let mut wanted = accepted.shown();
            wanted["spec"].clone_from(&declared.spec);
            // Another field beside spec is as wrong here as in a new object.
            let checked = definition.check_new(&declared.object);
            if let Err(why) = checked.and_then(|()| definition.check_change(&wanted, &accepted.shown())) {
                round.refuse(*place, &refused_change(accepted, &why));
                self.show(id, true, false);
                return Ok(());
            }
        }
        let version = self.new_version();
        let object = Arc::make_mut(&mut entry.object);
        place.file.clone_into(&mut object.file);
        object.metadata.labels = Some(declared.labels.clone()).filter(|l| !l.is_empty());
        object.metadata.annotations = Some(declared.annotations.clone()).filter(|a| !a.is_empty());
        object.metadata.resource_version = Some(version.to_string());
        if !same {
            object.spec.clone_from(&declared.spec);
            object.metadata.generation = object.metadata.generation.map(|generation| generation + 1);
        }
        self.keep(Entry { is_there: true, is_confirmed: true, ..entry })
    }

    fn show(&mut self, id: &Id, is_there: bool, is_confirmed: bool) {
        if let Some(entry) = self.objects.get_mut(id)
            && (entry.is_there, entry.is_confirmed) != (is_there, is_confirmed)
        {
            (entry.is_there, entry.is_confirmed) = (is_there, is_confirmed);
            self.tell_watchers();
        }
    }
}

fn says_the_same(place: &Place<'_>, accepted: &Object) -> bool {
    let empty = BTreeMap::new();
    place.file == accepted.file
        && &place.declared.labels == accepted.metadata.labels.as_ref().unwrap_or(&empty)
        && &place.declared.annotations == accepted.metadata.annotations.as_ref().unwrap_or(&empty)
}

fn refused_change(accepted: &Object, why: &str) -> String {
    let consequence = if accepted.is_approval_to_act() {
        "it counts no longer until its file says again what was accepted"
    } else {
        "what was accepted stays in force"
    };
    format!("the change is not taken, {consequence}: {why}")
}

fn refuse_duplicates(places: &[Place<'_>], mut refuse: impl FnMut(Place<'_>, &str)) {
    if places.iter().any(|place| place.in_the_making) {
        return;
    }
    let all: Vec<_> =
        places.iter().take(8).map(|p| format!("{} line {}", p.file.display(), p.declared.line)).collect();
    for place in places {
        refuse(*place, &format!("declared more than once, keep one of: {}", all.join(", ")));
    }
}
