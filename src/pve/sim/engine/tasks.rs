//! Tasks: work that goes on after the request that started it has been answered.
//!
//! Nothing runs in the background. A task knows when it ends, and whoever looks at the state first settles what has
//! ended by then. Tasks on one guest follow each other, because each holds the guest's lock while it works.
use std::time::Duration;

use tokio::time::Instant;

use super::{NewTask, Run, State, Task, Upid};
use crate::pve::sim::faults::seconds_of;
use crate::pve::sim::world::RunningTask;

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
            begins: free_at,
            ends: if starved { now + patience } else { free_at + time },
            guest: new.guest.filter(|_| !starved && new.begin.is_none()),
            failed: starved.then(|| lock_timeout(&new.id)),
            marked: Vec::new(),
            begin: new.begin.filter(|_| !starved),
            work: Some(new.work),
            undo: new.undo,
        });
        if free_at <= now {
            self.begin(self.tasks.len() - 1);
        }
        text
    }

    fn next_upid(&mut self, node: &str, kind: &str, id: &str, who: &str) -> Upid {
        self.last_pid += 1;
        let uptime = self.world.nodes.get(node).map_or(0, |node| node.uptime);
        Upid {
            node: node.to_owned(),
            pid: self.last_pid,
            pstart: u64::try_from(uptime).unwrap_or_default() * 100 + self.clock.ticks(),
            starttime: self.seconds_on(node),
            kind: kind.to_owned(),
            id: id.to_owned(),
            who: who.to_owned(),
        }
    }

    /// What time a node believes it is.
    fn seconds_on(&self, node: &str) -> i64 {
        self.clock.seconds() + self.world.nodes.get(node).map_or(0, |node| node.clock_ahead)
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

    /// Lets everything happen whose time has come, in the order of time.
    pub(in crate::pve::sim) fn settle(&mut self) {
        let now = Instant::now();
        loop {
            let happening = self.next_happening().filter(|at| *at <= now);
            match (self.next_event(now), happening) {
                (Some((at, position, begins)), other) if other.is_none_or(|other| at <= other) => {
                    if begins {
                        self.begin(position);
                    } else {
                        self.finish(position);
                    }
                }
                (_, Some(_)) => self.happen(),
                _ => break,
            }
        }
    }

    /// When a task begins or ends next, which, and whether it begins.
    fn next_event(&self, now: Instant) -> Option<(Instant, usize, bool)> {
        let running = || self.tasks.iter().enumerate().filter(|(_, task)| task.is_running());
        let beginnings = running()
            .filter(|(_, task)| task.begin.is_some())
            .map(|(position, task)| (task.begins, position, true));
        let endings = running()
            .filter(|(_, task)| task.begin.is_none())
            .map(|(position, task)| (task.ends, position, false));
        let due = beginnings.chain(endings).filter(|(at, _, _)| *at <= now);
        due.min_by_key(|(at, position, _)| (*at, *position))
    }

    fn begin(&mut self, position: usize) {
        let Some(begin) = self.tasks[position].begin.take() else {
            return;
        };
        let begun = begin(self);
        let task = &mut self.tasks[position];
        match begun {
            Ok(marked) => task.marked = marked,
            Err(problem) => {
                task.failed = Some(problem);
                task.ends = task.begins;
            }
        }
    }

    fn finish(&mut self, position: usize) {
        let task = &mut self.tasks[position];
        let (work, ends) = (task.work.take(), task.ends);
        let (log, marked) = (std::mem::take(&mut task.log), std::mem::take(&mut task.marked));
        let failed = task.failed.take();
        for vmid in marked {
            self.unmark(vmid);
        }
        // The work may start further tasks, so the task is not borrowed while it runs.
        let mut run = Run { state: self, log };
        let result = match (failed, work) {
            (Some(problem), _) => Err(problem),
            (None, Some(work)) => work(&mut run),
            (None, None) => Ok(()),
        };
        let log = run.log;
        let endtime = self.clock.seconds_at(ends);
        let task = &mut self.tasks[position];
        task.log = log;
        let exit = result.err().unwrap_or_else(|| "OK".to_owned());
        task.end(&exit, endtime);
    }

    /// Stops running tasks; what they had begun is undone.
    pub(in crate::pve::sim) fn interrupt(&mut self, which: impl Fn(&Task) -> bool) {
        let now = self.clock.seconds();
        let (mut undoings, mut marked) = (Vec::new(), Vec::new());
        for task in self.tasks.iter_mut().filter(|task| task.is_running()).filter(|task| which(task)) {
            task.work = None;
            task.begin = None;
            marked.append(&mut task.marked);
            undoings.extend(task.undo.take());
            task.end("received interrupt", now);
        }
        for vmid in marked {
            self.unmark(vmid);
        }
        for undo in undoings {
            undo(self);
        }
    }

    /// Their node went down: the tasks are simply gone, and what they had begun stays as it is.
    pub(in crate::pve::sim) fn crash_tasks(&mut self, which: impl Fn(&Task) -> bool) {
        let now = self.clock.seconds();
        for task in self.tasks.iter_mut().filter(|task| task.is_running()).filter(|task| which(task)) {
            task.work = None;
            task.begin = None;
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
                begins: now,
                failed: row.exit.clone().filter(|exit| exit != "OK"),
                marked: Vec::new(),
                begin: None,
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
            started_seconds_ago: self.seconds_on(&task.upid.node) - task.upid.starttime,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pve::sim::world::{GuestType, World};

    fn state() -> State {
        State::new(World::sample())
    }

    fn task(kind: &'static str) -> NewTask {
        NewTask::guest("pve1", kind, 101, "root@pam", |_| Ok(()))
    }

    fn exit(state: &mut State, position: usize) -> Option<String> {
        state.settle();
        state.tasks[position].exit.clone()
    }

    #[tokio::test(start_paused = true)]
    async fn tasks_on_one_guest_follow_each_other() {
        let mut state = state();
        let one = Duration::from_secs(1);
        state.fork(task("qmstart").taking(one));
        state.fork(task("qmstop").taking(one));
        tokio::time::advance(Duration::from_millis(1500)).await;
        assert_eq!(exit(&mut state, 0).as_deref(), Some("OK"));
        assert_eq!(exit(&mut state, 1), None, "the second began when the first was over");
        tokio::time::advance(one).await;
        assert_eq!(exit(&mut state, 1).as_deref(), Some("OK"));
        assert_eq!(state.tasks[1].log, ["trying to acquire lock...", " OK", "TASK OK"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_gives_up_when_the_lock_is_not_to_be_had() {
        let mut state = state();
        state.fork(task("qmshutdown").taking(Duration::from_secs(60)));
        state.fork(task("qmstop"));
        tokio::time::advance(Duration::from_secs(10)).await;
        let text = "can't lock file '/var/lock/qemu-server/lock-101.conf' - got timeout";
        assert_eq!(exit(&mut state, 1).as_deref(), Some(text));
        assert_eq!(exit(&mut state, 0), None);
    }

    fn marking(kind: &'static str) -> NewTask {
        task(kind).marking(|state| state.mark("pve1", GuestType::Qemu, 101, "snapshot"))
    }

    fn mark(state: &State) -> Option<&str> {
        state.world.guests[&101].text("lock")
    }

    #[tokio::test(start_paused = true)]
    async fn a_marked_guest_refuses_the_next_task_instead_of_keeping_it_waiting() {
        let mut state = state();
        state.fork(marking("qmsnapshot"));
        state.fork(marking("qmsnapshot"));
        assert_eq!(mark(&state), Some("snapshot"));
        assert_eq!(exit(&mut state, 1).as_deref(), Some("VM is locked (snapshot)"));
        assert_eq!(exit(&mut state, 0), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stopped_task_takes_its_mark_back_and_a_crashed_one_does_not() {
        let mut state = state();
        state.fork(marking("qmsnapshot"));
        state.interrupt(|_| true);
        assert_eq!(mark(&state), None);
        assert_eq!(exit(&mut state, 0).as_deref(), Some("received interrupt"));
        state.fork(marking("qmsnapshot"));
        state.crash_tasks(|_| true);
        assert_eq!(mark(&state), Some("snapshot"));
        assert_eq!(exit(&mut state, 1).as_deref(), Some("unexpected status"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_of_a_world_file_runs_for_the_rest_of_its_time() {
        let yaml = "
nodes: {pve1: {}}
tasks: [{node: pve1, type: qmclone, id: '100', user: root@pam, startedSecondsAgo: 5, remainingSeconds: 30}]";
        let world = World::from_yaml(yaml).unwrap();
        let mut state = State::new(world);
        assert_eq!(exit(&mut state, 0), None);
        assert_eq!(state.clock.seconds() - state.tasks[0].upid.starttime, 5);
        tokio::time::advance(Duration::from_secs(30)).await;
        assert_eq!(exit(&mut state, 0).as_deref(), Some("OK"));
    }
}
