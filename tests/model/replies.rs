//! What a replica hears from Proxmox: answers to its call, tasks, the task list, the target itself.

use proxmox_agent::{
    api::Intent,
    core::{
        ha::HaGuest,
        lifecycle::{Event, Rivals},
        task::{Sent, TaskState, Upid},
        traces::Traces,
    },
};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::{
    life::Life,
    moves::{Kind, Moves, Who},
    replica::{answered, asked},
    rules,
    setting::{Class, SENDER, SETTLE, Stranger, moment},
    sight::STRANGE,
    world::{Call, Doing, Fate, World},
};

pub(crate) fn not_sent(life: &Life, world: World, number: usize) -> World {
    answered(life, world, number, Event::Sent(Sent::NotSent { why: "it could not leave".into() }))
}

/// The call leaves the process.
pub(crate) fn leave(moves: &mut Moves<'_>, world: &World, number: usize) {
    let life = moves.life;
    let who = Who::Replica(number);
    if world.left.wire > 0 {
        let mut next = *world;
        next.left.wire -= 1;
        moves.add(who, Kind::Chance, "gets no connection", not_sent(life, next, number));
    }
    let Some(free) = world.calls.iter().position(Option::is_none) else { return };
    let breaks = rules::of_a_call(life, world, number);
    let look = world.replicas[number].look;
    let (nonce, attempt) = life.on_sight(look.state, |sight| (sight.nonce, sight.attempt));
    let mut next = *world;
    next.calls[free] = Some(Call {
        left_at: world.time,
        began_at: 0,
        nonce: nonce.expect("what is sent was announced"),
        attempt,
        made: look.made,
        fate: Fate::OnItsWay,
        is_listed: false,
    });
    next.replicas[number].doing = Doing::Waiting(free as u8);
    moves.add_judged((who, Kind::Due, "sends the call"), next, breaks);
}

pub(crate) fn answer(moves: &mut Moves<'_>, world: &World, number: usize, place: u8) {
    let life = moves.life;
    let call = world.calls[usize::from(place)].expect("it waits for a call that left");
    let who = Who::Replica(number);
    let sent = match call.fate {
        Fate::OnItsWay | Fate::Lost => None,
        Fate::Refused => Some(Sent::Refused { status: 500, message: "no".into() }),
        _ if life.setting.class == Class::Synchronous => Some(Sent::Done),
        _ => Some(Sent::Task(task_of(life, place, &call))),
    };
    if let Some(sent) = sent {
        let next = answered(life, *world, number, Event::Sent(sent));
        moves.add(who, Kind::Due, "gets its answer", next);
    }
    if call.fate == Fate::Lost {
        unanswered(moves, *world, number, Kind::Due);
    } else if world.left.wire > 0 {
        let mut next = *world;
        next.left.wire -= 1;
        unanswered(moves, next, number, Kind::Chance);
    }
}

fn unanswered(moves: &mut Moves<'_>, mut world: World, number: usize, kind: Kind) {
    let who = Who::Replica(number);
    if moves.life.setting.protocol.sends_again_without_answer {
        world.replicas[number].doing = Doing::Effects;
        return moves.add(who, kind, "gets no answer, and is about to send again", world);
    }
    let event = Event::Sent(Sent::Unknown { why: "no answer in time".into() });
    moves.add(who, kind, "gets no answer", answered(moves.life, world, number, event));
}

/// The id of the task of a call: its place among the calls is its process id.
fn task_of(life: &Life, place: u8, call: &Call) -> Upid {
    upid(place, call.began_at, life.setting.task_type(), SENDER)
}

fn upid(pid: u8, began_at: u8, task_type: &str, user: &str) -> Upid {
    let began = moment(began_at.into()).as_second();
    format!("UPID:pve1:{pid:08X}:00062D39:{began:08X}:{task_type}:100:{user}:").parse().unwrap()
}

pub(crate) fn look_at_task(moves: &mut Moves<'_>, world: &World, number: usize) {
    let task = moves.life.on_sight(world.replicas[number].look.state, |sight| sight.task);
    let place = task.filter(|task| *task != STRANGE).expect("a rule stops what follows a strange task");
    let stopped = |with: &str| TaskState::Stopped { exit_status: with.into() };
    let state = match world.calls[usize::from(place)].expect("the task of a call").fate {
        Fate::Working => TaskState::Running,
        Fate::Done => stopped("OK"),
        Fate::Failed => stopped("it went wrong"),
        Fate::Killed => stopped("unexpected status"),
        Fate::Forgotten => TaskState::Vanished,
        fate @ (Fate::OnItsWay | Fate::Lost | Fate::Refused) => unreachable!("{fate:?} has no task"),
    };
    asked(moves, world, number, "looks at its task", Event::Task(state));
}

pub(crate) fn look_at_ha(moves: &mut Moves<'_>, world: &World, number: usize) {
    let guest = HaGuest {
        node: "pve1".into(),
        status: if world.ha_done { "running" } else { "stopped" }.into(),
        state: Some("started".into()),
        told: "as it is".into(),
    };
    asked(moves, world, number, "looks at what the HA manager has done", Event::HaSeen(Some(guest)));
}

pub(crate) fn search_tasks(moves: &mut Moves<'_>, world: &World, number: usize) {
    let life = moves.life;
    let protocol = &life.setting.protocol;
    let mut found: Vec<Upid> = vec![];
    let mut rivals = life.earlier(world.replicas[number].look.state);
    if protocol.reads_the_task_list {
        for (place, call) in world.calls.iter().enumerate() {
            if let Some(call) = call.filter(|call| call.is_listed) {
                found.push(task_of(life, place as u8, &call));
            }
        }
        strange(life, world, number, &mut found, &mut rivals);
    }
    let ahead = if protocol.waits_until_settled { 0 } else { 50 };
    let node_time = moment((world.time + ahead).into());
    asked(moves, world, number, "searches the task list", Event::TasksFound { found, rivals, node_time });
}

/// A task for the same target that began when ours was announced.
fn strange(life: &Life, world: &World, number: usize, found: &mut Vec<Upid>, rivals: &mut Rivals) {
    let drafted_at = life.on_sight(world.replicas[number].look.state, |sight| sight.drafted_at);
    let theirs = |user: &str| upid(STRANGE, drafted_at, life.setting.task_type(), user);
    match life.setting.stranger {
        Stranger::None => {}
        Stranger::OfAnotherUser => found.push(theirs("root@pam")),
        Stranger::OfAnotherPlan => {
            found.push(theirs(SENDER));
            rivals.tasks.push(theirs(SENDER));
        }
        Stranger::Contested => {
            found.push(theirs(SENDER));
            rivals.unanswered.push(intent_of_another(life, drafted_at));
        }
    }
}

fn intent_of_another(life: &Life, drafted_at: u8) -> Intent {
    let at = moment(drafted_at.into());
    let draft = life.setting.draft("theirs".into(), at, at);
    Intent {
        attempt: 1,
        nonce: draft.nonce,
        node: draft.node,
        storages: vec![],
        task_id: draft.task_id,
        task_types: draft.task_types,
        sender: draft.sender,
        node_time: Time(at),
        at: Time(at),
        settles_at: Time(at + SETTLE),
        digest: None,
    }
}

/// What the target shows is true, but need not tell everything.
pub(crate) fn look_for_traces(moves: &mut Moves<'_>, world: &World, number: usize) {
    let is_done = world.calls().any(|call| matches!(call.fate, Fate::Done | Fate::Forgotten));
    let is_begun = world.calls().any(|call| call.fate.is_carried_out());
    let attempt = moves.life.on_sight(world.replicas[number].look.state, |sight| sight.attempt);
    let traces = match moves.life.setting.class {
        _ if attempt >= moves.life.setting.attempts => Traces::Unclear("nothing tells any more".into()),
        Class::RefusingKey if is_done => Traces::Done("its mark is there".into()),
        Class::RefusingKey if !is_begun => Traces::NotDone("its mark is not there".into()),
        Class::Goal if is_done => Traces::Done("it is as it was to be".into()),
        _ => Traces::Unclear("nothing tells".into()),
    };
    asked(moves, world, number, "looks for traces in the target", Event::Traces(traces));
}
