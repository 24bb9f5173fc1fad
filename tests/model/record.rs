//! The plan on record: written with the `resourceVersion` that was read, by an API server that may fail in between.

use proxmox_agent::api::Phase;

use crate::{
    book::Id,
    life::Life,
    moves::{Kind, Moves, Who},
    replica::{broken_off, done},
    rules,
    world::{Doing, Replica, World, nonce},
};

/// A status that is on record already is not written.
pub(crate) fn is_written(life: &Life, world: &World, number: usize) -> bool {
    let look = &world.replicas[number].look;
    let is_left_out = !life.setting.protocol.intent_on_record
        && life.on_sight(look.state, |sight| sight.phase == Phase::Dispatching);
    is_left_out || life.report(look.state, look.status) == look.status
}

pub(crate) fn write_status(moves: &mut Moves<'_>, world: &World, number: usize) {
    let life = moves.life;
    let mut next = *world;
    let replica = &mut next.replicas[number];
    let look = &mut replica.look;
    look.status = life.report(look.state, look.status);
    replica.doing = Doing::Writing;
    if life.on_sight(replica.look.state, |sight| sight.nonce) == Some(nonce(number, replica.intents)) {
        replica.intents += 1;
    }
    write(moves, &next, number);
}

pub(crate) fn write(moves: &mut Moves<'_>, world: &World, number: usize) {
    let life = moves.life;
    let look = world.replicas[number].look;
    let who = Who::Replica(number);
    if !world.plan.is_there {
        let next = broken_off(*world, number, false);
        return moves.add(who, Kind::Due, "writes the status of a plan that is gone", next);
    }
    let is_current = look.is_fresh && look.made == world.plan.made;
    if !is_current && life.setting.protocol.fenced {
        return moves.add(who, Kind::Due, "writes the status: a conflict", reading(*world, number));
    }
    if life.setting.protocol.ruled && !life.takes(world.plan.status, look.status) {
        let next = broken_off(*world, number, true);
        let breaks = Some("the API server takes what the program writes");
        return moves.add_judged((who, Kind::Due, "writes the status, which is refused"), next, breaks);
    }
    let mut kept = *world;
    kept.replicas[number].look.is_announced = is_intent_of(life, &world.replicas[number], number);
    let breaks = put_on_record(moves, &mut kept, look.status, Some(number));
    let next = done(life, kept, number);
    moves.add_judged((who, Kind::Due, "writes the status"), next, breaks);
    if world.left.store > 0 {
        troubles(moves, world, number);
    }
}

fn troubles(moves: &mut Moves<'_>, world: &World, number: usize) {
    let who = Who::Replica(number);
    let mut trouble = *world;
    trouble.left.store -= 1;
    let status = trouble.replicas[number].look.status;

    let mut kept = trouble;
    let breaks = put_on_record(moves, &mut kept, status, None);
    let what = "writes the status, and hears nothing: it was kept";
    moves.add_judged((who, Kind::Chance, what), reading(kept, number), breaks);

    let what = "writes the status, and hears nothing: it was not kept";
    moves.add(who, Kind::Chance, what, reading(trouble, number));

    let late = World { late_write: Some(status), ..trouble };
    let what = "writes the status, and hears nothing: it is still on its way";
    moves.add(who, Kind::Chance, what, reading(late, number));

    let mut labelled = trouble;
    labelled.written_by(None);
    let what = "writes the status: a conflict, somebody has put a label on the plan";
    moves.add(who, Kind::Chance, what, reading(labelled, number));
}

/// What the API server does when it takes a status. Says which rule is broken by it.
pub(crate) fn put_on_record(
    moves: &Moves<'_>,
    world: &mut World,
    status: Id,
    writer: Option<usize>,
) -> Option<&'static str> {
    let before = world.plan.status;
    world.plan.status = status;
    world.written_by(writer);
    rules::of_a_write(moves.life, world, before, status)
}

/// What it writes announces the call that it has drafted last.
fn is_intent_of(life: &Life, replica: &Replica, number: usize) -> bool {
    let last = replica.intents.checked_sub(1).map(|intents| nonce(number, intents));
    last.is_some() && life.on_sight(replica.look.state, |sight| sight.nonce) == last
}

fn reading(mut world: World, number: usize) -> World {
    world.replicas[number].doing = Doing::Reading;
    world
}

/// Its own intent on record: what came of it is its to say. Anything else: whoever wrote first has it.
pub(crate) fn read_again(moves: &mut Moves<'_>, world: &World, number: usize) {
    let life = moves.life;
    let who = Who::Replica(number);
    let look = world.replicas[number].look;
    let wanted = life.on_record(look.status, |sight| (sight.phase, sight.reason.clone(), sight.nonce));
    let on_record =
        life.on_record(world.plan.status, |sight| (sight.phase, sight.reason.clone(), sight.nonce));
    let is_ours = world.plan.is_there && wanted.2.is_some() && on_record.2 == wanted.2;
    let mut next = *world;
    let look = &mut next.replicas[number].look;
    if !is_ours {
        let next = broken_off(*world, number, true);
        moves.add(who, Kind::Due, "reads the plan: somebody else has it", next);
    } else if on_record == wanted {
        look.is_fresh = true;
        look.status = world.plan.status;
        next.replicas[number].look.is_announced = is_intent_of(life, &world.replicas[number], number);
        let next = done(life, next, number);
        moves.add(who, Kind::Due, "reads the plan: its own write got through", next);
    } else {
        look.is_fresh = true;
        next.replicas[number].doing = Doing::Writing;
        moves.add(who, Kind::Due, "reads the plan: its own, with somebody else's change", next);
    }
    if world.left.store > 0 {
        // What came of a call is not forgotten, because nobody else knows it.
        let mut next = if is_ours { *world } else { broken_off(*world, number, true) };
        if is_ours {
            next.replicas[number].doing = Doing::Writing;
        }
        next.left.store -= 1;
        moves.add(who, Kind::Chance, "can't read the plan", next);
    }
}

pub(crate) fn hold(moves: &mut Moves<'_>, world: &World, number: usize) {
    let life = moves.life;
    let look = world.replicas[number].look;
    let mut next = *world;
    if look.is_fresh && !look.sees_deletion && !world.plan.is_held {
        next.plan.is_held = true;
        next.written_by(Some(number));
    }
    let next = done(life, next, number);
    moves.add(Who::Replica(number), Kind::Due, "holds the plan, if nobody has written", next);
}

pub(crate) fn release(moves: &mut Moves<'_>, world: &World, number: usize) {
    let life = moves.life;
    let who = Who::Replica(number);
    let mut next = *world;
    if !world.plan.is_held {
        return moves.add(who, Kind::Due, "has nothing to release", done(life, next, number));
    }
    if !world.replicas[number].look.is_fresh {
        let next = broken_off(next, number, true);
        return moves.add(who, Kind::Due, "releases the plan: a conflict", next);
    }
    next.plan.is_held = false;
    next.plan.is_there = !world.plan.is_being_deleted;
    next.written_by(Some(number));
    moves.add(who, Kind::Due, "releases the plan", done(life, next, number));
}
