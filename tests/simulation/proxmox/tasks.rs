//! Tasks: what they will do, how they end, and how well they are remembered.

use std::time::Duration;

use proxmox_agent::core::task::{TaskState, Upid};

use crate::dice::Dice;

#[derive(Clone, Debug)]
pub(super) enum Effect {
    Power(u32, bool),
    Snapshot(u32, String, String),
    Destroy(u32),
    Clone { from: u32, to: u32, description: String },
    Migrate(u32, String),
}

impl Effect {
    pub(super) fn guest(&self) -> u32 {
        match self {
            Self::Power(vmid, _)
            | Self::Snapshot(vmid, ..)
            | Self::Destroy(vmid)
            | Self::Migrate(vmid, _) => *vmid,
            Self::Clone { from, .. } => *from,
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Task {
    pub(crate) upid: Upid,
    began_at: Duration,
    pub(crate) ends_at: Duration,
    pub(crate) exit: String,
    effect: Option<Effect>,
    /// From when on it is in the task list; it may never be.
    listed_from: Option<Duration>,
    /// From when on nobody knows of it.
    forgotten_from: Option<Duration>,
}

#[derive(Debug, Default)]
pub(crate) struct Tasks {
    pub(crate) all: Vec<Task>,
    /// How often in a thousand one fails, is killed, hangs or is not remembered.
    pub(crate) trouble: u64,
}

impl Tasks {
    #[allow(clippy::too_many_arguments)] // what Proxmox itself writes into the id
    pub(super) fn fork(
        &mut self,
        node: &str,
        kind: &str,
        vmid: u32,
        token: &str,
        began: i64,
        now: Duration,
        effect: Effect,
        dice: &Dice,
    ) -> String {
        let number = self.all.len() + 1;
        let text = format!("UPID:{node}:{number:08X}:{number:08X}:{began:08X}:{kind}:{vmid}:{token}:");
        let is_locked = self.all.iter().any(|task| task.ends_at > now && task.upid.id == vmid.to_string());
        let mut task = Task {
            upid: text.parse().unwrap(),
            began_at: now,
            ends_at: now + dice.millis(100..12_000),
            exit: "OK".to_owned(),
            effect: Some(effect),
            listed_from: Some(now + dice.millis(0..300)),
            forgotten_from: None,
        };
        if is_locked {
            task.exit = "VM is locked".to_owned();
            task.effect = None;
            task.ends_at = now + Duration::from_millis(100);
        } else if dice.permille(self.trouble) {
            task.meet_trouble(dice);
        }
        self.all.push(task);
        text
    }

    pub(super) fn ended_by(&mut self, now: Duration) -> Vec<Effect> {
        let due = self.all.iter_mut().filter(|task| task.ends_at <= now);
        due.filter_map(|task| task.effect.take()).collect()
    }

    pub(super) fn state(&self, upid: &Upid, now: Duration) -> TaskState {
        let found = self.all.iter().find(|task| task.upid == *upid);
        match found.filter(|task| task.forgotten_from.is_none_or(|from| now < from)) {
            None => TaskState::Vanished,
            Some(task) if now < task.ends_at => TaskState::Running,
            Some(task) => TaskState::Stopped { exit_status: task.exit.clone() },
        }
    }

    pub(super) fn listed(&self, node: &str, id: &str, since: i64, now: Duration) -> Vec<Upid> {
        let fits = |task: &&Task| {
            let Task { upid, listed_from, forgotten_from, .. } = task;
            upid.node == node
                && upid.id == id
                && upid.start_time >= since
                && listed_from.is_some_and(|from| from <= now)
                && forgotten_from.is_none_or(|from| now < from)
        };
        self.all.iter().filter(fits).map(|task| task.upid.clone()).collect()
    }
}

impl Task {
    fn meet_trouble(&mut self, dice: &Dice) {
        match dice.below(7) {
            0 => {
                self.exit = "command 'qm' failed: exit code 255".to_owned();
                self.effect = None;
            }
            1 => self.exit = "WARNINGS: 1".to_owned(),
            2 => self.exit = "unexpected status".to_owned(),
            3 => self.ends_at = self.began_at + dice.millis(60_000..240_000),
            4 => self.listed_from = None,
            5 => self.listed_from = Some(self.began_at + dice.millis(1_000..40_000)),
            _ => self.forgotten_from = Some(self.ends_at + dice.millis(0..10_000)),
        }
    }
}
