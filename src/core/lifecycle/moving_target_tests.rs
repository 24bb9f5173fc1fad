//! A plan whose target moves about, with people who approve and revoke, in every order.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use serde_json::json;

use super::{
    tests::{draft, judged_on, noon, order},
    *,
};
use crate::{
    api::{PlanStatus, ProxmoxActionApproval, Tier},
    core::{
        approval::{Bench, Candidate, Proof, tally},
        judge::Judged,
    },
};

const UID: &str = "11111111-1111-1111-1111-111111111111";
const NODES: [&str; 2] = ["pve1", "pve2"];

/// What can happen next.
#[derive(Clone, Copy, Debug)]
enum Deed {
    Move(usize),
    /// Somebody approves the judgement of the target on this node, whether or not it ever stood.
    Approve(usize),
    Revoke(usize),
    Look,
}

const DEEDS: [Deed; 7] = [
    Deed::Move(0),
    Deed::Move(1),
    Deed::Approve(0),
    Deed::Approve(1),
    Deed::Revoke(0),
    Deed::Revoke(1),
    Deed::Look,
];

#[derive(Clone)]
struct World {
    /// How many approvals the plan needs, wherever its target is.
    required: u32,
    node: usize,
    approved: [bool; 2],
    status: Option<PlanStatus>,
    sent: bool,
}

impl World {
    fn judgement(&self) -> Judged {
        judged_on(NODES[self.node], self.required)
    }

    fn approvals(&self) -> Vec<ProxmoxActionApproval> {
        let given = (0..2).filter(|node| self.approved[*node]);
        given.map(|node| approval(&judged_on(NODES[node], self.required))).collect()
    }

    fn does(&mut self, deed: Deed) {
        match deed {
            Deed::Move(node) => self.node = node,
            Deed::Approve(node) => self.approved[node] = true,
            Deed::Revoke(node) => self.approved[node] = false,
            Deed::Look => self.is_looked_at(),
        }
    }

    /// What the controller does, with the real tally.
    fn is_looked_at(&mut self) {
        let mut state = read(self.status.as_ref()).unwrap();
        let mut events = vec![Event::Woken];
        let mut steps = 0;
        while let Some(event) = events.pop() {
            steps += 1;
            assert!(steps < 10, "it spins");
            let effects;
            (state, effects) = step(&order(), state, event, noon());
            for effect in effects {
                events.extend(self.carries_out(&effect, &state));
            }
        }
    }

    fn carries_out(&mut self, effect: &Effect, state: &State) -> Option<Event> {
        match effect {
            Effect::Judge => Some(Event::Judged(self.judgement())),
            Effect::Recheck => Some(Event::Rechecked { judged: self.judgement(), draft: Box::new(draft()) }),
            Effect::GatherApprovals => {
                let plan = plan();
                let bench = bench(&plan, state.judged().unwrap());
                let approvals = self.approvals().into_iter();
                let candidates: Vec<_> =
                    approvals.map(|approval| Candidate { approval, traced: None }).collect();
                Some(Event::Approvals(tally(&candidates, bench)))
            }
            Effect::WriteStatus => {
                let status = report(state, self.status.as_ref(), Some(1), Some(&Proof::ApiServer), noon());
                self.status = Some(status);
                None
            }
            Effect::Send { .. } => {
                self.is_sent();
                None
            }
            _ => None,
        }
    }

    /// Rests on an approval of exactly what is there now, and of nothing else.
    fn is_sent(&mut self) {
        assert!(!self.sent, "sent twice");
        self.sent = true;
        let on_record = self.status.as_ref().unwrap();
        assert_eq!(on_record.plan_hash, Some(self.judgement().plan_hash.to_string()));
        assert!(self.required == 0 || self.approved[self.node], "nobody has approved that");
        let granted = &on_record.approvals.as_ref().unwrap().granted;
        assert!(granted.len() >= self.required as usize);
        assert!(granted.iter().all(|granted| Some(&granted.uid) == on_record.plan_hash.as_ref()));
    }
}

fn plan() -> ObjectMeta {
    ObjectMeta { name: Some("p".into()), uid: Some(UID.into()), ..Default::default() }
}

fn bench<'a>(plan: &'a ObjectMeta, judged: &'a Judged) -> Bench<'a> {
    Bench {
        plan,
        requested_by: "agent",
        environment: "home",
        tier: Tier::Lab,
        judged,
        question: None,
        proof: &Proof::ApiServer,
        now: noon(),
    }
}

/// Its uid says what it approves.
fn approval(judged: &Judged) -> ProxmoxActionApproval {
    let hash = judged.plan_hash.to_string();
    let spec = json!({
        "planRef": {"name": "p", "uid": UID}, "planHash": hash, "decision": "Approve",
        "approved_by": "me", "environment": "home", "risk": judged.risk,
    });
    let mut approval = ProxmoxActionApproval::new(&hash, serde_json::from_value(spec).unwrap());
    approval.metadata.creation_timestamp = Some(Time(noon()));
    approval.metadata.uid = Some(hash);
    approval
}

/// Tries every order of so many deeds. Returns how many of them sent something.
fn try_all(world: &World, deeds: usize) -> usize {
    if deeds == 0 || world.sent {
        return usize::from(world.sent);
    }
    let after = |deed| {
        let mut next = world.clone();
        next.does(deed);
        try_all(&next, deeds - 1)
    };
    DEEDS.into_iter().map(after).sum()
}

#[test]
fn in_no_order_of_events_is_a_plan_sent_on_an_approval_of_another_judgement() {
    for required in [0, 1] {
        let world = World { required, node: 0, approved: [false; 2], status: None, sent: false };
        assert!(try_all(&world, 6) > 100, "hardly anything was sent");
    }
}
