//! Room on the disk that is ours already, so that what a call has come to can be told when the disk is full.

use std::{fs::File, io};

use rustix::{
    fs::{FallocateFlags, fallocate},
    io::Errno,
};

/// Enough for the ends of some hundred tasks with their logs as they usually are, or of sixty with the longest.
pub(super) const RESERVE: u64 = 4 * 1024 * 1024;

/// What was set aside behind the end of a file.
#[derive(Debug, Default)]
pub(super) struct Room {
    until: u64,
}

impl Room {
    /// Makes sure that the file can grow so far, and its reserve further. A file system that sets nothing aside promises
    /// nothing either: there a full disk shows when it is written to.
    pub(super) fn make(&mut self, file: &File, until: u64) -> io::Result<()> {
        let needed = until + RESERVE;
        if needed <= self.until {
            return Ok(());
        }
        // Twice as much, so that not every line has to ask; if that is too much, no more than is needed.
        let set_aside = |until: u64| match fallocate(file, FallocateFlags::KEEP_SIZE, 0, until) {
            Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(until),
            Err(error) => Err(error),
        };
        self.until = set_aside(needed + RESERVE).or_else(|_| set_aside(needed))?;
        Ok(())
    }

    /// The file was cut, and what was set aside behind its end went with it.
    pub(super) fn forget(&mut self) {
        self.until = 0;
    }
}
