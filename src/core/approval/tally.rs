//! All approvals of a plan together.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::{
    api::{Decision, GrantedApproval, ProxmoxActionApproval, RefusedApproval},
    core::demand::Demand,
};

use super::{Bench, Candidate, Counted, Proof, Refusal, admit::admit, refuse};

pub(super) const APPROVED_ALREADY: &str = "ApprovedAlready";
pub(super) const ENOUGH_OTHERS: &str = "EnoughOthers";

/// As many as a status holds.
const MOST: usize = 16;

/// Who stands behind a plan, and who does not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Backing {
    /// At most one for each approver.
    pub granted: Vec<GrantedApproval>,
    /// Those that do not count, the newest last.
    pub refused: Vec<RefusedApproval>,
}

/// All approvals of a plan, judged together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub backing: Backing,
    /// Who said no, if anybody did.
    pub denied_by: Option<Counted>,
    /// When the first of those granted ends.
    pub stands_until: Option<Timestamp>,
    /// Why each of the others does not count, by its uid.
    pub refusals: BTreeMap<String, Refusal>,
    /// Why nothing may be sent, whoever approves: the admission policies are not in force.
    pub not_in_force: Option<String>,
}

impl Tally {
    pub fn is_enough(&self, demand: &Demand) -> bool {
        self.denied_by.is_none() && demand.is_met_by(&self.backing.granted)
    }
}

/// Judges all approvals of a plan. The order in which they are given does not matter.
pub fn tally(candidates: &[Candidate], bench: Bench<'_>) -> Tally {
    let mut tally = Tally::default();
    let mut refused = Vec::new();
    for (candidate, answer) in judge_all(candidates, bench) {
        match answer {
            Ok(counted) if counted.decision == Decision::Deny => tally.denied_by = Some(counted),
            Ok(counted) => {
                let until = tally.stands_until.map_or(counted.until, |other| other.min(counted.until));
                tally.stands_until = Some(until);
                tally.backing.granted.push(counted.granted);
            }
            Err(refusal) => refused.push((candidate, refusal)),
        }
    }
    let uid = |candidate: &Candidate| candidate.approval.metadata.uid.clone().unwrap_or_default();
    tally.refusals = refused.iter().map(|(candidate, refusal)| (uid(candidate), refusal.clone())).collect();
    tally.backing.refused = the_newest(refused);
    if let Proof::NotInForce(why) = bench.proof {
        tally.not_in_force = Some(why.clone());
    }
    tally
}

/// The answer to each that is not being deleted, by name.
pub(super) fn judge_all<'a>(
    candidates: &'a [Candidate],
    bench: Bench<'_>,
) -> Vec<(&'a Candidate, Result<Counted, Refusal>)> {
    let mut all: Vec<_> = candidates
        .iter()
        .filter(|candidate| candidate.approval.metadata.deletion_timestamp.is_none())
        .map(|candidate| (candidate, admit(candidate, bench)))
        .collect();
    all.sort_by_key(|(candidate, _)| candidate.approval.metadata.name.clone());
    let is_a_yes = |answer: &Result<Counted, Refusal>| {
        answer.as_ref().is_ok_and(|counted| counted.decision == Decision::Approve)
    };
    let places: Vec<usize> = (0..all.len()).filter(|place| is_a_yes(&all[*place].1)).collect();
    let yes: Vec<&GrantedApproval> = places
        .iter()
        .filter_map(|place| all[*place].1.as_ref().ok().map(|counted| &counted.granted))
        .collect();
    let chosen = bench.judged.demand.choose(&yes, MOST);
    let rested_on: BTreeMap<String, String> =
        chosen.iter().map(|one| (yes[*one].approved_by.clone(), yes[*one].name.clone())).collect();
    for (one, place) in places.into_iter().enumerate() {
        if !chosen.contains(&one) {
            all[place].1 = Err(adds_nothing(&all[place].0.approval, &rested_on));
        }
    }
    all
}

fn adds_nothing(approval: &ProxmoxActionApproval, rested_on: &BTreeMap<String, String>) -> Refusal {
    let by = &approval.spec.approved_by;
    match rested_on.get(by) {
        Some(other) => {
            let message = format!("spec.approved_by: {by} has approved already, by {other}");
            refuse(APPROVED_ALREADY, message)
        }
        None => refuse(ENOUGH_OTHERS, format!("spec.approved_by: {MOST} others have approved already")),
    }
}

fn the_newest(mut refused: Vec<(&Candidate, Refusal)>) -> Vec<RefusedApproval> {
    refused.sort_by_key(|(candidate, _)| {
        candidate.approval.metadata.creation_timestamp.as_ref().map(|time| time.0)
    });
    let too_many = refused.len().saturating_sub(MOST);
    let newest = refused.into_iter().skip(too_many);
    newest
        .map(|(candidate, refusal)| RefusedApproval {
            name: candidate.approval.metadata.name.clone().unwrap_or_default(),
            approved_by: candidate.approval.spec.approved_by.clone(),
            reason: refusal.reason.to_owned(),
        })
        .collect()
}

/// What is left of approvals whose worth was looked into, given those that are there now. One that came meanwhile counts
/// at the next look, because what was found out about the others need not hold for it; a no counts at once.
pub fn still_there(candidates: Vec<Candidate>, now: Vec<ProxmoxActionApproval>) -> Vec<Candidate> {
    let mut known: BTreeMap<Option<String>, Candidate> = candidates
        .into_iter()
        .map(|candidate| (candidate.approval.metadata.uid.clone(), candidate))
        .collect();
    now.into_iter()
        .filter_map(|approval| match known.remove(&approval.metadata.uid) {
            Some(candidate) => Some(Candidate { approval, ..candidate }),
            None if approval.spec.decision == Decision::Deny => Some(Candidate { approval, traced: None }),
            None => None,
        })
        .collect()
}
