//! Whether a report says what the list of differences allows, no more and no less.
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use serde::Deserialize;

use super::report::Report;

/// By place, the lines of the report that are expected there.
type Listed = BTreeMap<String, Vec<String>>;

/// The list of differences, without its reasons.
#[derive(Debug, Default)]
pub(crate) struct Differences {
    pub(crate) scenario: Listed,
    pub(crate) walk: Listed,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Difference {
    #[serde(rename = "reason")]
    _reason: String,
    #[serde(default)]
    scenario: Listed,
    #[serde(default)]
    walk: Listed,
}

impl Differences {
    pub(crate) fn read() -> Self {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/fakepve/differences.yaml");
        let list: Vec<Difference> = serde_saphyr::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
        let mut all = Self::default();
        for difference in list {
            add(&mut all.scenario, difference.scenario);
            add(&mut all.walk, difference.walk);
        }
        all
    }
}

fn add(all: &mut Listed, more: Listed) {
    for (place, lines) in more {
        all.entry(place).or_default().extend(lines);
    }
}

#[derive(Debug)]
pub(crate) struct Judgement {
    pub(crate) compared: usize,
    pub(crate) agree: usize,
    pub(crate) differ: usize,
    pub(crate) not_imitated: usize,
    pub(crate) problems: Vec<String>,
}

impl Judgement {
    pub(crate) fn of(report: &Report, listed: &Listed) -> Self {
        let is_unimitated = |lines: &BTreeSet<String>| lines.iter().any(|line| says_not_imitated(line));
        let (unimitated, differing): (Vec<_>, Vec<_>) =
            report.differences.iter().partition(|(_, lines)| is_unimitated(lines));
        let found: BTreeSet<(&str, &str)> = differing
            .iter()
            .flat_map(|(place, lines)| lines.iter().map(|line| (place.as_str(), line.as_str())))
            .collect();
        let allowed: BTreeSet<(&str, &str)> = listed
            .iter()
            .flat_map(|(place, lines)| lines.iter().map(|line| (place.as_str(), line.as_str())))
            .collect();
        let gone = allowed
            .difference(&found)
            .map(|(place, line)| format!("{place} agrees in this by now, remove it: {line}"));
        let new = found.difference(&allowed).map(|(place, line)| format!("{place} isn't listed: {line}"));
        let (differ, not_imitated) = (differing.len(), unimitated.len());
        Self {
            compared: report.compared,
            agree: report.compared - differ - not_imitated,
            differ,
            not_imitated,
            problems: gone.chain(new).collect(),
        }
    }
}

/// The simulation answers 501 to what it knows but doesn't imitate.
fn says_not_imitated(line: &str) -> bool {
    line.starts_with("status: ") && line.contains("501 in real")
}

impl fmt::Display for Judgement {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { compared, agree, differ, not_imitated, .. } = self;
        write!(formatter, "{compared:>8} {agree:>6} {differ:>7} {not_imitated:>13}")
    }
}
