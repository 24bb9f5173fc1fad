//! One situation: everything there is to know about it, small enough to keep millions.

use crate::{
    book::Id,
    setting::{Faults, Setting},
};

pub(crate) const REPLICAS: usize = 2;
/// No exploration lets more calls leave.
pub(crate) const MOST_CALLS: usize = 6;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct World {
    /// What Proxmox's clocks tell, which dates everything.
    pub(crate) time: u8,
    pub(crate) plan: Plan,
    /// A write that got no answer may still arrive, while nobody else has written.
    pub(crate) late_write: Option<Id>,
    /// Approvals that are there, by how often the target had moved when they were given.
    pub(crate) approvals: u8,
    /// Decisions to send again, by the attempt that they name.
    pub(crate) decisions: u8,
    pub(crate) moved: u8,
    pub(crate) replicas: [Replica; REPLICAS],
    pub(crate) calls: [Option<Call>; MOST_CALLS],
    /// The guest is where the HA manager was to bring it.
    pub(crate) ha_done: bool,
    /// Whose turn it is to act, if anybody asked.
    pub(crate) leader: u8,
    pub(crate) left: Faults,
}

/// The plan as it is on record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Plan {
    pub(crate) status: Id,
    /// Of which making it is; a plan of the same name that is made later is another one.
    pub(crate) made: u8,
    pub(crate) is_there: bool,
    pub(crate) is_being_deleted: bool,
    pub(crate) is_held: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Doing {
    #[default]
    Nothing,
    /// The next effect of its list.
    Effects,
    /// A status write, once more.
    Writing,
    /// A status write failed: it reads the live plan.
    Reading,
    /// It waits for the answer to this call.
    Waiting(u8),
}

/// A process, within a look at the plan or between two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Replica {
    pub(crate) doing: Doing,
    /// It looks again by itself. When exactly is left open: at the right time at the latest.
    pub(crate) comes_again: bool,
    pub(crate) look: Look,
    /// Intents that it has tried to write: no nonce is used again.
    pub(crate) intents: u8,
}

/// What a look has in hand. All zero between two looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Look {
    pub(crate) state: Id,
    pub(crate) effects: Id,
    pub(crate) next: u8,
    pub(crate) inbox: [Option<Id>; 2],
    /// The status of the plan that it holds.
    pub(crate) status: Id,
    pub(crate) made: u8,
    pub(crate) sees_deletion: bool,
    /// Nobody has written since it read.
    pub(crate) is_fresh: bool,
    pub(crate) comes_again: bool,
    /// Its recheck found the target as it is after so many moves.
    pub(crate) rechecked: Option<u8>,
    /// When it last read the approvals live, there were enough for the target after so many moves.
    pub(crate) backed: Option<u8>,
    /// Its intent is in its audit log.
    pub(crate) is_audited: bool,
    /// Its intent has been on record in the status.
    pub(crate) is_announced: bool,
}

/// A call that left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Call {
    pub(crate) left_at: u8,
    pub(crate) began_at: u8,
    pub(crate) nonce: u8,
    pub(crate) attempt: u8,
    pub(crate) made: u8,
    pub(crate) fate: Fate,
    pub(crate) is_listed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Fate {
    OnItsWay,
    /// It never arrives.
    Lost,
    Refused,
    /// Carried out, and its task is at work.
    Working,
    Done,
    Failed,
    /// Its worker was killed.
    Killed,
    /// Done, and its task forgotten.
    Forgotten,
}

impl Fate {
    pub(crate) fn is_carried_out(self) -> bool {
        !matches!(self, Self::OnItsWay | Self::Lost | Self::Refused)
    }
}

impl World {
    pub(crate) fn begin(setting: &Setting, no_status: Id) -> Self {
        Self {
            time: 0,
            plan: Plan {
                status: no_status,
                made: 0,
                is_there: true,
                is_being_deleted: false,
                is_held: false,
            },
            late_write: None,
            approvals: 0,
            decisions: 0,
            moved: 0,
            replicas: [Replica { comes_again: true, ..Replica::default() }; REPLICAS],
            calls: [None; MOST_CALLS],
            ha_done: false,
            leader: 0,
            left: setting.faults,
        }
    }

    pub(crate) fn calls(&self) -> impl Iterator<Item = &Call> {
        self.calls.iter().flatten()
    }

    /// Somebody has written: what others have read is stale.
    pub(crate) fn written_by(&mut self, writer: Option<usize>) {
        self.late_write = None;
        for (number, replica) in self.replicas.iter_mut().enumerate() {
            replica.look.is_fresh &= Some(number) == writer;
        }
    }

    /// Something that every replica watches has changed.
    pub(crate) fn wake_everybody(&mut self) {
        for replica in &mut self.replicas {
            match replica.doing {
                Doing::Nothing => replica.comes_again = true,
                _ => replica.look.comes_again = true,
            }
        }
    }
}

/// Each replica has its own.
pub(crate) fn nonce(replica: usize, intents: u8) -> u8 {
    assert!(intents < 8, "no exploration writes so many intents");
    replica as u8 * 8 + intents
}
