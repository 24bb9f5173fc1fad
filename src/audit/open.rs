//! Taking up a chain where it was left, whatever the process or the machine died of.

use std::{
    fs::File,
    io::{self, ErrorKind},
    path::Path,
};

use crate::core::audit::{Head, Torn};

use super::{
    segments::{Segment, create, reopen, segments},
    walk::{Met, walk},
};

/// A chain that can be written on.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) segment: Segment,
    pub(super) file: File,
    pub(super) length: u64,
    /// The last line; none if there was never any.
    pub(super) head: Option<Head>,
    /// What a crash has left after it.
    pub(super) torn: Option<Torn>,
    /// Whatever stands last has no newline.
    pub(super) lacks_newline: bool,
}

/// The end of a segment.
#[derive(Debug, Default)]
pub(super) struct End {
    pub(super) head: Option<Head>,
    pub(super) torn: Option<Torn>,
    pub(super) lacks_newline: bool,
}

/// Reads no more than the last segment that holds a line.
pub(super) fn open(folder: &Path) -> io::Result<Opened> {
    let there = segments(folder)?;
    let Some((last, earlier)) = there.split_last() else {
        let (segment, file) = create(folder, 1)?;
        return Ok(Opened { segment, file, length: 0, head: None, torn: None, lacks_newline: false });
    };
    let End { mut head, torn, lacks_newline } = end_of(last)?;
    for segment in earlier.iter().rev() {
        if head.is_some() {
            break;
        }
        head = end_of(segment)?.head;
    }
    let file = reopen(last)?;
    // What is there was perhaps not on disk yet when the process died.
    file.sync_all()?;
    Ok(Opened { length: file.metadata()?.len(), segment: last.clone(), file, head, torn, lacks_newline })
}

/// Fails if anything else is wrong with the segment than its end.
pub(super) fn end_of(segment: &Segment) -> io::Result<End> {
    let walked = walk(&segment.path, None, |met| match met {
        Met::Line(_) => Ok(()),
        Met::Problem { number, why } => Err(damaged(segment, number, &why)),
    })?;
    let Some(gap) = walked.tail else {
        return Ok(End { head: walked.head, torn: None, lacks_newline: walked.lacks_newline });
    };
    let (torn, lacks_newline) = gap.measure(&segment.path)?;
    Ok(End { head: walked.head, torn: Some(torn), lacks_newline })
}

fn damaged(segment: &Segment, number: u64, why: &str) -> io::Error {
    let text = format!(
        "{}:{number}: {why}. This is not what a crash leaves behind. Run `proxmox-agent audit verify` on the folder, \
         keep it as it is in another place, and start with an empty one; nothing is sent until then",
        segment.path.display()
    );
    io::Error::new(ErrorKind::InvalidData, text)
}
