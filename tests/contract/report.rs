//! What fakepve's comparison prints: a place, indented what differs there, at the end how much was compared. "Real"
//! is what it was pointed at, here the simulation.
use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) compared: usize,
    /// By step or by method and path.
    pub(crate) differences: BTreeMap<String, BTreeSet<String>>,
}

impl Report {
    pub(crate) fn parse(text: &str) -> Self {
        let mut differences: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let mut place = "";
        for line in text.lines() {
            match line.strip_prefix("  ") {
                Some(difference) => {
                    differences.entry(place.to_owned()).or_default().insert(difference.trim_end().to_owned());
                }
                None => place = line,
            }
        }
        let count =
            text.lines().find_map(|line| line.strip_prefix("compared ")?.split(' ').next()?.parse().ok());
        let Some(compared) = count else {
            panic!("the report says nothing of how much was compared:\n{text}")
        };
        Self { compared, differences }
    }
}
