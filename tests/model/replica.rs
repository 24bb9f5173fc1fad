//! A process that carries out what `step` asks for: looks begin and end, effects are done one by one, and it can die between
//! any two of them.

use proxmox_agent::{
    api::Phase,
    core::lifecycle::{Blocked, Event},
};

use crate::{
    book::Id,
    deed::Deed,
    life::Life,
    moves::{Kind, Moves, Who},
    record, replies,
    setting::{MOMENT, moment},
    world::{Doing, Look, REPLICAS, Replica, World, nonce},
};

pub(crate) fn moves(moves: &mut Moves<'_>, world: &World, number: usize) {
    let replica = &world.replicas[number];
    match replica.doing {
        Doing::Nothing => begin(moves, world, number),
        Doing::Effects => perform(moves, world, number),
        Doing::Writing => record::write(moves, world, number),
        Doing::Reading => record::read_again(moves, world, number),
        Doing::Waiting(call) => replies::answer(moves, world, number, call),
    }
    if replica.doing != Doing::Nothing && world.left.crashes > 0 {
        let mut next = *world;
        next.left.crashes -= 1;
        next.replicas[number] = Replica { comes_again: true, intents: replica.intents, ..Replica::default() };
        moves.add(Who::Replica(number), Kind::Chance, "dies, and starts again", next);
    }
}

/// The time that a replica's own clock shows.
pub(crate) fn clock(life: &Life, world: &World, number: usize) -> u8 {
    let skew = if number == 1 { life.setting.skew } else { 0 };
    world.time.checked_add_signed(skew).expect("the world begins late enough")
}

/// The time by which it takes a call for settled.
fn clock_for(life: &Life, world: &World, number: usize, state: Id) -> u8 {
    let settles_at_once = !life.setting.protocol.waits_until_settled
        && life.on_sight(state, |sight| sight.phase == Phase::Dispatching);
    clock(life, world, number) + if settles_at_once { 50 } else { 0 }
}

/// Its status says so, and nobody has decided to send it again.
pub(crate) fn has_ended(life: &Life, world: &World) -> bool {
    let (phase, attempt) = life.on_record(world.plan.status, |sight| (sight.phase, sight.attempt));
    phase.is_terminal() && (phase != Phase::Indeterminate || world.decisions & (1 << attempt) == 0)
}

/// It may look at any moment, whatever for: a change that it watches, a resync, a restart, a lease that it got.
fn begin(moves: &mut Moves<'_>, world: &World, number: usize) {
    let plan = &world.plan;
    let life = moves.life;
    let is_asked = life.setting.decisions > 0
        && life.on_record(plan.status, |sight| sight.phase == Phase::Indeterminate);
    if !plan.is_there || has_ended(life, world) && !plan.is_held && !is_asked {
        return;
    }
    let kind = if world.replicas[number].comes_again { Kind::Due } else { Kind::Chance };
    let mut next = *world;
    let first = life.event(if plan.is_being_deleted { Event::Deleted } else { Event::Woken });
    next.replicas[number].doing = Doing::Effects;
    next.replicas[number].look = Look {
        state: life.read(plan.status),
        inbox: [Some(first), None],
        status: plan.status,
        made: plan.made,
        sees_deletion: plan.is_being_deleted,
        is_fresh: true,
        ..Look::default()
    };
    moves.add(Who::Replica(number), kind, "reads the plan", advanced(life, next, number));
}

/// Somebody has written since this look began, and it has announced nothing: whatever it hears, it can write nothing any
/// more, and so it makes no difference when it finds out.
fn is_out_of_date(life: &Life, world: &World, number: usize) -> bool {
    let Replica { doing, look, .. } = &world.replicas[number];
    let protocol = &life.setting.protocol;
    let writes_before_it_acts = protocol.fenced && protocol.intent_on_record;
    *doing == Doing::Effects && !look.is_fresh && !look.is_announced && writes_before_it_acts
}

/// Those who are out of date find out.
pub(crate) fn caught_up(life: &Life, mut world: World) -> World {
    for number in 0..REPLICAS {
        if is_out_of_date(life, &world, number) {
            world = advanced(life, world, number);
        }
    }
    world
}

/// Goes on until something is to be done that others can notice, or that depends on them.
pub(crate) fn advanced(life: &Life, mut world: World, number: usize) -> World {
    loop {
        let look = world.replicas[number].look;
        match life.deed(look.effects, look.next) {
            None => {
                let [Some(event), later] = look.inbox else { return ended(world, number) };
                world.replicas[number].look.inbox = [later, None];
                stepped(life, &mut world, number, event);
            }
            Some(Deed::Tell) => world.replicas[number].look.next += 1,
            Some(Deed::ComeAgain) => {
                world.replicas[number].look.comes_again = true;
                world.replicas[number].look.next += 1;
            }
            Some(Deed::WakeSoon) => {
                world.replicas[number].look.next += 1;
                heard(life, &mut world, number, Event::Woken);
            }
            Some(deed @ (Deed::AuditIntent | Deed::Audit)) if world.left.audit == 0 => {
                audited(&mut world, number, deed);
            }
            Some(Deed::Hold | Deed::Release) if !life.setting.deletes => {
                world.replicas[number].look.next += 1;
            }
            Some(Deed::WriteStatus) if record::is_written(life, &world, number) => {
                world.replicas[number].look.next += 1;
            }
            Some(Deed::WriteStatus) if is_out_of_date(life, &world, number) => {
                return broken_off(world, number, true);
            }
            Some(Deed::Recheck) if is_out_of_date(life, &world, number) => {
                let event = rechecked(life, &mut world, number);
                world.replicas[number].look.next += 1;
                heard(life, &mut world, number, event);
            }
            Some(Deed::Judge) if cannot_change(&world) || is_out_of_date(life, &world, number) => {
                world.replicas[number].look.next += 1;
                let judged = life.setting.judged(world.moved);
                heard(life, &mut world, number, Event::Judged(judged));
            }
            Some(Deed::GatherApprovals)
                if is_decided(life, &world, number) || is_out_of_date(life, &world, number) =>
            {
                gathered(life, &mut world, number);
            }
            Some(_) => return world,
        }
    }
}

/// Neither the target nor whether it can be read: it makes no difference when it is read.
fn cannot_change(world: &World) -> bool {
    world.left.wire == 0 && world.left.people == 0
}

/// Nobody can say anything else any more, and nothing ends.
fn is_decided(life: &Life, world: &World, number: usize) -> bool {
    let look = &world.replicas[number].look;
    let is_backed = is_backed(life, world, look.made, look.state);
    world.left.people == 0 && life.setting.approved_until.is_none() && is_backed
}

fn stepped(life: &Life, world: &mut World, number: usize, event: Id) {
    let look = world.replicas[number].look;
    let (state, effects) = life.step(look.state, event, clock_for(life, world, number, look.state));
    let gives_up = life.on_sight(state, |sight| sight.reason == "NoTaskFound");
    let look = &mut world.replicas[number].look;
    if gives_up && life.setting.protocol.sends_again_if_nothing_is_found {
        look.effects = life.send_again();
    } else {
        (look.state, look.effects) = (state, effects);
    }
    look.next = 0;
}

/// An answer to a question, which counts when its turn comes.
pub(crate) fn heard(life: &Life, world: &mut World, number: usize, event: Event) {
    heard_of(world, number, life.event(event));
}

fn heard_of(world: &mut World, number: usize, event: Id) {
    let inbox = &mut world.replicas[number].look.inbox;
    let free = inbox.iter_mut().find(|place| place.is_none()).expect("no step asks three questions");
    *free = Some(event);
}

/// The effect is done; this is what came of it.
pub(crate) fn answered(life: &Life, mut world: World, number: usize, event: Event) -> World {
    let replica = &mut world.replicas[number];
    replica.doing = Doing::Effects;
    replica.look.next += 1;
    heard(life, &mut world, number, event);
    advanced(life, world, number)
}

/// The effect is done.
pub(crate) fn done(life: &Life, mut world: World, number: usize) -> World {
    let replica = &mut world.replicas[number];
    replica.doing = Doing::Effects;
    replica.look.next += 1;
    advanced(life, world, number)
}

fn ended(world: World, number: usize) -> World {
    let comes_again = world.replicas[number].look.comes_again;
    broken_off(world, number, comes_again)
}

/// The look ends.
pub(crate) fn broken_off(mut world: World, number: usize, comes_again: bool) -> World {
    let intents = world.replicas[number].intents;
    world.replicas[number] = Replica { comes_again, intents, ..Replica::default() };
    world
}

fn perform(moves: &mut Moves<'_>, world: &World, number: usize) {
    let life = moves.life;
    let look = world.replicas[number].look;
    let deed = life.deed(look.effects, look.next).expect("a look without effects has ended");
    match deed {
        Deed::Audit | Deed::AuditIntent => audit(moves, world, number, deed),
        Deed::WriteStatus => record::write_status(moves, world, number),
        Deed::Hold => record::hold(moves, world, number),
        Deed::Release => record::release(moves, world, number),
        Deed::Send(until) => send(moves, world, number, until),
        Deed::GatherApprovals => gather(moves, world, number),
        Deed::Judge => {
            let judged = life.setting.judged(world.moved);
            asked(moves, world, number, "judges the target", Event::Judged(judged));
        }
        Deed::Recheck => recheck(moves, world, number),
        Deed::LookAtTask => replies::look_at_task(moves, world, number),
        Deed::LookAtHa => replies::look_at_ha(moves, world, number),
        Deed::SearchTasks => replies::search_tasks(moves, world, number),
        Deed::LookForTraces => replies::look_for_traces(moves, world, number),
        Deed::Tell | Deed::ComeAgain | Deed::WakeSoon => unreachable!("{deed:?} is done at once"),
    }
}

/// A question to Proxmox, which may be out of reach.
pub(crate) fn asked(moves: &mut Moves<'_>, world: &World, number: usize, what: &'static str, event: Event) {
    let life = moves.life;
    moves.add(Who::Replica(number), Kind::Due, what, answered(life, *world, number, event));
    if world.left.wire > 0 {
        let mut next = *world;
        next.left.wire -= 1;
        next.replicas[number].look.comes_again = true;
        let why = Blocked { reason: "ProxmoxUnavailable".into(), message: "no endpoint answers".into() };
        let next = answered(life, next, number, Event::Blocked(why));
        moves.add(Who::Replica(number), Kind::Chance, "asks Proxmox in vain", next);
    }
}

fn recheck(moves: &mut Moves<'_>, world: &World, number: usize) {
    let mut next = *world;
    let event = rechecked(moves.life, &mut next, number);
    asked(moves, &next, number, "judges the target again and drafts an intent", event);
}

fn rechecked(life: &Life, world: &mut World, number: usize) -> Event {
    let nonce = nonce(number, world.replicas[number].intents);
    let (node_time, judged_at) = (moment(world.time.into()), moment(clock(life, world, number).into()));
    let draft = life.setting.draft(nonce.to_string(), node_time, judged_at);
    let look = &mut world.replicas[number].look;
    (look.rechecked, look.backed) = (Some(world.moved), None);
    (look.is_audited, look.is_announced) = (false, false);
    Event::Rechecked { judged: life.setting.judged(world.moved), draft: Box::new(draft) }
}

fn gather(moves: &mut Moves<'_>, world: &World, number: usize) {
    let life = moves.life;
    let mut next = *world;
    gathered(life, &mut next, number);
    let next = advanced(life, next, number);
    moves.add(Who::Replica(number), Kind::Due, "reads the approvals", next);
}

fn gathered(life: &Life, world: &mut World, number: usize) {
    let look = world.replicas[number].look;
    let planned_for = life.on_sight(look.state, |sight| sight.planned_for);
    let backed = planned_for.filter(|_| is_backed(life, world, look.made, look.state));
    let given = (world.approvals, world.decisions);
    let event = life.approvals(look.state, given, look.made, world.time);
    let look = &mut world.replicas[number].look;
    look.backed = backed;
    look.next += 1;
    heard_of(world, number, event);
}

/// What people have really said, and still say: not how the program reads it.
pub(crate) fn is_backed(life: &Life, world: &World, made: u8, state: Id) -> bool {
    let setting = &life.setting;
    let (planned_for, question) = life.on_sight(state, |sight| (sight.planned_for, sight.question));
    let stands = setting.approved_until.is_none_or(|end| world.time < end);
    let said = match (question, planned_for) {
        (Some(attempt), _) => world.decisions & (1 << attempt) != 0,
        (None, Some(moved)) => setting.approvals == 0 || world.approvals & (1 << moved) != 0,
        (None, None) => false,
    };
    said && (made == 0 && stands || setting.approvals == 0)
}

fn audit(moves: &mut Moves<'_>, world: &World, number: usize, deed: Deed) {
    let life = moves.life;
    let mut next = *world;
    audited(&mut next, number, deed);
    moves.add(Who::Replica(number), Kind::Due, "writes its audit log", advanced(life, next, number));
    if world.left.audit == 0 {
        return;
    }
    let mut next = *world;
    next.left.audit -= 1;
    let next = broken_off(next, number, true);
    moves.add(Who::Replica(number), Kind::Chance, "can't write its audit log", next);
}

fn audited(world: &mut World, number: usize, deed: Deed) {
    let look = &mut world.replicas[number].look;
    look.next += 1;
    look.is_audited |= deed == Deed::AuditIntent;
}

/// Once, and only while the announcement is fresh.
fn send(moves: &mut Moves<'_>, world: &World, number: usize, until: i64) {
    let life = moves.life;
    let protocol = &life.setting.protocol;
    let who = Who::Replica(number);
    let is_late = i64::from(clock(life, world, number)) * MOMENT >= until;
    if is_late && protocol.keeps_the_deadline {
        let next = replies::not_sent(life, *world, number);
        return moves.add(who, Kind::Due, "is too late to send", next);
    }
    if protocol.asks_the_lease && usize::from(world.leader) != number {
        let next = broken_off(*world, number, true);
        return moves.add(who, Kind::Due, "does not lead, and sends nothing", next);
    }
    replies::leave(moves, world, number);
}
