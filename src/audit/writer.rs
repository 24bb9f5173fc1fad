//! The one place that writes lines: several at once, each on disk before anybody is told so.

use std::{
    fs::{self, File},
    io::{self, ErrorKind, Write},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use crate::core::audit::{AuditRecord, Head};

use super::{
    open::{End, Opened, end_of, open},
    room::Room,
    segments::{Segment, create, reopen},
};

/// A file that has grown so far is followed by another one.
pub(super) const SEGMENT_SIZE: u64 = 64 * 1024 * 1024;

/// Whoever asks more often whether it could be written is told what was found last.
const NOT_MORE_OFTEN: Duration = Duration::from_secs(1);

/// Why a record is not on disk; several may have the same reason.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    pub(super) kind: ErrorKind,
    pub(super) why: String,
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self { kind: error.kind(), why: error.to_string() }
    }
}

pub(super) type Answer = Result<(), Failure>;

/// The end of a chain.
#[derive(Debug)]
pub(super) struct Writer {
    folder: PathBuf,
    segment: Segment,
    file: File,
    /// So much of the file is on disk and was told so.
    length: u64,
    head: Head,
    room: Room,
    /// Whether the file is known to be what was written into it.
    is_trusted: bool,
    segment_size: u64,
    probed: Option<(Instant, Answer)>,
}

impl Writer {
    /// `new_chain` names the chain, should there be none yet. Returns the records that say how it was found.
    pub(super) fn open(
        folder: &Path,
        new_chain: String,
        segment_size: u64,
        found: impl FnOnce(&Opened) -> Vec<AuditRecord>,
    ) -> io::Result<Self> {
        let opened = open(folder)?;
        let first = found(&opened);
        let Opened { segment, file, length, head, lacks_newline, .. } = opened;
        let head = head.unwrap_or_else(|| Head::before_the_first(new_chain));
        let folder = folder.to_owned();
        let room = Room::default();
        let (is_trusted, probed) = (true, None);
        let mut writer = Self { folder, segment, file, length, head, room, is_trusted, segment_size, probed };
        if lacks_newline {
            writer.put(b"\n")?;
        }
        let failed = writer.append(&first).into_iter().find_map(Result::err);
        failed.map_or(Ok(writer), |Failure { kind, why }| Err(io::Error::new(kind, why)))
    }

    /// The last line that is on disk.
    pub(super) fn head(&self) -> &Head {
        &self.head
    }

    #[cfg(test)]
    pub(super) fn swap_file(&mut self, file: File) -> File {
        std::mem::replace(&mut self.file, file)
    }

    /// Puts records on disk, in this order, all with one sync. Says of each what became of it.
    pub(super) fn append(&mut self, records: &[AuditRecord]) -> Vec<Answer> {
        if let Err(error) = self.make_sure_of_the_file() {
            let failure = Failure::from(error);
            return records.iter().map(|_| Err(failure.clone())).collect();
        }
        self.begin_a_segment_if_due();
        let (mut block, mut head, mut answers) = self.lines(records, None);
        if !records.iter().all(AuditRecord::is_of_a_call_that_may_have_left)
            && let Err(error) = self.room.make(&self.file, self.length + block.len() as u64)
        {
            (block, head, answers) = self.lines(records, Some(&no_room(&error)));
        }
        match self.put(&block) {
            Ok(()) => self.head = head,
            Err(error) => {
                let failure = Failure::from(error);
                answers
                    .iter_mut()
                    .filter(|answer| answer.is_ok())
                    .for_each(|answer| *answer = Err(failure.clone()));
            }
        }
        answers
    }

    /// Whether a new call could be announced now. Whoever asks often is told what was found a moment ago.
    pub(super) fn is_ready(&mut self) -> Answer {
        let found = match self.probed.take().filter(|(at, _)| at.elapsed() < NOT_MORE_OFTEN) {
            Some(found) => found,
            None => (Instant::now(), self.probe().map_err(Failure::from)),
        };
        self.probed.insert(found).1.clone()
    }

    fn probe(&mut self) -> io::Result<()> {
        self.make_sure_of_the_file()?;
        self.room.make(&self.file, self.length)?;
        try_in(&self.folder)
    }

    /// The lines of these records. Where there is no room, only of those that tell what became of a call.
    fn lines(&self, records: &[AuditRecord], no_room: Option<&Failure>) -> (Vec<u8>, Head, Vec<Answer>) {
        let (mut block, mut head) = (Vec::new(), self.head.clone());
        let mut line = |record: &AuditRecord| {
            if let Some(failure) = no_room.filter(|_| !record.is_of_a_call_that_may_have_left()) {
                return Err(failure.clone());
            }
            let (line, next) = head
                .append(record)
                .map_err(|error| Failure { kind: ErrorKind::InvalidData, why: error.to_string() })?;
            block.extend_from_slice(&line);
            head = next;
            Ok(())
        };
        let answers = records.iter().map(&mut line).collect();
        (block, head, answers)
    }

    fn put(&mut self, block: &[u8]) -> io::Result<()> {
        if let Err(error) = self.file.write_all(block) {
            self.cut_back();
            return Err(error);
        }
        if let Err(error) = self.file.sync_data() {
            // What a failed sync has left on disk is not known, and a second one would not tell.
            self.is_trusted = false;
            return Err(error);
        }
        self.length += block.len() as u64;
        Ok(())
    }

    /// Takes back what was written of lines that nobody was told are there.
    fn cut_back(&mut self) {
        self.room.forget();
        self.is_trusted &= self.file.set_len(self.length).is_ok();
    }

    /// After a failure nothing is written until the file was cut back to what is known to be on disk, and read.
    fn make_sure_of_the_file(&mut self) -> io::Result<()> {
        if self.is_trusted {
            return Ok(());
        }
        let file = reopen(&self.segment)?;
        file.set_len(self.length)?;
        file.sync_all()?;
        match end_of(&self.segment)? {
            End { head: Some(head), torn: None, lacks_newline: false } if head == self.head => {}
            End { head: None, torn: None, .. } if self.length == 0 => {}
            _ => return Err(io::Error::new(ErrorKind::InvalidData, "its end is not what was written last")),
        }
        self.room.forget();
        (self.file, self.is_trusted) = (file, true);
        Ok(())
    }

    /// A segment that can't be begun now is begun later: until then the old one grows.
    fn begin_a_segment_if_due(&mut self) {
        if self.length < self.segment_size {
            return;
        }
        let mut room = Room::default();
        let begun = create(&self.folder, self.segment.number + 1)
            .and_then(|(segment, file)| room.make(&file, 0).map(|()| (segment, file)));
        match begun {
            Ok((segment, file)) => {
                (self.segment, self.file, self.room, self.length) = (segment, file, room, 0);
            }
            Err(error) => {
                tracing::warn!(%error, folder = %self.folder.display(), "no new segment of the audit log could be begun");
                // What somebody else has put there is not ours to take away.
                if error.kind() != ErrorKind::AlreadyExists {
                    let _ =
                        fs::remove_file(self.folder.join(format!("{:08}.jsonl", self.segment.number + 1)));
                }
            }
        }
    }
}

/// Whether a file can be put into a folder and taken away again.
pub(super) fn try_in(folder: &Path) -> io::Result<()> {
    let probe = folder.join("probe");
    let written = File::create(&probe).and_then(|mut file| {
        file.write_all(&[b'\n'; 4096])?;
        file.sync_all()
    });
    let removed = fs::remove_file(&probe);
    written.and(removed)
}

fn no_room(error: &io::Error) -> Failure {
    let why = format!(
        "no room is left but for the outcomes of calls that are on their way ({error}): make room on its disk"
    );
    Failure { kind: error.kind(), why }
}
