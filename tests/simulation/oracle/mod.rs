//! What has to hold, judged by what reached Proxmox, what was stored, and what is in the audit logs. What the program says of
//! itself is only believed where it is what is judged.

mod calls;
mod ends;
mod lives;
mod words;

use std::{collections::BTreeMap, time::Duration};

use crate::{
    api::Change,
    audit::Kept,
    network::ApprovalsRead,
    promises::Broken,
    proxmox::{Entry, Looked, Task},
};

use lives::{Approval, Life};

/// Everything that is left of a run.
pub(crate) struct Evidence {
    pub(crate) changes: Vec<Change>,
    pub(crate) approvals_read: Vec<ApprovalsRead>,
    /// What the API server did not take because its rules forbid it.
    pub(crate) forbidden: Vec<String>,
    pub(crate) ledger: Vec<Entry>,
    pub(crate) looks: Vec<Looked>,
    pub(crate) tasks: Vec<Task>,
    pub(crate) records: Vec<Kept>,
    pub(crate) writings: Vec<String>,
    pub(crate) log: String,
    /// By how much each replica's clock was set wrong, and when.
    pub(crate) clocks: Vec<(String, Duration, i64)>,
    /// When each replica began to take itself for the leader, and when it stopped to. At first it does.
    pub(crate) leads: BTreeMap<String, Vec<(Duration, bool)>>,
    pub(crate) ended_at: Duration,
}

/// Everything that should not be, in words.
pub(crate) fn violations(evidence: &Evidence) -> Vec<Broken> {
    let lives = lives::plans(&evidence.changes);
    let approvals = lives::approvals(&evidence.changes);
    let mut wrong = Vec::new();
    let of_plans = calls::attribute(evidence, &lives, &approvals, &mut wrong);
    ends::check(evidence, &lives, &approvals, &of_plans, &mut wrong);
    words::check(evidence, &mut wrong);
    wrong
}

/// What plans came to, and how many.
pub(crate) fn ends(evidence: &Evidence) -> BTreeMap<String, u64> {
    let mut ends = BTreeMap::new();
    for life in lives::plans(&evidence.changes) {
        let phase = life.last().phase;
        let came_to = match life.gone_at {
            Some(_) if !phase.is_terminal() => format!("deleted while {phase}"),
            _ => phase.to_string(),
        };
        *ends.entry(came_to).or_default() += 1;
    }
    ends
}
