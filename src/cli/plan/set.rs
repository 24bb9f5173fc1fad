//! Files that are looked at together, so that what one names can be found in another.

use std::{
    collections::BTreeSet,
    fmt, fs,
    io::Read,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use serde::Serialize;
use serde_json::Value;

use crate::{
    api::{ProxmoxActionApproval, ProxmoxActionPlan, ProxmoxEnvironment, ProxmoxPolicy},
    cli::Failure,
    ports::Key,
    store::directory::offline::{self, Checks, Written},
};

/// Everything of ours in some files.
#[derive(Debug, Default)]
pub(super) struct Set {
    pub(super) objects: Vec<(Place, Object)>,
    /// What could not be taken as an object at all, or not for certain.
    pub(super) findings: Vec<Finding>,
    /// Documents of other groups.
    pub(super) others: usize,
}

/// Where an object stands, and what it calls itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Place {
    pub(super) file: String,
    pub(super) line: usize,
    #[serde(flatten)]
    pub(super) id: Option<Id>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Id {
    pub(super) kind: String,
    pub(super) namespace: String,
    pub(super) name: String,
}

/// An object that an API server would take.
#[derive(Debug)]
pub(super) enum Object {
    Plan(Box<ProxmoxActionPlan>),
    Approval(Box<ProxmoxActionApproval>),
    Environment(Box<ProxmoxEnvironment>),
    Policy(Box<ProxmoxPolicy>),
}

/// Something to say about an object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Finding {
    #[serde(flatten)]
    pub(super) place: Place,
    pub(super) severity: Severity,
    pub(super) message: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Severity {
    Problem,
    /// It may be right: these files alone can't tell.
    Note,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: ", self.place.file, self.place.line)?;
        if let Some(Id { kind, name, .. }) = &self.place.id {
            write!(f, "{kind}/{name}: ")?;
        }
        f.write_str(&self.message)
    }
}

impl Id {
    fn new(kind: &str, key: &Key) -> Self {
        Self { kind: kind.to_owned(), namespace: key.namespace.clone(), name: key.name.clone() }
    }
}

impl Set {
    /// Reads files and folders, each file once; `-` is what comes in.
    pub(super) fn of(paths: &[PathBuf], state: Option<&Path>) -> Result<Self, Failure> {
        let (mut set, mut seen) = (Self::default(), BTreeSet::new());
        for path in paths {
            for (file, text) in texts(path, state)? {
                // Whoever names a folder and a file in it means it once.
                if !seen.insert(fs::canonicalize(&file).unwrap_or_else(|_| file.clone())) {
                    continue;
                }
                let name = file.display().to_string();
                match text {
                    Ok(text) => set.take(&name, &text)?,
                    Err(why) => set.refuse(Place { file: name, line: 1, id: None }, why),
                }
            }
        }
        Ok(set)
    }

    /// Reads a text that stands in no file yet.
    pub(super) fn of_text(file: &str, text: &str) -> Result<Self, Failure> {
        let mut set = Self::default();
        set.take(file, text)?;
        Ok(set)
    }

    pub(super) fn plans(&self) -> impl Iterator<Item = &ProxmoxActionPlan> {
        self.objects.iter().filter_map(|(_, object)| match object {
            Object::Plan(plan) => Some(plan.as_ref()),
            _ => None,
        })
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = (&Place, &Id)> {
        let places = self.objects.iter().map(|(place, _)| place);
        let refused = self.findings.iter().map(|finding| &finding.place);
        let all: BTreeSet<&Place> = places.chain(refused).collect();
        all.into_iter().filter_map(|place| Some((place, place.id.as_ref()?)))
    }

    pub(super) fn holds(&self, kind: &str, namespace: &str, name: &str) -> bool {
        self.ids().any(|(_, id)| id.kind == kind && id.namespace == namespace && id.name == name)
    }

    fn take(&mut self, file: &str, text: &str) -> Result<(), Failure> {
        let read = CHECKS.as_ref().map_err(String::clone)?.read(text);
        self.others += read.others;
        for Written { line, id, object, ambiguous } in read.ours {
            let id = id.map(|(kind, key)| Id::new(&kind, &key));
            let place = Place { file: file.to_owned(), line, id };
            ambiguous.into_iter().for_each(|why| self.refuse(place.clone(), why));
            match object {
                Ok(value) => self.objects.push((place, typed(value)?)),
                Err(why) => self.refuse(place, why),
            }
        }
        Ok(())
    }

    fn refuse(&mut self, place: Place, message: String) {
        self.findings.push(Finding { place, severity: Severity::Problem, message });
    }
}

/// Compiled when the first text is read.
static CHECKS: LazyLock<Result<Checks, String>> = LazyLock::new(Checks::new);

type Texts = Vec<(PathBuf, Result<String, String>)>;

fn texts(path: &Path, state: Option<&Path>) -> Result<Texts, Failure> {
    if path == Path::new("-") {
        let mut text = String::new();
        std::io::stdin()
            .read_to_string(&mut text)
            .map_err(|error| format!("failed to read standard input: {error}"))?;
        return Ok(vec![(path.to_owned(), Ok(text))]);
    }
    let unreadable = |error: std::io::Error| format!("failed to read {}: {error}", path.display());
    if !fs::metadata(path).map_err(unreadable)?.is_dir() {
        return Ok(vec![(path.to_owned(), offline::file(path))]);
    }
    let state = state.map_or_else(|| path.join(".proxmox-agent"), Path::to_owned);
    Ok(offline::folder(path, &state).map_err(unreadable)?.into_iter().collect())
}

fn typed(object: Value) -> Result<Object, Failure> {
    let kind = object["kind"].as_str().unwrap_or_default().to_owned();
    Ok(match kind.as_str() {
        "ProxmoxActionPlan" => Object::Plan(serde_json::from_value(object)?),
        "ProxmoxActionApproval" => Object::Approval(serde_json::from_value(object)?),
        "ProxmoxEnvironment" => Object::Environment(serde_json::from_value(object)?),
        _ => Object::Policy(serde_json::from_value(object)?),
    })
}
