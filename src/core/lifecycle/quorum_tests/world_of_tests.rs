//! A plan, people and a store, and what is done to them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use proptest::sample::Index;

use super::{
    deeds_of_tests::{Deed, Flaw, Happening, Word},
    house_of_tests::{Built, House},
    law_of_tests::{Needed, Verdict},
    objects_of_tests::{at, dated},
};
use crate::{
    api::{AdmissionRecord, PlanStatus, Risk},
    core::{
        admission::{Policies, record},
        hash::PlanHash,
    },
};

pub(super) const ACTIONS: [&str; 4] = ["start_guest", "shutdown_guest", "delete_snapshot", "delete_guest"];
/// So many policies and environments follow each other.
pub(super) const HOUSES: usize = 3;
pub(super) const PEOPLE: usize = 8;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Home {
    Cluster,
    Waived,
    Directory { production: bool },
}

/// What somebody said, and the truth about it.
#[derive(Clone, Debug)]
pub(super) struct Said {
    pub(super) word: Word,
    pub(super) uid: String,
    pub(super) at: i64,
    pub(super) plan_uid: String,
    pub(super) plan_hash: String,
    /// What stood behind that hash.
    pub(super) saw: Option<Shown>,
    pub(super) risk: Risk,
    pub(super) is_for_this_name: bool,
    pub(super) is_for_this_environment: bool,
    pub(super) names_an_attempt: bool,
    pub(super) is_going: bool,
    /// Nobody knows whether the person is who the name says.
    pub(super) forged: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) uid: String,
    pub(super) at: i64,
    pub(super) requester: usize,
    pub(super) git: bool,
    pub(super) forged: bool,
}

/// How the target is found.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) node: usize,
    pub(super) tags: Vec<&'static str>,
    pub(super) in_pool: bool,
    /// Backup jobs that save it.
    pub(super) jobs: usize,
}

#[derive(Clone, Debug)]
pub(super) struct Beginning {
    pub(super) home: Home,
    pub(super) action: &'static str,
    pub(super) houses: Vec<House>,
    pub(super) place: Place,
    /// Milliseconds since noon.
    pub(super) not_before: Option<i64>,
    pub(super) not_after: Option<i64>,
}

/// What an approval is for: another one of these, another planHash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shown {
    pub(super) node: usize,
    pub(super) hits: usize,
    pub(super) terms: String,
    pub(super) needed: Needed,
}

/// How things stood when the approvals were read last.
#[derive(Clone, Debug)]
pub(super) struct Snapshot {
    pub(super) home: Home,
    pub(super) in_force: bool,
    pub(super) plan: Plan,
    pub(super) said: Vec<Said>,
    pub(super) not_before: Option<i64>,
    pub(super) not_after: Option<i64>,
    /// By what it met when it was judged last.
    pub(super) verdict: Verdict,
    pub(super) shown: Option<Shown>,
}

/// What has happened to the plans of a run, so that nobody takes a test for one that tests nothing.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Met {
    pub(super) refused: bool,
    pub(super) frozen: bool,
    pub(super) broken: bool,
}

pub(super) struct World {
    pub(super) home: Home,
    pub(super) action: &'static str,
    /// Milliseconds since noon.
    pub(super) now: i64,
    pub(super) not_before: Option<i64>,
    pub(super) not_after: Option<i64>,
    pub(super) plan: Plan,
    pub(super) status: Option<PlanStatus>,
    pub(super) said: Vec<Said>,
    pub(super) place: Place,
    pub(super) houses: Vec<Built>,
    /// The one that is in force.
    pub(super) house: usize,
    pub(super) policies: Policies,
    pub(super) record: Option<AdmissionRecord>,
    /// Names are forced to be true from this moment on; never if absent.
    pub(super) enforced_from: Option<i64>,
    pub(super) made: usize,
    /// What stands behind each planHash.
    pub(super) meanings: BTreeMap<String, Shown>,
    pub(super) judged_last: Option<(Verdict, Option<Shown>)>,
    pub(super) snapshot: Option<Snapshot>,
    pub(super) met: Met,
    /// Calls that left, and for which plan.
    pub(super) sent: Vec<String>,
}

fn pick<T>(all: &mut [T], index: Index) -> Option<usize> {
    (!all.is_empty()).then(|| index.index(all.len()))
}

impl World {
    pub(super) fn new(beginning: &Beginning) -> Self {
        let Beginning { home, action, houses, place, not_before, not_after } = beginning.clone();
        let long_ago = -1_000_000;
        let policies =
            Policies { revision: "0".into(), unchanged_since: Some(at(long_ago)), problems: vec![] };
        let mut world = Self {
            home,
            action,
            now: 0,
            not_before,
            not_after,
            plan: Plan { uid: String::new(), at: 0, requester: 0, git: false, forged: false },
            status: None,
            said: vec![],
            place,
            houses: houses.into_iter().map(Built::new).collect(),
            house: 0,
            policies,
            record: None,
            enforced_from: Some(long_ago),
            made: 0,
            meanings: BTreeMap::new(),
            judged_last: None,
            snapshot: None,
            met: Met::default(),
            sent: vec![],
        };
        world.does(&Deed::Recreate { requester: 0, git: false });
        world
    }

    fn uid(&mut self) -> String {
        self.made += 1;
        format!("00000000-0000-0000-0000-{:012}", self.made)
    }

    fn is_forged(&self) -> bool {
        self.home == Home::Cluster && self.enforced_from.is_none_or(|from| self.now < from)
    }

    pub(super) fn happens(&mut self, happening: &Happening) {
        // Nothing happens at the same instant as something else.
        self.now += 1;
        match happening {
            Happening::Deed(deed) => self.does(deed),
            Happening::Look { meanwhile, dies_after } => self.is_looked_at(meanwhile, *dies_after),
        }
    }

    pub(super) fn does(&mut self, deed: &Deed) {
        match deed {
            Deed::Say(word) => self.says(word),
            Deed::Revoke(which) => {
                if let Some(n) = pick(&mut self.said, *which) {
                    self.said.remove(n);
                }
            }
            Deed::BeginToRevoke(which) => {
                if let Some(n) = pick(&mut self.said, *which) {
                    self.said[n].is_going = true;
                }
            }
            Deed::Wait(milliseconds) => self.now += milliseconds,
            Deed::Move(place) => self.place = place.clone(),
            Deed::Rule(house) => self.house = *house,
            Deed::BreakAdmission => {
                self.policies.problems = vec!["binding approvals is missing".into()];
                self.changes_admission(None);
                self.enforced_from = None;
            }
            Deed::RestoreAdmission { anew, noticed_after } if !self.policies.problems.is_empty() => {
                self.policies.problems = vec![];
                self.changes_admission(anew.then(|| dated(self.now).unwrap().0));
                self.enforced_from = Some(self.now + noticed_after);
            }
            Deed::RestoreAdmission { .. } => {}
            Deed::KeepRecord => {
                let now = dated(self.now).unwrap().0;
                self.record = record(&self.policies, self.record.as_ref(), now);
            }
            Deed::Recreate { requester, git } => {
                let forged = self.is_forged();
                self.plan = Plan { uid: self.uid(), at: self.now, requester: *requester, git: *git, forged };
                self.status = None;
            }
        }
    }

    fn changes_admission(&mut self, unchanged_since: Option<Timestamp>) {
        self.made += 1;
        self.policies.revision = self.made.to_string();
        self.policies.unchanged_since = unchanged_since;
    }

    fn says(&mut self, word: &Word) {
        if self.said.len() >= 10 {
            return;
        }
        let on_record = self.status.as_ref().and_then(|status| status.plan_hash.clone());
        let plan_hash = match word.flaw {
            Flaw::OtherNode(node) => self.hash_in(self.house, &Place { node, ..self.place.clone() }),
            Flaw::OtherHouse(house) => self.hash_in(house, &self.place.clone()),
            _ => on_record.or_else(|| self.hash_in(self.house, &self.place.clone())),
        };
        let plan_hash = plan_hash.unwrap_or_else(|| PlanHash::of("a test", &"nothing").unwrap().to_string());
        let saw = self.meanings.get(&plan_hash).cloned();
        let shown_risk = self.status.as_ref().and_then(|status| status.risk);
        let plan_uid = match word.flaw {
            Flaw::PlanBefore => format!("00000000-0000-0000-0000-{:012}", 999),
            _ => self.plan.uid.clone(),
        };
        let said = Said {
            word: word.clone(),
            uid: self.uid(),
            at: self.now,
            plan_uid,
            plan_hash,
            risk: if word.flaw == Flaw::LowRisk {
                Risk::Low
            } else {
                shown_risk.or(saw.as_ref().map(|saw| saw.needed.risk)).unwrap_or(Risk::High)
            },
            saw,
            is_for_this_name: word.flaw != Flaw::OtherPlanName,
            is_for_this_environment: word.flaw != Flaw::OtherEnvironment,
            names_an_attempt: word.flaw == Flaw::Attempt,
            is_going: false,
            forged: self.is_forged(),
        };
        self.said.push(said);
    }
}
