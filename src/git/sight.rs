//! What a branch says about an object.

use std::{cell::RefCell, collections::HashMap};

use git2::{Commit, Oid, Repository};
use jiff::Timestamp;
use serde_json::Value;

use crate::core::{
    provenance::{Sighting, Signature, Wanted},
    signed::Evidence,
};

use super::{
    find::{Files, file_at, yaml_files},
    history::{History, Origin},
    proof::evidence,
    signature::Signers,
};

/// A branch as it was fetched.
pub(super) struct Look<'a> {
    pub(super) repository: &'a Repository,
    pub(super) tip: Oid,
    /// Only what lies in this folder counts.
    pub(super) path: &'a str,
    pub(super) files: &'a Files,
}

impl Look<'_> {
    pub(super) fn sight(
        &self,
        wanted: &Wanted,
        signers: &Signers,
        now: Timestamp,
    ) -> Result<Sighting, git2::Error> {
        let mut found = self.find(wanted)?;
        let (file, spec) = match found.len() {
            0 => return Ok(Sighting::NoFile),
            1 => found.remove(0),
            _ => return Ok(Sighting::Ambiguous { files: found.into_iter().map(|(file, _)| file).collect() }),
        };
        if spec.as_ref() != Some(&wanted.spec) {
            return Ok(Sighting::Differs { file });
        }
        let history = History::of(self.repository);
        let known = RefCell::default();
        let holds = |commit: &Commit<'_>| self.holds(commit, &file, wanted, &known);
        let commit = match history.origin(self.tip, &holds)? {
            Origin::Commit(commit) => commit,
            Origin::BeforeWhatIsHere => return Ok(Sighting::TooOld { file }),
        };
        if let Some(recorded) = &wanted.recorded_commit
            && *recorded != commit.to_string()
            && self.is_rewritten(&history, recorded, &holds)?
        {
            return Ok(Sighting::Rewritten { file });
        }
        let author = self.repository.find_commit(commit)?.author().to_string();
        let signature = signers.signature(self.repository.odb()?.read(commit)?.data(), now);
        let evidence = self.evidence(commit, &file, &signature, signers)?;
        Ok(Sighting::Brought { file, commit: commit.to_string(), author, signature, evidence })
    }

    /// Of what somebody known has signed.
    fn evidence(
        &self,
        commit: Oid,
        file: &str,
        signature: &Signature,
        signers: &Signers,
    ) -> Result<Evidence, git2::Error> {
        let Signature::Of { key, .. } = signature else { return Ok(Evidence::default()) };
        let Some(public_key) = signers.public_key(key) else { return Ok(Evidence::default()) };
        evidence(self.repository, commit, file, public_key)
    }

    /// Every place of the branch where the object stands, with what it says there.
    fn find(&self, wanted: &Wanted) -> Result<Vec<(String, Option<Value>)>, git2::Error> {
        let tip = self.repository.find_commit(self.tip)?;
        let mut found = vec![];
        for file in yaml_files(self.repository, &tip, self.path)? {
            for held in self.files.held(self.repository, file.blob)?.iter() {
                if held.is(&wanted.kind, &wanted.namespace, &wanted.name) {
                    found.push((file.path.clone(), held.canonical()));
                }
            }
        }
        Ok(found)
    }

    /// Whether a commit holds the object in this file, and as it was applied. What else stands there does not matter:
    /// an approval beside its plan takes nothing away from whoever signed for the plan.
    fn holds(
        &self,
        commit: &Commit<'_>,
        file: &str,
        wanted: &Wanted,
        known: &RefCell<HashMap<Oid, bool>>,
    ) -> Result<bool, git2::Error> {
        let Some(blob) = file_at(commit, file)? else { return Ok(false) };
        if let Some(known) = known.borrow().get(&blob) {
            return Ok(*known);
        }
        let all = self.files.held(self.repository, blob)?;
        let mut same = all.iter().filter(|held| held.is(&wanted.kind, &wanted.namespace, &wanted.name));
        let holds = match (same.next(), same.next()) {
            (Some(held), None) => held.canonical().as_ref() == Some(&wanted.spec),
            _ => false,
        };
        known.borrow_mut().insert(blob, holds);
        Ok(holds)
    }

    /// The commit on record is not in the history any more, or it is and brought the same: then it was taken away
    /// meanwhile, and put back by another one. A file that was only moved was not there yet.
    fn is_rewritten(
        &self,
        history: &History<'_>,
        recorded: &str,
        holds: &dyn Fn(&Commit<'_>) -> Result<bool, git2::Error>,
    ) -> Result<bool, git2::Error> {
        let Ok(recorded) = Oid::from_str(recorded) else { return Ok(true) };
        if !history.contains(self.tip, recorded)? {
            return Ok(true);
        }
        holds(&self.repository.find_commit(recorded)?)
    }
}
