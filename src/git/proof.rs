//! A signed file, taken out of its repository while that is at hand, and checked when it may be gone.

use std::path::Path;

use git2::{ObjectType, Odb, Oid, Repository};
use jiff::Timestamp;
use k8s_openapi::ByteString;
use serde_json::Value;

use crate::{
    api::Provenance,
    core::{
        provenance::{Signature, Wanted},
        signed::{Evidence, LARGEST_PROOF, SignedFile},
    },
};

use super::{
    find::{file_at, held_in},
    signature::Signers,
};

/// What proves that a commit brought a file, and that this key signed for it.
pub(super) fn evidence(
    repository: &Repository,
    commit: Oid,
    file: &str,
    public_key: &str,
) -> Result<Evidence, git2::Error> {
    let root = repository.find_commit(commit)?.tree()?;
    let mut trees = vec![root.id()];
    for (end, _) in file.match_indices('/') {
        trees.push(root.get_path(Path::new(&file[..end]))?.id());
    }
    let blob = root.get_path(Path::new(file))?.id();
    let objects = repository.odb()?;
    let mut size = public_key.len();
    for object in [commit, blob].iter().chain(&trees) {
        size += objects.read_header(*object)?.0;
    }
    if size > LARGEST_PROOF {
        let most = LARGEST_PROOF / 1024;
        return Ok(Evidence::missing(format!(
            "the commit, the file and the folders that it lies in take {size} bytes, and {most} KiB are kept at most"
        )));
    }
    let raw = |object: Oid| Ok::<_, git2::Error>(ByteString(objects.read(object)?.data().to_vec()));
    Ok(Evidence::of(SignedFile {
        commit: raw(commit)?,
        trees: trees.into_iter().map(raw).collect::<Result<_, _>>()?,
        blob: raw(blob)?,
        public_key: public_key.to_owned(),
    }))
}

/// Whether a proof bears out what is on record: that who has this key signed for just this object. `at` is when it was
/// put on record: a key that has expired since then was good.
pub fn check_proof(
    proof: &SignedFile,
    wanted: &Wanted,
    on_record: &Provenance,
    at: Timestamp,
) -> Result<(), String> {
    if proof.size() > LARGEST_PROOF {
        return Err("its proof is larger than any that this program makes".to_owned());
    }
    let unreadable = |error: git2::Error| format!("its proof can't be read: {}", error.message());
    let repository = in_memory().map_err(unreadable)?;
    let commit = put(&repository, ObjectType::Commit, &proof.commit).map_err(unreadable)?;
    if commit.to_string() != on_record.commit {
        return Err(format!("its proof is of commit {commit}, and on record is {}", on_record.commit));
    }
    leads_to_the_file(proof, &repository, commit, &on_record.file)?;
    is_signed(proof, on_record, at)?;
    says_what_is_on_record(proof, wanted, &on_record.file)
}

/// A repository for the few objects of a proof. Whatever is put there gets the name that git gives it.
fn in_memory() -> Result<Repository, git2::Error> {
    let objects = Odb::new()?;
    objects.add_new_mempack_backend(1)?;
    Repository::from_odb(objects)
}

fn put(repository: &Repository, kind: ObjectType, object: &ByteString) -> Result<Oid, git2::Error> {
    repository.odb()?.write(kind, &object.0)
}

fn leads_to_the_file(
    proof: &SignedFile,
    repository: &Repository,
    commit: Oid,
    file: &str,
) -> Result<(), String> {
    let leads_nowhere = || format!("the folders in its proof do not lead from commit {commit} to {file}");
    if proof.trees.len() != file.split('/').count() {
        return Err(leads_nowhere());
    }
    for tree in &proof.trees {
        put(repository, ObjectType::Tree, tree).map_err(|_| leads_nowhere())?;
    }
    let found = repository.find_commit(commit).and_then(|commit| file_at(&commit, file));
    let found = found.ok().flatten().ok_or_else(leads_nowhere)?;
    match put(repository, ObjectType::Blob, &proof.blob) {
        Ok(blob) if blob == found => Ok(()),
        _ => Err(format!("the file in its proof is not what commit {commit} holds as {file}")),
    }
}

fn is_signed(proof: &SignedFile, on_record: &Provenance, at: Timestamp) -> Result<(), String> {
    let mut signers = Signers::default();
    signers
        .add(&proof.public_key, &on_record.signer)
        .map_err(|why| format!("the key in its proof can't be used: {why}"))?;
    let why = match signers.signature(&proof.commit.0, at) {
        Signature::Of { key, .. } if key == on_record.key => return Ok(()),
        Signature::Of { key, .. } => {
            format!("is signed with the key {key}, and on record is {}", on_record.key)
        }
        Signature::Unknown { key } | Signature::OfSeveral { key, .. } => {
            format!("is signed with the key {key}, and its proof holds another one")
        }
        Signature::Missing => "is not signed".to_owned(),
        Signature::Invalid { why } => format!("has a signature that does not count: {why}"),
    };
    Err(format!("commit {} {why}", on_record.commit))
}

fn says_what_is_on_record(proof: &SignedFile, wanted: &Wanted, file: &str) -> Result<(), String> {
    let Wanted { kind, namespace, name, spec, .. } = wanted;
    let all = held_in(&proof.blob.0);
    let mut same = all.iter().filter(|held| held.is(kind, namespace, name));
    let held = match (same.next(), same.next()) {
        (Some(held), None) => held,
        (None, _) => return Err(format!("{file} holds no {kind} {namespace}/{name}")),
        (Some(_), Some(_)) => return Err(format!("{file} holds {kind} {namespace}/{name} more than once")),
    };
    let said = held.canonical().unwrap_or_default();
    if said == *spec {
        return Ok(());
    }
    Err(format!("{file} says another {} than is on record", differing(&said, spec).join(", ")))
}

/// The fields in which two specs differ.
fn differing<'a>(said: &'a Value, spec: &'a Value) -> Vec<&'a str> {
    let fields = [said, spec].into_iter().filter_map(Value::as_object).flat_map(|fields| fields.keys());
    let mut names: Vec<&str> =
        fields.filter(|name| said.get(*name) != spec.get(*name)).map(String::as_str).collect();
    names.sort_unstable();
    names.dedup();
    if names.is_empty() { vec!["spec"] } else { names }
}
