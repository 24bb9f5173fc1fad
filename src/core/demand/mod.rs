//! How many have to approve, and for whom they have to speak.
//!
//! A policy makes a `Demand`; approvals that count are seated at it, each person once, so that as many seats as possible
//! are taken (`seating`). What stays empty is what a plan still waits for.

mod seating;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::api::{GrantedApproval, GroupDemand};

use seating::Seating;

/// What a plan needs before it may be sent. Nobody counts for two groups: whoever asks for one of each wants two people.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Demand {
    /// So many people in all.
    approvals: u32,
    /// Among them so many who speak for each of these groups.
    groups: BTreeMap<String, u32>,
}

impl Demand {
    /// So many people, whoever they are.
    pub fn of(approvals: u32) -> Self {
        Self { approvals, groups: BTreeMap::new() }
    }

    /// At least so many people.
    #[must_use]
    pub fn at_least(mut self, approvals: u32) -> Self {
        self.approvals = self.approvals.max(approvals);
        self
    }

    /// Also at least so many of this group.
    #[must_use]
    pub fn and_of(mut self, group: &str, count: u32) -> Self {
        let known = self.groups.entry(group.to_owned()).or_default();
        *known = count.max(*known);
        self
    }

    pub fn is_none(&self) -> bool {
        self.people() == 0
    }

    /// How many people it takes.
    pub fn people(&self) -> u32 {
        self.approvals.max(self.groups.values().sum())
    }

    pub fn groups(&self) -> Vec<GroupDemand> {
        self.groups.iter().map(|(group, count)| GroupDemand { group: group.clone(), count: *count }).collect()
    }

    /// Such as `3, 1 of group dba`.
    pub fn told(&self) -> String {
        let groups = self.groups.iter().map(|(group, count)| format!("{count} of group {group}"));
        std::iter::once(self.people().to_string()).chain(groups).collect::<Vec<_>>().join(", ")
    }

    pub fn is_met_by(&self, granted: &[GrantedApproval]) -> bool {
        self.still_to_come(granted) == 0
    }

    /// How many people are still missing.
    pub fn still_to_come(&self, granted: &[GrantedApproval]) -> u32 {
        self.gaps(granted).values().sum()
    }

    /// What is still missing, in words: each entry takes people of its own. Nothing if it is enough.
    pub fn missing(&self, granted: &[GrantedApproval]) -> Vec<String> {
        let in_words = |(groups, count): (BTreeSet<&str>, u32)| {
            let groups: Vec<&str> = groups.into_iter().collect();
            match (groups.as_slice(), count) {
                ([], 1) => "1 more approval".to_owned(),
                ([], more) => format!("{more} more approvals"),
                (groups, count) => format!("{count} of group {}", groups.join(" or ")),
            }
        };
        self.gaps(granted).into_iter().map(in_words).rev().collect()
    }

    /// What is still missing, as a part of a sentence.
    pub fn missing_in_words(&self, granted: &[GrantedApproval]) -> String {
        self.missing(granted).join(", ")
    }

    /// How many are missing of whom any of these groups would do; of anybody, where there are none.
    fn gaps(&self, granted: &[GrantedApproval]) -> BTreeMap<BTreeSet<&str>, u32> {
        let people = people(granted);
        let seats = self.seats();
        let seating = seating(&people, &seats);
        let mut gaps: BTreeMap<BTreeSet<&str>, u32> = BTreeMap::new();
        for empty in seating.empty() {
            let helpful = seating.as_good_as(empty).into_iter().map(|seat| seats[seat]).collect();
            *gaps.entry(helpful).or_default() += 1;
        }
        let there: u32 = people.iter().map(|_| 1).chain(gaps.values().copied()).sum();
        let of_anybody = self.people().saturating_sub(there);
        gaps.extend((of_anybody > 0).then(|| (BTreeSet::new(), of_anybody)));
        gaps
    }

    /// Which of these to rest on: one for each person, the one that speaks for the group for which that person is needed.
    /// Not more than `most`, and of those who speak for a group none is left out.
    pub fn choose(&self, all: &[&GrantedApproval], most: usize) -> BTreeSet<usize> {
        let people = people(all.iter().copied());
        let seats = self.seats();
        let seating = seating(&people, &seats);
        let mut chosen: Vec<(bool, usize)> = Vec::new();
        for (person, (name, _)) in people.iter().enumerate() {
            let seat = seating.seat_of(person).map(|seat| seats[seat]);
            let theirs = || all.iter().enumerate().filter(|(_, one)| one.approved_by == *name);
            let needed = theirs()
                .find(|(_, one)| seat.is_some_and(|group| one.groups.iter().any(|theirs| theirs == group)));
            let first = needed.or_else(|| theirs().next());
            chosen.extend(first.map(|(place, _)| (seat.is_none(), place)));
        }
        chosen.sort_unstable();
        chosen.into_iter().take(most).map(|(_, place)| place).collect()
    }

    /// The group of each person that a group has to send.
    fn seats(&self) -> Vec<&str> {
        let seats =
            self.groups.iter().map(|(group, count)| std::iter::repeat_n(group.as_str(), *count as usize));
        seats.flatten().collect()
    }
}

/// Everybody, with all the groups that they speak for.
type People<'a> = Vec<(&'a str, BTreeSet<&'a str>)>;

fn people<'a>(granted: impl IntoIterator<Item = &'a GrantedApproval>) -> People<'a> {
    let mut people: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for one in granted {
        let groups = people.entry(one.approved_by.as_str()).or_default();
        groups.extend(one.groups.iter().map(String::as_str));
    }
    people.into_iter().collect()
}

fn seating<'a>(people: &'a People<'a>, seats: &'a [&'a str]) -> Seating<impl Fn(usize, usize) -> bool + 'a> {
    Seating::of(people.len(), seats.len(), |person, seat| people[person].1.contains(seats[seat]))
}
