//! The life of a plan under every event, in any order, with crashes in between.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use proptest::prelude::*;

use super::{
    tests::{UPID, draft, judged, judged_as_another_guest, judged_on, no, noon, order, tally, upid},
    *,
};
use crate::{
    api::{Phase, PlanStatus, ProxmoxActionPlan, ProxmoxActionPlanSpec, ReadResult},
    core::{
        approval::{Proof, Tally},
        audit::AuditEvent,
        ha::{HaGoal, HaGuest},
        judge::{Denial, Judged},
        request::Violation,
        task::{Sent, TaskState},
        traces::Traces,
    },
};

/// Mostly the same one.
fn any_judgement() -> impl Strategy<Value = Judged> {
    prop_oneof![
        6 => (0u32..2).prop_map(judged),
        2 => (prop_oneof![Just("pve1"), Just("pve2")], 0u32..3).prop_map(|(node, required)| judged_on(node, required)),
        1 => Just(judged_as_another_guest()),
    ]
}

fn any_event() -> impl Strategy<Value = Event> {
    let upids = prop::collection::vec(
        prop_oneof![Just(upid()), Just(UPID.replace("qmstart", "qmstop").parse().unwrap())],
        0..3,
    );
    prop_oneof![
        4 => Just(Event::Woken),
        1 => Just(Event::Invalid(vec![Violation { field: "spec.action".into(), problem: "is unknown".into() }])),
        1 => Just(Event::Blocked(Blocked { reason: "EnvironmentNotFound".into(), message: "none".into() })),
        1 => Just(Event::Denied(Denial { reason: "TargetNotFound", message: "none".into() })),
        4 => any_judgement().prop_map(Event::Judged),
        1 => Just(Event::Read(ReadResult::default())),
        8 => (0usize..3, prop::bool::weighted(0.1), prop::bool::weighted(0.1)).prop_map(|(count, denied, unproven)| {
            let not_in_force = unproven.then(|| "binding approvals is missing".to_owned());
            Event::Approvals(Tally { denied_by: denied.then(no), not_in_force, ..tally(count) })
        }),
        6 => any_judgement().prop_map(|judged| Event::Rechecked { judged, draft: Box::new(draft()) }),
        4 => prop_oneof![
            Just(Sent::NotSent { why: "refused".into() }),
            Just(Sent::Refused { status: 500, message: "no".into() }),
            Just(Sent::Task(upid())),
            Just(Sent::Task(UPID.replace("qmstart", "hastart").parse().unwrap())),
            Just(Sent::Done),
            Just(Sent::Nothing),
            Just(Sent::HalfWay { status: 500, message: "no".into() }),
            Just(Sent::Unknown { why: "reset".into() }),
        ].prop_map(Event::Sent),
        4 => prop_oneof![
            Just(TaskState::Running),
            Just(TaskState::Vanished),
            "OK|WARNINGS: 1|unexpected status|error".prop_map(|exit_status| TaskState::Stopped { exit_status }),
        ].prop_map(Event::Task),
        2 => prop::option::of((prop::bool::ANY, prop::option::of("started|error|ignored"))).prop_map(|guest| {
            Event::HaSeen(guest.map(|(runs, state)| HaGuest {
                node: "pve1".into(),
                status: if runs { "running" } else { "stopped" }.into(),
                state,
                told: "as it is".into(),
            }))
        }),
        2 => (upids, 0i64..100).prop_map(|(found, seconds)| {
            let node_time = noon() + SignedDuration::from_secs(seconds);
            Event::TasksFound { found, rivals: Rivals::default(), node_time }
        }),
        2 => prop_oneof![
            Just(Traces::Done("it is there".into())),
            Just(Traces::NotDone("it is not there".into())),
            Just(Traces::Unclear("nothing tells".into())),
        ].prop_map(Event::Traces),
        1 => Just(Event::Deleted),
        1 => Just(Event::Abandoned(Blocked { reason: "EnvironmentNotFound".into(), message: "none".into() })),
    ]
}

/// What happens to the process between two events.
#[derive(Clone, Debug)]
enum Happening {
    Event(Event),
    /// The process dies after so many effects of the step, and begins again from what is on record.
    EventThenCrash(Event, usize),
}

fn any_happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        5 => any_event().prop_map(Happening::Event),
        1 => (any_event(), 0usize..5).prop_map(|(event, after)| Happening::EventThenCrash(event, after)),
    ]
}

/// Up to the question whether to make another attempt, which chance alone hardly ever comes to; and perhaps on to its
/// last look.
fn any_beginning() -> impl Strategy<Value = Vec<Happening>> {
    let (judged, rechecked) = (judged(1), Event::Rechecked { judged: judged(1), draft: Box::new(draft()) });
    let approved = Event::Approvals(tally(1));
    let sent = [Event::Judged(judged), approved.clone(), rechecked.clone(), approved.clone()];
    let told = prop_oneof![
        Just(Traces::NotDone("it is not there".into())),
        Just(Traces::Unclear("nothing tells".into()))
    ];
    let begun = (told, 0usize..3).prop_map(move |(told, on)| {
        let again = [approved.clone(), rechecked.clone()];
        let all = sent.iter().cloned().chain([Event::Traces(told)]).chain(again.into_iter().take(on));
        all.map(Happening::Event).collect()
    });
    prop_oneof![Just(vec![]), begun]
}

fn any_order() -> impl Strategy<Value = Order> {
    let flags = (prop::bool::weighted(0.2), prop::bool::weighted(0.2), any::<bool>());
    (flags, prop::option::of(-5i64..50), prop::option::of(0i64..100)).prop_map(
        |((dry_run, reads, ha), from, to)| {
            let at = |seconds| noon() + SignedDuration::from_secs(seconds);
            let action = if ha { "start_guest" } else { "delete_guest" };
            let ha_goal = HaGoal::of(&ProxmoxActionPlanSpec { action: action.into(), ..Default::default() });
            Order { dry_run, reads, not_before: from.map(at), not_after: to.map(at), ha_goal }
        },
    )
}

fn is_question(effect: &Effect) -> bool {
    matches!(
        effect,
        Effect::Judge
            | Effect::Read
            | Effect::GatherApprovals
            | Effect::Recheck
            | Effect::Send { .. }
            | Effect::LookAtTask
            | Effect::LookAtHa
            | Effect::SearchTasks
            | Effect::LookForTraces
    )
}

/// A plan with its status on record, and the calls that left.
struct World {
    plan: ProxmoxActionPlan,
    state: State,
    /// The attempts that a call left for.
    calls: Vec<i64>,
    intents: usize,
    approved_when_sent: bool,
    /// The attempt that was unknown last: nobody decides without naming it.
    unknown: Option<i64>,
    /// The attempt of which the target told last that it did nothing.
    not_done: Option<i64>,
}

impl World {
    fn new() -> Self {
        let spec = ProxmoxActionPlanSpec { environment: "home".into(), ..Default::default() };
        Self {
            plan: ProxmoxActionPlan::new("p", spec),
            state: State::Pending { blocked: None },
            calls: vec![],
            intents: 0,
            approved_when_sent: true,
            unknown: None,
            not_done: None,
        }
    }

    /// Carries a step out, the first `most` of its effects only.
    fn carry_out(&mut self, effects: &[Effect], most: usize, now: Timestamp) {
        for effect in effects.iter().take(most) {
            match effect {
                Effect::Audit(AuditEvent::Intent, _) => self.intents += 1,
                Effect::WriteStatus => self.write(now),
                Effect::Send { .. } => {
                    let on_record = self.plan.status.as_ref().unwrap();
                    let attempt = on_record.attempts;
                    assert_eq!(on_record.phase, Phase::Dispatching, "sent without an intent on record");
                    assert!(!self.calls.contains(&attempt), "attempt {attempt} was sent twice");
                    self.calls.push(attempt);
                    assert!(self.intents >= self.calls.len(), "sent without an intent in the audit log");
                    let before = Some(attempt - 1).filter(|before| *before > 0);
                    assert!(
                        before == self.unknown || before.is_some() && before == self.not_done,
                        "attempt {attempt} was made of its own accord"
                    );
                    let approvals = on_record.approvals.as_ref().unwrap();
                    self.approved_when_sent &= approvals.granted.len() >= approvals.required as usize;
                    self.approved_when_sent &= self.unknown.is_none() || !approvals.granted.is_empty();
                    let about = about(&on_record.plan_hash.clone().unwrap(), self.unknown);
                    self.approved_when_sent &= approvals.granted.iter().all(|granted| granted.uid == about);
                }
                _ => {}
            }
        }
    }

    /// Approvals as they come in are for the judgement that stands then, and name the attempt that is unknown: their uid
    /// says which.
    fn dated(&mut self, event: Event) -> Event {
        if let (Event::Traces(Traces::NotDone(_)), Phase::Dispatching) = (&event, self.state.phase()) {
            self.not_done = self.state.intent().map(|intent| intent.attempt);
        }
        let (Event::Approvals(mut tally), Some(judged)) = (event.clone(), self.state.judged()) else {
            return event;
        };
        let hash = judged.plan_hash.to_string();
        if !self.state.phase().is_terminal() || self.state.phase() == Phase::Indeterminate {
            let asked = self.state.question().map(|question| question.attempt);
            assert_eq!(asked, self.unknown, "people are asked about another attempt: {:?}", self.state);
        }
        for granted in &mut tally.backing.granted {
            granted.uid = about(&hash, self.unknown);
        }
        Event::Approvals(tally)
    }

    /// What the API server would do: apply the kind's own rules to the change.
    fn write(&mut self, now: Timestamp) {
        let before = self.plan.clone();
        let status = report(&self.state, before.status.as_ref(), Some(1), Some(&Proof::ApiServer), now);
        self.plan.status = Some(status);
        if self.state.phase() == Phase::Indeterminate {
            self.unknown = self.state.intent().map(|intent| intent.attempt);
        }
        let checked = self.plan.validate_cel_update(&before);
        assert!(checked.is_ok(), "{checked:?}: {:?} -> {:?}", before.status, self.plan.status);
    }
}

/// What an approval is about.
fn about(plan_hash: &str, attempt: Option<i64>) -> String {
    format!("{plan_hash} {attempt:?}")
}

/// The state as the next look reads it, after what was written at `noon`.
fn on_record(state: State, written: &PlanStatus) -> State {
    match state {
        State::Confirmed { before: Some(before), .. } => on_record(*before, written),
        State::Confirmed { judged, backing, .. } => State::Approved { judged, backing, blocked: None },
        State::NotDone(sending, _) => State::Dispatching(sending),
        State::Pending { blocked: None } => State::Pending {
            blocked: read(Some(written)).ok().and_then(|state| match state {
                State::Pending { blocked } => blocked,
                _ => None,
            }),
        },
        State::Ended(mut ended) => {
            if let Some(doubt) = &mut ended.doubt {
                doubt.since = Some(Time(noon()));
            }
            State::Ended(ended)
        }
        other => other,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..Default::default() })]

    #[test]
    fn whatever_happens_each_attempt_sends_one_call_at_most_and_only_with_its_approvals(
        order in any_order(),
        beginning in any_beginning(),
        happenings in prop::collection::vec(any_happening(), 1..40),
    ) {
        let mut world = World::new();
        for (seconds, happening) in beginning.into_iter().chain(happenings).enumerate() {
            let now = noon() + SignedDuration::from_secs(seconds as i64);
            let (event, survives) = match happening {
                Happening::Event(event) => (event, usize::MAX),
                Happening::EventThenCrash(event, after) => (event, after),
            };
            let event = world.dated(event);
            let (state, effects) = step(&order, world.state.clone(), event, now);
            world.state = state;
            world.carry_out(&effects, survives, now);
            // A look ends when nothing is asked any more; the next one begins with what is on record.
            if survives != usize::MAX || !effects.iter().any(is_question) {
                world.state = read(world.plan.status.as_ref()).unwrap();
            }
            prop_assert!(world.approved_when_sent);
            prop_assert!(world.calls.is_empty() || !(order.dry_run || order.reads));
        }
    }

    #[test]
    fn what_is_written_down_reads_back(events in prop::collection::vec(any_event(), 1..30)) {
        let mut state = State::Pending { blocked: None };
        for event in events {
            state = step(&order(), state, event, noon()).0;
            let written = report(&state, None, Some(1), Some(&Proof::ApiServer), noon());
            prop_assert_eq!(read(Some(&written)).unwrap(), on_record(state.clone(), &written));
        }
    }
}
