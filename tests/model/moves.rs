//! What can happen next, in any situation.

use crate::{
    life::Life,
    world::{Doing, Fate, REPLICAS, World},
};

/// Who makes a move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    Replica(usize),
    Proxmox,
    ApiServer,
    People,
    Time,
}

/// What a move can be counted on for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It happens, sooner or later, if nothing else does.
    Due,
    /// It may happen or not.
    Chance,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Move {
    pub(crate) who: Who,
    pub(crate) kind: Kind,
    pub(crate) what: &'static str,
    pub(crate) leads_to: World,
    /// The rule that it breaks.
    pub(crate) breaks: Option<&'static str>,
}

/// Where moves are gathered.
#[derive(Debug)]
pub(crate) struct Moves<'a> {
    pub(crate) life: &'a Life,
    pub(crate) found: Vec<Move>,
}

impl Moves<'_> {
    pub(crate) fn add(&mut self, who: Who, kind: Kind, what: &'static str, leads_to: World) {
        self.add_judged((who, kind, what), leads_to, None);
    }

    pub(crate) fn add_judged(
        &mut self,
        (who, kind, what): (Who, Kind, &'static str),
        leads_to: World,
        breaks: Option<&'static str>,
    ) {
        let leads_to = crate::replica::caught_up(self.life, leads_to);
        self.found.push(Move { who, kind, what, leads_to, breaks });
    }

    /// Nothing is at stake any more.
    fn is_over(&self, world: &World) -> bool {
        let may_go_on = world.decisions.count_ones() < u32::from(self.life.setting.decisions);
        let has_ended = || !may_go_on && crate::replica::has_ended(self.life, world);
        world.replicas.iter().all(|replica| replica.doing == Doing::Nothing)
            && world.calls().all(|call| call.fate != Fate::OnItsWay)
            && !self.life.setting.deletes
            && world.late_write.is_none()
            && has_ended()
    }

    /// All that can happen, in an order that is always the same.
    pub(crate) fn of(&mut self, world: &World) -> &[Move] {
        self.found.clear();
        if self.is_over(world) {
            return &self.found;
        }
        for replica in 0..REPLICAS {
            crate::replica::moves(self, world, replica);
        }
        crate::proxmox::moves(self, world);
        crate::outside::moves(self, world);
        &self.found
    }
}
