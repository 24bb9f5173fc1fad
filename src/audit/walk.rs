//! From line to line through a segment: what follows what, and what a crash has left in between.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom},
    path::Path,
};

use sha2::{Digest, Sha256};

use crate::core::audit::{Head, LARGEST_LINE, NotALine, Stamp, Torn, is_begun, stamp_of};

/// A line that is as it was written.
#[derive(Debug)]
pub struct Line<'a> {
    /// Counted from one, in its file.
    pub number: u64,
    pub stamp: Stamp,
    /// Without its newline.
    pub bytes: &'a [u8],
}

/// What a walk meets.
#[derive(Debug)]
pub enum Met<'a> {
    Line(Line<'a>),
    Problem { number: u64, why: String },
}

/// Bytes that are no lines.
#[derive(Clone, Debug)]
pub(super) struct Gap {
    from: u64,
    until: u64,
    /// Where it begins.
    pub(super) number: u64,
    pub(super) why: String,
    /// It is the first part of one line.
    is_begun: bool,
}

/// What is known at the end of a segment.
#[derive(Debug)]
pub(super) struct Walked {
    /// The last line, if there is any.
    pub(super) head: Option<Head>,
    /// What stands after it.
    pub(super) tail: Option<Gap>,
    /// It is whole but for its newline.
    pub(super) lacks_newline: bool,
    /// Gaps that are marked as what a crash left behind.
    pub(super) torn: u64,
}

/// Reads a segment. `before` is the line that its first one has to follow, if it is known.
pub(super) fn walk(
    path: &Path,
    before: Option<Head>,
    mut meet: impl FnMut(Met<'_>) -> io::Result<()>,
) -> io::Result<Walked> {
    let mut reader = BufReader::with_capacity(256 * 1024, File::open(path)?);
    let mut walked = Walked { head: before, tail: None, lacks_newline: false, torn: 0 };
    let (mut buffer, mut at, mut number) = (Vec::new(), 0, 0);
    while let Some(piece) = next_piece(&mut reader, &mut buffer)? {
        number += 1;
        let from = at;
        at += piece.length;
        let stamp = if piece.is_whole { stamp_of(&buffer) } else { Err(NotALine::TooLong) };
        let stamp = match stamp {
            Ok(stamp) => stamp,
            Err(error) => {
                let is_begun =
                    walked.tail.is_none() && !piece.is_ended && piece.is_whole && is_begun(&buffer);
                let why = error.to_string();
                let gap = walked.tail.get_or_insert(Gap { from, until: at, number, why, is_begun });
                (gap.until, gap.is_begun) = (at, is_begun);
                continue;
            }
        };
        match (walked.tail.take(), &stamp.torn) {
            (Some(gap), Some(mark)) if gap.is(path, mark)? => walked.torn += 1,
            (Some(Gap { number, why, .. }), _) => meet(Met::Problem { number, why })?,
            (None, Some(_)) => {
                let why = "it marks what a crash left before it, and nothing is there".to_owned();
                meet(Met::Problem { number, why })?;
            }
            (None, None) => {}
        }
        if let Some(why) = walked.head.as_ref().and_then(|head| head.is_not_followed_by(&stamp)) {
            meet(Met::Problem { number, why })?;
        }
        walked.head = Some(stamp.head());
        walked.lacks_newline = !piece.is_ended;
        meet(Met::Line(Line { number, stamp, bytes: &buffer }))?;
    }
    Ok(walked)
}

impl Walked {
    /// Whoever reads while a line is written finds a part of it. Without the rest it shows no more than a log that ends
    /// with the line before.
    pub(super) fn is_unfinished(&self) -> bool {
        self.tail.as_ref().map_or(self.lacks_newline, |gap| gap.is_begun)
    }
}

impl Gap {
    /// What is to be said of it, and whether it ends in the middle of a line.
    pub(super) fn measure(&self, path: &Path) -> io::Result<(Torn, bool)> {
        let mut read = Bytes::of(path, self.from, self.until - self.from)?;
        let sha256 = read.hash()?;
        Ok((Torn { bytes: self.until - self.from, sha256 }, read.last != Some(b'\n')))
    }

    /// Whether it is what the mark tells of. The newline after half a line was put there with the mark.
    fn is(&self, path: &Path, mark: &Torn) -> io::Result<bool> {
        let here = self.until - self.from;
        if mark.bytes != here && Some(mark.bytes) != here.checked_sub(1) {
            return Ok(false);
        }
        Ok(Bytes::of(path, self.from, mark.bytes)?.hash()? == mark.sha256)
    }
}

/// A part of a file.
struct Bytes {
    reader: io::Take<File>,
    last: Option<u8>,
}

impl Bytes {
    fn of(path: &Path, from: u64, length: u64) -> io::Result<Self> {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(from))?;
        Ok(Self { reader: file.take(length), last: None })
    }

    fn hash(&mut self) -> io::Result<String> {
        let (mut hasher, mut buffer) = (Sha256::new(), vec![0; 64 * 1024]);
        loop {
            let read = self.reader.read(&mut buffer)?;
            let Some(last) = buffer[..read].last() else { break };
            self.last = Some(*last);
            hasher.update(&buffer[..read]);
        }
        Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

/// What stands up to the next newline, or to the end.
struct Piece {
    /// With its newline.
    length: u64,
    is_ended: bool,
    is_whole: bool,
}

/// Puts as much of it into the buffer as the largest line has, so that no file takes more memory than that.
fn next_piece(reader: &mut impl BufRead, buffer: &mut Vec<u8>) -> io::Result<Option<Piece>> {
    buffer.clear();
    let mut piece = Piece { length: 0, is_ended: false, is_whole: true };
    while !piece.is_ended {
        let there = reader.fill_buf()?;
        if there.is_empty() {
            break;
        }
        let newline = there.iter().position(|byte| *byte == b'\n');
        let text = &there[..newline.unwrap_or(there.len())];
        if buffer.len() + text.len() <= LARGEST_LINE {
            buffer.extend_from_slice(text);
        } else {
            piece.is_whole = false;
        }
        let used = text.len() + usize::from(newline.is_some());
        reader.consume(used);
        piece.length += used as u64;
        piece.is_ended = newline.is_some();
    }
    Ok((piece.length > 0).then_some(piece))
}
