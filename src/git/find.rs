//! The files of a commit that hold objects of ours.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use git2::{Commit, ErrorCode, ObjectType, Oid, Repository, Tree, TreeWalkMode, TreeWalkResult};
use kube::Resource;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{
    api::{
        GROUP, ProxmoxActionApproval, ProxmoxActionApprovalSpec, ProxmoxActionPlan, ProxmoxActionPlanSpec,
        VERSION,
    },
    yaml,
};

/// As large as an object may be on an API server, roughly.
const LARGEST_FILE: usize = 1 << 20;
/// Who has more was pointed at the wrong folder.
const MOST_FILES: usize = 200_000;
/// Whoever nests folders in each other can make billions of entries out of a few bytes.
const MOST_ENTRIES: usize = 1_000_000;
/// So many files are remembered, and so much of what they hold; then all are forgotten.
const MOST_REMEMBERED: usize = 100_000;
const LARGEST_REMEMBERED: usize = 32 << 20;

/// An object as a file holds it.
#[derive(Debug, PartialEq)]
pub(super) struct Held {
    kind: String,
    /// Whoever applies the file decides if it says nothing.
    namespace: Option<String>,
    name: String,
    spec: Value,
}

impl Held {
    pub(super) fn is(&self, kind: &str, namespace: &str, name: &str) -> bool {
        self.kind == kind && self.name == name && self.namespace.as_deref().is_none_or(|its| its == namespace)
    }

    /// Its spec as this program writes it, whatever was left out or spelled otherwise. `None` if it is none.
    pub(super) fn canonical(&self) -> Option<Value> {
        if self.kind == ProxmoxActionPlan::kind(&()) {
            rewritten::<ProxmoxActionPlanSpec>(&self.spec)
        } else if self.kind == ProxmoxActionApproval::kind(&()) {
            rewritten::<ProxmoxActionApprovalSpec>(&self.spec)
        } else {
            None
        }
    }
}

fn rewritten<S: Serialize + DeserializeOwned>(spec: &Value) -> Option<Value> {
    let typed: S = serde_json::from_value(spec.clone()).ok()?;
    serde_json::to_value(typed).ok()
}

/// What files hold, by the hash of their content: each is parsed once.
#[derive(Debug, Default)]
pub(super) struct Files(Mutex<Remembered>);

#[derive(Debug, Default)]
struct Remembered {
    files: HashMap<Oid, Arc<Vec<Held>>>,
    bytes: usize,
}

impl Remembered {
    fn insert(&mut self, blob: Oid, held: Arc<Vec<Held>>, size: usize) {
        let size = if held.is_empty() { 0 } else { size };
        if self.files.len() >= MOST_REMEMBERED || self.bytes + size > LARGEST_REMEMBERED {
            *self = Self::default();
        }
        self.bytes += size;
        self.files.insert(blob, held);
    }
}

impl Files {
    /// What a file holds; nothing if it is not for us, or too large to be.
    pub(super) fn held(&self, repository: &Repository, blob: Oid) -> Result<Arc<Vec<Held>>, git2::Error> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).files.get(&blob).map(Arc::clone);
        if let Some(known) = known {
            return Ok(known);
        }
        let (size, kind) = repository.odb()?.read_header(blob)?;
        let held = if kind == ObjectType::Blob && size <= LARGEST_FILE {
            Arc::new(held_in(repository.find_blob(blob)?.content()))
        } else {
            Arc::default()
        };
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(blob, Arc::clone(&held), size);
        Ok(held)
    }
}

/// The objects that stand in a file.
pub(super) fn held_in(content: &[u8]) -> Vec<Held> {
    let Ok(text) = std::str::from_utf8(content) else { return vec![] };
    let documents = yaml::documents(text).into_iter().map(|(_, document)| document);
    documents.filter(|document| document.contains(GROUP)).filter_map(object).collect()
}

/// A document that can't be read is no object: what was applied did not come from it.
fn object(document: &str) -> Option<Held> {
    let object = yaml::parse(document).ok()?;
    let text = |pointer: &str| object.pointer(pointer)?.as_str().map(str::to_owned);
    if text("/apiVersion")? != format!("{GROUP}/{VERSION}") {
        return None;
    }
    Some(Held {
        kind: text("/kind")?,
        namespace: text("/metadata/namespace"),
        name: text("/metadata/name")?,
        spec: object.get("spec")?.clone(),
    })
}

/// A YAML file of a commit, by its path from the root.
#[derive(Debug)]
pub(super) struct File {
    pub(super) path: String,
    pub(super) blob: Oid,
}

/// All YAML files of a commit in this folder and below.
pub(super) fn yaml_files(
    repository: &Repository,
    commit: &Commit<'_>,
    folder: &str,
) -> Result<Vec<File>, git2::Error> {
    let folder = folder.trim_matches('/');
    let Some(tree) = below(repository, commit.tree()?, folder)? else { return Ok(vec![]) };
    let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
    let (mut files, mut entries) = (vec![], 0);
    let walked = tree.walk(TreeWalkMode::PreOrder, |parents, entry| {
        entries += 1;
        // Links are not followed, and a name that is no text can't be one of ours.
        if let (Ok(name), 0o100_644 | 0o100_755 | 0o100_664) = (entry.name(), entry.filemode())
            && is_yaml(name)
        {
            files.push(File { path: format!("{prefix}{parents}{name}"), blob: entry.id() });
        }
        let is_too_much = files.len() > MOST_FILES || entries > MOST_ENTRIES;
        if is_too_much { TreeWalkResult::Abort } else { TreeWalkResult::Ok }
    });
    if files.len() > MOST_FILES || entries > MOST_ENTRIES {
        let why = format!(
            "there are more than {MOST_FILES} YAML files or {MOST_ENTRIES} files in it: say in spec.git.path where ours are"
        );
        return Err(git2::Error::from_str(&why));
    }
    walked.map(|()| files)
}

fn below<'r>(
    repository: &'r Repository,
    root: Tree<'r>,
    folder: &str,
) -> Result<Option<Tree<'r>>, git2::Error> {
    if folder.is_empty() {
        return Ok(Some(root));
    }
    match root.get_path(folder.as_ref()) {
        Ok(entry) => Ok(entry.to_object(repository)?.into_tree().ok()),
        Err(error) if error.code() == ErrorCode::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn is_yaml(name: &str) -> bool {
    [".yaml", ".yml", ".json"].iter().any(|end| name.ends_with(end))
}

/// The file of this path in a commit.
pub(super) fn file_at(commit: &Commit<'_>, path: &str) -> Result<Option<Oid>, git2::Error> {
    match commit.tree()?.get_path(path.as_ref()) {
        Ok(entry) => Ok((entry.kind() == Some(ObjectType::Blob)).then(|| entry.id())),
        Err(error) if error.code() == ErrorCode::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: &str =
        "apiVersion: proxmox-agent.io/v1alpha1\nkind: ProxmoxActionPlan\nmetadata: {name: p}\nspec: {a: 1}\n";

    #[test]
    fn a_file_that_names_no_namespace_is_of_whichever_it_is_applied_to() {
        let held = &held_in(PLAN.as_bytes())[0];
        assert!(held.is("ProxmoxActionPlan", "home", "p") && held.is("ProxmoxActionPlan", "lab", "p"));
        let named = PLAN.replace("name: p", "name: p, namespace: home");
        let held = &held_in(named.as_bytes())[0];
        assert!(held.is("ProxmoxActionPlan", "home", "p") && !held.is("ProxmoxActionPlan", "lab", "p"));
        assert!(!held.is("ProxmoxActionApproval", "home", "p") && !held.is("ProxmoxActionPlan", "home", "q"));
    }

    #[test]
    fn what_is_not_ours_or_no_yaml_holds_nothing() {
        for text in [
            &PLAN.replace("proxmox-agent.io/v1alpha1", "proxmox-agent.io/v2"),
            &PLAN.replace("proxmox-agent.io/v1alpha1", "example.test/proxmox-agent.io"),
            &PLAN.replace("spec: {a: 1}", "spec: {a: 1"),
            &PLAN.replace("spec", "specs"),
            "",
        ] {
            assert_eq!(held_in(text.as_bytes()), [], "{text}");
        }
        assert_eq!(held_in(&[b"# \xff\n", PLAN.as_bytes()].concat()), []);
    }

    #[test]
    fn no_more_is_remembered_than_fits() {
        let folder = tempfile::tempdir().unwrap();
        let repository = Repository::init_bare(folder.path()).unwrap();
        let files = Files::default();
        for number in 0..=LARGEST_REMEMBERED / LARGEST_FILE {
            let reason = "x".repeat(LARGEST_FILE - PLAN.len() - 20);
            let blob = PLAN.replace("a: 1", &format!("a: {number}, b: {reason}"));
            let blob = repository.blob(blob.as_bytes()).unwrap();
            assert_eq!(files.held(&repository, blob).unwrap().len(), 1);
        }
        assert!(files.0.lock().unwrap().bytes <= LARGEST_REMEMBERED);
    }

    #[test]
    fn a_broken_document_hides_no_other_one() {
        assert_eq!(held_in(format!("{PLAN}---\n# proxmox-agent.io\na: [\n---\n{PLAN}").as_bytes()).len(), 2);
    }
}
