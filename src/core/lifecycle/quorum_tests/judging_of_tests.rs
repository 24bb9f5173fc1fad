//! What the plan comes to: what the operator makes of it, held against what is meant.

use super::{
    super::{tests::draft, *},
    house_of_tests::JOB,
    law_of_tests::{Case, Verdict, verdict},
    objects_of_tests::{as_meant, at, met, person, request},
    world_of_tests::{Place, Shown, World},
};
use crate::core::{
    judge::{Judgement, Setting, Unjudged, judge},
    radius::radius,
    risk::assess,
};

impl World {
    fn case(&self, place: &Place) -> Case {
        let (request, world) = (request(self.action, person(self.plan.requester)), met(place));
        let radius = radius(&request, &world, at(self.now));
        Case {
            risk: assess(&request, &radius).risk(),
            tags: place.tags.clone(),
            in_pool: place.in_pool,
            job_is_hit: radius.hits.iter().any(|hit| hit.subject == JOB),
            node: place.node,
            hits: radius.hits.len(),
            requester: self.plan.requester,
            action: self.action,
            at: self.now,
        }
    }

    /// By what is meant, and what approvers are shown then.
    pub(super) fn verdict(&self) -> (Verdict, Option<Shown>) {
        self.verdict_in(self.house, &self.place)
    }

    fn verdict_in(&self, house: usize, place: &Place) -> (Verdict, Option<Shown>) {
        let (built, case) = (&self.houses[house], self.case(place));
        let verdict = verdict(&built.house, &case);
        let shown = match &verdict {
            Verdict::Needs { needed, .. } => Some(Shown {
                node: place.node,
                hits: case.hits,
                terms: built.terms.clone(),
                needed: needed.clone(),
            }),
            _ => None,
        };
        (verdict, shown)
    }

    /// As the operator judges, which has to be what is meant.
    fn judged_in(&mut self, house: usize, place: &Place) -> Result<Judgement, Unjudged> {
        let (verdict, shown) = self.verdict_in(house, place);
        let (plan, built) = (self.plan_object(), &self.houses[house]);
        let request = request(self.action, person(self.plan.requester));
        let judged = built.policy().map_err(Unjudged::Unruled).and_then(|policy| {
            let setting = Setting { plan: &plan, environment: &built.environment, policy, now: at(self.now) };
            judge(&request, &met(place), setting)
        });
        assert_eq!(as_meant(&judged), verdict, "in {:#?}", built.house);
        if let (Ok(Judgement { judged, .. }), Some(shown)) = (&judged, shown) {
            let known = self.meanings.entry(judged.plan_hash.to_string()).or_insert_with(|| shown.clone());
            assert_eq!(*known, shown, "one planHash for two things");
        }
        judged
    }

    pub(super) fn hash_in(&mut self, house: usize, place: &Place) -> Option<String> {
        self.judged_in(house, place).ok().map(|judgement| judgement.judged.plan_hash.to_string())
    }

    pub(super) fn judged(&mut self) -> Result<Judgement, Box<Event>> {
        self.judged_in(self.house, &self.place.clone()).map_err(|unjudged| {
            Box::new(match unjudged {
                Unjudged::Denied(denial) => {
                    self.met.refused = true;
                    Event::Denied(denial)
                }
                unjudged => {
                    self.met.broken = true;
                    Event::Blocked(Blocked { reason: "PolicyInvalid".into(), message: unjudged.to_string() })
                }
            })
        })
    }

    /// A hold stands in the way of what would go at once.
    pub(super) fn rechecked(&mut self, state: &State) -> Event {
        self.judged_last = Some(self.verdict());
        let Judgement { judged, hold, .. } = match self.judged() {
            Ok(judgement) => judgement,
            Err(event) => return *event,
        };
        let goes = state.judged().is_some_and(|before| goes_on_at_once(before, &judged));
        match hold.filter(|_| goes) {
            Some(hold) => {
                self.met.frozen = true;
                Event::Blocked(Blocked { reason: hold.reason.into(), message: hold.message })
            }
            None => {
                let draft = IntentDraft { judged_at: at(self.now), ..draft() };
                Event::Rechecked { judged, draft: Box::new(draft) }
            }
        }
    }
}
