//! Carries a plan through its life: asks `core::lifecycle::step` what to do next, does it, and tells it what came of it.

mod in_flight;
mod judging;
mod place;
mod policy;
mod provenance;
mod record;
mod report;
mod secrets;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use secrecy::SecretString;
use tokio::sync::SemaphorePermit;

use crate::{
    api::{Provenance, ProxmoxActionPlan},
    catalog::Call,
    core::{
        approval::Proof,
        audit::{ApprovalOnRecord, AuditEvent, TaskOnRecord},
        call::Dispatch,
        lifecycle::{self, AT_ONCE, Effect, Event, Order, State, step},
        occupied::Occupied,
        policy::{Hold, Policy},
        task::Sent,
    },
    ports::{Departure, Hypervisor, HypervisorError, Hypervisors, Key, Ports, SecretError, Store},
};

use super::{
    Error, RETRY, Together, UNTIL_IT_CLEARS,
    crowd::Admitted,
    scene::{Scene, blocked, resolve},
    steady::Steady,
};

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
    /// Something that it needs could not be asked.
    was_set_back: bool,
    /// Where the plan comes from, as it was found out in this look.
    provenance: Option<Provenance>,
    /// Where its approvals come from, by their uid.
    provenances: BTreeMap<String, Provenance>,
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
    let mut look = Look {
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
        provenance: None,
        provenances: BTreeMap::new(),
        approvals: BTreeMap::new(),
        denial: None,
        log: None,
    };
    let was_in_flight = look.keep_its_place();
    let done = look.take_as_far_as_it_goes(first).await;
    look.settle_its_slot();
    look.settle_its_place(was_in_flight, done.is_ok());
    match done {
        // It is no failure to come again later.
        Err(Error::Crowded) => look.wake_in(UNTIL_IT_CLEARS.mul_f64(0.5 + ports.clock.fraction())),
        done => done?,
    }
    if !look.was_set_back {
        together.setbacks.forget(key);
    }
    Ok(look.wake_at)
}

impl<S: Store, H: Hypervisors> Look<'_, S, H> {
    async fn take_as_far_as_it_goes(&mut self, first: Event) -> Result<(), Error> {
        let order = Order::of(&self.plan.spec);
        let mut inbox = VecDeque::from([first]);
        while let Some(event) = inbox.pop_front() {
            let (state, effects) = step(&order, self.state.clone(), event, self.ports.clock.now());
            self.state = state;
            for effect in effects {
                inbox.extend(self.perform(effect).await?);
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

    // ---- act

    /// Nothing is announced that could not leave after all.
    fn make_sure_of_the_lead(&self) -> Result<(), Error> {
        if self.ports.leadership.lasts(AT_ONCE.unsigned_abs()) { Ok(()) } else { Err(Error::NotLeading) }
    }

    /// Hands over the call that was rechecked in this very look, once, and only while its announcement is fresh.
    async fn send(&mut self, until: Timestamp) -> Result<Event, Error> {
        let (Some(scene), Some(Dispatch { call, .. })) = (&self.scene, &self.dispatch) else {
            return Err(Error::NotReady("nothing was rechecked in this look".to_owned()));
        };
        let secrets = match self.secrets_of(call).await {
            Ok(secrets) => secrets,
            Err(error) => return Ok(Event::Sent(Sent::NotSent { why: error.to_string() })),
        };
        let Ports { clock, leadership, .. } = self.ports;
        let left = Duration::try_from(until.duration_since(clock.now())).unwrap_or_default();
        let departure = Departure::within(Arc::clone(clock), Arc::clone(leadership), left);
        if let Err(why) = departure.left() {
            let why = format!("it was announced, but could not leave before {until}: {why}");
            return Ok(Event::Sent(Sent::NotSent { why }));
        }
        Ok(Event::Sent(scene.hypervisor.send(call, &secrets, &departure).await))
    }

    /// The values that the call only says the whereabouts of.
    async fn secrets_of(&self, call: &Call) -> Result<BTreeMap<String, SecretString>, SecretError> {
        let mut values = BTreeMap::new();
        for (name, from) in &call.secrets {
            values.insert(name.clone(), self.secret(from).await?);
        }
        Ok(values)
    }
}
