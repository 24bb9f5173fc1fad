//! Tasks: work that goes on after the request that started it has been answered.
//!
//! Nothing runs in the background. A task knows when it ends, and whoever looks at the state first settles what has
//! ended by then. Tasks on one guest follow each other, because each holds the guest's lock while it works.
use std::time::Duration;

use tokio::time::Instant;

use super::{State, Upid};
use crate::pve::sim::faults::seconds_of;
use crate::pve::sim::world::RunningTask;

/// What a task does when its time is over. `Err` is the exit status.
type Work = Box<dyn FnOnce(&mut Run<'_>) -> Result<(), String> + Send>;

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
            undo: None,
        }
    }

    pub(in crate::pve::sim) fn taking(mut self, time: Duration) -> Self {
        self.takes = Some(time);
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
    /// The lock was not to be had in time.
    starved: bool,
    work: Option<Work>,
    undo: Option<Undo>,
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

    fn end(&mut self, exit: &str, endtime: i64) {
        self.log.push(if exit == "OK" { "TASK OK".to_owned() } else { format!("TASK ERROR: {exit}") });
        self.exit = Some(exit.to_owned());
        self.endtime = Some(endtime);
    }
}

impl State {
    /// Starts a task and returns its id. It waits for the tasks that hold the same guest's lock.
    pub(in crate::pve::sim) fn fork(&mut self, new: NewTask) -> String {
        let now = Instant::now();
        let free_at = new.guest.and_then(|vmid| self.guest_free_at(vmid)).unwrap_or(now).max(now);
        let patience = seconds_of(self.world.lock_seconds);
        let starved = free_at > now + patience;
        let time =
            new.takes.unwrap_or_else(|| self.usual_time(new.kind)) + self.faults.extra_task_time(new.kind);
        let mut log = Vec::new();
        if free_at > now {
            log.push("trying to acquire lock...".to_owned());
            if !starved {
                log.push(" OK".to_owned());
            }
        }
        let upid = self.next_upid(&new.node, new.kind, &new.id, &new.who);
        let text = upid.to_string();
        self.tasks.push(Task {
            upid,
            log,
            exit: None,
            endtime: None,
            began: now,
            ends: if starved { now + patience } else { free_at + time },
            guest: new.guest.filter(|_| !starved),
            starved,
            work: Some(new.work),
            undo: new.undo,
        });
        text
    }

    fn next_upid(&mut self, node: &str, kind: &str, id: &str, who: &str) -> Upid {
        self.last_pid += 1;
        let uptime = self.world.nodes.get(node).map_or(0, |node| node.uptime);
        Upid {
            node: node.to_owned(),
            pid: self.last_pid,
            pstart: u64::try_from(uptime).unwrap_or_default() * 100 + self.clock.ticks(),
            starttime: self.clock.seconds(),
            kind: kind.to_owned(),
            id: id.to_owned(),
            who: who.to_owned(),
        }
    }

    /// When the last of the running tasks that hold a guest's lock will be over.
    pub(in crate::pve::sim) fn guest_free_at(&self, vmid: u32) -> Option<Instant> {
        self.tasks
            .iter()
            .filter(|task| task.is_running() && task.guest == Some(vmid))
            .map(|task| task.ends)
            .max()
    }

    fn usual_time(&self, kind: &str) -> Duration {
        let configured = self.world.task_seconds.get(kind).or_else(|| self.world.task_seconds.get("default"));
        seconds_of(configured.copied().unwrap_or(match kind {
            "qmcreate" | "qmclone" | "qmrestore" | "vzcreate" | "vzclone" | "vzrestore" | "vzdump" => 1.0,
            "qmigrate" | "vzmigrate" | "qmmove" | "move_volume" => 1.0,
            "qmconfig" | "imgdel" | "hastart" | "hastop" | "hamigrate" => 0.1,
            _ => 0.3,
        }))
    }

    /// Ends every task whose time is over, in the order in which they end.
    pub(in crate::pve::sim) fn settle(&mut self) {
        let now = Instant::now();
        while let Some(position) = self.next_ending(now) {
            self.finish(position);
        }
    }

    fn next_ending(&self, now: Instant) -> Option<usize> {
        let running = self.tasks.iter().enumerate().filter(|(_, task)| task.is_running() && task.ends <= now);
        running.min_by_key(|(_, task)| task.ends).map(|(position, _)| position)
    }

    fn finish(&mut self, position: usize) {
        let task = &mut self.tasks[position];
        let (work, starved, ends) = (task.work.take(), task.starved, task.ends);
        let log = std::mem::take(&mut task.log);
        let vmid = task.upid.id.clone();
        // Whatever the work starts in turn starts when this task ends, not when somebody looks.
        let mut run = Run { state: self, log };
        let result = match work {
            Some(_) if starved => Err(lock_timeout(&vmid)),
            Some(work) => work(&mut run),
            None => Ok(()),
        };
        let log = run.log;
        let endtime = self.clock.seconds_at(ends);
        let task = &mut self.tasks[position];
        task.log = log;
        let planned = task.exit.take();
        let exit = result.err().or(planned).unwrap_or_else(|| "OK".to_owned());
        task.end(&exit, endtime);
    }

    /// Stops running tasks; what they had begun is undone.
    pub(in crate::pve::sim) fn interrupt(&mut self, which: impl Fn(&Task) -> bool) {
        let now = self.clock.seconds();
        let mut undoings = Vec::new();
        for task in self.tasks.iter_mut().filter(|task| task.is_running()).filter(|task| which(task)) {
            task.work = None;
            undoings.extend(task.undo.take());
            task.end("received interrupt", now);
        }
        for undo in undoings {
            undo(self);
        }
    }

    /// The node went down: its tasks are simply gone, and what they had begun stays as it is.
    pub(in crate::pve::sim) fn crash_tasks(&mut self) {
        let now = self.clock.seconds();
        for task in self.tasks.iter_mut().filter(|task| task.is_running()) {
            task.work = None;
            task.undo = None;
            task.exit = Some("unexpected status".to_owned());
            task.endtime = Some(now);
        }
    }

    /// Brings in the tasks that a world file describes.
    pub(in crate::pve::sim) fn adopt(&mut self, described: &[RunningTask]) {
        let now = Instant::now();
        for row in described {
            let mut upid = self.next_upid(&row.node, &row.kind, &row.id, &row.user);
            upid.starttime -= row.started_seconds_ago;
            let mut task = Task {
                upid: row.upid.as_deref().and_then(Upid::parse).unwrap_or(upid),
                log: row.log.clone(),
                exit: None,
                endtime: None,
                began: now.checked_sub(seconds_of(10.0)).unwrap_or(now),
                ends: now + seconds_of(row.remaining_seconds.unwrap_or_default()),
                guest: row.id.parse().ok().filter(|vmid| self.world.guests.contains_key(vmid)),
                starved: false,
                work: None,
                undo: None,
            };
            if let (None, Some(exit)) = (row.remaining_seconds, &row.exit) {
                task.end(exit, self.clock.seconds());
            }
            self.tasks.push(task);
        }
    }

    /// The running and finished tasks in the form in which a world file holds them.
    pub(in crate::pve::sim) fn describe_tasks(&self) -> Vec<RunningTask> {
        let now = Instant::now();
        let describe = |task: &Task| RunningTask {
            node: task.upid.node.clone(),
            kind: task.upid.kind.clone(),
            id: task.upid.id.clone(),
            user: task.upid.who.clone(),
            started_seconds_ago: self.clock.seconds() - task.upid.starttime,
            remaining_seconds: task
                .is_running()
                .then(|| task.ends.saturating_duration_since(now).as_secs_f64()),
            exit: task.exit.clone(),
            log: task.log.clone(),
            upid: Some(task.upid.to_string()),
        };
        self.tasks.iter().map(describe).collect()
    }
}

fn lock_timeout(vmid: &str) -> String {
    format!("can't lock file '/var/lock/qemu-server/lock-{vmid}.conf' - got timeout")
}
