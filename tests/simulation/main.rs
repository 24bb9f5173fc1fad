//! The real controllers over the real store, in a simulated world: virtual time, two replicas, an API server and a Proxmox that
//! fail in every way that they can, all out of one seed. What has to hold is judged by what reached Proxmox.
//!
//! `SEED=7 cargo test --test simulation` shows one run; `SEEDS=10000` runs more of them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod api;
mod audit;
mod dice;
mod history;
mod network;
mod oracle;
mod people;
mod proxmox;
mod replica;
mod repository;
mod run;
mod weather;

use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use promises::Promise;
use run::{Planted, Ran, run};

// The crash grid looks at some that nothing here can break.
#[allow(dead_code)]
#[path = "../support/promises.rs"]
mod promises;
#[path = "../support/rows.rs"]
mod rows;

/// What a run is judged by.
const PROMISES: [Promise; 7] = [
    Promise::AtMostOnce,
    Promise::Announced,
    Promise::Approved,
    Promise::Led,
    Promise::NothingIsLost,
    Promise::NothingUntrue,
    Promise::InOrder,
];

/// Runs seeds in as many threads as there is room for, until one of them says that it is enough.
fn for_each_seed(seeds: std::ops::Range<u64>, planted: Option<Planted>, look: impl Fn(Ran) -> bool + Sync) {
    let threads = std::thread::available_parallelism().map_or(2, usize::from).min(4);
    let next = AtomicU64::new(seeds.start);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::SeqCst);
                    if seed >= seeds.end || !look(run(seed, planted)) {
                        next.store(seeds.end, Ordering::SeqCst);
                        return;
                    }
                }
            });
        }
    });
}

fn told(ran: &Ran) -> String {
    let Ran { lines, log, violations, seed, .. } = ran;
    format!("{}\n\n{log}\n{}\nSEED={seed} shows it again", lines.join("\n"), promises::told(violations))
}

/// Adds up what many runs have seen.
#[derive(Default)]
struct Sum {
    seeds: u64,
    plans: u64,
    mutations: u64,
    faults: BTreeMap<&'static str, u64>,
    ends: BTreeMap<String, u64>,
    violated: Vec<Ran>,
}

impl Sum {
    fn add(&mut self, ran: Ran) {
        self.seeds += 1;
        self.plans += ran.plans;
        self.mutations += ran.mutations;
        ran.faults.iter().for_each(|(kind, count)| *self.faults.entry(kind).or_default() += count);
        ran.ends.iter().for_each(|(phase, count)| *self.ends.entry(phase.clone()).or_default() += count);
        if !ran.violations.is_empty() {
            self.violated.push(ran);
        }
    }

    fn note(&self) {
        let broken: Vec<_> = self.violated.iter().flat_map(|ran| &ran.violations).collect();
        promises::note_promises("simulation", &PROMISES, (self.plans, self.mutations), &broken);
        let violations = self.violated.len() as u64;
        let row = |what: &str, tried: u64, unit: &str| {
            rows::Row { part: "simulation", what, tried, unit, violations }.note();
        };
        row("two replicas of the real controllers in a world that fails", self.seeds, "seeds");
        row("plans from their request to their end", self.plans, "plans");
        row("calls that changed something", self.mutations, "mutations");
        self.faults.iter().for_each(|(kind, count)| row(kind, *count, "faults"));
        self.ends
            .iter()
            .for_each(|(phase, count)| row(&format!("plans that came to be {phase}"), *count, "plans"));
    }
}

#[test]
fn nothing_is_done_twice_or_unasked_or_unrecorded_whatever_goes_wrong() {
    if let Ok(seed) = std::env::var("SEED") {
        let ran = run(seed.parse().unwrap(), None);
        println!("{}", told(&ran));
        assert!(ran.violations.is_empty());
        return;
    }
    let sum = Mutex::new(Sum::default());
    let seeds = rows::scale("SEEDS", 30);
    for_each_seed(0..seeds, None, |ran| {
        sum.lock().unwrap().add(ran);
        true
    });
    let sum = sum.into_inner().unwrap();
    sum.note();
    for ran in sum.violated.iter().skip(1) {
        println!("SEED={}: {}", ran.seed, promises::told(&ran.violations));
    }
    assert!(sum.violated.is_empty(), "{}", told(&sum.violated[0]));
}

#[test]
fn a_seed_is_the_same_story_each_time() {
    for seed in 0..rows::scale("SEEDS_TWICE", 3) {
        let (one, other) = (run(seed, None), run(seed, None));
        let parts = one.lines.iter().zip(&other.lines).find(|(one, other)| one != other);
        assert_eq!(parts, None, "SEED={seed}");
        assert_eq!(one.fingerprint, other.fingerprint, "SEED={seed}");
    }
}

fn is_found(planted: Planted) {
    let found = Mutex::new(None);
    for_each_seed(0..400, Some(planted), |ran| {
        let clean = ran.violations.is_empty();
        if !clean {
            found.lock().unwrap().get_or_insert((ran.seed, ran.violations));
        }
        clean
    });
    let found = found.into_inner().unwrap();
    println!("{planted:?}: {found:?}");
    assert!(found.is_some(), "{planted:?} was not found");
}

#[test]
fn an_api_server_that_forgets_versions_is_found_out() {
    is_found(Planted::NoVersions);
}

#[test]
fn a_call_that_is_repeated_is_found_out() {
    is_found(Planted::Repeats);
}

#[test]
fn an_audit_log_that_only_promises_is_found_out() {
    is_found(Planted::Promises);
}
