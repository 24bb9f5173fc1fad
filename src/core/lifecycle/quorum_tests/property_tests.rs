//! No order of events sends anything without enough true approvals, and enough of them always do.

use std::cell::Cell;

use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};

use super::{
    deeds_of_tests::{Deed, Flaw, Happening, Word, any_happening, any_home},
    world_of_tests::{DEMANDS, Home, World},
};
use crate::api::Phase;

const CASES: u32 = 1500;

fn runner() -> TestRunner {
    TestRunner::new(Config { cases: CASES, failure_persistence: None, ..Config::default() })
}

fn look() -> Happening {
    Happening::Look { meanwhile: vec![], dies_after: usize::MAX }
}

#[test]
fn nothing_is_sent_without_a_sufficient_living_and_matching_set_of_true_approvals() {
    let cases = (any_home(), 0..DEMANDS.len(), prop::collection::vec(any_happening(), 1..40));
    let sent = Cell::new(0u32);
    let result = runner().run(&cases, |(home, demand, happenings)| {
        let mut world = World::new(home, demand);
        for happening in &happenings {
            world.happens(happening);
        }
        sent.set(sent.get() + u32::from(!world.sent.is_empty()));
        Ok(())
    });
    result.unwrap();
    assert!(sent.get() > CASES / 4, "hardly anything was sent: {} of {CASES}", sent.get());
}

fn yes(by: usize, groups: Vec<&'static str>, git: Option<bool>) -> Happening {
    let expires = None;
    Happening::Deed(Deed::Say(Word { by, groups, denies: false, flaw: Flaw::None, expires, git }))
}

/// Whatever went before, as long as the plan still waits: people put things right and approve what they are shown.
#[test]
fn a_plan_that_waits_is_sent_as_soon_as_enough_people_approve_it() {
    let cases = (any_home(), 0..DEMANDS.len(), prop::collection::vec(any_happening(), 0..25));
    let (waited, ended) = (Cell::new(0u32), Cell::new(0u32));
    let result = runner().run(&cases, |(home, demand, happenings)| {
        let mut world = World::new(home, demand);
        for happening in &happenings {
            world.happens(happening);
        }
        world.said.clear();
        world.does(&Deed::RestoreAdmission { anew: true, noticed_after: 0 });
        world.does(&Deed::KeepRecord);
        world.does(&Deed::Wait(10_000));
        world.happens(&look());
        world.happens(&look());
        let phase = world.status.as_ref().map(|status| status.phase).unwrap_or_default();
        if phase.is_in_flight() || phase.is_terminal() {
            ended.set(ended.get() + 1);
            return Ok(());
        }
        waited.set(waited.get() + 1);
        prop_assert_eq!(phase, Phase::AwaitingApproval, "what needs nobody is sent at once");
        let git = if home == Home::Cluster { None } else { Some(true) };
        // The second time because what they were shown may have moved.
        for _ in 0..2 {
            for (by, groups) in [(1, vec!["ops"]), (2, vec!["storage"]), (3, vec!["storage", "ops"])] {
                world.happens(&yes(by, groups, git));
            }
            world.happens(&look());
        }
        prop_assert_eq!(world.sent.last(), Some(&world.plan.uid), "{:?}", world.status);
        Ok(())
    });
    result.unwrap();
    assert!(waited.get() > CASES / 4, "hardly any plan was left waiting: {} of {CASES}", waited.get());
    assert!(ended.get() > CASES / 20, "hardly any plan had ended: {} of {CASES}", ended.get());
}
