//! The directory as it is now: every YAML file in it, read again only if it has changed.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, Metadata},
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use super::{
    document::{self, Document},
    kinds::Kinds,
};

/// A file counts once nobody has written to it for this long: a plan of which only the first lines have arrived may
/// well be valid, and lack `dryRun: true`.
pub(super) const SETTLE: Duration = Duration::from_millis(200);
/// As large as an object may be on an API server, roughly.
const MAX_FILE: u64 = 1024 * 1024;
/// Who has more was pointed at the wrong directory.
const MAX_ENTRIES: usize = 200_000;
const MAX_DEPTH: usize = 32;

/// One look at the directory.
#[derive(Clone, Debug, Default)]
pub(super) struct Scan {
    /// By path below the directory.
    pub(super) files: BTreeMap<PathBuf, File>,
    /// Files and folders that can't be read, and why.
    pub(super) unreadable: BTreeMap<PathBuf, String>,
}

/// One file at one moment.
#[derive(Clone, Debug)]
pub(super) struct File {
    pub(super) documents: Arc<Vec<Document>>,
    /// Somebody may still be writing.
    pub(super) in_the_making: bool,
}

impl Scan {
    pub(super) fn anything_in_the_making(&self) -> bool {
        self.files.values().any(|file| file.in_the_making)
    }

    /// Whether a file is there whose content can't be told: what it held before is not known to be gone.
    pub(super) fn is_unclear(&self, path: &Path) -> bool {
        let file = self.files.get(path);
        file.is_some_and(|f| {
            f.in_the_making || f.documents.iter().any(|d| matches!(d, Err(u) if u.id.is_none()))
        }) || self.unreadable.keys().any(|unreadable| path.starts_with(unreadable))
    }
}

/// Looks at the directory, again and again.
#[derive(Debug)]
pub(super) struct Files {
    root: PathBuf,
    state: PathBuf,
    read: BTreeMap<PathBuf, (Signature, Arc<Vec<Document>>)>,
    unreadable: BTreeMap<PathBuf, String>,
}

/// What changes whenever the content does, unless within the same tick of the clock.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Signature {
    file: (u64, u64, u64),
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Signature {
    fn of(meta: &Metadata) -> Self {
        Self {
            file: (meta.dev(), meta.ino(), meta.len()),
            modified: (meta.mtime(), meta.mtime_nsec()),
            changed: (meta.ctime(), meta.ctime_nsec()),
        }
    }
}

impl Files {
    /// Both paths must be canonical.
    pub(super) fn new(root: PathBuf, state: PathBuf) -> Self {
        Self { root, state, read: BTreeMap::new(), unreadable: BTreeMap::new() }
    }

    /// Everything that is there, and whether it is anything else than at the last look.
    pub(super) fn scan(&mut self, kinds: &Kinds) -> io::Result<(Scan, bool)> {
        let (found, unreadable) = listed(&self.root, &self.state)?;
        let mut scan = Scan { files: BTreeMap::new(), unreadable };
        let mut read = BTreeMap::new();
        let mut changed = false;
        let now = SystemTime::now();
        for (path, (target, meta)) in found {
            let signature = Signature::of(&meta);
            let mut in_the_making = is_recent(now, signature.modified);
            let known = self
                .read
                .remove(&path)
                .filter(|(seen, _)| *seen == signature)
                .map(|(_, documents)| documents);
            changed |= known.is_none() || in_the_making;
            let documents = match known
                .map_or_else(|| read_file(&target, kinds), |known| Ok((known, signature.clone())))
            {
                Ok((documents, after)) => {
                    in_the_making |= after != signature;
                    documents
                }
                Err(why) => {
                    scan.unreadable.insert(path, why);
                    continue;
                }
            };
            // A second write within the same tick would leave the signature as it is: remembered only once it is old.
            if !in_the_making && !is_recent(now, signature.changed) {
                read.insert(path.clone(), (signature, Arc::clone(&documents)));
            }
            scan.files.insert(path, File { documents, in_the_making });
        }
        changed |= !self.read.is_empty() || self.unreadable != scan.unreadable;
        self.read = read;
        self.unreadable.clone_from(&scan.unreadable);
        Ok((scan, changed))
    }
}

/// A moment that lies further ahead than that is the work of another clock, and says nothing.
fn is_recent(now: SystemTime, (seconds, nanos): (i64, i64)) -> bool {
    let now = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_nanos() as i128);
    let age = now - (i128::from(seconds) * 1_000_000_000 + i128::from(nanos));
    age.abs() < SETTLE.as_nanos() as i128
}

/// Every YAML file that counts below a folder, and what of it can't be read. Both paths must be canonical.
pub(super) fn listed(root: &Path, state: &Path) -> io::Result<(Found, BTreeMap<PathBuf, String>)> {
    let mut walk = Walk { root, state, entries: 0, found: BTreeMap::new(), unreadable: BTreeMap::new() };
    walk.folder(root, 0)?;
    Ok((without_second_paths(root, walk.found), walk.unreadable))
}

struct Walk<'a> {
    root: &'a Path,
    state: &'a Path,
    entries: usize,
    found: Found,
    unreadable: BTreeMap<PathBuf, String>,
}

impl Walk<'_> {
    fn folder(&mut self, folder: &Path, depth: usize) -> io::Result<()> {
        let mut names: BTreeSet<PathBuf> = BTreeSet::new();
        for entry in fs::read_dir(folder)? {
            self.entries += 1;
            if self.entries > MAX_ENTRIES {
                return Err(io::Error::other(format!(
                    "it holds more than {MAX_ENTRIES} files: give plans and approvals a directory of their own"
                )));
            }
            names.insert(entry?.path());
        }
        for path in names {
            let hidden = path.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
            if !hidden && path != self.state {
                self.entry(&path, depth)?;
            }
        }
        Ok(())
    }

    fn entry(&mut self, path: &Path, depth: usize) -> io::Result<()> {
        let is_yaml = path.extension().is_some_and(|ending| ending == "yaml" || ending == "yml");
        let Ok(meta) = fs::symlink_metadata(path) else { return Ok(()) }; // Deleted since it was listed.
        if meta.is_dir() {
            let read = if depth < MAX_DEPTH {
                self.folder(path, depth + 1)
            } else {
                Err(io::Error::other(format!("nested more than {MAX_DEPTH} folders deep")))
            };
            return match read {
                Err(_) if self.entries > MAX_ENTRIES => read,
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    self.unreadable(path, format!("the folder can't be read: {error}"));
                    Ok(())
                }
                _ => Ok(()),
            };
        }
        if is_yaml {
            match self.file(path, meta) {
                Ok(Some((target, meta))) => {
                    self.found.insert(self.below(path), (target, meta));
                }
                Ok(None) => {}
                Err(why) => self.unreadable(path, why),
            }
        }
        Ok(())
    }

    /// Where the content is. Links are followed to files only and never out of the directory: what counts here must
    /// be worth write access to this directory, and a loop of folders has no end.
    fn file(&self, path: &Path, meta: Metadata) -> Result<Option<(PathBuf, Metadata)>, String> {
        let (target, meta) = if meta.is_symlink() {
            let target = fs::canonicalize(path).map_err(|e| format!("the link leads nowhere: {e}"))?;
            if !target.starts_with(self.root) || target.starts_with(self.state) {
                return Err("the link leads out of the directory: put the file itself here".to_owned());
            }
            let meta = fs::metadata(&target).map_err(|e| format!("the link's target can't be read: {e}"))?;
            (target, meta)
        } else {
            (path.to_owned(), meta)
        };
        match meta {
            meta if meta.is_dir() => Ok(None),
            meta if !meta.is_file() => Err("not a regular file".to_owned()),
            meta if meta.len() > MAX_FILE => Err(too_large(meta.len())),
            meta => Ok(Some((target, meta))),
        }
    }

    fn below(&self, path: &Path) -> PathBuf {
        path.strip_prefix(self.root).unwrap_or(path).to_owned()
    }

    fn unreadable(&mut self, path: &Path, why: String) {
        self.unreadable.insert(self.below(path), why);
    }
}

/// By path below the folder: where the content is.
pub(super) type Found = BTreeMap<PathBuf, (PathBuf, Metadata)>;

/// A file that is there under its own name and through a link is one file, not a pair of duplicates.
fn without_second_paths(root: &Path, found: Found) -> Found {
    let (mut files, links): (Found, Found) =
        found.into_iter().partition(|(path, (target, _))| root.join(path) == *target);
    let mut targets: BTreeSet<PathBuf> = files.values().map(|(target, _)| target.clone()).collect();
    files.extend(links.into_iter().filter(|(_, (target, _))| targets.insert(target.clone())));
    files
}

fn too_large(size: u64) -> String {
    format!("the file is {size} bytes long, at most {MAX_FILE} are read: split it")
}

fn read_file(path: &Path, kinds: &Kinds) -> Result<(Arc<Vec<Document>>, Signature), String> {
    let (text, after) = read_text(path)?;
    Ok((Arc::new(document::read(&text, kinds)), Signature::of(&after)))
}

pub(super) fn read_text(path: &Path) -> Result<(String, Metadata), String> {
    let mut bytes = Vec::new();
    let read = |bytes: &mut Vec<u8>| {
        let file = fs::File::open(path)?;
        (&file).take(MAX_FILE + 1).read_to_end(bytes)?;
        file.metadata()
    };
    let after = read(&mut bytes).map_err(|error| format!("the file can't be read: {error}"))?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(too_large(bytes.len() as u64));
    }
    let text = String::from_utf8(bytes).map_err(|error| format!("the file is no UTF-8 text: {error}"))?;
    Ok((text, after))
}
