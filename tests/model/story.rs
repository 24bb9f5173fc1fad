//! A way through the model, told so that a person can follow it.

use std::fmt;

use crate::{
    life::Life,
    moves::{Move, Moves, Who},
    world::World,
};

#[derive(Debug)]
pub(crate) struct Story {
    pub(crate) steps: usize,
    lines: Vec<String>,
    broken: &'static str,
}

impl Story {
    /// `way`: the numbers of the moves that are made.
    pub(crate) fn of(moves: &mut Moves<'_>, first: World, way: &[u16]) -> Self {
        let mut world = first;
        let mut lines = vec![];
        let mut broken = "it comes to an end, once nothing goes wrong any more";
        for by in way {
            let made = moves.of(&world)[usize::from(*by)];
            lines.push(line(moves.life, &world, &made));
            world = made.leads_to;
            if let Some(rule) = made.breaks {
                broken = rule;
            }
        }
        Self { steps: way.len(), lines, broken }
    }

    pub(crate) fn broken(&self) -> &'static str {
        self.broken
    }
}

impl fmt::Display for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "does not hold: {}", self.broken)?;
        for (number, line) in self.lines.iter().enumerate() {
            writeln!(f, "{:>3}. {line}", number + 1)?;
        }
        Ok(())
    }
}

fn line(life: &Life, world: &World, made: &Move) -> String {
    let who = match made.who {
        Who::Replica(number) => ["replica A", "replica B"][number],
        Who::Proxmox => "Proxmox",
        Who::ApiServer => "the API server",
        Who::People => "people",
        Who::Time => "time",
    };
    let next = &made.leads_to;
    let mut line = format!("at {:>2}, {who} {}", world.time, made.what);
    if next.plan.status != world.plan.status {
        let told = life.on_record(next.plan.status, |sight| {
            format!("; on record now: {} {}, attempt {}", sight.phase, sight.reason, sight.attempt)
        });
        line.push_str(&told);
    }
    line
}
