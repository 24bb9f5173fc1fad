//! The state directory: what the store has found out, in files for people to read.
//!
//! ```text
//! lock                                      held by the one process that may write here
//! objects/<plural>/<namespace>/<name>.yaml  accepted objects with their uid and status
//! deleted/<plural>/<namespace>/…            objects whose file is gone
//! refused.yaml                              what was not accepted, and why
//! events.jsonl                              what was told, one line each
//! ```
//! A file is written beside its place, synced, renamed, and its folder synced: after a crash it is the old or the new
//! one, never a half.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::Value;

use super::{document::Id, object::Object};
use crate::{ports::Key, yaml};

/// Notices are told, not archived: when this much has been told, the older half goes.
const MAX_EVENTS: u64 = 8 * 1024 * 1024;

/// The state directory, locked.
#[derive(Debug)]
pub(super) struct State {
    root: PathBuf,
    _lock: File,
}

/// A file of the state directory that says nothing that can be used.
#[derive(Debug)]
pub(super) struct Broken {
    pub(super) id: Id,
    pub(super) why: String,
}

/// Why the state directory could not be taken into use.
#[derive(Debug)]
pub(super) enum LockError {
    Taken,
    Io(io::Error),
}

impl From<io::Error> for LockError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl State {
    /// Makes the directory if need be, and locks it.
    pub(super) fn lock(root: PathBuf) -> Result<Self, LockError> {
        make_folder(&root)?;
        let lock = private().create(true).truncate(false).write(true).open(root.join("lock"))?;
        // A predecessor that was just told to stop may need a moment.
        for _ in 0..20 {
            match lock.try_lock() {
                Ok(()) => return Ok(Self { root, _lock: lock }),
                Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(50)),
                Err(TryLockError::Error(error)) => return Err(error.into()),
            }
        }
        Err(LockError::Taken)
    }

    /// All objects of a kind, as far as they can be read. What a crash left half-written is swept away.
    pub(super) fn load(&self, kind: &str, plural: &str) -> io::Result<(Vec<Object>, Vec<Broken>)> {
        let (mut objects, mut broken) = (Vec::new(), Vec::new());
        let of_kind = self.root.join("objects").join(plural);
        for namespace in entries(&of_kind)? {
            for path in entries(&namespace)? {
                if name_of(&path).starts_with('.') {
                    fs::remove_file(&path)?;
                } else if path.extension().is_some_and(|ending| ending == "yaml") {
                    let key = Key::new(
                        name_of(&namespace),
                        path.file_stem().and_then(|n| n.to_str()).unwrap_or_default(),
                    );
                    let id = Id { kind: kind.to_owned(), key };
                    match load_one(&path, &id) {
                        Ok(object) => objects.push(object),
                        Err(why) => broken.push(Broken { id, why: format!("{}: {why}", path.display()) }),
                    }
                }
            }
        }
        Ok((objects, broken))
    }

    pub(super) fn keep(&self, plural: &str, object: &Object) -> io::Result<()> {
        let text = serde_json::to_value(object).map_err(io::Error::from).and_then(|value| print(&value))?;
        let path = self.place("objects", plural, &object.id().key, ".yaml");
        write(&path, text.as_bytes())
    }

    /// Moves an object to those that are gone.
    pub(super) fn bury(&self, plural: &str, object: &Object) -> io::Result<()> {
        let key = object.id().key;
        let from = self.place("objects", plural, &key, ".yaml");
        let to = self.place("deleted", plural, &key, &format!(".{}.yaml", object.uid()));
        make_parent(&to)?;
        fs::rename(&from, &to)?;
        sync_parent(&to)?;
        sync_parent(&from)
    }

    pub(super) fn load_refused(&self) -> Option<Value> {
        yaml::parse(&fs::read_to_string(self.root.join("refused.yaml")).ok()?).ok()
    }

    pub(super) fn keep_refused(&self, refused: &Value) -> io::Result<()> {
        write(&self.root.join("refused.yaml"), print(refused)?.as_bytes())
    }

    /// Appends one line. Not synced: losing a notice stops nobody.
    pub(super) fn tell(&self, notice: &Value) -> io::Result<()> {
        let path = self.root.join("events.jsonl");
        let mut file = private().create(true).append(true).open(&path)?;
        if file.metadata()?.len() > MAX_EVENTS {
            fs::rename(&path, self.root.join("events.older.jsonl"))?;
            file = private().create(true).append(true).open(&path)?;
        }
        file.write_all(format!("{notice}\n").as_bytes())
    }

    fn place(&self, folder: &str, plural: &str, key: &Key, ending: &str) -> PathBuf {
        self.root.join(folder).join(plural).join(&key.namespace).join(format!("{}{ending}", key.name))
    }
}

fn load_one(path: &Path, id: &Id) -> Result<Object, String> {
    let text = fs::read_to_string(path).map_err(|e| e.to_string())?;
    let object: Object = serde_json::from_value(yaml::parse(&text)?).map_err(|e| e.to_string())?;
    if object.id() != *id || object.uid().is_empty() || object.version().parse::<u64>().is_err() {
        return Err(format!("it does not describe {id}"));
    }
    Ok(object)
}

fn print(value: &Value) -> io::Result<String> {
    yaml::print(value).map_err(io::Error::other)
}

/// Plans and approvals say who does what: nobody else's business.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(0o600);
    options
}

fn make_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// The names of new folders must survive a crash as well as the file that is put there.
fn make_parent(path: &Path) -> io::Result<()> {
    let Some(parent) = path.parent() else { return Ok(()) };
    if parent.is_dir() {
        return Ok(());
    }
    make_parent(parent)?;
    make_folder(parent)?;
    sync_parent(parent)
}

fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    make_parent(path)?;
    let beside = path.with_file_name(format!(".{}.tmp", name_of(path)));
    let mut file = private().create(true).truncate(true).write(true).open(&beside)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    sync_parent(path)
}

fn sync_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
}

fn name_of(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}

fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let mut paths = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}
