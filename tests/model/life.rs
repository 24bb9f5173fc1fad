//! The functions that are explored: the program's own `step`, `report`, `read`, `tally` and the rules of the plan's kind.
//! They are pure, so each is asked once for each of its arguments.

use std::{cell::RefCell, collections::HashMap};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::{
    CustomResourceExt,
    core::cel::{CompiledSchema, compile_schema, validate_compiled},
};
use proxmox_agent::{
    api::{
        Decision, PlanRef, PlanStatus, ProxmoxActionApproval, ProxmoxActionApprovalSpec, ProxmoxActionPlan,
        Tier,
    },
    core::{
        approval::{Bench, Candidate, Proof, Tally, tally},
        lifecycle::{Effect, Event, Order, Rivals, State, read, report, step},
    },
};

use crate::{
    book::{Book, Id},
    deed::{Deed, deed},
    setting::{Setting, moment},
    sight::{Sight, sight},
};

/// What people have said, one bit each: yes to the target after so many moves, and to another attempt after this one.
pub(crate) type Given = (u8, u8);

#[derive(Debug)]
pub(crate) struct Life {
    pub(crate) setting: Setting,
    order: Order,
    plan: ProxmoxActionPlan,
    rules: CompiledSchema,
    books: RefCell<Books>,
}

#[derive(Debug, Default)]
struct Books {
    states: Book<State>,
    sights: Vec<Sight>,
    statuses: Book<Option<PlanStatus>>,
    events: Book<Event>,
    effects: Book<Vec<Effect>>,
    deeds: Vec<Vec<Deed>>,
    steps: HashMap<(Id, Id, u8), (Id, Id)>,
    reports: HashMap<(Id, Id), Id>,
    reads: HashMap<Id, Id>,
    tallies: HashMap<(Id, Given, u8, u8), Id>,
    taken: HashMap<(Id, Id), bool>,
}

impl Life {
    pub(crate) fn new(setting: Setting) -> Self {
        let mut plan = ProxmoxActionPlan::new("p", setting.spec());
        plan.metadata.namespace = Some("default".into());
        let schema = ProxmoxActionPlan::crd().spec.versions[0].schema.clone().unwrap().open_api_v3_schema;
        let rules = compile_schema(&serde_json::to_value(schema).unwrap());
        let life = Self { setting, order: setting.order(), plan, rules, books: RefCell::default() };
        assert_eq!(life.books.borrow_mut().keep_effects(vec![], vec![]), 0, "a look begins without effects");
        life
    }

    /// What a wrong protocol does instead of giving up.
    pub(crate) fn send_again(&self) -> Id {
        let until = moment(1000);
        let deeds = vec![Deed::Send(until.duration_since(moment(0)).as_secs())];
        self.books.borrow_mut().keep_effects(vec![Effect::Send { until }], deeds)
    }

    pub(crate) fn no_status(&self) -> Id {
        self.books.borrow_mut().statuses.number(None)
    }

    pub(crate) fn event(&self, event: Event) -> Id {
        self.books.borrow_mut().events.number(event)
    }

    pub(crate) fn step(&self, state: Id, event: Id, clock: u8) -> (Id, Id) {
        let books = &mut *self.books.borrow_mut();
        if let Some(known) = books.steps.get(&(state, event, clock)) {
            return *known;
        }
        let now = moment(clock.into());
        let (next, effects) =
            step(&self.order, books.states.get(state).clone(), books.events.get(event).clone(), now);
        let deeds = effects.iter().map(|effect| deed(effect, clock, &next)).collect();
        let found = (books.keep_state(next, self.setting.is_slow), books.keep_effects(effects, deeds));
        books.steps.insert((state, event, clock), found);
        found
    }

    pub(crate) fn deed(&self, effects: Id, next: u8) -> Option<Deed> {
        self.books.borrow().deeds.get(usize::from(effects))?.get(usize::from(next)).copied()
    }

    pub(crate) fn report(&self, state: Id, before: Id) -> Id {
        let books = &mut *self.books.borrow_mut();
        if let Some(known) = books.reports.get(&(state, before)) {
            return *known;
        }
        // When something was written decides nothing here, so all of it was written at once.
        let told = report(
            books.states.get(state),
            books.statuses.get(before).as_ref(),
            Some(1),
            Some(&Proof::ApiServer),
            moment(0),
        );
        let number = books.statuses.number(Some(told));
        books.reports.insert((state, before), number);
        number
    }

    pub(crate) fn read(&self, status: Id) -> Id {
        let books = &mut *self.books.borrow_mut();
        if let Some(known) = books.reads.get(&status) {
            return *known;
        }
        let state = read(books.statuses.get(status).as_ref()).unwrap();
        let number = books.keep_state(state, self.setting.is_slow);
        books.reads.insert(status, number);
        number
    }

    pub(crate) fn sight(&self, state: Id) -> Sight {
        self.books.borrow().sights[usize::from(state)].clone()
    }

    pub(crate) fn on_sight<T>(&self, state: Id, look: impl FnOnce(&Sight) -> T) -> T {
        look(&self.books.borrow().sights[usize::from(state)])
    }

    /// What the record says, whoever reads it.
    pub(crate) fn on_record<T>(&self, status: Id, look: impl FnOnce(&Sight) -> T) -> T {
        let state = self.read(status);
        self.on_sight(state, look)
    }

    /// Whether the API server takes this status after that one.
    pub(crate) fn takes(&self, before: Id, after: Id) -> bool {
        let books = &mut *self.books.borrow_mut();
        if let Some(known) = books.taken.get(&(before, after)) {
            return *known;
        }
        let with = |status: Id| {
            let status = books.statuses.get(status).clone();
            serde_json::to_value(ProxmoxActionPlan { status, ..self.plan.clone() }).unwrap()
        };
        let taken = validate_compiled(&self.rules, &with(after), Some(&with(before))).is_ok();
        books.taken.insert((before, after), taken);
        taken
    }

    /// All approvals that are there, judged by the program for the plan as this state has it.
    pub(crate) fn approvals(&self, state: Id, given: Given, made: u8, clock: u8) -> Id {
        let books = &mut *self.books.borrow_mut();
        if let Some(known) = books.tallies.get(&(state, given, made, clock)) {
            return *known;
        }
        let state_now = books.states.get(state);
        let event = match state_now.judged() {
            None => Event::Approvals(Tally::default()),
            Some(judged) => {
                let bits = |given: u8| (0..8).filter(move |bit| given & (1 << bit) != 0);
                let planned_for = books.sights[usize::from(state)].planned_for.unwrap_or_default();
                let yes = bits(given.0).map(|moved| self.approval(moved, None));
                let again = bits(given.1).map(|attempt| self.approval(planned_for, Some(attempt)));
                let candidates: Vec<Candidate> = yes.chain(again).collect();
                let plan =
                    ObjectMeta { name: Some("p".into()), uid: Some(uid(made)), ..ObjectMeta::default() };
                Event::Approvals(tally(
                    &candidates,
                    Bench {
                        plan: &plan,
                        requested_by: "agent",
                        environment: "home",
                        tier: Tier::Production,
                        judged,
                        proof: &Proof::ApiServer,
                        now: moment(clock.into()),
                        question: state_now.question(),
                    },
                ))
            }
        };
        let number = books.events.number(event);
        books.tallies.insert((state, given, made, clock), number);
        number
    }

    /// A yes to the first making of the plan, for its target after so many moves.
    fn approval(&self, moved: u8, attempt: Option<u8>) -> Candidate {
        let spec = ProxmoxActionApprovalSpec {
            plan_ref: PlanRef { name: "p".into(), uid: uid(0) },
            plan_hash: self.setting.judged(moved).plan_hash.to_string(),
            decision: Decision::Approve,
            approved_by: "somebody".into(),
            approver_groups: vec![],
            environment: "home".into(),
            risk: self.setting.judged(moved).risk,
            reason: String::new(),
            expires_at: self.setting.approved_until.map(|end| Time(moment(end.into()))),
            source: None,
            attempt: attempt.map(i64::from),
        };
        let name = attempt.map_or(format!("yes-{moved}"), |attempt| format!("again-after-{attempt}"));
        let mut approval = ProxmoxActionApproval::new(&name, spec);
        approval.metadata.uid = Some(format!("uid-of-{name}"));
        approval.metadata.creation_timestamp = Some(Time(moment(0)));
        Candidate { approval, traced: None }
    }

    /// What the attempts before the one in hand have done, or may have done.
    pub(crate) fn earlier(&self, state: Id) -> Rivals {
        let mut rivals = Rivals::default();
        for attempt in self.books.borrow().states.get(state).earlier() {
            rivals.add(&attempt.intent, attempt.upid.as_deref());
        }
        rivals
    }

    /// How many different states were met.
    pub(crate) fn states(&self) -> usize {
        self.books.borrow().states.len()
    }
}

impl Books {
    fn keep_state(&mut self, state: State, is_slow: bool) -> Id {
        let sight = sight(&state, is_slow);
        let number = self.states.number(state);
        if usize::from(number) == self.sights.len() {
            self.sights.push(sight);
        }
        number
    }

    fn keep_effects(&mut self, effects: Vec<Effect>, deeds: Vec<Deed>) -> Id {
        let number = self.effects.number(effects);
        if usize::from(number) == self.deeds.len() {
            self.deeds.push(deeds);
        }
        number
    }
}

fn uid(made: u8) -> String {
    format!("11111111-1111-1111-1111-11111111111{made}")
}
