//! The functions that are explored: the program's own `step`, `report`, `read`, `tally` and the rules of the plan's kind.
//! They are pure, so each is asked once for each of its arguments.

use std::{cell::RefCell, collections::HashMap};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use proxmox_agent::{
    api::{
        Decision, Phase, PlanRef, PlanStatus, ProxmoxActionApproval, ProxmoxActionApprovalSpec,
        ProxmoxActionPlan, Tier,
    },
    core::{
        approval::{Bench, Candidate, Proof, Tally, tally},
        audit::AuditEvent,
        lifecycle::{Effect, Event, Order, Rivals, State, read, report, step},
    },
};

use crate::{
    book::{Book, Id},
    setting::{MOMENT, SETTLED_AFTER, Setting, moment},
};

/// An effect, as far as the model tells them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    Judge,
    GatherApprovals,
    Recheck,
    AuditIntent,
    Audit,
    WriteStatus,
    /// Not after so many seconds.
    Send(i64),
    LookAtTask,
    LookAtHa,
    SearchTasks,
    LookForTraces,
    Hold,
    Release,
    /// Look again, some time.
    ComeAgain,
    /// Look again at once.
    WakeSoon,
    /// Nobody's next step depends on it.
    Tell,
}

/// What the model asks of a state.
#[derive(Clone, Debug)]
pub(crate) struct Sight {
    pub(crate) phase: Phase,
    pub(crate) reason: String,
    pub(crate) attempt: u8,
    pub(crate) nonce: Option<u8>,
    /// When its intent was drafted, by the node's clock.
    pub(crate) drafted_at: u8,
    /// Until then the next step depends on the time.
    pub(crate) open_until: u8,
    /// The number of the call whose task it follows; none of ours has `STRANGE`.
    pub(crate) task: Option<u8>,
    pub(crate) planned_for: Option<u8>,
    /// The attempt that people have to decide about.
    pub(crate) question: Option<u8>,
}

/// What people have said, one bit each: yes to the target after so many moves, and to another attempt after this one.
pub(crate) type Given = (u8, u8);

/// The number of a task that is not this plan's.
pub(crate) const STRANGE: u8 = 0xee;

#[derive(Debug)]
pub(crate) struct Life {
    pub(crate) setting: Setting,
    order: Order,
    plan: ProxmoxActionPlan,
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
        let life = Self { setting, order: setting.order(), plan, books: RefCell::default() };
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
        let with = |status: Id| ProxmoxActionPlan {
            status: books.statuses.get(status).clone(),
            ..self.plan.clone()
        };
        let taken = with(after).validate_cel_update(&with(before)).is_ok();
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

fn sight(state: &State, is_slow: bool) -> Sight {
    let intent = state.intent();
    let (drafted_at, open_until) = times(state, is_slow);
    let reason = report(state, None, Some(1), None, moment(0)).reason;
    Sight {
        phase: state.phase(),
        reason,
        attempt: intent.map_or(0, |intent| u8::try_from(intent.attempt).unwrap()),
        nonce: intent.map(|intent| intent.nonce.parse().unwrap()),
        drafted_at,
        open_until,
        task: state.upid().map(|upid| u8::from_str_radix(&upid.as_str()[10..18], 16).unwrap()),
        planned_for: state
            .judged()
            .map(|judged| judged.fingerprint["digest"].parse().expect("as the setting judges it")),
        question: state.question().map(|question| u8::try_from(question.attempt).unwrap()),
    }
}

/// When its intent was drafted, and until when time matters to what was drafted.
fn times(state: &State, is_slow: bool) -> (u8, u8) {
    let of = |at: jiff::Timestamp| {
        let seconds = at.duration_since(moment(0)).as_secs();
        u8::try_from((seconds + MOMENT - 1) / MOMENT).unwrap()
    };
    match state {
        State::Confirmed { draft, .. } => {
            let drafted_at = of(draft.node_time);
            (drafted_at, drafted_at + u8::from(is_slow) * SETTLED_AFTER)
        }
        State::Dispatching(sending) => {
            let drafted_at = of(sending.intent.node_time.0);
            (drafted_at, of(sending.intent.settles_at.0).max(drafted_at + SETTLED_AFTER))
        }
        _ => (0, 0),
    }
}

fn deed(effect: &Effect, clock: u8, state: &State) -> Deed {
    match effect {
        Effect::Judge => Deed::Judge,
        Effect::GatherApprovals => Deed::GatherApprovals,
        Effect::Recheck => Deed::Recheck,
        Effect::Audit(AuditEvent::Intent, _) => Deed::AuditIntent,
        Effect::Audit(..) => Deed::Audit,
        Effect::WriteStatus => Deed::WriteStatus,
        Effect::Send { until } => Deed::Send(until.duration_since(moment(0)).as_secs()),
        Effect::LookAtTask => Deed::LookAtTask,
        Effect::LookAtHa => Deed::LookAtHa,
        Effect::SearchTasks => Deed::SearchTasks,
        Effect::LookForTraces => Deed::LookForTraces,
        Effect::Hold => Deed::Hold,
        Effect::Release => Deed::Release,
        Effect::WakeAt(at) => wake_at(*at, clock, state),
        Effect::Tell(_) => Deed::Tell,
        Effect::Read => unreachable!("the plan of the model changes something"),
    }
}

fn wake_at(at: jiff::Timestamp, clock: u8, state: &State) -> Deed {
    let pause = at.duration_since(moment(clock.into()));
    let stays = matches!(state, State::Running(..)) && pause.as_millis() <= 1300;
    let is_far = pause.as_secs() > 16 * MOMENT;
    match (stays, is_far) {
        (true, _) => Deed::WakeSoon,
        // An approval that counts for a day does not end here.
        (_, true) => Deed::Tell,
        _ => Deed::ComeAgain,
    }
}
