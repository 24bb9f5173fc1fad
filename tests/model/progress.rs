//! Once nothing goes wrong any more, everything comes to an end: a plan has ended, or waits for people.
//!
//! Time, Proxmox and each replica are fair: what they can do at any time they do some time. Time and tasks come to an end
//! by themselves, so only situations are looked at in which it is up to the replicas: there must be none without a next
//! move, and no circle that a fair run can stay in.

use std::collections::HashMap;

use proxmox_agent::api::Phase;

use crate::{
    fingerprint::fingerprint,
    life::Life,
    moves::{Kind, Move, Moves, Who},
    replica::is_backed,
    world::{REPLICAS, World},
};

pub(crate) fn is_up_to_the_replicas(life: &Life, world: &World, found: &[Move]) -> bool {
    let others = found.iter().any(|found| found.kind == Kind::Due && !matches!(found.who, Who::Replica(_)));
    !others && !has_come_to_an_end(life, world)
}

fn has_come_to_an_end(life: &Life, world: &World) -> bool {
    let phase = life.on_record(world.plan.status, |sight| sight.phase);
    let has_passed = life.setting.not_after.is_some_and(|end| world.time >= end);
    let waits_for_people = phase == Phase::AwaitingApproval
        && !has_passed
        && !is_backed(life, world, world.plan.made, life.read(world.plan.status));
    !world.plan.is_there || phase.is_terminal() || waits_for_people
}

struct Graph {
    next: Vec<Vec<(usize, usize)>>,
    /// Whether each replica can do something.
    can: Vec<[bool; REPLICAS]>,
}

/// The number of a situation from which a fair run never comes to an end.
pub(crate) fn never_ends(moves: &mut Moves<'_>, calm: &[(u32, World)]) -> Option<u32> {
    let places: HashMap<u128, usize> =
        calm.iter().enumerate().map(|(place, (_, world))| (fingerprint(world), place)).collect();
    let mut graph = Graph { next: vec![], can: vec![] };
    for (number, world) in calm {
        let due = moves.of(world).iter().filter(|found| found.kind == Kind::Due);
        let mut can = [false; REPLICAS];
        let mut next = vec![];
        for found in due {
            let Who::Replica(replica) = found.who else { continue };
            can[replica] = true;
            next.extend(places.get(&fingerprint(&found.leads_to)).map(|place| (*place, replica)));
        }
        if can == [false; REPLICAS] {
            return Some(*number);
        }
        graph.next.push(next);
        graph.can.push(can);
    }
    let circle = graph.circles().into_iter().find(|circle| graph.is_fair(circle))?;
    Some(calm[*circle.iter().min()?].0)
}

impl Graph {
    /// Each replica moves on it, or can't at some place of it.
    fn is_fair(&self, circle: &[usize]) -> bool {
        let is_on_it = |place: &usize| circle.binary_search(place).is_ok();
        (0..REPLICAS).all(|replica| {
            let moves =
                |place: &usize| self.next[*place].iter().any(|(to, by)| *by == replica && is_on_it(to));
            circle.iter().any(|place| moves(place) || !self.can[*place][replica])
        })
    }

    /// All sets of places from each of which all others of the set can be reached (Kosaraju), sorted.
    fn circles(&self) -> Vec<Vec<usize>> {
        let forward: Vec<Vec<usize>> =
            self.next.iter().map(|next| next.iter().map(|(to, _)| *to).collect()).collect();
        let mut backward = vec![vec![]; forward.len()];
        for (from, next) in forward.iter().enumerate() {
            for to in next {
                backward[*to].push(from);
            }
        }
        let all = 0..forward.len();
        let order: Vec<usize> = visit(&forward, all).into_iter().flatten().collect();
        let mut circles = visit(&backward, order.into_iter().rev());
        circles.retain(|circle| circle.len() > 1 || forward[circle[0]].contains(&circle[0]));
        for circle in &mut circles {
            circle.sort_unstable();
        }
        circles
    }
}

/// From each beginning all that was not visited before, each place after those that it leads to.
fn visit(next: &[Vec<usize>], beginnings: impl Iterator<Item = usize>) -> Vec<Vec<usize>> {
    let mut visited = vec![false; next.len()];
    let mut trees = vec![];
    for beginning in beginnings {
        if std::mem::replace(&mut visited[beginning], true) {
            continue;
        }
        let mut tree = vec![];
        let mut open = vec![(beginning, 0)];
        while let Some((place, tried)) = open.last_mut() {
            if let Some(to) = next[*place].get(*tried) {
                *tried += 1;
                if !std::mem::replace(&mut visited[*to], true) {
                    open.push((*to, 0));
                }
            } else {
                tree.push(*place);
                open.pop();
            }
        }
        trees.push(tree);
    }
    trees
}
