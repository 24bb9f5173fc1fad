//! A look at the plan; the controllers' part is played as they play it.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{
    super::{tests::upid, *},
    deeds_of_tests::Deed,
    objects_of_tests::{approval, at, dated, person, spec},
    oracle_of_tests::objection,
    world_of_tests::{Home, Snapshot, World},
};
use crate::{
    api::{Phase, ProxmoxActionApproval, ProxmoxActionPlan, Source, Tier},
    core::{
        admission::{Admission, proof},
        approval::{Bench, Candidate, Proof, Refusal, requester_not_proven, still_there, tally},
        provenance::Traced,
        signed::Evidence,
        task::Sent,
    },
};

impl World {
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

    pub(super) fn plan_object(&self) -> ProxmoxActionPlan {
        let mut spec = spec(self.action, person(self.plan.requester));
        spec.not_before = self.not_before.map(|begin| Time(at(begin)));
        spec.not_after = self.not_after.map(|end| Time(at(end)));
        spec.source = self.plan.git.then_some(Source::Git);
        let mut plan = ProxmoxActionPlan::new("p", spec);
        plan.metadata.uid = Some(self.plan.uid.clone());
        plan.metadata.creation_timestamp = dated(self.plan.at);
        plan
    }

    pub(super) fn is_looked_at(&mut self, meanwhile: &[(usize, Deed)], dies_after: usize) {
        let mut look = InLook { uid: self.plan.uid.clone(), effects: 0, meanwhile, dies_after };
        let mut state = read(self.status.as_ref()).unwrap();
        let order = Order::of(&self.plan_object().spec);
        let mut events = vec![Event::Woken];
        while let Some(event) = events.pop() {
            let effects;
            (state, effects) = step(&order, state, event, at(self.now));
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
                None => Some(self.judged().map_or_else(|event| *event, |done| Event::Judged(done.judged))),
            },
            Effect::Recheck => Some(self.rechecked(state)),
            Effect::GatherApprovals => Some(self.gathers(state, look)),
            Effect::WriteStatus if self.plan.uid == look.uid => {
                self.status =
                    Some(report(state, self.status.as_ref(), Some(1), Some(&self.proof()), at(self.now)));
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
        self.snapshot = self.judged_last.clone().map(|(verdict, shown)| Snapshot {
            home: self.home,
            in_force,
            plan: self.plan.clone(),
            said: self.said.clone(),
            not_before: self.not_before,
            not_after: self.not_after,
            verdict,
            shown,
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
            question: None,
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
            evidence: Evidence::default(),
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
        let meant = on_record.plan_hash.as_ref().and_then(|hash| self.meanings.get(hash));
        assert_eq!(meant, seen.shown.as_ref(), "not what was judged last");
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
