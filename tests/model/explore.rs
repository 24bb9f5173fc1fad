//! All situations that can be reached, breadth first: what is found is found by the shortest way.

use std::{
    collections::{HashSet, VecDeque},
    hash::BuildHasherDefault,
};

use crate::{
    fingerprint::{AsItIs, fingerprint},
    life::Life,
    moves::{Move, Moves},
    progress,
    setting::Setting,
    story::Story,
    world::World,
};

/// What came of an exploration.
#[derive(Debug)]
pub(crate) struct Explored {
    pub(crate) situations: u64,
    pub(crate) moves: u64,
    /// So many different states of the plan's life were met.
    pub(crate) states: usize,
    pub(crate) violation: Option<Story>,
}

/// Which rules are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rules {
    All,
    /// Only this one, and whether everything comes to an end is left aside.
    Only(&'static str),
}

impl Rules {
    fn are_broken_by(self, found: &Move) -> bool {
        match self {
            Self::All => found.breaks.is_some(),
            Self::Only(rule) => found.breaks == Some(rule),
        }
    }
}

/// How each situation was reached: from which other, by which of its moves.
#[derive(Debug, Default)]
struct Ways {
    steps: Vec<(u32, u16)>,
}

impl Ways {
    fn to(&self, mut number: u32) -> Vec<u16> {
        let mut way = vec![];
        while number != 0 {
            let (from, by) = self.steps[number as usize];
            way.push(by);
            number = from;
        }
        way.reverse();
        way
    }
}

pub(crate) fn explore(setting: Setting, rules: Rules) -> Explored {
    let life = Life::new(setting);
    let mut moves = Moves { life: &life, found: vec![] };
    let first = World::begin(&setting, life.no_status());
    let mut known = HashSet::<u128, BuildHasherDefault<AsItIs>>::default();
    known.insert(fingerprint(&first));
    let mut ways = Ways { steps: vec![(0, 0)] };
    let mut waiting = VecDeque::from([first]);
    let (mut counted, mut number) = (0, 0);
    let mut calm = vec![];
    let mut broken = None;
    while let Some(world) = waiting.pop_front() {
        let found = moves.of(&world);
        counted += found.len() as u64;
        if let Some(by) = found.iter().position(|found| rules.are_broken_by(found)) {
            broken = Some((number, Some(by as u16)));
            break;
        }
        if rules == Rules::All && progress::is_up_to_the_replicas(&life, &world, found) {
            calm.push((number, world));
        }
        for (by, found) in found.iter().enumerate() {
            if known.insert(fingerprint(&found.leads_to)) {
                ways.steps.push((number, by as u16));
                waiting.push_back(found.leads_to);
            }
        }
        number += 1;
    }
    let broken = broken.or_else(|| progress::never_ends(&mut moves, &calm).map(|number| (number, None)));
    let violation = broken.map(|(number, last)| {
        let way: Vec<u16> = ways.to(number).into_iter().chain(last).collect();
        Story::of(&mut moves, first, &way)
    });
    Explored { situations: known.len() as u64, moves: counted, states: life.states(), violation }
}
