//! What Proxmox can answer to a call, and what becomes of the task it starts.

use std::{fmt, str::FromStr};

use thiserror::Error;

/// The id that Proxmox gives a task: `UPID:node:pid:pstart:starttime:type:id:user:`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Upid {
    text: String,
    pub node: String,
    /// Seconds since 1970, by the node's clock.
    pub start_time: i64,
    pub task_type: String,
    /// What the task works on; may be empty.
    pub id: String,
    /// `user@realm` or `user@realm!token`.
    pub user: String,
}

/// A text that is no UPID.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("`{0}` is not a task id: it should look like UPID:node:pid:pstart:starttime:type:id:user:")]
pub struct NotAUpid(String);

impl Upid {
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Upid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Upid {
    type Err = NotAUpid;

    fn from_str(text: &str) -> Result<Self, NotAUpid> {
        parse(text).ok_or_else(|| NotAUpid(text.chars().take(128).collect()))
    }
}

/// A status holds no longer one.
const LONGEST: usize = 512;

fn parse(text: &str) -> Option<Upid> {
    (text.len() <= LONGEST).then_some(())?;
    let fields: Vec<&str> = text.strip_prefix("UPID:")?.strip_suffix(':')?.split(':').collect();
    let [node, pid, pstart, start_time, task_type, id, user] = fields.as_slice() else { return None };
    let hex = |field: &str, lengths: std::ops::RangeInclusive<usize>| {
        (lengths.contains(&field.len())).then(|| i64::from_str_radix(field, 16).ok()).flatten()
    };
    hex(pid, 8..=8)?;
    hex(pstart, 8..=9)?;
    let named =
        |field: &&str| !field.is_empty() && !field.contains('/') && !field.contains(char::is_whitespace);
    ([node, task_type, user].into_iter().all(named)).then_some(())?;
    Some(Upid {
        text: text.to_owned(),
        node: (*node).to_owned(),
        start_time: hex(start_time, 8..=8)?,
        task_type: (*task_type).to_owned(),
        id: (*id).to_owned(),
        user: (*user).to_owned(),
    })
}

/// What is known after a call was sent once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sent {
    /// It never left: no connection came about.
    NotSent { why: String },
    /// Proxmox said no, and did nothing.
    Refused { status: u16, message: String },
    /// A task carries it out.
    Task(Upid),
    /// It is done, or at least no task was named.
    Done,
    /// Proxmox found nothing to do, and did nothing.
    Nothing,
    /// It was begun without a task and stopped with an error: what was done until then stays done.
    HalfWay { status: u16, message: String },
    /// It may have been carried out: the answer is missing or says nothing.
    Unknown { why: String },
}

/// A task at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TaskState {
    Running,
    /// It stopped with this exit status.
    Stopped {
        exit_status: String,
    },
    /// Proxmox no longer knows it.
    Vanished,
}

/// What a task has written, as far as it is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskLog {
    /// The last lines.
    pub lines: Vec<String>,
    /// How many came before them.
    pub before: usize,
}

/// How a stopped task's exit status is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskVerdict {
    Succeeded,
    SucceededWithWarnings,
    Failed,
    /// The worker was killed or its node died: what it did is not known.
    Unknown,
}

impl TaskVerdict {
    pub fn of(exit_status: &str) -> Self {
        match exit_status {
            "OK" => Self::Succeeded,
            "unexpected status" => Self::Unknown,
            text if text.starts_with("WARNINGS:") => Self::SucceededWithWarnings,
            _ => Self::Failed,
        }
    }

    pub fn is_success(self) -> bool {
        matches!(self, Self::Succeeded | Self::SucceededWithWarnings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_upid_is_taken_apart_as_proxmox_puts_it_together() {
        let text = "UPID:pve:00004675:0005B36F:6A4A8EED:qmcreate:9101:root@pam!sdk:";
        let upid: Upid = text.parse().unwrap();
        assert_eq!(
            (upid.node.as_str(), upid.task_type.as_str(), upid.id.as_str()),
            ("pve", "qmcreate", "9101")
        );
        assert_eq!((upid.user.as_str(), upid.start_time), ("root@pam!sdk", 1_783_271_149));
        assert_eq!(upid.to_string(), text);
    }

    #[test]
    fn the_id_may_be_empty_and_pstart_nine_digits_long() {
        let upid: Upid = "UPID:pve1:00001619:100062D39:6B00EAFE:startall::root@pam:".parse().unwrap();
        assert_eq!(upid.id, "");
    }

    #[test]
    fn what_could_lead_a_path_astray_is_no_upid() {
        for text in [
            "",
            "OK",
            "UPID:",
            "UPID:a/b:00001619:00062D39:6B00EAFE:qmstart:1:root@pam:",
            "UPID:pve1:1:2:3:qmstart:1:root@pam:",
            "UPID:pve1:00001619:00062D39:6B00EAFE:qmstart:1:root@pam",
        ] {
            assert!(text.parse::<Upid>().is_err(), "{text}");
        }
    }

    #[test]
    fn warnings_are_a_success_and_a_killed_worker_is_unknown() {
        assert_eq!(TaskVerdict::of("WARNINGS: 2"), TaskVerdict::SucceededWithWarnings);
        assert_eq!(TaskVerdict::of("unexpected status"), TaskVerdict::Unknown);
        assert_eq!(TaskVerdict::of("VM 100 already running"), TaskVerdict::Failed);
    }
}
