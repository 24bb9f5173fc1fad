//! The files of a chain: `00000001.jsonl` and so on, in a folder for its owner alone.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, ErrorKind},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

/// A predecessor that was just told to stop may need so many moments.
const PATIENCE: u32 = 40;
const MOMENT: Duration = Duration::from_millis(50);

/// One file of a chain.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Segment {
    pub number: u32,
    pub path: PathBuf,
}

/// All segments that are there, in order. Other files are none of ours.
pub(super) fn segments(folder: &Path) -> io::Result<Vec<Segment>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let digits = name.strip_suffix(".jsonl").filter(|digits| digits.len() == 8);
        if let Some(number) = digits.and_then(|digits| digits.parse().ok()) {
            found.push(Segment { number, path });
        }
    }
    found.sort();
    Ok(found)
}

/// Makes the folder if need be, and keeps everybody else out of it for as long as the file that it returns is open.
pub(super) fn take(folder: &Path) -> io::Result<File> {
    if folder.is_file() {
        let why = "it is a file, and the log is a folder of files: name another place, or move the file into a folder";
        return Err(io::Error::new(ErrorKind::NotADirectory, why));
    }
    if !folder.is_dir() {
        DirBuilder::new().mode(0o700).create(folder)?;
        sync_parent(folder)?;
    }
    let lock = File::open(folder)?;
    for _ in 0..PATIENCE {
        match lock.try_lock() {
            Ok(()) => return Ok(lock),
            Err(TryLockError::WouldBlock) => std::thread::sleep(MOMENT),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    let why = "another process writes to it: two writers would fork the chain; give each replica a folder of its own";
    Err(io::Error::new(ErrorKind::ResourceBusy, why))
}

/// The next segment, empty, its name on disk.
pub(super) fn create(folder: &Path, number: u32) -> io::Result<(Segment, File)> {
    let segment = Segment { number, path: folder.join(format!("{number:08}.jsonl")) };
    let file = options().create_new(true).open(&segment.path)?;
    // The name of a new file is on disk only once its folder is.
    File::open(folder)?.sync_all()?;
    Ok((segment, file))
}

pub(super) fn reopen(segment: &Segment) -> io::Result<File> {
    options().open(&segment.path)
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.append(true).read(true).mode(0o600);
    options
}

fn sync_parent(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => File::open(parent)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}
