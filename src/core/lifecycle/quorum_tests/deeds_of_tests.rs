//! What can happen, and how likely it is.

use proptest::prelude::*;

use super::house_of_tests::any_house;
use super::world_of_tests::{ACTIONS, Beginning, HOUSES, Home, PEOPLE, Place};

/// Somebody's word on the plan, with whatever is wrong about it.
#[derive(Clone, Debug)]
pub(super) struct Word {
    pub(super) by: usize,
    pub(super) groups: Vec<&'static str>,
    pub(super) denies: bool,
    pub(super) flaw: Flaw,
    /// In seconds from now.
    pub(super) expires: Option<i64>,
    /// By a commit, and whether that is signed by whom it names.
    pub(super) git: Option<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Flaw {
    None,
    OtherPlanName,
    PlanBefore,
    OtherNode(usize),
    OtherHouse(usize),
    OtherEnvironment,
    LowRisk,
    Attempt,
}

#[derive(Clone, Debug)]
pub(super) enum Deed {
    Say(Word),
    Revoke(prop::sample::Index),
    /// It is being deleted, but a finalizer of somebody keeps it readable.
    BeginToRevoke(prop::sample::Index),
    Wait(i64),
    Move(Place),
    /// Its policy, its environment or a policy beside it is edited.
    Rule(usize),
    BreakAdmission,
    /// By an edit, or by making it anew; and how long an API server takes to notice, in milliseconds.
    RestoreAdmission {
        anew: bool,
        noticed_after: i64,
    },
    /// The environment's controller looks.
    KeepRecord,
    Recreate {
        requester: usize,
        git: bool,
    },
}

#[derive(Clone, Debug)]
pub(super) enum Happening {
    Deed(Deed),
    /// A look at the plan, with things that happen right before some of its effects; it may die after so many.
    Look {
        meanwhile: Vec<(usize, Deed)>,
        dies_after: usize,
    },
}

fn any_home() -> impl Strategy<Value = Home> {
    prop_oneof![
        6 => Just(Home::Cluster),
        2 => Just(Home::Waived),
        1 => Just(Home::Directory { production: false }),
        1 => Just(Home::Directory { production: true }),
    ]
}

fn any_place() -> impl Strategy<Value = Place> {
    let tags = prop::sample::subsequence(vec!["crown", "lab"], 0..=2);
    (0usize..2, tags, prop::bool::weighted(0.2), 0usize..3).prop_map(|(node, tags, in_pool, jobs)| Place {
        node,
        tags,
        in_pool,
        jobs,
    })
}

/// What is the same for a whole run, and how it begins.
pub(super) fn any_beginning() -> impl Strategy<Value = Beginning> {
    (
        any_home(),
        prop::sample::select(ACTIONS.to_vec()),
        prop::collection::vec(any_house(), HOUSES),
        any_place(),
        prop::option::weighted(0.2, -5_000i64..20_000),
        prop::option::weighted(0.2, 5_000i64..200_000),
    )
        .prop_map(|(home, action, houses, place, not_before, not_after)| Beginning {
            home,
            action,
            houses,
            place,
            not_before,
            not_after,
        })
}

fn any_flaw() -> impl Strategy<Value = Flaw> {
    prop_oneof![
        24 => Just(Flaw::None),
        1 => Just(Flaw::OtherPlanName),
        1 => Just(Flaw::PlanBefore),
        2 => (0usize..2).prop_map(Flaw::OtherNode),
        2 => (0..HOUSES).prop_map(Flaw::OtherHouse),
        1 => Just(Flaw::OtherEnvironment),
        1 => Just(Flaw::LowRisk),
        1 => Just(Flaw::Attempt),
    ]
}

fn any_word() -> impl Strategy<Value = Word> {
    let groups = prop::sample::subsequence(vec!["ops", "storage"], 0..=2);
    let expires =
        prop_oneof![3 => Just(None), 1 => (-5i64..60).prop_map(Some), 1 => Just(Some(i64::from(u32::MAX)))];
    let git = prop::option::weighted(0.15, prop::bool::weighted(0.7));
    (0..PEOPLE, groups, prop::bool::weighted(0.02), any_flaw(), expires, git)
        .prop_map(|(by, groups, denies, flaw, expires, git)| Word { by, groups, denies, flaw, expires, git })
}

pub(super) fn any_deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        30 => any_word().prop_map(Deed::Say),
        2 => any::<prop::sample::Index>().prop_map(Deed::Revoke),
        1 => any::<prop::sample::Index>().prop_map(Deed::BeginToRevoke),
        4 => (1i64..8_000).prop_map(Deed::Wait),
        1 => Just(Deed::Wait(25 * 3_600 * 1_000)),
        2 => any_place().prop_map(Deed::Move),
        2 => (0..HOUSES).prop_map(Deed::Rule),
        1 => Just(Deed::BreakAdmission),
        3 => (any::<bool>(), 0i64..5_000)
            .prop_map(|(anew, noticed_after)| Deed::RestoreAdmission { anew, noticed_after }),
        3 => Just(Deed::KeepRecord),
        1 => (0usize..2, prop::bool::weighted(0.3)).prop_map(|(requester, git)| Deed::Recreate { requester, git }),
    ]
}

pub(super) fn any_happening() -> impl Strategy<Value = Happening> {
    let meanwhile = prop_oneof![
        3 => Just(vec![]),
        1 => prop::collection::vec((0usize..8, any_deed()), 1..3),
    ];
    let dies_after = prop_oneof![8 => Just(usize::MAX), 1 => 0usize..8];
    prop_oneof![
        2 => any_deed().prop_map(Happening::Deed),
        1 => (meanwhile, dies_after).prop_map(|(meanwhile, dies_after)| Happening::Look { meanwhile, dies_after }),
    ]
}
