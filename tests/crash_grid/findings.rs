//! What has come of the runs: class by class, and promise by promise.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use crate::{
    gate::Boundary,
    run::{Cell, Report, Scenario},
    support::{
        promises::{Broken, Promise, note_promises},
        rows::Row,
    },
};

/// What a run is judged by.
const PROMISES: [Promise; 7] = [
    Promise::AtMostOnce,
    Promise::Announced,
    Promise::Approved,
    Promise::NothingIsLost,
    Promise::NothingUntrue,
    Promise::OnRecord,
    Promise::StaysUp,
];

#[derive(Default)]
pub(crate) struct Findings {
    classes: BTreeMap<String, Found>,
    /// With those that nothing happens in.
    runs: u64,
    changes: u64,
    broken: Vec<Broken>,
}

#[derive(Default)]
struct Found {
    /// As many runs as there would be with all the time that they need.
    expected: u64,
    boundaries: BTreeSet<(Scenario, Boundary)>,
    runs: u64,
    missed: u64,
    indeterminate: u64,
    violations: u64,
}

impl Findings {
    /// These are to be tried, if there is time.
    pub(crate) fn expect(&mut self, cells: &[Cell]) {
        for cell in cells {
            self.classes.entry(cell.class.clone()).or_default().expected += 1;
        }
    }

    pub(crate) fn add(&mut self, cell: Option<&Cell>, report: &Report) {
        self.runs += 1;
        self.changes += report.changes;
        self.broken.extend(report.violations.iter().cloned());
        if let Some(cell) = cell {
            self.classes.entry(cell.class.clone()).or_default().add(cell, report);
        }
    }

    pub(crate) fn note(&self, took: Duration) {
        for (class, found) in &self.classes {
            found.note(class);
        }
        let broken: Vec<&Broken> = self.broken.iter().collect();
        note_promises("crash grid", &PROMISES, (self.runs, self.changes), &broken);
        let per_minute = self.runs as f64 * 60.0 / took.as_secs_f64();
        println!("{} runs in {took:.0?}: {per_minute:.0} a minute", self.runs);
    }
}

impl Found {
    fn add(&mut self, cell: &Cell, report: &Report) {
        self.boundaries.insert((cell.scenario, cell.at.clone()));
        self.runs += 1;
        self.missed += u64::from(!report.hit);
        self.indeterminate += u64::from(report.is_indeterminate);
        self.violations += u64::from(!report.violations.is_empty());
    }

    fn note(&self, class: &str) {
        let Self { expected, boundaries, runs, missed, indeterminate, violations } = self;
        let what = format!(
            "{class}: {runs} of {expected} runs that there are, {} boundaries, {missed} runs passed theirs by, \
             {indeterminate} ended Indeterminate",
            boundaries.len()
        );
        Row { part: "crash grid", what: &what, tried: *runs, unit: "runs", violations: *violations }.note();
    }
}
