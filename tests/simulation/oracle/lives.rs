//! The lives of plans and approvals, as the API server has kept them.

use std::{collections::BTreeMap, time::Duration};

use jiff::{SignedDuration, Timestamp};
use proxmox_agent::api::{
    Decision, Phase, PlanStatus, ProxmoxActionApproval, ProxmoxActionPlan, ProxmoxActionPlanSpec,
};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{
    api::{Change, What},
    history,
};

/// One plan, from its creation to its end; one of the same name that is made later has a life of its own.
#[derive(Clone, Debug)]
pub(crate) struct Life {
    pub(crate) uid: String,
    pub(crate) name: String,
    pub(crate) spec: ProxmoxActionPlanSpec,
    pub(crate) from: Duration,
    pub(crate) gone_at: Option<Duration>,
    /// Every status, with the moment that it was written in.
    pub(crate) statuses: Vec<(Duration, PlanStatus)>,
}

impl Life {
    pub(crate) fn last(&self) -> PlanStatus {
        self.statuses.last().map(|(_, status)| status.clone()).unwrap_or_default()
    }

    /// When it was said what became of an attempt, or that nobody can say.
    pub(crate) fn settled_at(&self, attempt: i64) -> Option<Duration> {
        let settles = |status: &PlanStatus| {
            status.attempts > attempt || (status.attempts == attempt && status.phase.is_terminal())
        };
        self.statuses.iter().find(|(_, status)| settles(status)).map(|(at, _)| *at)
    }

    /// The attempt whose outcome was unknown last before then: whoever wants another one has to name it.
    pub(crate) fn question_at(&self, at: Duration) -> Option<i64> {
        let before = self.statuses.iter().rev().filter(|(written, _)| *written < at);
        let mut unknown = before.filter(|(_, status)| status.phase == Phase::Indeterminate);
        unknown.next().map(|(_, status)| status.attempts)
    }

    /// Announced attempts, each with the status that announced it.
    pub(crate) fn intents(&self) -> BTreeMap<i64, (Duration, PlanStatus)> {
        let mut found = BTreeMap::new();
        for (at, status) in &self.statuses {
            let announces = status.phase == Phase::Dispatching;
            if let Some(intent) = status.intent.as_ref().filter(|_| announces) {
                found.entry(intent.attempt).or_insert((*at, status.clone()));
            }
        }
        found
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Approval {
    object: ProxmoxActionApproval,
    from: u64,
    gone_with: Option<u64>,
}

impl Approval {
    pub(crate) fn is_there_at(&self, version: u64) -> bool {
        self.from <= version && self.gone_with.is_none_or(|gone| version < gone)
    }

    pub(crate) fn is_for(&self, life: &Life) -> bool {
        self.object.spec.plan_ref.uid == life.uid && self.object.spec.plan_ref.name == life.name
    }

    pub(crate) fn says_no(&self, question: Option<i64>) -> bool {
        let spec = &self.object.spec;
        spec.decision == Decision::Deny && (spec.attempt.is_none() || spec.attempt == question)
    }

    pub(crate) fn is_over(&self, now: Timestamp) -> bool {
        let made = self.object.metadata.creation_timestamp.as_ref().unwrap().0;
        let by_itself = made + SignedDuration::from_hours(24);
        self.object.spec.expires_at.as_ref().map_or(by_itself, |end| end.0) <= now
    }

    /// Whoever says yes to exactly this, and may.
    pub(crate) fn yes_to(&self, life: &Life, status: &PlanStatus, question: Option<i64>) -> Option<&str> {
        let spec = &self.object.spec;
        let holds = self.is_for(life)
            && spec.decision == Decision::Approve
            && Some(&spec.plan_hash) == status.plan_hash.as_ref()
            && Some(spec.risk) == status.risk
            && spec.approved_by != life.spec.requested_by
            && spec.attempt == question;
        holds.then_some(spec.approved_by.as_str())
    }
}

pub(super) fn plans(changes: &[Change]) -> Vec<Life> {
    let mut lives: Vec<Life> = Vec::new();
    for change in changes.iter().filter(|change| change.id.plural == "proxmoxactionplans") {
        let plan: ProxmoxActionPlan = typed(&change.stored.object);
        let uid = plan.metadata.uid.unwrap();
        if change.what == What::Added {
            lives.push(Life {
                uid: uid.clone(),
                name: change.id.name.clone(),
                spec: plan.spec,
                from: change.at,
                gone_at: None,
                statuses: vec![],
            });
        }
        let life = lives.iter_mut().find(|life| life.uid == uid).unwrap();
        if let Some(status) = plan.status {
            life.statuses.push((change.at, status));
        }
        if change.what == What::Deleted {
            life.gone_at = Some(change.at);
        }
    }
    lives
}

pub(super) fn approvals(changes: &[Change]) -> Vec<Approval> {
    let mut found: BTreeMap<String, Approval> = BTreeMap::new();
    for change in changes.iter().filter(|change| change.id.plural == "proxmoxactionapprovals") {
        let object: ProxmoxActionApproval = typed(&change.stored.object);
        let uid = object.metadata.uid.clone().unwrap();
        let life = found.entry(uid).or_insert(Approval { object, from: change.version, gone_with: None });
        if change.what == What::Deleted {
            life.gone_with = Some(change.version);
        }
    }
    found.into_values().collect()
}

fn typed<T: DeserializeOwned>(object: &Value) -> T {
    T::deserialize(object).unwrap()
}

/// The true time as the objects are dated by it.
pub(super) fn moment(at: Duration) -> Timestamp {
    history::at(at)
}
