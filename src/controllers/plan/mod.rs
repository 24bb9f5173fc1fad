//! Carries a plan through its life: asks `core::lifecycle::step` what to do next, does it, and tells it what came of it.

mod gone;
mod in_flight;
mod judging;
mod place;
mod policy;
mod provenance;
mod record;
mod report;
mod secrets;
mod sending;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::SemaphorePermit;

use crate::{
    api::{PlanStatus, ProxmoxActionPlan},
    core::{
        approval::Proof,
        audit::{ApprovalOnRecord, AuditEvent, TaskOnRecord},
        call::Dispatch,
        lifecycle::{self, Effect, Event, Order, State, step},
        occupied::Occupied,
        policy::{Hold, Policy},
        provenance::Traced,
        task::Sent,
    },
    ports::{HypervisorError, Hypervisors, Key, Ports, Store},
};

use super::{
    Error, RETRY, Together, UNTIL_IT_CLEARS,
    crowd::Admitted,
    ground::Traces,
    scene::{Scene, blocked, resolve},
    steady::Steady,
};

pub(super) use gone::follow_to_its_end;

/// One look at one plan.
struct Look<'a, S, H: Hypervisors> {
    ports: &'a Ports<S, H>,
    /// The clock among the ports.
    steady: Arc<Steady>,
    key: &'a Key,
    plan: ProxmoxActionPlan,
    state: State,
    /// What a name is worth here, as it was found last in this look.
    proof: Option<Proof>,
    scene: Option<Scene<H::Connection>>,
    /// What it is judged by.
    policy: Option<Policy>,
    /// What keeps it from being sent, as it was judged last in this look.
    hold: Option<Hold>,
    /// What would be sent, as it was judged last in this look.
    dispatch: Option<Dispatch>,
    /// What that would be at work on.
    occupied: Occupied,
    wake_at: Option<Timestamp>,
    together: &'a Together,
    /// Until it asks its Proxmox.
    reading: Option<SemaphorePermit<'a>>,
    /// While it asks its Proxmox.
    admitted: Option<Admitted>,
    /// It has asked for a place in vain.
    is_in_line: bool,
    /// The plan is there no more; its call is followed all the same.
    is_gone: bool,
    /// The nonce of the intent that is on record.
    announced: Option<String>,
    /// Something that it needs could not be asked.
    was_set_back: bool,
    /// When, by the monotonic clock, the environment and its policies were read.
    rules_read_at: Duration,
    /// Since when, by the monotonic clock, what it was judged by may have changed.
    judged_at: Duration,
    /// How often it was judged again, and has not been sent yet.
    rechecks: u32,
    /// Where its approvals come from, as it was found out last in this look.
    traces: Traces,
    /// Where the plan comes from, as it was found out in this look.
    traced: Option<Traced>,
    /// Where its approvals come from, by their uid.
    approvals_traced: BTreeMap<String, Traced>,
    /// Its approvals as they were read last in this look, by their uid.
    approvals: BTreeMap<String, ApprovalOnRecord>,
    /// The one that says no.
    denial: Option<ApprovalOnRecord>,
    /// What its task has written, once that has ended.
    log: Option<TaskOnRecord>,
}

/// Looks at a plan and takes it as far as it goes. Returns when to look again, if not at the next change.
pub(super) async fn reconcile<S: Store, H: Hypervisors>(
    ports: &Ports<S, H>,
    together: &Together,
    key: &Key,
) -> Result<Option<Timestamp>, Error> {
    let reading = together.readers.acquire().await.ok();
    // On the heap, so that those who wait for their turn need no memory for what comes after it.
    Box::pin(look(ports, together, key, reading)).await
}

async fn look<S: Store, H: Hypervisors>(
    ports: &Ports<S, H>,
    together: &Together,
    key: &Key,
    reading: Option<SemaphorePermit<'_>>,
) -> Result<Option<Timestamp>, Error> {
    let steady = Arc::new(Steady::on(&ports.clock));
    let ports = &Ports { clock: steady.clone(), ..ports.clone() };
    let Some(plan) = ports.store.get::<ProxmoxActionPlan>(key).await? else {
        together.setbacks.forget(key);
        return Ok(None);
    };
    let state = lifecycle::read(plan.status.as_ref())?;
    let first = if plan.metadata.deletion_timestamp.is_some() { Event::Deleted } else { Event::Woken };
    let mut look = Look::begin(ports, steady, (key, plan, state), together, reading);
    let was_in_flight = look.keep_its_place();
    let done = look.take_as_far_as_it_goes(first).await;
    look.settle_its_slot();
    look.settle_its_place(was_in_flight, done.is_ok());
    match done {
        // It is no failure to come again later.
        Err(Error::Crowded) => look.wake_in(ports.clock.about(UNTIL_IT_CLEARS)),
        done => done?,
    }
    if !look.was_set_back {
        together.setbacks.forget(key);
    }
    Ok(look.wake_at)
}

impl<'a, S: Store, H: Hypervisors> Look<'a, S, H> {
    fn begin(
        ports: &'a Ports<S, H>,
        steady: Arc<Steady>,
        (key, plan, state): (&'a Key, ProxmoxActionPlan, State),
        together: &'a Together,
        reading: Option<SemaphorePermit<'a>>,
    ) -> Self {
        Self {
            announced: nonce(plan.status.as_ref()),
            ports,
            steady,
            key,
            plan,
            state,
            proof: None,
            scene: None,
            policy: None,
            hold: None,
            dispatch: None,
            occupied: Occupied::default(),
            wake_at: None,
            together,
            reading,
            admitted: None,
            is_in_line: false,
            was_set_back: false,
            is_gone: false,
            rules_read_at: Duration::ZERO,
            judged_at: Duration::ZERO,
            rechecks: 0,
            traces: Traces::default(),
            traced: None,
            approvals_traced: BTreeMap::new(),
            approvals: BTreeMap::new(),
            denial: None,
            log: None,
        }
    }

    async fn take_as_far_as_it_goes(&mut self, first: Event) -> Result<(), Error> {
        let order = Order::of(&self.plan.spec);
        let mut inbox = VecDeque::from([first]);
        while let Some(event) = inbox.pop_front() {
            let (state, effects) = step(&order, self.state.clone(), event, self.ports.clock.now());
            self.state = state;
            for effect in effects {
                let done = self.perform(effect).await;
                if self.was_announced_in_vain(&done) {
                    self.is_gone = true;
                    let why = "the plan was deleted before its call was announced".to_owned();
                    inbox.push_back(Event::Sent(Sent::NotSent { why }));
                    break;
                }
                inbox.extend(done?);
            }
        }
        Ok(())
    }

    /// Does one thing, and says what came of it if it was a question. Questions live on the heap: side by side in this
    /// future, and in all that it lives in, they would need more stack than there is.
    async fn perform(&mut self, effect: Effect) -> Result<Option<Event>, Error> {
        match effect {
            Effect::Judge => Box::pin(self.judge()).await.map(Some),
            Effect::Read => Box::pin(self.read()).await.map(Some),
            Effect::GatherApprovals => Box::pin(self.gather_approvals()).await.map(Some),
            Effect::Recheck => Box::pin(self.recheck()).await.map(Some),
            Effect::Audit(event, message) => {
                if event == AuditEvent::Intent {
                    self.make_sure_of_the_lead()?;
                }
                self.audit(event, message).await.map(|()| None)
            }
            Effect::AuditGone(approval, message) => self.audit_gone(approval, message).await.map(|()| None),
            Effect::WriteStatus => self.write_status().await.map(|()| None),
            Effect::Tell(telling) => {
                self.tell(telling).await;
                Ok(None)
            }
            Effect::Send { until } => self.send(until).await.map(Some),
            Effect::LookAtTask => self.look_at_task().await.map(Some),
            Effect::LookAtHa => self.look_at_ha().await.map(Some),
            Effect::SearchTasks => self.search_tasks().await.map(Some),
            Effect::LookForTraces => self.look_for_traces().await.map(Some),
            Effect::Hold => {
                self.hold().await;
                Ok(None)
            }
            Effect::Release => self.release().await.map(|()| None),
            Effect::WakeAt(moment) => Ok(self.wake_at(moment).await),
            Effect::WakeAfter(pause) => Ok(self.wake_at(self.about_in(pause)).await),
        }
    }

    // ---- resolve

    /// The scene, resolved once per look.
    async fn scene(&mut self) -> Result<Result<&Scene<H::Connection>, Event>, Error> {
        let environment = self.environment();
        self.reading = None;
        if self.admitted.is_none() {
            self.admitted = Some(self.together.crowd.enter(&environment).await.ok_or(Error::Crowded)?);
        }
        if self.scene.is_none() {
            self.rules_read_at = self.ports.clock.monotonic();
            match resolve(self.ports, &environment).await? {
                Ok(scene) => self.scene = Some(scene),
                Err(obstacle) => {
                    if !obstacle.is_watched {
                        self.try_again_soon();
                    }
                    return Ok(Err(Event::Blocked(obstacle.blocked)));
                }
            }
        }
        self.scene
            .as_ref()
            .map(Ok)
            .ok_or_else(|| Error::NotReady("the environment was not resolved".to_owned()))
    }

    /// Proxmox could not be asked: says so, and asks again.
    fn unavailable(&mut self, error: HypervisorError) -> Event {
        self.try_again_soon();
        Event::Blocked(blocked("ProxmoxUnavailable", error.message))
    }

    fn try_again_soon(&mut self) {
        self.was_set_back = true;
        self.wake_in(self.together.setbacks.pause(self.key, RETRY, self.ports.clock.as_ref()));
    }

    fn wake_in(&mut self, pause: Duration) {
        self.wake_at = self.ports.clock.now().saturating_add(pause).ok();
    }

    fn about_in(&self, pause: SignedDuration) -> Timestamp {
        let clock = &self.ports.clock;
        clock.now().saturating_add(clock.about(pause.unsigned_abs())).unwrap_or(Timestamp::MAX)
    }
}

fn nonce(status: Option<&PlanStatus>) -> Option<String> {
    Some(status?.intent.as_ref()?.nonce.clone())
}
