//! What the store would make of files, said without keeping anything of them.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use serde_json::Value;

use super::{
    document::{self, Declared, Unusable},
    files::{self, listed},
    kinds::Kinds,
    schema::shortened,
};
use crate::{ports::Key, yaml};

/// One of our objects as it stands in a file.
#[derive(Clone, Debug)]
pub struct Written {
    /// Where it begins.
    pub line: usize,
    /// Its kind and name, if it says as much.
    pub id: Option<(String, Key)>,
    /// As it would be taken, without a status.
    pub object: Result<Value, String>,
    /// What kubectl and Argo CD would take for something else, in words.
    pub ambiguous: Vec<String>,
}

/// What stands in one file.
#[derive(Clone, Debug, Default)]
pub struct Text {
    pub ours: Vec<Written>,
    /// How many documents are of other groups, or none at all.
    pub others: usize,
}

/// The checks of all kinds.
#[derive(Debug)]
pub struct Checks(Kinds);

impl Checks {
    pub fn new() -> Result<Self, String> {
        Kinds::new().map(Self)
    }

    pub fn read(&self, text: &str) -> Text {
        let documents: BTreeMap<usize, &str> =
            yaml::documents(text).into_iter().filter(|(_, document)| says_something(document)).collect();
        let ours: Vec<Written> = document::read(text, &self.0)
            .into_iter()
            .map(|document| match document {
                Ok(declared) => self.judged(&declared, documents.get(&declared.line).unwrap_or(&"")),
                Err(unusable) => refused(unusable),
            })
            .collect();
        Text { others: documents.len().saturating_sub(ours.len()), ours }
    }

    fn judged(&self, declared: &Declared, text: &str) -> Written {
        let Declared { line, id, object, .. } = declared;
        let checked = match self.0.find(&id.kind) {
            Some(definition) => definition.check_new(object),
            None => Err(format!("kind: must be one of {}", self.0.names())),
        };
        Written {
            line: *line,
            id: Some((id.kind.clone(), id.key.clone())),
            object: checked.map(|()| object.clone()),
            ambiguous: yaml::read_otherwise(text).iter().map(in_words).collect(),
        }
    }
}

/// Every YAML file below a folder that counts, by its path, or why it can't be read. `state` does not count.
pub fn folder(root: &Path, state: &Path) -> io::Result<BTreeMap<PathBuf, Result<String, String>>> {
    let canonical = fs::canonicalize(root)?;
    let state = fs::canonicalize(state).unwrap_or_else(|_| state.to_owned());
    let (found, unreadable) = listed(&canonical, &state)?;
    let texts = found.into_iter().map(|(path, (target, _))| (root.join(path), file(&target)));
    Ok(texts.chain(unreadable.into_iter().map(|(path, why)| (root.join(path), Err(why)))).collect())
}

/// The text of a file as far as a store would read it.
pub fn file(path: &Path) -> Result<String, String> {
    files::read_text(path).map(|(text, _)| text)
}

/// One object as people would write it.
pub fn print(object: &Value) -> Result<String, String> {
    yaml::print(object)
}

fn refused(unusable: Unusable) -> Written {
    let Unusable { line, id, why } = unusable;
    Written { line, id: id.map(|id| (id.kind, id.key)), object: Err(why), ambiguous: vec![] }
}

fn says_something(document: &str) -> bool {
    document.lines().any(|line| {
        let line = line.trim_start_matches("---").trim();
        !line.is_empty() && !line.starts_with('#')
    })
}

fn in_words((field, value): &(String, Value)) -> String {
    format!(
        "{field}: kubectl and Argo CD read it as {} where it is not in quotes: put it in quotes if it is a word",
        shortened(value)
    )
}
