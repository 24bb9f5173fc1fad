//! Carries a plan through its life: asks `core::lifecycle::step` what to do next, does it, and tells it what came of it.

mod place;
mod report;

use std::{collections::VecDeque, time::Duration};

use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;

use crate::{
    api::{Phase, ProxmoxActionPlan},
    catalog::{InventoryScope, Target},
    core::{
        approval::{Tally, tally},
        call::{PlanIdentity, call_for},
        judge::{Judged, Setting, Unjudged, judge, moved},
        lifecycle::{self, Effect, Event, IntentDraft, Order, Rivals, State, step},
        observe::{Guest, summarise},
        request::{Request, normalise},
        task::Sent,
    },
    ports::{Hypervisor, HypervisorError, Hypervisors, Key, Ports, Store},
};

use place::occupied_by;

use super::{
    Error, Together, bench,
    crowd::Admitted,
    scene::{ENVIRONMENT_NOT_FOUND, Scene, blocked, resolve},
};

/// How late a call may leave after its announcement, and its answer beyond the request's own time-out.
const SETTLE_MARGIN: SignedDuration = SignedDuration::from_secs(8);
/// As many as an intent holds.
const MOST_STORAGES: usize = 32;
/// When to try again after something needed was missing.
const RETRY: SignedDuration = SignedDuration::from_secs(15);

/// One look at one plan.
struct Look<'a, S, H: Hypervisors> {
    ports: &'a Ports<S, H>,
    key: &'a Key,
    plan: ProxmoxActionPlan,
    state: State,
    scene: Option<Scene<H::Connection>>,
    wake_at: Option<Timestamp>,
    together: &'a Together,
    /// While it asks its Proxmox.
    admitted: Option<Admitted>,
    /// It has asked for a place in vain.
    is_in_line: bool,
}

/// Looks at a plan and takes it as far as it goes. Returns when to look again, if not at the next change.
pub(super) async fn reconcile<S: Store, H: Hypervisors>(
    ports: &Ports<S, H>,
    together: &Together,
    key: &Key,
) -> Result<Option<Timestamp>, Error> {
    let Some(plan) = ports.store.get::<ProxmoxActionPlan>(key).await? else { return Ok(None) };
    let state = lifecycle::read(plan.status.as_ref())?;
    let first = if plan.metadata.deletion_timestamp.is_some() { Event::Deleted } else { Event::Woken };
    let mut look = Look {
        ports,
        key,
        plan,
        state,
        scene: None,
        wake_at: None,
        together,
        admitted: None,
        is_in_line: false,
    };
    let was_in_flight = look.keep_its_place();
    let done = look.take_as_far_as_it_goes(first).await;
    look.settle_its_place(was_in_flight, done.is_ok());
    match done {
        Ok(()) => Ok(look.wake_at),
        // It is no failure to come again later.
        Err(error @ Error::Crowded) => Ok(error.retry_after().map(|pause| ports.clock.now() + pause)),
        Err(error) => Err(error),
    }
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

    /// Does one thing, and says what came of it if it was a question.
    async fn perform(&mut self, effect: Effect) -> Result<Option<Event>, Error> {
        match effect {
            Effect::Judge => self.judge().await.map(Some),
            Effect::ReadInventory => self.read_inventory().await.map(Some),
            Effect::GatherApprovals => self.gather_approvals().await.map(Some),
            Effect::Recheck => self.recheck().await.map(Some),
            Effect::Audit(event, message) => self.audit(event, message).await.map(|()| None),
            Effect::WriteStatus => self.write_status().await.map(|()| None),
            Effect::Tell(telling) => {
                self.tell(telling).await;
                Ok(None)
            }
            Effect::Send { until } => self.send(until).await.map(Some),
            Effect::LookAtTask => self.look_at_task().await.map(Some),
            Effect::SearchTasks => self.search_tasks().await.map(Some),
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

    /// The scene of a plan that is in flight already. If its environment is gone and so will be the plan, nobody is left
    /// who could say how it ended.
    async fn scene_in_flight(&mut self) -> Result<Result<&Scene<H::Connection>, Event>, Error> {
        let is_deleted = self.plan.metadata.deletion_timestamp.is_some();
        Ok(self.scene().await?.map_err(|event| match event {
            Event::Blocked(blocked) if is_deleted && blocked.reason == ENVIRONMENT_NOT_FOUND => {
                Event::Abandoned(blocked)
            }
            event => event,
        }))
    }

    /// Proxmox could not be asked: says so, and asks again.
    fn unavailable(&mut self, error: HypervisorError) -> Event {
        self.try_again_soon();
        Event::Blocked(blocked("ProxmoxUnavailable", error.message))
    }

    fn try_again_soon(&mut self) {
        self.wake_at = self.ports.clock.now().saturating_add(RETRY).ok();
    }

    // ---- validate and judge

    async fn judge(&mut self) -> Result<Event, Error> {
        let request = match normalise(&self.key.namespace, &self.plan.spec) {
            Ok(request) => request,
            Err(violations) => return Ok(Event::Invalid(violations)),
        };
        let judged = match self.judge_request(&request).await? {
            Ok((judged, _)) => Event::Judged(judged),
            Err(event) => event,
        };
        Ok(judged)
    }

    /// Judges against the target as it is right now. Also says how it was met.
    async fn judge_request(
        &mut self,
        request: &Request,
    ) -> Result<Result<(Judged, Option<Guest>), Event>, Error> {
        let plan_uid = self.plan.uid().unwrap_or_default();
        let scene = match self.scene().await? {
            Ok(scene) => scene,
            Err(event) => return Ok(Err(event)),
        };
        let met = match request.target {
            Target::Inventory(_) => Ok(None),
            Target::Guest(guest) => scene.hypervisor.guest(guest).await,
        };
        let met = match met {
            Ok(met) => met,
            Err(error) => return Ok(Err(self.unavailable(error))),
        };
        let Some(scene) = &self.scene else { return Ok(Err(Event::Woken)) };
        let setting =
            Setting { plan_uid: &plan_uid, environment: &scene.environment, policy: scene.policy.as_ref() };
        match judge(request, met.as_ref(), setting) {
            Ok(judged) => Ok(Ok((judged, met))),
            Err(Unjudged::Denied(denial)) => Ok(Err(Event::Denied(denial))),
            Err(Unjudged::NotCanonical(error)) => Err(error.into()),
        }
    }

    fn request(&self) -> Result<Request, Error> {
        normalise(&self.key.namespace, &self.plan.spec)
            .map_err(|_| Error::NotReady("a request that was valid no longer is".to_owned()))
    }

    async fn read_inventory(&mut self) -> Result<Event, Error> {
        let Target::Inventory(scope) = self.request()?.target else {
            return Ok(Event::Read(summarise(InventoryScope::All, vec![])));
        };
        let scene = match self.scene().await? {
            Ok(scene) => scene,
            Err(event) => return Ok(event),
        };
        Ok(match scene.hypervisor.inventory().await {
            Ok(rows) => Event::Read(summarise(scope, rows)),
            Err(error) => self.unavailable(error),
        })
    }

    // ---- decide

    async fn gather_approvals(&mut self) -> Result<Event, Error> {
        let Some(judged) = self.state.judged() else { return Ok(Event::Approvals(Tally::default())) };
        let bench = bench(self.ports, &self.plan, judged).await?;
        // Last of all, so that an approval that was revoked a moment ago does not count.
        let approvals = self.ports.store.approvals_of(self.key).await?;
        Ok(Event::Approvals(tally(&approvals, bench)))
    }

    async fn recheck(&mut self) -> Result<Event, Error> {
        let Some(before) = self.state.judged().cloned() else { return Ok(Event::Woken) };
        let request = self.request()?;
        let (now, met) = match self.judge_request(&request).await? {
            Ok(judged) => judged,
            Err(event) => return Ok(event),
        };
        let (Some(met), Target::Guest(guest)) = (met, request.target) else { return Ok(Event::Woken) };
        let moved = moved(&before, &now);
        let occupied = occupied_by(&now, &met);
        if moved.is_empty()
            && let Err(busy) = self.take_a_place(occupied.clone()).await?
        {
            return Ok(busy);
        }
        let node = met.node;
        let nonce = self.ports.clock.nonce();
        let Some(Scene { hypervisor, .. }) = &self.scene else { return Ok(Event::Woken) };
        let sender = hypervisor.token_id();
        let node_time = match hypervisor.node_time(&node).await {
            Ok(node_time) => node_time,
            Err(error) => return Ok(self.unavailable(error)),
        };
        let draft = IntentDraft {
            nonce,
            node,
            storages: occupied.storages.into_iter().take(MOST_STORAGES).collect(),
            task_id: guest.vmid.to_string(),
            task_types: request.action.task_types(guest.kind).iter().map(ToString::to_string).collect(),
            sender,
            node_time,
            settle: self.request_timeout() + SETTLE_MARGIN,
        };
        Ok(Event::Rechecked { moved, draft })
    }

    fn request_timeout(&self) -> SignedDuration {
        let seconds = self.scene.as_ref().map_or(300, |scene| scene.environment.spec.request_timeout_seconds);
        SignedDuration::from_secs(seconds.into())
    }

    // ---- act

    /// Builds the call that was previewed and hands it over, once, and only while its announcement is fresh.
    async fn send(&mut self, until: Timestamp) -> Result<Event, Error> {
        let request = self.request()?;
        let plan_uid = self.plan.uid().unwrap_or_default();
        let (Some(intent), Some(judged)) = (self.state.intent(), self.state.judged()) else {
            return Err(Error::NotReady("there is no intent on record".to_owned()));
        };
        let identity = PlanIdentity { hash: &judged.plan_hash, uid: &plan_uid };
        let call = call_for(&request, &intent.node, identity)?
            .ok_or_else(|| Error::NotReady(format!("{} sends nothing", request.action.name)))?;
        let Some(scene) = &self.scene else {
            return Err(Error::NotReady("the environment was not resolved".to_owned()));
        };
        let left = until.duration_since(self.ports.clock.now());
        if !left.is_positive() {
            let why = format!("it was announced, but could not leave before {until}");
            return Ok(Event::Sent(Sent::NotSent { why }));
        }
        Ok(Event::Sent(scene.hypervisor.send(&call, left.unsigned_abs()).await))
    }

    async fn look_at_task(&mut self) -> Result<Event, Error> {
        let Some(upid) = self.state.upid().cloned() else { return Ok(Event::Woken) };
        let tolerance = self.tolerance();
        let looked = match self.scene_in_flight().await? {
            Ok(scene) => scene.hypervisor.task(&upid, tolerance).await,
            Err(event) => return Ok(event),
        };
        Ok(match looked {
            Ok(task) => Event::Task(task),
            Err(error) => self.unavailable(error),
        })
    }

    /// How old news of the task may be: those who look at tasks of one node at about the same time share what they see.
    fn tolerance(&self) -> Duration {
        let sent_at = self.state.intent().map(|intent| intent.at.0);
        let age = sent_at.map(|at| self.ports.clock.now().duration_since(at)).unwrap_or_default();
        (lifecycle::pause_between_looks(age) / 2).unsigned_abs()
    }

    async fn search_tasks(&mut self) -> Result<Event, Error> {
        let Some(intent) = self.state.intent().cloned() else { return Ok(Event::Woken) };
        let since = intent.node_time.0.saturating_add(-SETTLE_MARGIN).unwrap_or(Timestamp::MIN);
        let looked = match self.scene_in_flight().await? {
            Ok(scene) => scene.hypervisor.tasks_since(&intent.node, &intent.task_id, since).await,
            Err(event) => return Ok(event),
        };
        Ok(match looked {
            Ok(found) => Event::TasksFound { found, rivals: self.rivals().await? },
            Err(error) => self.unavailable(error),
        })
    }

    /// What the other plans for the same target have done or may have done.
    async fn rivals(&self) -> Result<Rivals, Error> {
        let plans = self.ports.store.plans_for(&self.key.namespace, &self.plan.spec.target).await?;
        let mut rivals = Rivals::default();
        for plan in plans.into_iter().filter(|plan| plan.uid() != self.plan.uid()) {
            let status = plan.status.unwrap_or_default();
            match (status.upid.and_then(|upid| upid.parse().ok()), status.intent) {
                (Some(upid), _) => rivals.tasks.push(upid),
                (None, Some(intent)) if matches!(status.phase, Phase::Dispatching | Phase::Indeterminate) => {
                    rivals.unanswered.push(intent);
                }
                _ => {}
            }
        }
        Ok(rivals)
    }
}
