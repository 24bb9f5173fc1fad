//! What has to hold, whatever happens. Each rule looks at what is true in the world, not at what the program believes.

use proxmox_agent::api::Phase;

use crate::{
    book::Id,
    life::Life,
    setting::Class,
    sight::{STRANGE, Sight},
    world::{Call, Fate, World},
};

pub(crate) const AT_MOST_ONCE: &str = "an approved plan changes something at most once";

/// A call is about to leave this replica.
pub(crate) fn of_a_call(life: &Life, world: &World, number: usize) -> Option<&'static str> {
    let look = world.replicas[number].look;
    let (attempt, planned_for, judged_at) =
        life.on_sight(look.state, |sight| (sight.attempt, sight.planned_for, sight.drafted_at));
    if world.calls().any(|call| call.made == look.made && call.attempt == attempt) {
        return Some("an attempt is sent once");
    }
    if !look.is_audited {
        return Some("nothing is sent without its intent in the audit log");
    }
    if !look.is_announced {
        return Some("nothing is sent without its intent on record");
    }
    if look.rechecked.is_none() || look.rechecked != planned_for {
        return Some("nothing is sent that was not judged by the target as it was a moment ago");
    }
    if look.backed != planned_for {
        return Some("nothing is sent without approvals of just that, read live");
    }
    let has_expired = life.setting.approved_until.is_some_and(|end| world.time >= end);
    if has_expired && life.setting.approvals > 0 {
        return Some("nothing is sent after its approvals have ended");
    }
    if life.setting.not_after.is_some_and(|end| world.time >= end) {
        return Some("nothing is sent after notAfter");
    }
    if judged_at != world.time {
        return Some("nothing is sent on a judgement that has grown old");
    }
    None
}

/// Proxmox has just carried out this call.
pub(crate) fn of_a_mutation(world: &World, place: usize) -> Option<&'static str> {
    let this = world.calls[place]?;
    let same = |call: &&Call| call.made == this.made && call.fate.is_carried_out();
    let approved = 1 + world.decisions.count_ones() as usize;
    (world.calls().filter(same).count() > approved).then_some(AT_MOST_ONCE)
}

/// The status was written.
pub(crate) fn of_a_write(life: &Life, world: &World, before: Id, after: Id) -> Option<&'static str> {
    let was = life.sight(life.read(before));
    let is = life.sight(life.read(after));
    if is.attempt < was.attempt || is.attempt > was.attempt + 1 {
        return Some("attempts count up by one");
    }
    if was.attempt > 0 && is.attempt > was.attempt {
        return of_another_attempt(world, &was, &is);
    }
    if was.phase.is_terminal()
        && before != after
        && (was.phase, is.phase) != (Phase::Indeterminate, Phase::Indeterminate)
    {
        return Some("what has ended stays as it is");
    }
    if rank(is.phase) < rank(was.phase) {
        return Some("phases never go back");
    }
    if was.task.is_some() && is.task != was.task {
        return Some("a task on record stays on record");
    }
    of_what_is_told(life, world, &is)
}

/// People have decided so, knowing which attempt is in doubt, or it is certain that it did nothing.
fn of_another_attempt(world: &World, was: &Sight, is: &Sight) -> Option<&'static str> {
    let is_decided = world.decisions & (1 << was.attempt) != 0;
    let may_have_run = world.calls().any(|call| {
        call.made == world.plan.made
            && call.attempt == was.attempt
            && (call.fate.is_carried_out() || call.fate == Fate::OnItsWay)
    });
    match was.phase {
        _ if is.phase != Phase::Dispatching => Some("another attempt begins with its announcement"),
        Phase::Indeterminate if is_decided => None,
        Phase::Indeterminate => Some("an unknown outcome is left only by a decision that names its attempt"),
        Phase::Dispatching if !may_have_run => None,
        Phase::Dispatching => Some("nothing is sent again that may have been carried out"),
        _ => Some("what has ended stays as it is"),
    }
}

/// Waiting for approvals and having them go back and forth: an approval can be taken back.
fn rank(phase: Phase) -> u8 {
    match phase {
        Phase::Pending => 0,
        Phase::AwaitingApproval | Phase::Approved => 1,
        Phase::Dispatching => 2,
        Phase::Running => 3,
        _ => 4,
    }
}

/// A known outcome is a true one.
fn of_what_is_told(life: &Life, world: &World, is: &Sight) -> Option<&'static str> {
    if is.task == Some(STRANGE) {
        return Some("no other's task is taken for one's own");
    }
    let its = |call: &&Call| call.made == world.plan.made && call.attempt == is.attempt;
    let followed = is.task.and_then(|place| world.calls[usize::from(place)]);
    if followed.is_some_and(|call| !its(&&call)) {
        return Some("no other attempt's task is taken for this one's");
    }
    let any = |fates: &[Fate]| world.calls().filter(its).any(|call| fates.contains(&call.fate));
    let is_done = world
        .calls()
        .any(|call| call.made == world.plan.made && matches!(call.fate, Fate::Done | Fate::Forgotten));
    let in_doubt = [Fate::OnItsWay, Fate::Lost, Fate::Working, Fate::Killed];
    match is.phase {
        Phase::Succeeded if life.setting.class == Class::Ha && !world.ha_done => {
            Some("what has succeeded is done")
        }
        Phase::Succeeded if !is_done => Some("what has succeeded is done"),
        Phase::Failed if any(&in_doubt) => Some("an unknown outcome is never Failed"),
        Phase::Failed if any(&[Fate::Done, Fate::Forgotten]) => Some("what has failed is not done"),
        Phase::Denied | Phase::Expired | Phase::Cancelled if world.calls().any(|call| its(&call)) => {
            Some("what was sent ends with its outcome")
        }
        _ => None,
    }
}
