//! Whether what came by git was signed for: by the proofs in a bundle, without the repository.

use crate::{
    core::{
        audit::{AuditRecord, Origin, origins, without_origin},
        provenance::VERIFIED,
    },
    git::check_proof,
};

/// What the proofs show, in words.
#[derive(Debug, Default)]
pub(super) struct Proofs {
    pub(super) told: Vec<String>,
    pub(super) problems: Vec<String>,
}

impl Proofs {
    pub(super) fn of(records: &[AuditRecord]) -> Self {
        let mut proofs = Self::default();
        for of_one_commit in by_commit(origins(records)) {
            proofs.add(&of_one_commit);
        }
        let lacking = without_origin(records).into_iter();
        let lacking = lacking.map(|object| format!("{object}: came by git, and its commit is not on record"));
        proofs.problems.extend(lacking);
        proofs
    }

    /// Several lines may tell of the same commit, with a proof or without.
    fn add(&mut self, told: &[Origin]) {
        let Some(newest) = told.last() else { return };
        let object = &newest.from.object;
        let found: Vec<Result<(), String>> = told.iter().filter_map(held_up).collect();
        let mut wrong: Vec<String> = found.iter().filter_map(|found| found.clone().err()).collect();
        wrong.dedup();
        if newest.from.provenance.verdict == VERIFIED && wrong.is_empty() {
            self.told.push(if found.is_empty() { unproven(told, newest) } else { proven(newest) });
        }
        self.problems.extend(wrong.into_iter().map(|why| format!("{object}: {why}")));
    }
}

/// What is told of the same object and commit, together.
fn by_commit(origins: Vec<Origin>) -> Vec<Vec<Origin>> {
    let mut all: Vec<Vec<Origin>> = vec![];
    for origin in origins {
        let is_the_same = |known: &Origin| {
            known.from.object == origin.from.object && known.from.provenance == origin.from.provenance
        };
        match all.iter_mut().find(|known| known.iter().any(is_the_same)) {
            Some(known) => known.push(origin),
            None => all.push(vec![origin]),
        }
    }
    all
}

/// Whether a line's proof bears out what the line says, if it has one.
fn held_up(origin: &Origin) -> Option<Result<(), String>> {
    let proof = origin.from.evidence.proof.as_ref()?;
    let Some(wanted) = &origin.wanted else {
        return Some(Err("it is not on record what was signed for".to_owned()));
    };
    Some(check_proof(proof, wanted, &origin.from.provenance, origin.at))
}

fn proven(origin: &Origin) -> String {
    let provenance = &origin.from.provenance;
    let (commit, signer, key) = (&provenance.commit, &provenance.signer, &provenance.key);
    format!("{}: commit {commit} signed by {signer} with {key}", origin.from.object)
}

fn unproven(told: &[Origin], newest: &Origin) -> String {
    let why = told.iter().find_map(|origin| origin.from.evidence.proof_missing.as_deref());
    let why = why.unwrap_or("none is on record");
    let provenance = &newest.from.provenance;
    let (commit, repository) = (&provenance.commit, &provenance.repository);
    format!("{}: commit {commit} has no proof here, look in {repository}: {why}", newest.from.object)
}
