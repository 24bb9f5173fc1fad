//! Whether a chain is what it was: each line, each link, each segment.

use std::{
    collections::BTreeMap,
    fmt, io,
    path::{Path, PathBuf},
};

use jiff::Timestamp;

use crate::core::audit::{Head, Stamp};

use super::{
    segments::{Segment, segments},
    walk::{Met, Walked, walk},
};

/// Of one chain no more are listed: where so much is wrong, more of it tells nothing.
const MOST_PROBLEMS: usize = 50;

/// Something that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub at: String,
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.at, self.what)
    }
}

/// A chain that was read from its first line to its last.
#[derive(Debug)]
pub struct Chain {
    pub folder: PathBuf,
    /// The last line; none if there is no line at all.
    pub head: Option<Head>,
    pub lines: u64,
    /// Gaps that crashes have left, all marked.
    pub torn: u64,
    pub first: Option<Timestamp>,
    pub last: Option<Timestamp>,
    pub problems: Vec<Problem>,
    /// It ends in the middle of a line: that is written right now, or a crash has cut it off.
    pub is_unfinished: bool,
    /// Lines of other chains that this one names, each with where it does so.
    pub(super) links: Vec<(String, Head)>,
    /// With the sequence of its first line.
    segments: Vec<(u64, Segment)>,
}

impl Chain {
    pub fn name(&self) -> &str {
        self.head.as_ref().map_or("", |head| &head.chain)
    }

    pub fn segments(&self) -> usize {
        self.segments.len()
    }

    /// The hashes of these lines, as far as they are there.
    pub(super) fn hashes(&self, wanted: &[u64]) -> io::Result<BTreeMap<u64, String>> {
        let mut found = BTreeMap::new();
        for (index, (first, segment)) in self.segments.iter().enumerate() {
            let next = self.segments.get(index + 1).map_or(u64::MAX, |(next, _)| *next);
            if !wanted.iter().any(|sequence| (*first..next).contains(sequence)) {
                continue;
            }
            walk(&segment.path, None, |met| {
                if let Met::Line(line) = met
                    && wanted.contains(&line.stamp.sequence)
                {
                    found.insert(line.stamp.sequence, line.stamp.hash);
                }
                Ok(())
            })?;
        }
        Ok(found)
    }
}

/// Reads a whole chain, line by line, and says what is wrong with it. `see` is shown every line that is as it was written.
pub fn verify(
    folder: &Path,
    mut see: impl FnMut(&Path, &Stamp, &[u8]) -> io::Result<()>,
) -> io::Result<Chain> {
    let explain = |error: io::Error| {
        io::Error::new(error.kind(), format!("failed to read the audit log {}: {error}", folder.display()))
    };
    let mut chain = Chain {
        folder: folder.to_owned(),
        head: None,
        lines: 0,
        torn: 0,
        first: None,
        last: None,
        problems: vec![],
        is_unfinished: false,
        links: vec![],
        segments: vec![],
    };
    let segments = segments(folder).map_err(explain)?;
    let count = segments.len();
    for (index, segment) in segments.into_iter().enumerate() {
        let walked = read_segment(&mut chain, &segment, &mut see).map_err(explain)?;
        chain.is_unfinished = index + 1 == count && walked.is_unfinished();
        chain.take_end_of(&segment, walked);
    }
    if chain.head.is_none() {
        chain.complain(folder.display().to_string(), "there is no line of an audit log in it".to_owned());
    }
    Ok(chain)
}

fn read_segment(
    chain: &mut Chain,
    segment: &Segment,
    see: &mut impl FnMut(&Path, &Stamp, &[u8]) -> io::Result<()>,
) -> io::Result<Walked> {
    let due = chain.segments.last().map_or(1, |(_, segment)| segment.number + 1);
    let path = segment.path.clone();
    let at = |number: u64| format!("{}:{number}", path.display());
    if segment.number != due {
        let missing = format!("segment {due:08}.jsonl is missing before it");
        chain.complain(segment.path.display().to_string(), missing);
    }
    let begins_at = chain.head.as_ref().map_or(1, |head| head.sequence + 1);
    let mut first = None;
    let before = chain.head.clone();
    let walked = walk(&segment.path, before, |met| {
        match met {
            Met::Problem { number, why } => chain.complain(at(number), why),
            Met::Line(line) => {
                if chain.lines == 0 && line.stamp.sequence != 1 {
                    let why = format!(
                        "the chain begins with line {}: what was before is missing",
                        line.stamp.sequence
                    );
                    chain.complain(at(line.number), why);
                }
                first.get_or_insert(line.stamp.sequence);
                chain.lines += 1;
                chain.first.get_or_insert(line.stamp.time);
                chain.last = Some(line.stamp.time);
                chain.links.extend(line.stamp.links.iter().map(|link| (at(line.number), link.clone())));
                see(&segment.path, &line.stamp, line.bytes)?;
            }
        }
        Ok(())
    })?;
    chain.segments.push((first.unwrap_or(begins_at), segment.clone()));
    Ok(walked)
}

impl Chain {
    /// What stands after the last whole line of a segment, and is no line that is still being written.
    fn take_end_of(&mut self, segment: &Segment, walked: Walked) {
        let path = segment.path.display();
        if let Some(gap) = walked.tail.as_ref().filter(|_| !self.is_unfinished) {
            let why = format!("{} (opening the log again would mark it as torn)", gap.why);
            self.complain(format!("{path}:{}", gap.number), why);
        }
        if walked.lacks_newline && !self.is_unfinished {
            self.complain(path.to_string(), "the newline at its end is missing".to_owned());
        }
        self.torn += walked.torn;
        self.head = walked.head;
    }

    pub(super) fn complain(&mut self, at: String, what: String) {
        match self.problems.len() {
            0..MOST_PROBLEMS => self.problems.push(Problem { at, what }),
            MOST_PROBLEMS => {
                self.problems
                    .push(Problem { at, what: "and more; no more of this chain is listed".to_owned() });
            }
            _ => {}
        }
    }
}
