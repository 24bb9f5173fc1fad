//! What Proxmox does in its own time: calls arrive or don't, tasks end, the list is written late or loses an entry.

use crate::{
    moves::{Kind, Moves, Who},
    rules,
    setting::{Class, SETTLED_AFTER},
    world::{Call, Fate, World},
};

pub(crate) fn moves(moves: &mut Moves<'_>, world: &World) {
    for (place, call) in world.calls.iter().enumerate() {
        let Some(call) = call else { continue };
        match call.fate {
            Fate::OnItsWay => arrive(moves, world, place, *call),
            Fate::Working => end(moves, world, place),
            Fate::Done if world.left.tasks > 0 => {
                moves.add(
                    Who::Proxmox,
                    Kind::Chance,
                    "forgets the task",
                    with(world, place, Fate::Forgotten, 1),
                );
            }
            _ => {}
        }
        if call.fate.is_carried_out() && !call.is_listed && has_task(moves) {
            let mut next = *world;
            list(&mut next, place);
            moves.add(Who::Proxmox, Kind::Chance, "lists the task, late", next);
        }
    }
    let is_asked = world.calls().any(|call| matches!(call.fate, Fate::Done | Fate::Forgotten));
    if moves.life.setting.class == Class::Ha && is_asked && !world.ha_done {
        let next = World { ha_done: true, ..*world };
        moves.add(Who::Proxmox, Kind::Due, "starts the guest, as the HA manager was asked to", next);
    }
}

fn has_task(moves: &Moves<'_>) -> bool {
    moves.life.setting.class != Class::Synchronous
}

/// A call that has left arrives within the time that settling allows, or never.
fn arrive(moves: &mut Moves<'_>, world: &World, place: usize, call: Call) {
    debug_assert!(world.time < call.left_at + SETTLED_AFTER, "the clock has not lost it");
    let class = moves.life.setting.class;
    let is_there = world.calls().any(|other| other.fate.is_carried_out() && other.fate != Fate::Failed);
    if class == Class::RefusingKey && is_there {
        let next = with(world, place, Fate::Refused, 0);
        return moves.add(Who::Proxmox, Kind::Due, "refuses the call, because it is there already", next);
    }
    if world.left.wire > 0 {
        let mut next = with(world, place, Fate::Refused, 0);
        next.left.wire -= 1;
        moves.add(Who::Proxmox, Kind::Chance, "refuses the call", next);
    }
    let fate = if has_task(moves) { Fate::Working } else { Fate::Done };
    let mut next = with(world, place, fate, 0);
    next.calls[place].as_mut().unwrap().began_at = world.time;
    let breaks = rules::of_a_mutation(&next, place);
    if !has_task(moves) {
        return moves.add_judged((Who::Proxmox, Kind::Due, "carries the call out"), next, breaks);
    }
    if moves.life.setting.protocol.list_loses_entries {
        let what = "carries the call out, and does not list its task";
        moves.add_judged((Who::Proxmox, Kind::Due, what), next, breaks);
    }
    list(&mut next, place);
    moves.add_judged((Who::Proxmox, Kind::Due, "carries the call out, as a task"), next, breaks);
}

fn end(moves: &mut Moves<'_>, world: &World, place: usize) {
    moves.add(Who::Proxmox, Kind::Due, "ends the task", with(world, place, Fate::Done, 0));
    if world.left.tasks > 0 {
        moves.add(
            Who::Proxmox,
            Kind::Chance,
            "ends the task in an error",
            with(world, place, Fate::Failed, 1),
        );
        moves.add(Who::Proxmox, Kind::Chance, "loses the worker", with(world, place, Fate::Killed, 1));
    }
}

fn with(world: &World, place: usize, fate: Fate, costs: u8) -> World {
    let mut next = *world;
    next.calls[place].as_mut().unwrap().fate = fate;
    next.left.tasks -= costs;
    next
}

fn list(world: &mut World, place: usize) {
    world.calls[place].as_mut().unwrap().is_listed = true;
}
