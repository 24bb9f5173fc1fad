//! A single task: how it is started, and what is known of it.
use std::time::Duration;

use tokio::time::Instant;

use super::{State, Upid};

/// What a task does when its time is over. `Err` is the exit status.
type Work = Box<dyn FnOnce(&mut Run<'_>) -> Result<(), String> + Send>;

/// What a task does when it gets the guest's lock, if it then works on under a mark in the configuration. The answer
/// is the guests that it has marked; the marks are gone when its work begins to show, or when it is stopped.
type Begin = Box<dyn FnOnce(&mut State) -> Result<Vec<u32>, String> + Send>;

/// What a task leaves behind if it is stopped before its time is over.
type Undo = Box<dyn FnOnce(&mut State) + Send>;

/// The state and the log in the hands of a task's work.
#[derive(Debug)]
pub(in crate::pve::sim) struct Run<'a> {
    pub(in crate::pve::sim) state: &'a mut State,
    pub(in crate::pve::sim) log: Vec<String>,
}

impl Run<'_> {
    pub(in crate::pve::sim) fn say(&mut self, line: impl Into<String>) {
        self.log.push(line.into());
    }
}

/// A task to be started.
pub(in crate::pve::sim) struct NewTask {
    pub(in crate::pve::sim) node: String,
    pub(in crate::pve::sim) kind: &'static str,
    pub(in crate::pve::sim) id: String,
    pub(in crate::pve::sim) who: String,
    /// The guest whose lock the task holds.
    pub(in crate::pve::sim) guest: Option<u32>,
    /// How long it takes, where that does not depend on its type alone.
    pub(in crate::pve::sim) takes: Option<Duration>,
    pub(in crate::pve::sim) work: Work,
    pub(in crate::pve::sim) begin: Option<Begin>,
    pub(in crate::pve::sim) undo: Option<Undo>,
}

impl std::fmt::Debug for NewTask {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("NewTask")
            .field("kind", &self.kind)
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl NewTask {
    pub(in crate::pve::sim) fn guest(
        node: &str,
        kind: &'static str,
        vmid: u32,
        who: &str,
        work: impl FnOnce(&mut Run<'_>) -> Result<(), String> + Send + 'static,
    ) -> Self {
        Self { guest: Some(vmid), ..Self::other(node, kind, vmid.to_string(), who, work) }
    }

    pub(in crate::pve::sim) fn other(
        node: &str,
        kind: &'static str,
        id: String,
        who: &str,
        work: impl FnOnce(&mut Run<'_>) -> Result<(), String> + Send + 'static,
    ) -> Self {
        let work: Work = Box::new(work);
        Self {
            node: node.to_owned(),
            kind,
            id,
            who: who.to_owned(),
            guest: None,
            takes: None,
            work,
            begin: None,
            undo: None,
        }
    }

    pub(in crate::pve::sim) fn taking(mut self, time: Duration) -> Self {
        self.takes = Some(time);
        self
    }

    /// The task holds the guest's lock only while it marks the configuration; others then meet the mark.
    pub(in crate::pve::sim) fn marking(
        mut self,
        begin: impl FnOnce(&mut State) -> Result<Vec<u32>, String> + Send + 'static,
    ) -> Self {
        self.begin = Some(Box::new(begin));
        self
    }

    pub(in crate::pve::sim) fn undone_by(mut self, undo: impl FnOnce(&mut State) + Send + 'static) -> Self {
        self.undo = Some(Box::new(undo));
        self
    }
}

/// A task that was started, running or over.
pub(in crate::pve::sim) struct Task {
    pub(in crate::pve::sim) upid: Upid,
    pub(in crate::pve::sim) log: Vec<String>,
    pub(in crate::pve::sim) exit: Option<String>,
    pub(in crate::pve::sim) endtime: Option<i64>,
    pub(in crate::pve::sim) began: Instant,
    pub(in crate::pve::sim) ends: Instant,
    pub(in crate::pve::sim) guest: Option<u32>,
    /// When it gets the guest's lock.
    pub(super) begins: Instant,
    /// Why it fails without having done its work.
    pub(super) failed: Option<String>,
    pub(super) marked: Vec<u32>,
    pub(super) begin: Option<Begin>,
    pub(super) work: Option<Work>,
    pub(super) undo: Option<Undo>,
}

impl std::fmt::Debug for Task {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Task")
            .field("upid", &self.upid.to_string())
            .field("exit", &self.exit)
            .finish_non_exhaustive()
    }
}

impl Task {
    pub(in crate::pve::sim) fn is_running(&self) -> bool {
        self.exit.is_none()
    }

    pub(super) fn end(&mut self, exit: &str, endtime: i64) {
        self.log.push(if exit == "OK" { "TASK OK".to_owned() } else { format!("TASK ERROR: {exit}") });
        self.exit = Some(exit.to_owned());
        self.endtime = Some(endtime);
    }
}
