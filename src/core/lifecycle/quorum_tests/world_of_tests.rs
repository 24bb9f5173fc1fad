//! A plan, people and a store; the controllers' part is played as they play it.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use proptest::sample::Index;
use serde_json::json;

use super::{
    super::{
        tests::{draft, judged, noon, order, upid},
        *,
    },
    deeds_of_tests::{Deed, Flaw, Happening, Word},
    oracle_of_tests::objection,
};
use crate::{
    api::{AdmissionRecord, Phase, PlanStatus, ProxmoxActionApproval, ProxmoxActionPlan, Risk, Source, Tier},
    core::{
        admission::{Admission, Policies, proof, record},
        approval::{Bench, Candidate, Proof, Refusal, requester_not_proven, still_there, tally},
        demand::Demand,
        hash::Hash,
        judge::Judged,
        provenance::Traced,
        task::Sent,
    },
};

/// What different policies want, written down here once more.
pub(super) struct Wanted {
    pub(super) people: u32,
    pub(super) groups: &'static [(&'static str, u32)],
    pub(super) risk: Risk,
}

pub(super) const DEMANDS: [Wanted; 6] = [
    Wanted { people: 1, groups: &[], risk: Risk::High },
    Wanted { people: 2, groups: &[], risk: Risk::Critical },
    Wanted { people: 1, groups: &[("ops", 1)], risk: Risk::High },
    Wanted { people: 2, groups: &[("ops", 1), ("storage", 1)], risk: Risk::Critical },
    Wanted { people: 3, groups: &[("storage", 2)], risk: Risk::Critical },
    Wanted { people: 0, groups: &[], risk: Risk::Low },
];

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

/// How things stood when the approvals were read last.
#[derive(Clone, Debug)]
pub(super) struct Snapshot {
    pub(super) home: Home,
    pub(super) in_force: bool,
    pub(super) plan: Plan,
    pub(super) said: Vec<Said>,
    /// Node and demand by which it was judged last.
    pub(super) judged: (usize, usize),
}

pub(super) struct World {
    pub(super) home: Home,
    /// Milliseconds since noon.
    pub(super) now: i64,
    pub(super) plan: Plan,
    pub(super) status: Option<PlanStatus>,
    pub(super) said: Vec<Said>,
    node: usize,
    pub(super) demand: usize,
    policies: Policies,
    record: Option<AdmissionRecord>,
    /// Names are forced to be true from this moment on; never if absent.
    enforced_from: Option<i64>,
    made: usize,
    judged_by: (usize, usize),
    snapshot: Option<Snapshot>,
    /// Calls that left, and for which plan.
    pub(super) sent: Vec<String>,
}

pub(super) fn hash(node: usize, demand: usize) -> String {
    judgement(node, demand).plan_hash.to_string()
}

fn judgement(node: usize, demand: usize) -> Judged {
    let Wanted { people, groups, risk } = &DEMANDS[demand];
    let mut judged = judged(0);
    judged.risk = *risk;
    judged.plan_hash = Hash::of("a test", &(node, demand)).unwrap();
    judged.fingerprint.insert("node".into(), node.to_string());
    judged.demand =
        groups.iter().fold(Demand::of(*people), |demand, (group, count)| demand.and_of(group, *count));
    judged
}

fn at(milliseconds: i64) -> Timestamp {
    noon() + SignedDuration::from_millis(milliseconds)
}

/// As an API server dates objects.
fn dated(milliseconds: i64) -> Option<Time> {
    Some(Time(Timestamp::from_second(at(milliseconds).as_second()).unwrap()))
}

fn pick<T>(all: &mut [T], index: Index) -> Option<usize> {
    (!all.is_empty()).then(|| index.index(all.len()))
}

impl World {
    pub(super) fn new(home: Home, demand: usize) -> Self {
        let long_ago = -1_000_000;
        let policies =
            Policies { revision: "0".into(), unchanged_since: Some(at(long_ago)), problems: vec![] };
        let mut world = Self {
            home,
            now: 0,
            plan: Plan { uid: String::new(), at: 0, requester: 0, git: false, forged: false },
            status: None,
            said: vec![],
            node: 0,
            demand,
            policies,
            record: None,
            enforced_from: Some(long_ago),
            made: 0,
            judged_by: (0, demand),
            snapshot: None,
            sent: vec![],
        };
        world.does(&Deed::Recreate { git: false });
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
            Deed::Move(node) => self.node = *node,
            Deed::Demand(demand) => self.demand = *demand,
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
            Deed::Recreate { git } => {
                let forged = self.is_forged();
                self.plan = Plan { uid: self.uid(), at: self.now, requester: 0, git: *git, forged };
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
        let shown = self.status.as_ref().and_then(|status| status.plan_hash.clone());
        let plan_hash = match word.flaw {
            Flaw::OtherNode(node) => hash(node, self.demand),
            Flaw::OtherDemand(demand) => hash(self.node, demand),
            _ => shown.unwrap_or_else(|| hash(self.node, self.demand)),
        };
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
                shown_risk.unwrap_or(DEMANDS[self.demand].risk)
            },
            is_for_this_name: word.flaw != Flaw::OtherPlanName,
            is_for_this_environment: word.flaw != Flaw::OtherEnvironment,
            names_an_attempt: word.flaw == Flaw::Attempt,
            is_going: false,
            forged: self.is_forged(),
        };
        self.said.push(said);
    }

    // ---- as the store and the controllers show it to the core

    fn approvals(&self) -> Vec<ProxmoxActionApproval> {
        self.said.iter().map(approval).collect()
    }

    fn proof(&self) -> Proof {
        let admission = match self.home {
            Home::Cluster => Admission::Policies(self.policies.clone()),
            Home::Waived => Admission::Waived,
            Home::Directory { .. } => Admission::Directory,
        };
        proof(&admission, self.record.as_ref())
    }

    fn plan_object(&self) -> ProxmoxActionPlan {
        let mut spec = json!({
            "environment": "home", "action": "delete_guest", "target": "qemu/100",
            "requestedBy": person(self.plan.requester),
        });
        if self.plan.git {
            spec["source"] = json!("git");
        }
        let mut plan = ProxmoxActionPlan::new("p", serde_json::from_value(spec).unwrap());
        plan.metadata.uid = Some(self.plan.uid.clone());
        plan.metadata.creation_timestamp = dated(self.plan.at);
        plan
    }

    fn is_looked_at(&mut self, meanwhile: &[(usize, Deed)], dies_after: usize) {
        let mut look = InLook { uid: self.plan.uid.clone(), effects: 0, meanwhile, dies_after };
        let mut state = read(self.status.as_ref()).unwrap();
        let mut events = vec![Event::Woken];
        while let Some(event) = events.pop() {
            let effects;
            (state, effects) = step(&order(), state, event, at(self.now));
            for effect in effects {
                if look.effects >= look.dies_after {
                    return;
                }
                self.meanwhile(&mut look);
                match self.carries_out(&effect, &state, &mut look) {
                    Ok(event) => events.extend(event),
                    Err(Lost) => return,
                }
            }
            assert!(look.effects < 50, "it spins");
        }
    }

    fn meanwhile(&mut self, look: &mut InLook<'_>) {
        for (_, deed) in look.meanwhile.iter().filter(|(when, _)| *when == look.effects) {
            self.now += 1;
            self.does(deed);
        }
        look.effects += 1;
    }

    fn carries_out(
        &mut self,
        effect: &Effect,
        state: &State,
        look: &mut InLook<'_>,
    ) -> Result<Option<Event>, Lost> {
        Ok(match effect {
            Effect::Judge => match requester_not_proven(&self.plan_object(), &self.proof()) {
                Some(denial) => Some(Event::Denied(denial)),
                None => Some(Event::Judged(judgement(self.node, self.demand))),
            },
            Effect::Recheck => {
                self.judged_by = (self.node, self.demand);
                Some(Event::Rechecked { judged: judgement(self.node, self.demand), draft: draft() })
            }
            Effect::GatherApprovals => Some(self.gathers(state, look)),
            Effect::WriteStatus if self.plan.uid == look.uid => {
                self.status = Some(report(state, self.status.as_ref(), Some(1), &self.proof(), at(self.now)));
                None
            }
            Effect::WriteStatus => return Err(Lost),
            Effect::Send { until } => Some(Event::Sent(self.sends(*until, look))),
            _ => None,
        })
    }

    fn gathers(&mut self, state: &State, look: &mut InLook<'_>) -> Event {
        let first = self.approvals();
        self.meanwhile(look);
        let (proof, plan) = (self.proof(), self.plan_object());
        let in_force = self.policies.problems.is_empty();
        let candidates = first
            .into_iter()
            .map(|approval| Candidate { traced: self.traced(&approval), approval })
            .collect();
        self.meanwhile(look);
        let candidates = still_there(candidates, self.approvals());
        self.snapshot = Some(Snapshot {
            home: self.home,
            in_force,
            plan: self.plan.clone(),
            said: self.said.clone(),
            judged: self.judged_by,
        });
        if let Some(denial) = requester_not_proven(&plan, &proof) {
            return Event::Denied(denial);
        }
        let requested_by = person(self.plan.requester);
        let bench = Bench {
            plan: &plan.metadata,
            requested_by: &requested_by,
            environment: "home",
            tier: if self.home == (Home::Directory { production: true }) {
                Tier::Production
            } else {
                Tier::Lab
            },
            judged: state.judged().unwrap(),
            proof: &proof,
            now: at(self.now),
        };
        Event::Approvals(tally(&candidates, bench))
    }

    fn traced(&self, approval: &ProxmoxActionApproval) -> Option<Traced> {
        let said = self.said.iter().find(|said| Some(&said.uid) == approval.metadata.uid.as_ref())?;
        let groups = said.word.groups.iter().map(|group| (*group).to_owned()).collect();
        let refusal = Refusal { reason: "Unsigned", message: "nobody has signed".into() };
        let signed = said.word.git?;
        Some(Traced {
            provenance: crate::api::Provenance::default(),
            groups,
            refusal: (!signed).then_some(refusal),
        })
    }

    fn sends(&mut self, until: Timestamp, look: &InLook<'_>) -> Sent {
        if at(self.now) >= until {
            return Sent::NotSent { why: "too late".into() };
        }
        assert!(!self.sent.contains(&look.uid), "sent twice");
        self.sent.push(look.uid.clone());
        let on_record = self.status.as_ref().unwrap();
        let seen = self.snapshot.as_ref().unwrap();
        assert_eq!(on_record.phase, Phase::Dispatching, "sent without an intent on record");
        assert_eq!(on_record.plan_hash, Some(hash(seen.judged.0, seen.judged.1)), "not what was judged last");
        if let Some(objection) = objection(seen, self.now) {
            panic!("sent, although {objection}: {seen:#?}");
        }
        Sent::Task(upid())
    }
}

/// One look of the controller.
struct InLook<'a> {
    /// Of the plan that it began with.
    uid: String,
    effects: usize,
    meanwhile: &'a [(usize, Deed)],
    dies_after: usize,
}

/// The plan is not the one any more that the look began with.
struct Lost;

pub(super) fn person(number: usize) -> String {
    format!("person-{number}")
}

fn approval(said: &Said) -> ProxmoxActionApproval {
    let spec = json!({
        "planRef": {"name": if said.is_for_this_name { "p" } else { "q" }, "uid": said.plan_uid},
        "planHash": said.plan_hash,
        "decision": if said.word.denies { "Deny" } else { "Approve" },
        "approved_by": person(said.word.by),
        "approverGroups": said.word.groups,
        "environment": if said.is_for_this_environment { "home" } else { "cloud" },
        "risk": said.risk,
        "expiresAt": said.word.expires.map(|seconds| (dated(said.at).unwrap().0 + SignedDuration::from_secs(seconds)).to_string()),
        "attempt": said.names_an_attempt.then_some(1),
    });
    let mut approval =
        ProxmoxActionApproval::new(&format!("of-{}", said.uid), serde_json::from_value(spec).unwrap());
    approval.spec.source = said.word.git.map(|_| Source::Git);
    approval.metadata.creation_timestamp = dated(said.at);
    approval.metadata.uid = Some(said.uid.clone());
    approval.metadata.deletion_timestamp = said.is_going.then(|| dated(said.at).unwrap());
    approval
}
