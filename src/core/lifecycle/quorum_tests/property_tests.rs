//! No order of events sends anything without enough true approvals, and enough of them always do.

use std::cell::Cell;

use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};

use super::{
    deeds_of_tests::{Deed, Flaw, Happening, Word, any_beginning, any_happening},
    law_of_tests::Verdict,
    world_of_tests::{Home, PEOPLE, World},
};

const CASES: u32 = 600;

fn runner() -> TestRunner {
    TestRunner::new(Config { cases: CASES, failure_persistence: None, ..Config::default() })
}

fn look() -> Happening {
    Happening::Look { meanwhile: vec![], dies_after: usize::MAX }
}

/// How many runs there were of a kind.
#[derive(Default)]
struct Count(Cell<u32>);

impl Count {
    fn if_so(&self, so: bool) {
        self.0.set(self.0.get() + u32::from(so));
    }

    #[track_caller]
    fn is_more_than(&self, least: u32, what: &str) {
        assert!(self.0.get() > least, "hardly any run was {what}: {} of {CASES}", self.0.get());
    }
}

#[test]
fn nothing_is_sent_without_a_sufficient_living_and_matching_set_of_true_approvals() {
    let cases = (any_beginning(), prop::collection::vec(any_happening(), 1..40));
    let [sent, refused, frozen, broken] = <[Count; 4]>::default();
    let result = runner().run(&cases, |(beginning, happenings)| {
        let mut world = World::new(&beginning);
        for happening in &happenings {
            world.happens(happening);
        }
        sent.if_so(!world.sent.is_empty());
        refused.if_so(world.met.refused);
        frozen.if_so(world.met.frozen);
        broken.if_so(world.met.broken);
        Ok(())
    });
    result.unwrap();
    sent.is_more_than(CASES / 4, "sent");
    refused.is_more_than(CASES / 30, "refused");
    frozen.is_more_than(CASES / 100, "frozen");
    broken.is_more_than(CASES / 100, "left without a judgement");
}

fn yes(by: usize, git: Option<bool>) -> Happening {
    let groups = vec!["ops", "storage"];
    Happening::Deed(Deed::Say(Word { by, groups, denies: false, flaw: Flaw::None, expires: None, git }))
}

/// Everybody approves what is shown now, and it is looked at.
fn all_approve(world: &mut World) {
    let git = if world.home == Home::Cluster { None } else { Some(true) };
    let requester = world.plan.requester;
    world.said.clear();
    for by in (0..PEOPLE).filter(|by| *by != requester) {
        world.happens(&yes(by, git));
    }
    world.happens(&look());
}

fn is_over(world: &World) -> bool {
    let phase = world.status.as_ref().map(|status| status.phase).unwrap_or_default();
    phase.is_in_flight() || phase.is_terminal()
}

/// Whatever went before, as long as the plan still waits: people put things right and approve what they are shown.
#[test]
fn a_plan_that_waits_is_sent_as_soon_as_enough_people_approve_it_and_nothing_else_stops_it() {
    let cases = (any_beginning(), prop::collection::vec(any_happening(), 0..25));
    let [waited, ended, held] = <[Count; 3]>::default();
    let result = runner().run(&cases, |(beginning, happenings)| {
        let mut world = World::new(&beginning);
        for happening in &happenings {
            world.happens(happening);
        }
        world.said.clear();
        world.does(&Deed::RestoreAdmission { anew: true, noticed_after: 0 });
        world.does(&Deed::KeepRecord);
        world.does(&Deed::Wait(10_000));
        world.now = world.now.max(world.not_before.unwrap_or_default());
        world.happens(&look());
        ended.if_so(is_over(&world));
        if is_over(&world) {
            return Ok(());
        }
        // More than once because what they were shown may have moved.
        let before = world.verdict();
        all_approve(&mut world);
        all_approve(&mut world);
        all_approve(&mut world);
        if before != world.verdict() || world.not_after.is_some_and(|end| end <= world.now) {
            return Ok(());
        }
        let is_free = matches!(before, (Verdict::Needs { frozen: false, .. }, _));
        waited.if_so(is_free);
        held.if_so(!is_free);
        prop_assert_eq!(
            world.sent.last() == Some(&world.plan.uid),
            is_free,
            "{:?} {:?}",
            before,
            world.status
        );
        Ok(())
    });
    result.unwrap();
    waited.is_more_than(CASES / 4, "left waiting");
    ended.is_more_than(CASES / 20, "over");
    held.is_more_than(CASES / 50, "held up");
}
