//! What happens around the replicas and Proxmox: people decide, time passes, the lease moves, a late write arrives.

use proxmox_agent::api::Phase;

use crate::{
    life::Life,
    moves::{Kind, Moves, Who},
    record,
    replica::has_ended,
    setting::SETTLED_AFTER,
    world::{Fate, Plan, World},
};

pub(crate) fn moves(moves: &mut Moves<'_>, world: &World) {
    people(moves, world);
    if world.left.people > 0 {
        trouble(moves, world);
    }
    if let Some(status) = world.late_write {
        let mut next = *world;
        let breaks = record::put_on_record(moves, &mut next, status, None);
        moves.add_judged((Who::ApiServer, Kind::Chance, "keeps the late write"), next, breaks);
    }
    if world.left.lease > 0 {
        let mut next = World { leader: 1 - world.leader, ..*world };
        next.left.lease -= 1;
        moves.add(Who::ApiServer, Kind::Chance, "gives the lease to the other replica", next);
    }
    if may_pass(moves.life, world) {
        moves.add(Who::Time, Kind::Due, "passes", passed(*world));
    }
}

fn people(moves: &mut Moves<'_>, world: &World) {
    let waits_for = moves.life.on_record(world.plan.status, |sight| {
        sight.planned_for.filter(|_| sight.phase == Phase::AwaitingApproval)
    });
    decide(moves, world);
    let Some(moved) = waits_for.filter(|_| world.plan.is_there && world.plan.made == 0) else { return };
    if world.approvals & (1 << moved) == 0 {
        let mut next = World { approvals: world.approvals | 1 << moved, ..*world };
        next.wake_everybody();
        moves.add(Who::People, Kind::Chance, "approve the plan", next);
    }
}

/// To send it again, although nobody knows what became of it.
fn decide(moves: &mut Moves<'_>, world: &World) {
    let (phase, attempt) = moves.life.on_record(world.plan.status, |sight| (sight.phase, sight.attempt));
    let was_decided = world.decisions & (1 << attempt) != 0;
    let may_decide = world.decisions.count_ones() < u32::from(moves.life.setting.decisions);
    if phase == Phase::Indeterminate
        && world.plan.is_there
        && world.plan.made == 0
        && may_decide
        && !was_decided
    {
        let mut next = World { decisions: world.decisions | 1 << attempt, ..*world };
        next.wake_everybody();
        moves.add(Who::People, Kind::Chance, "decide that it is sent again", next);
    }
}

fn trouble(moves: &mut Moves<'_>, world: &World) {
    let mut trouble = *world;
    trouble.left.people -= 1;
    trouble.wake_everybody();
    if world.moved < 2 && !moves.life.setting.deletes {
        let next = World { moved: world.moved + 1, ..trouble };
        moves.add(Who::People, Kind::Chance, "move the target", next);
    }
    if moves.life.setting.deletes {
        delete(moves, world, trouble);
    } else if world.approvals != 0 {
        let next = World { approvals: 0, ..trouble };
        moves.add(Who::People, Kind::Chance, "revoke the approvals", next);
    }
}

fn delete(moves: &mut Moves<'_>, world: &World, mut trouble: World) {
    let Plan { is_there, is_being_deleted, made, .. } = world.plan;
    if is_there && !is_being_deleted {
        trouble.plan.is_being_deleted = true;
        trouble.plan.is_there = world.plan.is_held;
        trouble.written_by(None);
        moves.add(Who::People, Kind::Chance, "delete the plan", trouble);
    } else if !is_there {
        trouble.plan = Plan {
            status: moves.life.no_status(),
            made: made + 1,
            is_there: true,
            is_being_deleted: false,
            is_held: false,
        };
        trouble.written_by(None);
        moves.add(Who::People, Kind::Chance, "make another plan of the same name", trouble);
    }
}

/// Time passes while anything depends on it: otherwise there would be no end of situations that differ in nothing else.
fn may_pass(life: &Life, world: &World) -> bool {
    let setting = &life.setting;
    let ends = setting.approved_until.into_iter().chain(setting.not_after);
    let skew = setting.skew.unsigned_abs();
    let is_open = |state| {
        life.on_sight(state, |sight| {
            world.time < sight.open_until.saturating_add(if sight.open_until == 0 { 0 } else { skew })
        })
    };
    let has_ended = !world.plan.is_there || has_ended(life, world);
    !has_ended && ends.max().is_some_and(|end| world.time <= end)
        || world.calls().any(|call| call.fate == Fate::OnItsWay)
        || world.plan.is_there && is_open(life.read(world.plan.status))
        || world.replicas.iter().any(|replica| is_open(replica.look.state))
}

fn passed(mut world: World) -> World {
    world.time += 1;
    assert!(world.time < 40, "time passes without end");
    for call in world.calls.iter_mut().flatten() {
        if call.fate == Fate::OnItsWay && world.time >= call.left_at + SETTLED_AFTER {
            call.fate = Fate::Lost;
        }
    }
    world
}
